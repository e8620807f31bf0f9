from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acd.kpi.grid import DAY, HOUR, QUARTER, WHOLE, Grid

BERLIN = ZoneInfo("Europe/Berlin")


def span(grid: Grid, text: str) -> tuple[str, str]:
    """The interval of a local time, as local times with their offsets."""
    at = datetime.fromisoformat(text).timestamp()
    start, end = grid.interval(at)
    assert start <= at < end
    return datetime.fromtimestamp(start, grid.zone).isoformat(" ")[5:], datetime.fromtimestamp(
        end, grid.zone
    ).isoformat(" ")[5:]


@pytest.mark.parametrize(
    ("grid", "at", "expected"),
    [
        (Grid(QUARTER), "2025-03-01T10:14:59.9Z", ("03-01 10:00:00+00:00", "03-01 10:15:00+00:00")),
        (Grid(QUARTER), "2025-03-01T10:15:00Z", ("03-01 10:15:00+00:00", "03-01 10:30:00+00:00")),
        (Grid(DAY), "2025-03-01T10:14:00Z", ("03-01 00:00:00+00:00", "03-02 00:00:00+00:00")),
        (Grid(7 * 3600.0), "2025-03-01T22:00:00Z", ("03-01 21:00:00+00:00", "03-02 00:00:00+00:00")),
        (
            Grid(HOUR, ZoneInfo("Asia/Kolkata")),
            "2025-03-01T18:45:00Z",
            ("03-02 00:00:00+05:30", "03-02 01:00:00+05:30"),
        ),
        (Grid(DAY, BERLIN), "2025-03-30T12:00:00Z", ("03-30 00:00:00+01:00", "03-31 00:00:00+02:00")),
        (Grid(HOUR, BERLIN), "2025-03-30T01:00:00Z", ("03-30 03:00:00+02:00", "03-30 04:00:00+02:00")),
        (Grid(HOUR, BERLIN), "2025-10-26T00:30:00Z", ("10-26 02:00:00+02:00", "10-26 02:00:00+01:00")),
        (Grid(HOUR, BERLIN), "2025-10-26T01:30:00Z", ("10-26 02:00:00+01:00", "10-26 03:00:00+01:00")),
    ],
)
def test_intervals_begin_anew_at_midnight(grid: Grid, at: str, expected: tuple[str, str]) -> None:
    assert span(grid, at) == expected


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Australia/Lord_Howe"])
@pytest.mark.parametrize("seconds", [420.0, QUARTER, HOUR, DAY])
@given(st.data())
def test_intervals_leave_no_gap_and_do_not_overlap(zone: str, seconds: float, data: st.DataObject) -> None:
    grid = Grid(seconds, ZoneInfo(zone))
    at = data.draw(
        st.floats(datetime(2015, 1, 1, tzinfo=UTC).timestamp(), datetime(2035, 1, 1, tzinfo=UTC).timestamp())
    )
    start, end = grid.interval(at)
    assert start <= at < end
    assert grid.interval(start) == (start, end)
    assert grid.interval(end)[0] == end
    assert end - start <= (seconds if seconds < DAY else timedelta(hours=25).total_seconds())


def test_the_whole_has_no_end() -> None:
    assert Grid(WHOLE).interval(0.0) == (-WHOLE, WHOLE)
