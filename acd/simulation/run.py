"""One replication: a plan and sources of chance make a day, the engine lives through it, and the facts are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from acd.kpi.fold import Fold
from acd.kpi.grid import WHOLE, Grid
from acd.kpi.report import Query, items
from acd.simulation.laws import AgentBook, LawBroken, check
from acd.simulation.scenario import Caller, Phones
from acd.simulation.world import Observer, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from acd.core.distributor import Distributor
    from acd.core.events import Event
    from acd.gate import Gate
    from acd.kpi.policy import Policy
    from acd.kpi.report import Item

PATIENCE_WITH_THE_END = 86400.0  # seconds after the last arrival in which everybody still there must be gone


class Day(msgspec.Struct, frozen=True):
    """What happens in one replication; instants are in unix seconds.

    Callers arrive from `start` to `end`, and it goes on until the last of them is gone. Callers who arrive, and the
    time of agents, before `counted_from` are not counted.
    """

    distributor: Distributor
    callers: Iterable[Caller]
    phones: Phones
    agenda: Iterable[tuple[float, Event]]
    start: float
    counted_from: float
    end: float
    policy: Policy
    gates: Mapping[str, Gate] = {}


class Run(msgspec.Struct, frozen=True):
    """What came of it: the callers one by one, and the figures of those who count, in all and by queue."""

    callers: list[Caller]
    items: list[Item]
    start: float
    counted_from: float
    end: float
    over: float

    @property
    def counted(self) -> list[Caller]:
        """The callers who are counted."""
        return [caller for caller in self.callers if caller.at >= self.counted_from]


def live(
    day: Day,
    watch: Callable[[World], None] | None = None,
    every: float = 600.0,
    observers: Iterable[Observer] = (),
) -> Run:
    """Let the engine live through a day.

    `watch` sees the floor `every` so many seconds, `observers` are told the facts. Raises LawBroken when a law of
    conservation does not hold.
    """
    book = AgentBook(day.distributor, day.start)
    fold = Fold(Grid(WHOLE), start=day.counted_from, end=day.end, policy=day.policy)
    world = World(
        day.distributor,
        day.callers,
        day.phones,
        day.agenda,
        start=day.start,
        gates=day.gates,
        observers=(book, fold, *observers),
    )
    if watch is None:
        world.run(day.end)
    else:
        while world.now < day.end:
            world.run(min(world.now + every, day.end))
            watch(world)
    world.finish(day.end + PATIENCE_WITH_THE_END)
    check(world, book)
    intervals = fold.intervals(max(world.now, day.end))
    lost = fold.imbalances()
    if lost:
        raise LawBroken("; ".join(lost))
    query = Query(start=day.counted_from, end=day.end, grid=Grid(WHOLE))
    found = [
        item
        for by in ("total", "queue")
        for item in items(intervals, fold.thresholds, msgspec.structs.replace(query, by=by))
    ]
    return Run(world.callers, found, day.start, day.counted_from, day.end, world.now)
