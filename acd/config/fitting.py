"""Checks that queues, agents, hours and callers fit each other; see `acd.config.checks` for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from acd.config.model import ToFlow, ToQueue
from ims_core.errors import SipError
from ims_core.messages.uri import parse_uri

if TYPE_CHECKING:
    from acd.config.mistakes import Mistakes
    from acd.config.model import Config, Sections
    from acd.config.reader import Path
    from acd.config.routing import AgentTable, Calendar, Callers, Needs, Queue

BY_AMOUNT = frozenset({"length", "expected_wait", "waited"})


def refers(value: Any, defined: Mapping[str, object], what: str, path: Path, mistakes: Mistakes) -> None:
    """Report a name that is not defined; one that could not be read has been reported."""
    if value is not None and value not in defined:
        mistakes.report(path, f"{what} ({_listed(defined)})", value)


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    if not listed:
        return "none is defined"
    return f"defined: {', '.join(listed[:8])}" + (", ..." if len(listed) > 8 else "")


def check_reachable(uri: str, config: Sections, path: Path, mistakes: Mistakes, *, or_domain: bool = False) -> None:
    """Report a SIP URI that no request can be sent to; with `or_domain` it may name a user of the domain."""
    try:
        parsed = parse_uri(uri)
    except SipError:
        mistakes.report(path, 'a SIP URI, like "sip:1001@192.0.2.1:5060"', uri)
        return
    if or_domain and parsed.host == str(config.server.domain).lower():
        return
    if not parsed.has_ip_host:  # the name's records say by which transport, unless the URI does
        if "transport" in parsed.params or parsed.scheme == "sips":
            transports = {listener.transport.upper() for listener in config.sip.listen if not listener.is_for_browsers}
            if parsed.transport not in transports:
                mistakes.report(path, "a transport that sip.listen has", uri)
    elif not any(
        (listener.transport.upper(), ":" in listener.host) == (parsed.transport, ":" in parsed.host)
        for listener in config.sip.listen
        if not listener.is_for_browsers
    ):
        mistakes.report(path, "a transport and a version of IP that sip.listen has", uri)


def check_routing(config: Config, mistakes: Mistakes) -> None:
    """Report every place where queues, agents, hours and callers contradict each other."""
    skills = {skill: agent for agent in config.agents.values() for skill in agent.skills or ()}
    for name, queue in config.queues.items():
        _queue(config, queue, ("queues", name), mistakes)
        for index, ring in enumerate(queue.rings or ()):
            for skill in ring.drop or ():
                refers(skill, skills, "a skill of an agent", ("queues", name, "rings", index, "drop"), mistakes)
    for name, calendar in config.calendars.items():
        _calendar(calendar, ("calendars", name), mistakes)
    for dialled, number in config.numbers.items():
        if isinstance(number, ToQueue | ToFlow):
            _needs(number.needs, skills, ("numbers", dialled, "needs"), mistakes)
    _callers(config, config.callers, skills, mistakes)


def check_memberships(table: AgentTable, queues: Mapping[str, object], path: Path, mistakes: Mistakes) -> None:
    """Report queues of an agent that are not defined."""
    written = table.queues or ()
    for key, queue in zip(written, written, strict=True) if isinstance(written, Mapping) else enumerate(written):
        if queue != "*":
            refers(queue, queues, "a queue", (*path, "queues", key), mistakes)


def _queue(config: Config, queue: Queue, path: Path, mistakes: Mistakes) -> None:
    refers(queue.hours, config.calendars, "a calendar", (*path, "hours"), mistakes)
    for index, rule in enumerate(queue.overflow or ()):
        at: Path = (*path, "overflow", index)
        if rule.to is not None and rule.to.kind == "queue":
            others = {name: other for name, other in config.queues.items() if name != queue.id}
            refers(rule.to.where, others, "another queue", (*at, "to"), mistakes)
        if rule.to is not None and rule.to.kind == "external" and not rule.to.is_number:
            check_reachable(rule.to.where, config, (*at, "to"), mistakes, or_domain=True)
        if rule.above and rule.when not in BY_AMOUNT:
            mistakes.report(
                (*at, "above"), f'no number, because there is nothing to count when "{rule.when}"', rule.above
            )
        if rule.when == "closed" and queue.hours is None:
            mistakes.report((*path, "hours"), f"a calendar, because overflow[{index}] speaks of closed hours")
    for index, (ring, wider) in enumerate(pairwise(queue.rings or ())):
        if None not in (ring.after_seconds, wider.after_seconds) and ring.after_seconds >= wider.after_seconds:
            mistakes.report(
                (*path, "rings", index + 1, "after_seconds"), f"more than {ring.after_seconds:g}", wider.after_seconds
            )
    load = queue.under_load
    if load is not None and load.from_waiting is not None:
        if load.to_waiting >= load.from_waiting:
            mistakes.report((*path, "under_load", "to_waiting"), f"less than {load.from_waiting}", load.to_waiting)
        if load.ring > len(queue.rings or ()):
            mistakes.report(
                (*path, "under_load", "ring"), f"at most {len(queue.rings)}, how many rings there are", load.ring
            )


def _calendar(calendar: Calendar, path: Path, mistakes: Mistakes) -> None:
    named: dict[int, str] = {}
    for days, hours in (calendar.weekly or {}).items():
        for day in days:
            if day in named:
                mistakes.report((*path, "weekly", str(days)), f"days that are not named before; {named[day]} has them")
            named[day] = str(days)
        _hours(hours, (*path, "weekly", str(days)), mistakes)
    for date, hours in calendar.holidays.items():
        _hours(hours, (*path, "holidays", str(date)), mistakes)


def _hours(hours: Any, path: Path, mistakes: Mistakes) -> None:
    for index, (stretch, later) in enumerate(pairwise(hours or ())):
        if stretch.end > later.start:
            mistakes.report((*path, index + 1), "hours after those before", str(later))


def _needs(needs: Needs, skills: Mapping[str, object], path: Path, mistakes: Mistakes) -> None:
    for kind in ("required", "preferred"):
        for skill in getattr(needs, kind):
            refers(skill, skills, "a skill of an agent", (*path, kind, skill), mistakes)
    for index, skill in enumerate(needs.excluded):
        refers(skill, skills, "a skill of an agent", (*path, "excluded", index), mistakes)


def _callers(config: Config, callers: Callers, skills: Mapping[str, object], mistakes: Mistakes) -> None:
    for number, profile in callers.known.items():
        refers(profile.agent, config.agents, "an agent", ("callers", "known", number, "agent"), mistakes)
    if callers.url is not None and "{number}" not in callers.url:
        mistakes.report(("callers", "url"), "a URL with {number} in it, which stands for the caller's", callers.url)
    for index, rule in enumerate(callers.rules):
        path: Path = ("callers", "rules", index)
        if rule.when is not None and not any(
            getattr(rule.when, name) is not None for name in rule.when.__struct_fields__
        ):
            mistakes.report((*path, "when"), f"at least one of {', '.join(rule.when.__struct_fields__)}")
        refers(rule.queue, config.queues, "a queue", (*path, "queue"), mistakes)
        _needs(rule.needs, skills, (*path, "needs"), mistakes)
