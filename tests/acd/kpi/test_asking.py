from datetime import UTC, datetime

import pytest

from acd.kpi.asking import QueryError, ask
from acd.kpi.grid import DAY, QUARTER, WHOLE

NOW = datetime(2025, 3, 1, 12, 30, tzinfo=UTC).timestamp()


def when(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_nothing_means_today_in_quarters_by_queue() -> None:
    query = ask(NOW, "Asia/Shanghai")
    assert (query.start, query.end) == (when("2025-03-01T00:00+08:00"), when("2025-03-02T00:00+08:00"))
    assert (query.grid.seconds, str(query.grid.zone), query.by) == (QUARTER, "Asia/Shanghai", "queue")
    assert (query.thresholds, query.short_seconds) == ((), 5.0)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2025-02-27", "", ("2025-02-27T00:00+08:00", "2025-03-02T00:00+08:00")),
        ("2025-02-27", "2025-02-28", ("2025-02-27T00:00+08:00", "2025-02-28T00:00+08:00")),
        ("2025-03-01T08:00", "2025-03-01T09:30:15", ("2025-03-01T08:00+08:00", "2025-03-01T09:30:15+08:00")),
        ("2025-03-01T08:00Z", "2025-03-01T10:00+01:00", ("2025-03-01T08:00Z", "2025-03-01T09:00Z")),
        ("2025-03-09", "", ("2025-03-09T00:00+08:00", "2025-03-10T00:00+08:00")),
    ],
)
def test_times_without_offset_are_in_the_zone(start: str, end: str, expected: tuple[str, str]) -> None:
    query = ask(NOW, "Asia/Shanghai", start=start, end=end, interval="whole")
    assert (query.start, query.end) == tuple(map(when, expected))


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("day", DAY), ("24h", DAY), ("hour", 3600), ("30m", 1800), ("1800", 1800), ("90s", 90), ("whole", WHOLE)],
)
def test_an_interval_is_a_name_or_a_length(interval: str, seconds: float) -> None:
    assert ask(NOW, "UTC", interval=interval).grid.seconds == seconds


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"start": "yesterday"}, "from"),
        ({"start": "1969-01-01"}, "from"),
        ({"end": "9999-12-31T23:59:59-12:00"}, "to"),
        ({"end": "2025-13-01"}, "to"),
        ({"start": "2025-03-01", "end": "2025-03-01"}, "to"),
        ({"start": "2025-03-02", "end": "2025-03-01"}, "to"),
        ({"interval": "59"}, "interval"),
        ({"interval": "25h"}, "interval"),
        ({"interval": "week"}, "interval"),
        ({"interval": ""}, "interval"),
        ({"start": "2025-01-01"}, "interval"),
        ({"start": "2000-01-01", "end": "2020-01-01", "interval": "day"}, "interval"),
        ({"by": "team"}, "by"),
        ({"thresholds": [float(seconds) for seconds in range(11)]}, "threshold"),
        ({"thresholds": [-1.0]}, "threshold"),
        ({"thresholds": [float("nan")]}, "threshold"),
        ({"thresholds": [float("inf")]}, "threshold"),
        ({"short": -1.0}, "short"),
        ({"short": float("nan")}, "short"),
    ],
)
def test_what_cannot_be_meant_is_told_by_name(wrong: dict[str, object], name: str) -> None:
    with pytest.raises(QueryError, match=rf"^{name}: expected "):
        ask(NOW, "UTC", **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", ["Mars", "../../etc/passwd", "Europe/", "\0"])
def test_a_zone_that_is_none_is_told(zone: str) -> None:
    with pytest.raises(QueryError, match=r"^zone: expected "):
        ask(NOW, zone)
