"""What `ims-acd simulate` prints: a table for people, a JSON document for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from acd.simulation.figures import ALL, Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from acd.simulation.intervals import Interval

_ALWAYS = frozenset(("offered", "answered", "abandoned", "abandonment_rate", "service_level_of_offered", "occupancy"))


class Told(msgspec.Struct, frozen=True):
    """A finished simulation: how it was made, one phrase each, the callers in it, and the figures by queue."""

    made: Mapping[str, object]
    callers: int
    cpu_seconds: float
    scopes: Mapping[str, Mapping[str, Figure]]
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
    return json.dumps({"simulation": made, "queues": queues}, indent=2)


def table(told: Told) -> str:
    """Return the figures as text, first of all queues together, unless there is only one, then of each."""
    lines = [f"{what}: {value}" for what, value in told.made.items()]
    speed = told.callers / told.cpu_seconds if told.cpu_seconds else 0.0
    lines.append(f"{told.callers:,} callers, {speed:,.0f} per CPU second; the laws of conservation hold exactly")
    busy = [scope for scope, figures in told.scopes.items() if figures["offered"].mean or figures["turned_away"].mean]
    for scope in busy if len(busy) != 2 else busy[1:]:  # of one queue, all queues say the same
        lines += ["", *_section(scope, told.scopes[scope], told.thresholds.get(scope))]
    return "\n".join(lines)


def _section(scope: str, figures: Mapping[str, Figure], threshold: float | None) -> list[str]:
    heading = "All queues" if scope == ALL else f"Queue {scope}"
    if threshold is not None:
        heading += f" (service level: {threshold:g} s)"
    rows = [(heading, "mean", "95 % interval", "99 % interval")]
    for name, figure in figures.items():
        if figure.mean or name in _ALWAYS:
            rows.append(
                (
                    f"  {figure.name}",
                    shown(figure.mean, figure.unit),
                    _interval(figure.ci95, figure.unit),
                    _interval(figure.ci99, figure.unit),
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


def shown(value: float | None, unit: str) -> str:
    """Return a figure as people read it."""
    if value is None:
        return "-"
    match unit:
        case "share":
            return f"{100 * value:.2f} %"
        case "seconds":
            return f"{value:.2f} s"
        case "calls":
            return f"{value:.1f}"
        case _:
            return f"{value:.2f}"


def _interval(found: Interval | None, unit: str) -> str:
    return "-" if found is None else f"{shown(found.low, unit)} … {shown(found.high, unit)}"
