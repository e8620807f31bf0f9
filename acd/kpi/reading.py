"""Figures from the event log: of any period, grid and threshold, in memory bounded by what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from acd import facts
from acd.kpi.fold import Fold
from acd.kpi.report import items

if TYPE_CHECKING:
    from collections.abc import Sequence

    from acd.journal.port import Entry
    from acd.journal.reader import Reader
    from acd.kpi.report import Item, Query
    from acd.kpi.tally import Interval

_LOOK_EVERY: Final = 500  # entries, for whether all is known


def report(log: Reader, query: Query, now: float) -> list[Item]:
    """Return the figures of a period; states that last are counted up to `now`. Raises JournalError."""
    return items(*count(log, query, now), query)


def count(log: Reader, query: Query, now: float) -> tuple[list[Interval], tuple[float, ...]]:
    """Return the tallies that the figures are made of, and the thresholds they are counted by. Raises JournalError."""
    fold = Fold(query.grid, start=query.start, end=query.end, thresholds=(*query.thresholds, query.short_seconds))
    refold(log, [fold], since=query.start, until=query.end)
    return fold.intervals(max(now, query.start)), fold.thresholds


def refold(log: Reader, folds: Sequence[Fold], *, since: float, until: float, last: int | None = None) -> None:
    """Give folds that count from `since` up to `until` the facts that they need, none after number `last`.

    Raises JournalError.
    """

    def append(entry: Entry) -> None:
        for fold in folds:
            fold.append(entry.fact, entry.at)

    begin = _where_all_are_known(log, since)
    installed = log.latest(facts.PolicyInstalled.KIND, before=begin)
    if installed is not None:
        append(installed)
    reached = 0
    for number, entry in enumerate(log.entries(after=begin - 1, kinds=folds[0].kinds)):
        if last is not None and entry.seq > last:
            return
        append(entry)
        reached = entry.seq
        if entry.at >= until and number % _LOOK_EVERY == 0 and all(fold.complete() for fold in folds):
            break
    for entry in log.landmarks(facts.CallbackSettled.KIND):
        if entry.seq > reached:
            append(entry)


def _where_all_are_known(log: Reader, at: float) -> int:
    """Return the number of the last entry up to `at` that says how everybody stands; 1 where there is none."""
    found = 1
    for kind in (facts.ServerStarted.KIND, facts.FloorStood.KIND):
        entry = log.latest(kind)
        while entry is not None and entry.at > at:
            entry = log.latest(kind, before=entry.seq)
        if entry is not None:
            found = max(found, entry.seq)
    return found
