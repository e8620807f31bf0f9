"""Intervals of a day: where the figures of one begin and those of the next end."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, tzinfo

import msgspec

QUARTER, HOUR, DAY, WHOLE = 900.0, 3600.0, 86400.0, math.inf  # seconds


class Grid(msgspec.Struct, frozen=True):
    """Intervals of `seconds` that begin anew at each midnight of `zone`.

    The last interval of a day is shorter where they do not fill it, and a day of 23 or 25 hours has fewer or more of
    them. `DAY` or more means the whole day, however long; `WHOLE` one interval without beginning and end.
    """

    seconds: float = QUARTER
    zone: tzinfo = UTC

    def midnight(self, at: float) -> float:
        """The beginning, in unix seconds, of the day in which `at` lies."""
        return self._day(at).timestamp()

    def interval(self, at: float) -> tuple[float, float]:
        """The interval in which `at` lies, as unix seconds: from the first up to and without the second."""
        if self.seconds == WHOLE:
            return -math.inf, math.inf
        day = self._day(at)
        midnight, next_midnight = day.timestamp(), (day + timedelta(days=1)).timestamp()
        if self.seconds >= DAY:
            return midnight, next_midnight
        start = midnight + (at - midnight) // self.seconds * self.seconds
        return start, min(start + self.seconds, next_midnight)

    def _day(self, at: float) -> datetime:
        return datetime.fromtimestamp(math.floor(at), self.zone).replace(hour=0, minute=0, second=0, fold=0)
