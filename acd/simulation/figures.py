"""The figures of a run by queue, and over replications their means with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import ceil, inf
from statistics import fmean
from typing import TYPE_CHECKING

import msgspec

from acd.cdr import Outcome
from acd.kpi.definitions import KPIS, SERVICE_LEVELS
from acd.simulation.intervals import Interval, interval

if TYPE_CHECKING:
    from acd.kpi.report import Item
    from acd.simulation.run import Run

ALL = "*"
QUANTILES = {"wait_median_seconds": 0.5, "wait_90_seconds": 0.9, "wait_95_seconds": 0.95}

Values = Mapping[str, float | None]
"""Figures by name; None where there is nothing to divide by."""


class Figure(msgspec.Struct, frozen=True):
    """A figure over the replications: the mean, its intervals of 95 and 99 %, and the value of each replication.

    The intervals are None without at least two values.
    """

    name: str
    unit: str
    mean: float | None
    ci95: Interval | None
    ci99: Interval | None
    runs: list[float | None]


_COUNTS = ("offered", "answered", "abandoned", "overflowed", "released", "called_back", "waiting", "turned_away")
_NAMES: dict[str, tuple[str, str]] = {
    **{name: (name.replace("_", " "), "calls") for name in _COUNTS},
    **{f"service_level_{name}": (kpi.title, "share") for name, kpi in SERVICE_LEVELS.items()},
    **{name: (kpi.title, kpi.unit) for name, kpi in KPIS.items()},
    **{name: (f"Wait of {share:.0%} of the answered at most", "seconds") for name, share in QUANTILES.items()},
}


def names() -> Mapping[str, tuple[str, str]]:
    """The title and unit of each figure, in the order of the table."""
    return _NAMES


def values(run: Run) -> dict[str, Values]:
    """The figures of one run by queue; `ALL` is all of them together."""
    waits: dict[str, list[float]] = {}
    for caller in run.counted:
        if caller.outcome is Outcome.ANSWERED:
            waits.setdefault(caller.arrival.queue, []).append(caller.waited)
    return values_of(run.items, waits)


def values_of(items: Iterable[Item], waits: Mapping[str, Sequence[float]]) -> dict[str, Values]:
    """The figures in the items for all and for each queue, `waits` being those of the answered by queue."""
    everybody = sorted(chain(*waits.values()))
    return {item.id or ALL: _values(item, sorted(waits.get(item.id, ())) if item.id else everybody) for item in items}


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest of the values that this share of them does not exceed; None of none."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def _values(item: Item, waits: Sequence[float]) -> Values:
    (levels,) = item.service_levels
    return {
        **{name: getattr(item.counts, name) for name in _COUNTS},
        **{f"service_level_{name}": getattr(levels, name) for name in SERVICE_LEVELS},
        **{name: getattr(item.kpis, name) for name in KPIS},
        **{name: quantile(waits, share) for name, share in QUANTILES.items()},
    }


def over(runs: Sequence[Mapping[str, Values]]) -> dict[str, dict[str, Figure]]:
    """The figures of independent replications by queue and name."""
    scopes = list(dict.fromkeys(scope for run in runs for scope in run))
    return {
        scope: {name: _figure(name, [run.get(scope, {}).get(name) for run in runs]) for name in _NAMES}
        for scope in scopes
    }


def _figure(name: str, runs: list[float | None]) -> Figure:
    known = [value for value in runs if value is not None]
    title, unit = _NAMES[name]
    most = 1.0 if unit == "share" else inf
    ci95, ci99 = interval(known, 0.95, 0.0, most), interval(known, 0.99, 0.0, most)
    return Figure(title, unit, fmean(known) if known else None, ci95, ci99, runs)
