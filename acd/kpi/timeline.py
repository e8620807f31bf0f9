"""The intervals of a fold, one of them current."""

from __future__ import annotations

import math

from acd.kpi.grid import Grid
from acd.kpi.policy import NO_POLICY, Policy
from acd.kpi.tally import Interval


class Timeline:
    """The intervals of `grid` between `start` and `end`, in unix seconds, that somebody has asked for.

    What lies before or after goes into an interval that is never shown. At most `keep` intervals are kept, the
    latest. `policy` is the one in force.
    """

    def __init__(
        self, grid: Grid, start: float, end: float, *, keep: int | None = None, policy: Policy = NO_POLICY
    ) -> None:
        self.grid = grid
        self.before = self.current = Interval(-math.inf, start, policy)
        self.after = Interval(end, math.inf, policy)
        self.policy = policy
        self._start = start
        self._end = end
        self._keep = keep
        self._kept: dict[float, Interval] = {}

    def intervals(self) -> list[Interval]:
        """What there is between start and end, in order."""
        return [self._kept[start] for start in sorted(self._kept)]

    def at(self, at: float) -> Interval:
        """The interval in which `at` lies."""
        if at < self._start:
            return self.before
        if at >= self._end:
            return self.after
        start, end = self.grid.interval(at)
        start, end = max(start, self._start), min(end, self._end)
        interval = self._kept.get(start)
        if interval is None:
            interval = self._kept[start] = Interval(start, end, self.policy)
            if self._keep is not None and len(self._kept) > self._keep:
                del self._kept[min(self._kept)]
        return interval

    def install(self, policy: Policy) -> None:
        """Go on under another policy."""
        self.policy = self.current.policy = policy
