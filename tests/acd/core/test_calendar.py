"""Opening hours: single days told by hand, and any calendar against a scan of every minute."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from acd.core.calendar import DAY_MINUTES, Calendar, Hours

CLOSED: tuple[Hours, ...] = ()
OFFICE = (Hours(8 * 60 + 30, 12 * 60), Hours(13 * 60, 18 * 60))
SHANGHAI = Calendar(
    "Asia/Shanghai",
    (OFFICE, OFFICE, OFFICE, OFFICE, OFFICE, CLOSED, CLOSED),
    {date(2026, 10, 1): CLOSED, date(2026, 10, 10): (Hours(9 * 60, 12 * 60),)},
)
AROUND_THE_CLOCK = (Hours(0, DAY_MINUTES),)


def at(text: str, zone: str = "Asia/Shanghai", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("when", "is_open", "changes"),
    [
        ("2026-09-28 08:29:59", False, "2026-09-28 08:30"),
        ("2026-09-28 08:30", True, "2026-09-28 12:00"),
        ("2026-09-28 12:00", False, "2026-09-28 13:00"),
        ("2026-09-28 18:00", False, "2026-09-29 08:30"),
        ("2026-09-30 18:00", False, "2026-10-02 08:30"),  # over the holiday
        ("2026-10-02 18:00", False, "2026-10-05 08:30"),  # over the weekend
        ("2026-10-10 10:00", True, "2026-10-10 12:00"),  # a Saturday that is worked
    ],
)
def test_a_week_of_an_office(when: str, is_open: bool, changes: str) -> None:
    assert SHANGHAI.is_open(at(when)) is is_open
    assert SHANGHAI.next_change(at(when)) == at(changes)


def test_hours_over_midnight_belong_to_the_day_in_which_they_begin() -> None:
    night = (Hours(22 * 60, 30 * 60),)
    calendar = Calendar("UTC", (night,) * 7, {date(2026, 5, 2): CLOSED})
    assert calendar.is_open(at("2026-05-02 05:59", "UTC"))
    assert not calendar.is_open(at("2026-05-02 23:00", "UTC"))
    assert not calendar.is_open(at("2026-05-03 05:00", "UTC"))
    assert calendar.next_change(at("2026-05-01 23:00", "UTC")) == at("2026-05-02 06:00", "UTC")
    assert calendar.next_change(at("2026-05-02 06:00", "UTC")) == at("2026-05-03 22:00", "UTC")


def test_what_never_changes_has_no_next_change() -> None:
    assert Calendar("UTC", (CLOSED,) * 7).next_change(0.0) is None
    assert (
        Calendar("Europe/Berlin", (AROUND_THE_CLOCK,) * 7).next_change(at("2026-03-28 12:00", "Europe/Berlin")) is None
    )
    past = Calendar("UTC", (AROUND_THE_CLOCK,) * 7, {date(2020, 1, 1): CLOSED})
    assert past.next_change(at("2026-01-01 00:00", "UTC")) is None


def test_a_holiday_years_away_is_found() -> None:
    calendar = Calendar("UTC", (AROUND_THE_CLOCK,) * 7, {date(2031, 1, 1): CLOSED})
    assert calendar.next_change(0.0) == at("2031-01-01 00:00", "UTC")
    assert calendar.next_change(at("2031-01-01 00:00", "UTC")) == at("2031-01-02 00:00", "UTC")


def test_minutes_that_the_clock_skips_never_come() -> None:
    before = at("2026-03-29 01:00", "Europe/Berlin")  # 02:00 becomes 03:00
    inside = Calendar("Europe/Berlin", (CLOSED,) * 6 + ((Hours(2 * 60, 3 * 60),),))
    assert inside.next_change(before) == at("2026-04-05 02:00", "Europe/Berlin")
    across = Calendar("Europe/Berlin", (CLOSED,) * 6 + ((Hours(2 * 60 + 30, 4 * 60),),))
    assert across.next_change(before) == at("2026-03-29 03:00", "Europe/Berlin")


def test_minutes_that_the_clock_repeats_count_twice() -> None:
    calendar = Calendar("Europe/Berlin", (CLOSED,) * 6 + ((Hours(60, 150),),))  # 03:00 becomes 02:00
    first, again = (at("2026-10-25 02:30", "Europe/Berlin", fold) for fold in (0, 1))
    assert calendar.next_change(at("2026-10-25 01:30", "Europe/Berlin")) == first
    assert calendar.next_change(first) == at("2026-10-25 02:00", "Europe/Berlin", 1)
    assert calendar.next_change(at("2026-10-25 02:00", "Europe/Berlin", 1)) == again


@pytest.mark.parametrize(("start", "end"), [(-1, 10), (10, 10), (20, 10), (0, 1441), (1440, 1500)])
def test_hours_that_are_none(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="no hours"):
        Hours(start, end)


def test_calendars_that_are_none() -> None:
    with pytest.raises(ValueError, match="seven days"):
        Calendar("UTC", (CLOSED,))
    with pytest.raises(ZoneInfoNotFoundError):
        Calendar("Atlantis/Poseidonis", (CLOSED,) * 7)


def test_a_calendar_can_be_written_down() -> None:
    assert msgspec.json.decode(msgspec.json.encode(SHANGHAI), type=Calendar) == SHANGHAI


# The naive scan: what the clock on the wall reads, minute after minute.

starts = st.integers(0, DAY_MINUTES - 1)
hours = starts.flatmap(lambda start: st.integers(start + 1, start + DAY_MINUTES).map(lambda end: Hours(start, end)))
days = st.lists(hours, max_size=2).map(tuple) | st.just(AROUND_THE_CLOCK)
ZONES = ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
         "Africa/Casablanca", "Pacific/Apia", "America/Sao_Paulo"]  # fmt: skip
# Days near which clocks change: the usual Sundays, half an hour (Lord Howe), a day left out (Apia), at midnight.
NEAR = [date(2026, 3, 29), date(2026, 10, 25), date(2026, 3, 8), date(2026, 11, 1), date(2026, 4, 5), date(2026, 10, 4),
        date(2011, 12, 30), date(2018, 11, 4), date(2018, 2, 18), date(2026, 2, 15), date(2026, 7, 1)]  # fmt: skip


def reads_open(calendar: Calendar, unix: int) -> bool:
    wall = datetime.fromtimestamp(unix, ZoneInfo(calendar.timezone))
    for back in (0, 1):
        day = wall.date() - timedelta(days=back)
        minute = back * DAY_MINUTES + wall.hour * 60 + wall.minute
        for span in calendar.holidays.get(day, calendar.weekly[day.weekday()]):
            if span.start <= minute < span.end:
                return True
    return False


@settings(max_examples=60, deadline=None)
@example(  # Samoa went without a Friday
    zone="Pacific/Apia",
    near=date(2011, 12, 30),
    weekly=(*[(Hours(0, 1440),)] * 4, (Hours(0, 2),), (Hours(0, 1),), ()),
    holidays={},
    offset=0,
)
@given(
    zone=st.sampled_from(ZONES),
    near=st.sampled_from(NEAR),
    weekly=st.tuples(*[days] * 7),
    holidays=st.dictionaries(st.integers(-3, 4), days, max_size=3),
    offset=st.integers(-2 * DAY_MINUTES, DAY_MINUTES),
)
def test_any_calendar_against_every_minute(
    zone: str,
    near: date,
    weekly: tuple[tuple[Hours, ...], ...],
    holidays: dict[int, tuple[Hours, ...]],
    offset: int,
) -> None:
    calendar = Calendar(zone, weekly, {near + timedelta(days=n): spans for n, spans in holidays.items()})
    start = int(datetime(near.year, near.month, near.day, tzinfo=UTC).timestamp()) + offset * 60
    expected_change = calendar.next_change(start)
    state = reads_open(calendar, start)
    for unix in range(start, start + 3 * 86_400, 60):
        now_open = reads_open(calendar, unix)
        assert calendar.is_open(unix) is now_open
        if now_open is not state:
            assert expected_change == unix
            state = now_open
            expected_change = calendar.next_change(unix)
    assert expected_change is None or expected_change >= start + 3 * 86_400
