"""What the configuration means to the distributor: profiles of queues and agents, and what a caller is to get."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from acd.core.calendar import Calendar, Hours
from acd.core.distributor import Distributor
from acd.core.events import FailCause
from acd.core.needs import ANYBODY, Needs, needs
from acd.core.overflow import OverflowRule, Target, When
from acd.core.profiles import AgentProfile, Membership, QueueProfile, Ring, UnderLoad

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from acd import config as configured
    from acd.config import CallerProfile, Config, ToFlow, ToQueue

DAYS = range(7)


def is_number(config: Config, dialled: str) -> bool:
    """Whether the engine serves what was dialled: a number or a feature code."""
    return dialled in config.numbers or dialled in msgspec.structs.astuple(config.feature_codes)


class Route(msgspec.Struct, frozen=True):
    """Where a caller waits and for whom: what the dialled number says and what follows from his profile.

    `queue` empty: as number or menu choose. `manager` is the agent who looks after him, empty for none.
    """

    queue: str = ""
    priority: int = 0
    needs: Needs = ANYBODY
    manager: str = ""


def route_of(number: ToQueue | ToFlow) -> Route:
    """Return what the number says."""
    return Route("", number.priority, needs_of(number.needs))


def route_for(profile: CallerProfile, number: Route, config: Config) -> Route:
    """Return what the rules of the configuration make of a caller's profile, added to what his number says."""
    queue, priority, wanted = number.queue, number.priority, number.needs
    for rule in config.callers.rules:
        if all(getattr(rule.when, name) in (None, getattr(profile, name)) for name in rule.when.__struct_fields__):
            queue = rule.queue or queue
            priority += rule.priority
            wanted = both(wanted, needs_of(rule.needs))
    manager = profile.agent if profile.agent in config.agents else None
    return Route(queue, priority, wanted, manager or "")


def both(one: Needs, other: Needs) -> Needs:
    """Return what satisfies both: of one skill the higher level counts."""
    return needs(
        _higher(dict(one.required), dict(other.required)),
        _higher(dict(one.preferred), dict(other.preferred)),
        {*one.excluded, *other.excluded},
    )


def _higher(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {skill: max(one.get(skill, 0), other.get(skill, 0)) for skill in {**one, **other}}


def needs_of(written: configured.Needs) -> Needs:
    """Return needs as the distributor compares them."""
    return needs(written.required, written.preferred, written.excluded)


def build_distributor(config: Config, now: float, random: Callable[[], float], *, epoch: float = 0.0) -> Distributor:
    """Build the queues and agents of a configuration.

    ``random`` returns numbers from 0 to below 1; ``epoch`` added to the clock of ``now`` gives unix seconds.
    """
    return Distributor(queue_profiles(config), agent_profiles(config), now, random=random, epoch=epoch)


def queue_profiles(config: Config) -> list[QueueProfile]:
    """Return the queues, in the order of the configuration."""
    return [
        QueueProfile(
            queue.id,
            queue.name,
            queue.ring_seconds,
            queue.wrap_up_seconds,
            queue.service_level_seconds,
            strategy=queue.strategy,
            ring_all=queue.ring_all,
            ageing_seconds=queue.ageing_seconds,
            weight=queue.weight,
            rings=tuple(Ring(ring.after_seconds, ring.drop, ring.relax, ring.levels or 0) for ring in queue.rings),
            under_load=_under_load(queue.under_load),
            overflow=overflow_rules(queue),
            hours=calendar_of(config.calendars[queue.hours]) if queue.hours is not None else None,
        )
        for queue in config.queues.values()
    ]


def overflow_rules(queue: configured.Queue) -> tuple[OverflowRule, ...]:
    """Return the rules of a queue, after them those that every queue has: full, waited too long.

    A queue closes to new callers only (`acd.services`): who waits is served, unless a rule says otherwise.
    """
    rules = [OverflowRule(When(rule.when), Target(rule.to.kind), rule.to.where, rule.above) for rule in queue.overflow]
    rules.append(OverflowRule(When.LENGTH, Target.RELEASE, above=queue.max_waiting))
    rules.append(OverflowRule(When.WAITED, Target.RELEASE, above=queue.max_wait_seconds))
    return tuple(rules)


def _under_load(load: configured.UnderLoad | None) -> UnderLoad | None:
    return None if load is None else UnderLoad(load.from_waiting, load.to_waiting, load.strategy, load.ring)


def calendar_of(calendar: configured.Calendar) -> Calendar:
    """Return opening hours as the distributor reads them."""
    by_day = {day: hours for days, hours in calendar.weekly.items() for day in days}
    return Calendar(
        str(calendar.timezone),
        tuple(tuple(Hours(stretch.start, stretch.end) for stretch in by_day.get(day, ())) for day in DAYS),
        {
            date: tuple(Hours(stretch.start, stretch.end) for stretch in hours)
            for date, hours in calendar.holidays.items()
        },
    )


def agent_profiles(config: Config) -> list[AgentProfile]:
    """Return the agents, in the order of the configuration."""
    return [
        AgentProfile(
            agent.id,
            agent.name,
            tuple(Membership(queue, member.level, member.weight) for queue, member in agent.queues.items()),
            agent.wrap_up_seconds,
            always_ready=agent.always_ready,
            skills=dict(agent.skills),
            refuse_delays={cause: getattr(agent.refuse_delays, cause) for cause in FailCause},
            pause_after_missed=agent.pause_after_missed,
            capacity=agent.capacity,
        )
        for agent in config.agents.values()
    ]
