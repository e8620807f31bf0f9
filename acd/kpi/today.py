"""Today's figures, kept in memory from the facts as they are told, so that looking at them costs next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from acd.kpi.fold import Fold
from acd.kpi.grid import DAY, QUARTER, Grid
from acd.kpi.reading import refold
from acd.kpi.report import items, merge

if TYPE_CHECKING:
    from datetime import tzinfo

    from acd.facts import Fact
    from acd.journal.reader import Reader
    from acd.kpi.report import Item, Query

_QUARTERS_KEPT: Final = 26 * 4  # of the longest day, and some of the day before
_DAYS_KEPT: Final = 2


class Today:
    """The day that goes on, in quarters of an hour and as a whole: from the midnight before `now`, in `zone`.

    It is a journal (`acd.journal.port`): tell it every fact.
    """

    def __init__(self, zone: tzinfo, now: float) -> None:
        self._since = Grid(DAY, zone).midnight(now)
        self._quarters = Fold(Grid(QUARTER, zone), start=self._since, keep=_QUARTERS_KEPT)
        self._days = Fold(Grid(DAY, zone), start=self._since, keep=_DAYS_KEPT)

    def append(self, fact: Fact, at: float) -> None:
        """Take the next fact."""
        self._quarters.append(fact, at)
        self._days.append(fact, at)

    def restore(self, log: Reader, now: float, *, last: int | None = None) -> None:
        """Take what the log tells of today, up to entry `last`. Waits for the disk. Raises JournalError."""
        refold(log, (self._quarters, self._days), since=self._since, until=now, last=last)

    def report(self, query: Query, now: float) -> list[Item] | None:
        """Return the figures asked for; None if they are not of today, or are to be cut finer: read the log then."""
        fold = self._fold_for(query, now)
        if fold is None:
            return None
        chosen = [interval for interval in fold.intervals(now) if query.start <= interval.start < query.end]
        if query.grid != fold.grid:
            chosen = merge(chosen, fold.thresholds, query)
        return items(chosen, fold.thresholds, query)

    def _fold_for(self, query: Query, now: float) -> Fold | None:
        start, end = self._days.grid.interval(now)
        quarter = self._quarters.grid.interval
        if not {query.short_seconds, *query.thresholds} <= set(self._quarters.thresholds):
            return None
        if query.grid.zone != self._days.grid.zone or query.start < start:
            return None
        if query.grid.seconds >= DAY and (query.start, query.end) == (start, end):
            return self._days
        if (query.grid.seconds % QUARTER and query.grid.seconds < DAY) or query.start != quarter(query.start)[0]:
            return None
        return self._quarters if query.end in (quarter(query.end)[0], end) else None
