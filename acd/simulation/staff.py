"""Which agents are there when: the option `--staff`.

    20                              twenty agents all the time
    20@8-16:30                      from 08:00 to 16:30, every day
    5@22-6,queue=sales              five of those who serve a queue, over midnight

Shifts add up: each takes, in the order of the configuration, agents who are on no other at the time. Without any shift
all agents are there all the time. Who is on none is logged out; at the end of a shift a talk is finished first.
"""

from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING

import msgspec

from acd.core.events import AgentLoggedIn, AgentLoggedOut, AgentRegistered, Event
from acd.simulation.arrivals import DAY
from acd.simulation.expressions import ExpressionError, time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from acd.config import Config

_SHIFT = re.compile(r"([0-9]{1,6})(?:@([0-9:]+)-([0-9:]+))?(?:,queue=([a-z0-9_-]+))?")


class Shift(msgspec.Struct, frozen=True):
    """So many agents, `ids` being those who come into question, from `start` to `end` in seconds of the day."""

    text: str
    size: int
    start: float
    end: float
    ids: tuple[str, ...]


def shift(text: str, config: Config) -> Shift:
    """Return the shift that an option describes. Raises ExpressionError."""
    match = _SHIFT.fullmatch(text.strip())
    if match is None:
        raise ExpressionError(f"{text!r}: a shift is to be like 20, 20@8-16:30 or 5@22-6,queue=sales")
    size, start, end, queue = match.groups()
    if queue is not None and queue not in config.queues:
        raise ExpressionError(f"{text!r}: no queue {queue} is configured")
    ids = tuple(agent.id for agent in config.agents.values() if queue is None or queue in agent.queues)
    try:
        begin, finish = time_of_day(start or "0"), time_of_day(end or "24")
    except ValueError:
        raise ExpressionError(f"{text!r}: times of day are to be like 8 or 16:30, up to 24") from None
    if finish <= begin:
        finish += DAY
    return Shift(text, int(size), begin, finish, ids)


def attendance(
    shifts: Sequence[Shift], config: Config, start: float, until: float, time_of_day: float
) -> list[tuple[float, Event]]:
    """Return when agents come and go between `start`, which is at this time of the day, and `until`.

    Raises ExpressionError for a shift that there are not enough agents for.
    """
    agents = config.agents.values()
    if not shifts:
        return [(start, AgentRegistered(agent.id)) for agent in agents if not agent.always_ready]
    present = _present(shifts, start - time_of_day, start, until)
    events: list[tuple[float, Event]] = []
    for agent in agents:
        times = present.get(agent.id, [])
        if agent.always_ready and not (times and times[0][0] == start):
            events.append((start, AgentLoggedOut(agent.id)))
        for number, (come, go) in enumerate(times):
            first = number == 0 and not agent.always_ready
            events.append((come, AgentRegistered(agent.id) if first else AgentLoggedIn(agent.id)))
            if go < until:
                events.append((go, AgentLoggedOut(agent.id)))
    return events


def _present(
    shifts: Iterable[Shift], midnight: float, start: float, until: float
) -> dict[str, list[tuple[float, float]]]:
    """When each agent is there, one stretch after the other."""
    days = range(-1, ceil((until - midnight) / DAY))
    stretches = sorted(
        (
            (max(start, midnight + day * DAY + one.start), midnight + day * DAY + one.end, index, one)
            for day in days
            for index, one in enumerate(shifts)
            if midnight + day * DAY + one.end > start and midnight + day * DAY + one.start < until
        ),
        key=lambda stretch: (stretch[0], stretch[2]),
    )
    present: dict[str, list[tuple[float, float]]] = {}
    for come, go, _, one in stretches:
        free = [agent_id for agent_id in one.ids if not present.get(agent_id) or present[agent_id][-1][1] <= come]
        if len(free) < one.size:
            raise ExpressionError(f"{one.text!r}: only {len(free)} agents are configured and not on another shift")
        for agent_id in free[: one.size]:
            times = present.setdefault(agent_id, [])
            if times and times[-1][1] == come:
                times[-1] = (times[-1][0], go)
            else:
                times.append((come, go))
    return present
