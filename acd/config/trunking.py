"""Checks that trunks, routes to the outside and those who use them fit each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from acd.config.fitting import check_reachable, refers
from acd.numbering import outside, plan_of
from ims_core.trunks.numbers import matches

if TYPE_CHECKING:
    from acd.config.mistakes import Mistakes
    from acd.config.model import Config, Sections, Trunk
    from acd.config.reader import Path


def check_trunks(config: Config, mistakes: Mistakes) -> None:
    """Report trunks that cannot work, and calls to the outside that have no way."""
    for name, trunk in config.trunks.items():
        _trunk(config, trunk, ("trunks", name), mistakes)
    leaving = {name: trunk for name, trunk in config.trunks.items() if trunk.servers}
    for index, route in enumerate(config.outbound):
        for place, trunk_id in enumerate(route.trunks or ()):
            refers(trunk_id, leaving, "a trunk with servers", ("outbound", index, "trunks", place), mistakes)
        for key in ("match", "trunks"):
            if getattr(route, key) == () and not mistakes.any_in(("outbound", index, key)):
                mistakes.report(("outbound", index, key), "at least one")
    for name, queue in config.queues.items():
        for index, rule in enumerate(queue.overflow or ()):
            if rule.to is not None and rule.to.is_number:
                check_outside(rule.to.where, config, ("queues", name, "overflow", index, "to"), mistakes)
    if config.sip.authentication == "off":
        for name, account in config.accounts.items():
            if account.may_call_outside:
                why = 'sip.authentication is "off" and anybody can call as him'
                mistakes.report(("accounts",), f'no may_call_outside for "{name}", because {why}')
                break


def check_emergency(config: Config, mistakes: Mistakes) -> None:
    """Report emergency numbers that mean something else as well, and trunks that cannot take such calls."""
    wanted = config.emergency
    _emergency_numbers(config, mistakes)
    leaving = {name: trunk for name, trunk in config.trunks.items() if trunk.servers}
    for index, name in enumerate(wanted.trunks or ()):
        path: Path = ("emergency", "trunks", index)
        refers(name, leaving, "a trunk with servers", path, mistakes)
        if name in leaving and leaving[name].user is not None:
            why = "emergency calls are proxied, and nobody would answer its challenges to them"
            mistakes.report(path, f"a trunk without user and password, because {why}", name)
    if not wanted.trunks and not mistakes.any_in(("emergency",)):
        _emergencies_routed(config, mistakes)


def check_outside(target: str, config: Sections, path: Path, mistakes: Mistakes) -> bool:
    """Report a number outside that no route takes; returns whether ``target`` is a number at all."""
    number = outside(target, config.dialling)
    if number is None:
        return False
    patterns = [pattern for route in config.outbound for pattern in route.match or ()]
    if not any(matches(pattern, number) for pattern in patterns) and not mistakes.any_in(("outbound",)):
        mistakes.report(path, f"a number that some [[outbound]] route takes; none takes {number}", target)
    return True


def _trunk(config: Sections, trunk: Trunk, path: Path, mistakes: Mistakes) -> None:
    if mistakes.any_in(path):
        return
    if not trunk.sources and not trunk.servers:
        mistakes.report(path, "sources, from which it calls, or servers, by which it is called")
    if isinstance(trunk.servers, Mapping):
        for name, server in trunk.servers.items():
            check_reachable(server.uri, config, (*path, "servers", name, "uri"), mistakes)
    else:
        for index, uri in enumerate(trunk.servers):
            check_reachable(uri, config, (*path, "servers", index), mistakes)
    if (trunk.user is None) != (trunk.password is None):
        missing = "user" if trunk.user is None else "password"
        mistakes.report((*path, missing), "a value, because the other of user and password is given")
    if trunk.register and not trunk.servers:
        mistakes.report((*path, "servers"), "the registrar's address, because register is true")
    elif trunk.register and trunk.user is None and trunk.password is None:
        mistakes.report((*path, "user"), "the user who is registered, because register is true")
    if trunk.area is not None and trunk.country is None and config.dialling.country is None:
        mistakes.report((*path, "country"), "a country code, because area is given")


def _emergency_numbers(config: Config, mistakes: Mistakes) -> None:
    if mistakes.any_in(("emergency", "numbers")):
        return
    codes = config.feature_codes
    taken: dict[str, str] = {getattr(codes, name): "[feature_codes]" for name in codes.__struct_fields__}
    taken |= dict.fromkeys(config.agents, "[agents]")
    taken |= dict.fromkeys(config.accounts, "[[accounts]]")
    taken |= dict.fromkeys(config.numbers, "[numbers]")
    for number in config.emergency.numbers:
        if number in taken:
            mistakes.report(("emergency", "numbers"), f'no "{number}", because {taken[number]} has it')


def _emergencies_routed(config: Config, mistakes: Mistakes) -> None:
    """Report routes that were to take emergency calls: these would be answered 380."""
    plan = plan_of(config.dialling)
    for index, route in enumerate(config.outbound):
        for number in config.emergency.numbers:
            written = number if plan is None else plan.e164(number)
            if any(matches(pattern, written) for pattern in route.match or ()):
                why = f"outbound[{index}] takes {number}, which is an emergency number"
                mistakes.report(("emergency", "trunks"), f"the trunks for emergency calls, because {why}")
                return
