"""Opening hours on the clock on the wall, asked for in unix seconds.

The rule is what a person at the door would do: open while the clock reads a time within the day's hours. When the
clock is put forward, the minutes it skips never come; when it is put back, the minutes it repeats count twice.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from heapq import heappop, heappush
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_MINUTES = 24 * 60
# Hours that are the same all week still change in the week in which one weekday's clock skips or repeats some.
_HORIZON_DAYS = 16
_FURTHEST_AHEAD = 15 * 3600.0  # seconds; no zone is further ahead of UTC


class Hours(msgspec.Struct, frozen=True):
    """From `start` to before `end`, in minutes after midnight of the day they belong to.

    An `end` above 1440 lies in the next day: 22:00 to 06:00 is `Hours(1320, 1800)`. Raises ValueError.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not (0 <= self.start < DAY_MINUTES and self.start < self.end <= self.start + DAY_MINUTES):
            raise ValueError(f"{self.start} to {self.end} are no hours that begin in a day and last a day at most")


class Calendar(msgspec.Struct, frozen=True):
    """When a queue is open.

    `weekly` has seven entries, Monday first. A date in `holidays` has its own hours, none if it is closed, and they
    stand for those of the weekday; hours over midnight belong to the day in which they begin. Raises ValueError, and
    `zoneinfo.ZoneInfoNotFoundError` (a KeyError) for an unknown time zone.
    """

    timezone: str
    weekly: tuple[tuple[Hours, ...], ...]
    holidays: dict[date, tuple[Hours, ...]] = {}

    def __post_init__(self) -> None:
        if len(self.weekly) != 7:
            raise ValueError(f"a week has seven days, not {len(self.weekly)}")
        _zone(self.timezone)

    def is_open(self, unix: float) -> bool:
        """Whether it is open at that instant."""
        wall = datetime.fromtimestamp(unix, _zone(self.timezone))
        today = wall.date()
        minute = wall.hour * 60 + wall.minute
        return _covers(self._hours(today), minute) or _covers(
            self._hours(today - timedelta(days=1)), minute + DAY_MINUTES
        )

    def next_change(self, unix: float) -> float | None:
        """The first instant after `unix` at which it opens or closes; None if it never does."""
        now_open = self.is_open(unix)
        for instant in self._instants(unix):
            if instant > unix and self.is_open(instant) is not now_open:
                return instant
        return None

    def _hours(self, day: date) -> tuple[Hours, ...]:
        hours = self.holidays.get(day)
        return self.weekly[day.weekday()] if hours is None else hours

    def _instants(self, unix: float) -> Iterator[float]:
        """In order of time, every instant near `unix` and near the holidays to come at which it may open or close."""
        zone = _zone(self.timezone)
        yesterday = datetime.fromtimestamp(unix, zone).date() - timedelta(days=1)
        starts = [yesterday, *(day for day in self.holidays if day > yesterday)]
        pending: list[float] = []  # a day that a zone leaves out has its edges in the next one
        for day in sorted({start + timedelta(days=n) for start in starts for n in range(_HORIZON_DAYS)}):
            begins = datetime.combine(day, time(), UTC).timestamp() - _FURTHEST_AHEAD
            while pending and pending[0] < begins:
                yield heappop(pending)
            for instant in (*self._edges(day, zone), *_clock_changes(day, zone)):
                heappush(pending, instant)
        yield from sorted(pending)

    def _edges(self, day: date, zone: ZoneInfo) -> Iterator[float]:
        """When the clock reads, on that day, the start or the end of some hours; twice if it is put back over them."""
        midnight = datetime.combine(day, time())
        ends = (hours.end - DAY_MINUTES for hours in self._hours(day - timedelta(days=1)) if hours.end >= DAY_MINUTES)
        minutes = {0, *ends}
        for hours in self._hours(day):
            minutes |= {hours.start, hours.end}
        for minute in minutes:
            if minute < DAY_MINUTES:
                wall = (midnight + timedelta(minutes=minute)).replace(tzinfo=zone)
                yield wall.timestamp()
                yield wall.replace(fold=1).timestamp()


def _covers(day: tuple[Hours, ...], minute: int) -> bool:
    return any(hours.start <= minute < hours.end for hours in day)


def _clock_changes(day: date, zone: ZoneInfo) -> Iterator[float]:
    """Yield the instant, if there is one, at which the clock is put forward or back around that day."""
    low = int(datetime.combine(day, time(), zone).timestamp())
    high = low + 25 * 3600
    offset = _offset(low, zone)
    if _offset(high, zone) == offset:
        return
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(middle, zone) == offset else (low, middle)
    yield float(high)


def _offset(unix: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(unix, UTC).astimezone(zone).utcoffset()


@cache
def _zone(name: str) -> ZoneInfo:
    """Return the zone: read from the database once, when a calendar is configured."""
    return ZoneInfo(name)
