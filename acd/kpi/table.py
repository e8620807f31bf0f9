"""Figures as a table for people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from acd.kpi.grid import DAY, WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from acd.kpi.report import Item, Query

NOTES = {
    "callers": "service level: answered within T / offered; ASA: average speed of answer;"
    " AHT: talk + hold + wrap-up; times in min:s",
    "agents": "average talk, hold and wrap-up, in min:s; occupied: at work / (at work + ready);"
    " utilised: at work / logged in (h:min)",
}


class _Column(NamedTuple):
    title: str
    cell: Callable[[Item], str]


def table(found: Sequence[Item], total: Item, query: Query) -> str:
    """Lay out figures: a line for each item and, under a rule, one for all of them, then what the columns mean."""
    names = _names(query)
    agents = query.by == "agent"
    found = [] if query.by == "total" and query.grid.seconds == WHOLE else found
    figures = _OF_AGENTS if agents else _of_callers(query)
    columns = [*names, *figures]
    lines = [[column.title for column in columns], *([column.cell(item) for column in columns] for item in found)]
    lines.append(["all", *[""] * (len(names) - 1), *(column.cell(total) for column in figures)])
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    texts = [
        "  ".join(
            cell.ljust(width) if at < len(names) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in lines
    ]
    rule = "  ".join("─" * width for width in widths)
    return "\n".join(
        [
            texts[0],
            rule,
            *texts[1:-1],
            *([rule] if found else []),
            texts[-1],
            "",
            NOTES["agents" if agents else "callers"],
        ]
    )


def _names(query: Query) -> list[_Column]:
    names = [] if query.grid.seconds == WHOLE else [_Column("from", lambda item: _time(item.start, query))]
    if query.by != "total" or not names:
        names.append(_Column(query.by, lambda item: item.id or ("-" if query.by == "number" else "all")))
    return names


def _of_callers(query: Query) -> list[_Column]:
    columns = [
        _Column("offered", lambda item: _count(item.counts.offered)),
        _Column("answered", lambda item: _count(item.counts.answered)),
        _Column("answer rate", lambda item: _share(item, "answer_rate")),
        *(_level(at, query) for at in range(max(1, len(query.thresholds)))),
        _Column("abandoned", lambda item: _share(item, "abandonment_rate")),
        _Column("overflowed", lambda item: _share(item, "overflow_rate")),
        _Column("waiting", lambda item: _count(item.counts.waiting)),
        _Column("ASA", lambda item: _minutes(item, "average_speed_of_answer_seconds")),
        _Column("longest", lambda item: _minutes(item, "longest_wait_seconds")),
        _Column("AHT", lambda item: _minutes(item, "average_handling_seconds")),
    ]
    return columns if query.by == "number" else [*columns, _Column("occupied", lambda item: _share(item, "occupancy"))]


_OF_AGENTS = (
    _Column("answered", lambda item: _count(item.counts.answered)),
    _Column("talk", lambda item: _minutes(item, "average_talk_seconds")),
    _Column("hold", lambda item: _minutes(item, "average_hold_seconds")),
    _Column("wrap-up", lambda item: _minutes(item, "average_wrap_up_seconds")),
    _Column("refused", lambda item: _share(item, "refusal_rate")),
    _Column("unanswered", lambda item: _share(item, "no_answer_rate")),
    _Column("logged in", lambda item: _clock(sum(item.agent_seconds.values()) / 60)),
    _Column("occupied", lambda item: _share(item, "occupancy")),
    _Column("utilised", lambda item: _share(item, "utilisation")),
    _Column("calls/h", lambda item: _number(item, "calls_per_agent_hour")),
)


def _level(at: int, query: Query) -> _Column:
    title = f"within {query.thresholds[at]:g} s" if query.thresholds else "service level"
    return _Column(title, lambda item: _percent(getattr(item.service_levels[at], "of_offered")))  # noqa: B009


def _time(at: datetime, query: Query) -> str:
    local = at.astimezone(query.grid.zone)
    if query.grid.seconds >= DAY:
        return f"{local:%Y-%m-%d}"
    return f"{local:%H:%M}" if query.end - query.start <= 25 * 3600 else f"{local:%Y-%m-%d %H:%M}"


def _figure(item: Item, name: str) -> float | None:
    figure: float | None = getattr(item.kpis, name)
    return figure


def _count(count: int | None) -> str:
    return "-" if count is None else f"{count}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _share(item: Item, name: str) -> str:
    return _percent(_figure(item, name))


def _number(item: Item, name: str) -> str:
    figure = _figure(item, name)
    return "-" if figure is None else f"{figure:.1f}"


def _minutes(item: Item, name: str) -> str:
    seconds = _figure(item, name)
    return "-" if seconds is None else _clock(seconds)


def _clock(units: float) -> str:
    """Write so many of a unit of which sixty make the next: seconds as min:s, minutes as h:min."""
    large, small = divmod(round(units), 60)
    return f"{large}:{small:02}"
