"""How people ask for figures: times, intervals and thresholds as text. The API and the command line share it."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from acd.kpi.grid import DAY, HOUR, QUARTER, WHOLE, Grid
from acd.kpi.report import SHORT_SECONDS, By, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_INTERVALS: Final = 1000
MOST_THRESHOLDS: Final = 10
LONGEST_THRESHOLD: Final = 86_400.0
SHORTEST_INTERVAL: Final = 60.0

_NAMED: Final = {"quarter": QUARTER, "hour": HOUR, "day": DAY, "whole": WHOLE}
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_LENGTH: Final = re.compile(r"([0-9]{1,6})([smh]?)")


class QueryError(ValueError):
    """What was asked for cannot be answered; the message names the parameter and says what was expected."""

    def __init__(self, name: str, expected: str) -> None:
        super().__init__(f"{name}: expected {expected}")


def ask(
    now: float,
    zone: str,
    *,
    start: str = "",
    end: str = "",
    interval: str = "quarter",
    by: str = "queue",
    thresholds: Sequence[float] = (),
    short: float = SHORT_SECONDS,
) -> Query:
    """Return the query that is meant; `start` and `end` empty: today. Raises QueryError."""
    grid = Grid(_length(interval), _zone(zone))
    midnight, next_midnight = Grid(DAY, grid.zone).interval(now)
    first = _instant("from", start, grid) if start else midnight
    last = _instant("to", end, grid) if end else max(next_midnight, Grid(DAY, grid.zone).interval(first)[1])
    if last <= first:
        raise QueryError("to", "a time after from")
    if (last - first) / min(grid.seconds, DAY) > MOST_INTERVALS and grid.seconds != WHOLE:
        raise QueryError("interval", f"at most {MOST_INTERVALS} intervals between from and to")
    if len(thresholds) > MOST_THRESHOLDS or not all(0 <= seconds <= LONGEST_THRESHOLD for seconds in thresholds):
        raise QueryError(
            "threshold", f"at most {MOST_THRESHOLDS} times, each from 0 to {LONGEST_THRESHOLD:.0f} seconds"
        )
    if not 0 <= short <= LONGEST_THRESHOLD:
        raise QueryError("short", f"a time from 0 to {LONGEST_THRESHOLD:.0f} seconds")
    choices = get_args(By)
    if by not in choices:
        raise QueryError("by", f"one of {', '.join(choices)}")
    unique = tuple(dict.fromkeys(thresholds))
    return Query(
        start=first,
        end=last,
        grid=grid,
        by=choices[choices.index(by)],
        thresholds=unique,
        short_seconds=short,
    )


def _length(text: str) -> float:
    seconds = _NAMED.get(text)
    if seconds is None and (found := _LENGTH.fullmatch(text)) is not None:
        seconds = int(found[1]) * _UNITS[found[2]]
    if seconds is None or (seconds != WHOLE and not SHORTEST_INTERVAL <= seconds <= DAY):
        raise QueryError("interval", "quarter, hour, day, whole, or a length from 60s to 24h as 1800, 30m or 2h")
    return seconds


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise QueryError("zone", "a time zone, as Asia/Shanghai") from None


def _instant(name: str, text: str, grid: Grid) -> float:
    """Read a date, which is its first instant, or a time; one without offset is in the zone of the grid."""
    try:
        instant = datetime.fromisoformat(text)
        at = (instant if instant.tzinfo else instant.replace(tzinfo=grid.zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        at = math.nan
    if not _EARLIEST <= at <= _LATEST:
        raise QueryError(name, "a date or a time from 2000 to 2100, as 2025-03-01 or 2025-03-01T08:00+01:00")
    return at


_EARLIEST: Final = (date(2000, 1, 1) - date(1970, 1, 1)) / timedelta(seconds=1)
_LATEST: Final = (date(2100, 1, 1) - date(1970, 1, 1)) / timedelta(seconds=1)
