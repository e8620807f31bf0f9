"""The figures as they are shown: one item for each interval and queue, number or agent, every KPI in it."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from acd.core.agents import AgentState
from acd.kpi.definitions import KPIS, SERVICE_LEVELS, Figures, Kpi, Within
from acd.kpi.grid import Grid
from acd.kpi.tally import Calls, Interval, Time, Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

By = Literal["queue", "agent", "number", "total"]

SHORT_SECONDS = 5.0


class Query(Struct, frozen=True, kw_only=True):
    """What is asked for: from `start` up to and without `end` in unix seconds.

    `thresholds`, in seconds, are those of the service level; without any each queue has its own. Who hangs up within
    `short_seconds` is left out of the abandonment rate without short waits.
    """

    start: float
    end: float
    grid: Grid = Grid()
    by: By = "queue"
    thresholds: tuple[float, ...] = ()
    short_seconds: float = SHORT_SECONDS


class Counts(Struct, frozen=True, kw_only=True):
    """What the KPIs are computed from. Of an agent's callers only those that he answered are known: else null.

    offered = answered + abandoned + overflowed + released + called back + waiting.
    """

    offered: int | None
    answered: int
    abandoned: int | None
    overflowed: int | None
    released: int | None
    called_back: int | None
    waiting: int | None
    turned_away: int | None
    handled: int
    offers: int


def _figure(kpi: Kpi[Figures] | Kpi[Within]) -> tuple[str, object]:
    meta = Meta(title=f"{kpi.title} ({kpi.chinese})" if kpi.chinese else kpi.title, description=kpi.formula)
    return kpi.name, Annotated[float | None, meta]


if TYPE_CHECKING:
    Kpis: TypeAlias = Struct
    ServiceLevel: TypeAlias = Struct
else:
    Kpis = msgspec.defstruct("Kpis", [_figure(kpi) for kpi in KPIS.values()], frozen=True, module=__name__)
    Kpis.__doc__ = "Every KPI; null where its denominator is zero."
    _T = Annotated[float | None, Meta(description="T in seconds; null: for each call that of its queue")]
    ServiceLevel = msgspec.defstruct(
        "ServiceLevel",
        [("threshold_seconds", _T), *(_figure(kpi) for kpi in SERVICE_LEVELS.values())],
        frozen=True,
        module=__name__,
    )
    ServiceLevel.__doc__ = "The service level in each usual variant; null where the denominator is zero."


class Item(Struct, frozen=True, kw_only=True):
    """The figures of the calls offered from `start` up to and without `end`, and of the agents' time within that.

    `id` is that of the queue or agent, the number, or empty for all. `agent_seconds` are by state: the agent's, those
    of the agents who serve the queue, or of all; none for a number.
    """

    start: datetime
    end: datetime
    id: str
    counts: Counts
    kpis: Kpis
    service_levels: tuple[ServiceLevel, ...]
    agent_seconds: dict[str, float]


def items(intervals: Iterable[Interval], thresholds: Sequence[float], query: Query) -> list[Item]:
    """Show intervals, counted by `thresholds`, as the query wants them: in order, then by id."""
    return [
        _item(interval, name, counted, thresholds, query)
        for interval in intervals
        for name, counted in sorted(_counted(interval, query.by, len(thresholds)).items())
    ]


def merge(intervals: Iterable[Interval], thresholds: Sequence[float], query: Query) -> list[Interval]:
    """Add up intervals, counted by `thresholds`, to those of the query's coarser grid."""
    merged: dict[float, Interval] = {}
    for interval in intervals:
        start, end = query.grid.interval(interval.start)
        start, end = max(start, query.start), min(end, query.end)
        whole = merged.get(start)
        if whole is None:
            whole = merged[start] = Interval(start, end, interval.policy)
        whole.policy = interval.policy
        for mine, its in ((whole.queues, interval.queues), (whole.numbers, interval.numbers)):
            for name, calls in its.items():
                mine.setdefault(name, Calls(len(thresholds))).add(calls)
        for name, time in interval.agents.items():
            whole.agents.setdefault(name, Time()).add(time)
    return list(merged.values())


class _Counted(NamedTuple):
    """What a row is made of; `threshold` is the queue's own."""

    work: Work
    seconds: Mapping[str, float]
    calls: Calls | None = None
    threshold: float | None = None


def _counted(interval: Interval, by: By, size: int) -> dict[str, _Counted]:
    policy = interval.policy
    match by:
        case "queue":
            names = interval.queues.keys() | {name for name, who in policy.members.items() if _seconds(interval, who)}
            tallies = {name: interval.queues.get(name) or Calls(size) for name in names}
            return {
                name: _Counted(calls, _seconds(interval, policy.members.get(name, ())), calls, policy.threshold(name))
                for name, calls in tallies.items()
            }
        case "number":
            return {name: _Counted(calls, {}, calls) for name, calls in interval.numbers.items()}
        case "agent":
            return {name: _Counted(time, time.seconds) for name, time in interval.agents.items() if _shows(time)}
        case "total":
            total = Calls(size)
            for calls in interval.numbers.values():
                total.add(calls)
            seconds = _seconds(interval, interval.agents)
            return {"": _Counted(total, seconds, total)} if seconds or interval.numbers else {}


def _shows(time: Time) -> bool:
    return bool(time.seconds or time.offers)


def _seconds(interval: Interval, agents: Iterable[str]) -> dict[str, float]:
    total = Time()
    for agent in agents:
        time = interval.agents.get(agent)
        if time is not None:
            total.add(time)
    return total.seconds


def _item(interval: Interval, name: str, counted: _Counted, thresholds: Sequence[float], query: Query) -> Item:
    calls, work = counted.calls, counted.work
    shown = calls or Calls(len(thresholds))
    figures = Figures(shown, work, counted.seconds, _within(shown.abandoned_by, thresholds, query.short_seconds))
    levels: list[tuple[float | None, Within]] = [
        (
            seconds,
            Within(
                shown, _within(shown.answered_by, thresholds, seconds), _within(shown.abandoned_by, thresholds, seconds)
            ),
        )
        for seconds in query.thresholds
    ] or [(counted.threshold, Within(shown, shown.answered_in_time, shown.abandoned_in_time))]
    return Item(
        start=datetime.fromtimestamp(interval.start, UTC),
        end=datetime.fromtimestamp(interval.end, UTC),
        id=name,
        counts=Counts(
            answered=work.answered,
            handled=work.handled,
            offers=work.offers,
            **{field: getattr(calls, field) if calls else None for field in _OF_CALLERS},
        ),
        kpis=Kpis(*(_rounded(kpi.compute(figures)) for kpi in KPIS.values())),
        service_levels=tuple(
            ServiceLevel(seconds, *(_rounded(kpi.compute(within)) for kpi in SERVICE_LEVELS.values()))
            for seconds, within in levels
        ),
        agent_seconds={state: round(counted.seconds[state], 3) for state in AgentState if state in counted.seconds},
    )


_OF_CALLERS = ("offered", "abandoned", "overflowed", "released", "called_back", "waiting", "turned_away")


def _within(by: Sequence[int], thresholds: Sequence[float], seconds: float) -> int:
    """Return how many waits were not above one of the thresholds."""
    return sum(by[: bisect_right(thresholds, seconds)])


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 6)
