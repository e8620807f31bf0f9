"""What `ims-acd simulate` prints: a table for people, a JSON document for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from acd.simulation.figures import ALL, Figure, Values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from acd.simulation.intervals import Interval

_ALWAYS = frozenset(("offered", "answered", "abandoned", "abandonment_rate", "service_level_of_offered", "occupancy"))


class Told(msgspec.Struct, frozen=True):
    """A finished simulation: how it was made, one phrase each, the callers in it, and the figures by queue.

    `recorded` are those of the day that was lived through again, where there was one.
    """

    made: Mapping[str, object]
    callers: int
    cpu_seconds: float
    scopes: Mapping[str, Mapping[str, Figure]]
    recorded: Mapping[str, Values]
    thresholds: Mapping[str, float]


def document(told: Told) -> str:
    """Return it as JSON; shares are from 0 to 1, times in seconds, intervals [low, high] or null."""
    queues = {
        scope: {name: msgspec.to_builtins(figure) for name, figure in figures.items()}
        for scope, figures in told.scopes.items()
    }
    made = {
        **told.made,
        "callers": told.callers,
        "cpu_seconds": round(told.cpu_seconds, 3),
        "service_level_seconds": told.thresholds,
    }
    recorded = {"recorded": told.recorded} if told.recorded else {}
    return json.dumps({"simulation": made, "queues": queues, **recorded}, indent=2)


def table(told: Told) -> str:
    """Return the figures as text, first of all queues together, unless there is only one, then of each."""
    lines = [f"{what}: {value}" for what, value in told.made.items()]
    speed = told.callers / told.cpu_seconds if told.cpu_seconds else 0.0
    lines.append(f"{told.callers:,} callers, {speed:,.0f} per CPU second; the laws of conservation hold exactly")
    busy = [scope for scope, figures in told.scopes.items() if figures["offered"].mean or figures["turned_away"].mean]
    for scope in busy if len(busy) != 2 else busy[1:]:  # of one queue, all queues say the same
        heading = (
            "All queues" if scope == ALL else f"Queue {scope} (service level: {told.thresholds.get(scope, 0):g} s)"
        )
        if told.recorded:
            lines += ["", *_compared(heading, told.scopes[scope], told.recorded.get(scope, {}))]
        else:
            lines += ["", *_section(heading, told.scopes[scope])]
    return "\n".join(lines)


def _section(heading: str, figures: Mapping[str, Figure]) -> list[str]:
    rows = [(heading, "mean", "95 % interval", "99 % interval")]
    rows += [
        (
            f"  {figure.name}",
            shown(figure.mean, figure.unit),
            _interval(figure.ci95, figure.unit),
            _interval(figure.ci99, figure.unit),
        )
        for name, figure in figures.items()
        if figure.mean or name in _ALWAYS
    ]
    return aligned(rows)


def _compared(heading: str, figures: Mapping[str, Figure], recorded: Values) -> list[str]:
    rows = [(heading, "recorded", "replayed", "95 % interval", "difference")]
    for name, figure in figures.items():
        was, now = recorded.get(name), figure.mean
        if was or now or name in _ALWAYS:
            change = "-" if was is None or now is None else shown(now - was, figure.unit, sign="+")
            rows.append(
                (
                    f"  {figure.name}",
                    shown(was, figure.unit),
                    shown(now, figure.unit),
                    _interval(figure.ci95, figure.unit),
                    change,
                )
            )
    return aligned(rows)


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as lines with columns below each other, all but the first flush right, and a rule below the first."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return [line.rstrip() for line in lines]


def shown(value: float | None, unit: str, *, sign: str = "") -> str:
    """Return a figure as people read it, with `sign` "+" always with its sign."""
    if value is None:
        return "-"
    match unit:
        case "share":
            return f"{100 * value:{sign}.2f} %"
        case "seconds":
            return f"{value:{sign}.2f} s"
        case "calls":
            return f"{value:{sign}.1f}"
        case _:
            return f"{value:{sign}.2f}"


def _interval(found: Interval | None, unit: str) -> str:
    return "-" if found is None else f"{shown(found.low, unit)} … {shown(found.high, unit)}"
