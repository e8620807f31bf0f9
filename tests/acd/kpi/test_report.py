"""The same day, hand-counted: from memory, from the log, by every id and on every grid."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from acd import facts
from acd.journal.port import Journal
from acd.journal.reader import Reader
from acd.journal.store import SqliteJournal
from acd.kpi.asking import ask
from acd.kpi.reading import report
from acd.kpi.report import Item
from acd.kpi.today import Today
from tests.acd.kpi.day import Day, at

POLICY = (
    '{"queues":[{"id":"sales","service_level_seconds":20.0},{"id":"support"}],'
    '"agents":[{"id":"1001","queues":["sales"]},{"id":"1002","queues":["sales","support"]}]}'
)
NOW = at("12:00")


def story(journal: Journal | None = None) -> Day:
    """Two agents log in at eight; six call sales before nine, one of them by another number, one calls support."""
    day = Day(journal)
    day.tell(facts.ServerStarted("acd", "1"), at("00:00:01"))
    day.tell(facts.PolicyInstalled(1, POLICY), at("00:00:02"))
    day.change("1001", "ready", at("08:00"))
    day.change("1002", "ready", at("08:00"))
    day.queue("a", at("08:05"))
    day.answer("a", "1001", at("08:05:10"), waited=10.0)
    day.queue("b", at("08:10"))
    day.answer("b", "1002", at("08:10:18"), waited=18.0)
    day.queue("c", at("08:14"))
    day.leave("c", at("08:14:03"), 3.0)
    day.part("a", "1001", at("08:15:10"), talked=600.0, held=60.0)
    day.change("1001", "ready", at("08:15:40"))
    day.queue("d", at("08:16"), number="10001")
    day.offer("d", "1001", at("08:16"))
    day.tell(facts.OfferFailed("d", "1001", day.epoch, "refused"), at("08:16:05"))
    day.part("b", "1002", at("08:16:18"), talked=360.0)
    day.change("1002", "ready", at("08:16:18"))
    day.answer("d", "1002", at("08:16:40"), waited=40.0)
    day.part("d", "1002", at("08:18:40"), talked=120.0)
    day.change("1002", "paused", at("08:19:00"))
    day.queue("e", at("08:20"))
    day.leave("e", at("08:20:30"), 30.0)
    day.queue("f", at("08:50"))
    day.leave("f", at("08:51"), 60.0, "overflowed")
    day.queue("g", at("11:59:50"), "support")
    return day


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    write(path, [(when, fact) for fact, when in story().told])
    return path


def write(path: Path, told: list[tuple[float, facts.Fact]]) -> None:
    journal = SqliteJournal(path)
    journal.open()
    journal.write(told)
    journal.close()


def read(log: Path, now: float = NOW, zone: str = "UTC", **wanted: Any) -> list[Item]:
    with Reader(log) as reader:
        return report(reader, ask(now, zone, **wanted), now)


def shown(found: Sequence[Item], *names: str) -> list[tuple[object, ...]]:
    return [(f"{item.start:%H:%M}", item.id, *(getattr(item.kpis, name) for name in names)) for item in found]


def test_the_day_by_queue(log: Path) -> None:
    sales, support = read(log, interval="day")
    assert (sales.start, sales.end) == (datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 2, tzinfo=UTC))
    counts = sales.counts
    assert (counts.offered, counts.answered, counts.abandoned, counts.overflowed) == (6, 3, 2, 1)
    assert (counts.waiting, counts.handled, counts.offers) == (0, 3, 4)
    kpis: dict[str, float | None] = {name: getattr(sales.kpis, name) for name in sales.kpis.__struct_fields__}
    busy_1001, busy_1002 = 600 + 30, 360 + 120 + 20
    ready_1001, ready_1002 = 4 * 3600 - busy_1001, 618 + 22
    logged_in = 2 * 4 * 3600
    expected = {
        "answer_rate": 3 / 6,
        "abandonment_rate": 2 / 6,
        "abandonment_rate_without_short": 1 / 5,
        "overflow_rate": 1 / 6,
        "turned_away_rate": 0.0,
        "average_speed_of_answer_seconds": (10 + 18 + 40) / 3,
        "average_wait_seconds": (10 + 18 + 40 + 3 + 30 + 60) / 6,
        "longest_wait_seconds": 60.0,
        "average_time_to_abandon_seconds": (3 + 30) / 2,
        "callbacks_kept_rate": None,
        "average_handling_seconds": (600 + 360 + 120 + 30 + 20) / 3,
        "average_talk_seconds": (540 + 360 + 120) / 3,
        "average_hold_seconds": 60 / 3,
        "average_wrap_up_seconds": (30 + 20) / 3,
        "refusal_rate": 1 / 4,
        "no_answer_rate": 0.0,
        "occupancy": (busy_1001 + busy_1002) / (busy_1001 + busy_1002 + ready_1001 + ready_1002),
        "utilisation": (busy_1001 + busy_1002) / logged_in,
        "calls_per_agent_hour": 3 / 8,
    }
    assert kpis == {
        name: None if figure is None else pytest.approx(figure, abs=1e-6) for name, figure in expected.items()
    }
    assert (support.id, support.counts.offered, support.counts.waiting) == ("support", 1, 1)
    assert shown([support], "answer_rate", "average_speed_of_answer_seconds", "longest_wait_seconds") == [
        ("00:00", "support", 0.0, None, None)
    ]
    assert support.agent_seconds == {"ready": 640.0, "talking": 480.0, "wrap_up": 20.0, "paused": 13_260.0}


def levels(item: Item) -> list[tuple[object, ...]]:
    return [tuple(getattr(level, name) for name in level.__struct_fields__) for level in item.service_levels]


def test_service_levels_are_by_the_threshold_of_the_queue_unless_others_are_wanted(log: Path) -> None:
    sales, support = read(log, interval="day")
    assert levels(sales) == [(20.0, pytest.approx(2 / 6, abs=1e-6), 2 / 5, 3 / 5, pytest.approx(2 / 3, abs=1e-6))]
    assert levels(support) == [(15.0, 0.0, 0.0, None, None)]
    (sales, _) = read(log, interval="day", thresholds=(10.0, 60.0))
    assert levels(sales) == [
        (10.0, pytest.approx(1 / 6, abs=1e-6), 1 / 5, 2 / 5, pytest.approx(1 / 3, abs=1e-6)),
        (60.0, 3 / 6, 3 / 4, 1.0, 1.0),
    ]
    (total,) = read(log, interval="day", by="total")
    assert levels(total)[0][:2] == (None, pytest.approx(2 / 7, abs=1e-6))


def test_quarters_by_queue(log: Path) -> None:
    found = [item for item in read(log) if item.id == "sales" and item.counts.offered]
    assert shown(found, "answer_rate", "longest_wait_seconds") == [
        ("08:00", "sales", pytest.approx(2 / 3, abs=1e-6), 18.0),
        ("08:15", "sales", 0.5, 40.0),
        ("08:45", "sales", 0.0, 60.0),
    ]


def test_by_number_a_call_has_no_agents_time(log: Path) -> None:
    found = read(log, by="number", interval="hour")
    assert [(f"{item.start:%H}", item.id, item.counts.offered) for item in found] == [
        ("08", "10000", 5),
        ("08", "10001", 1),
        ("11", "10000", 1),
    ]
    assert all(item.agent_seconds == {} for item in found)


def test_by_agent_there_is_no_caller_but_those_answered(log: Path) -> None:
    one, two = read(log, by="agent", interval="whole")
    assert [(item.id, item.counts.offered, item.counts.answered, item.counts.offers) for item in (one, two)] == [
        ("1001", None, 1, 2),
        ("1002", None, 2, 2),
    ]
    assert shown([one, two], "answer_rate", "refusal_rate", "average_handling_seconds", "calls_per_agent_hour") == [
        ("00:00", "1001", None, 0.5, 630.0, 0.25),
        ("00:00", "1002", None, 0.0, 250.0, 0.5),
    ]
    assert one.agent_seconds == {"ready": 13_770.0, "talking": 600.0, "wrap_up": 30.0}


def test_a_window_within_the_day_knows_who_was_there_before(log: Path) -> None:
    (item,) = read(log, by="total", start="2025-03-01T08:10", end="2025-03-01T08:20", interval="whole")
    assert (item.counts.offered, item.counts.answered, item.counts.handled) == (3, 2, 2)
    assert item.agent_seconds == {"ready": 300.0, "talking": 790.0, "wrap_up": 50.0, "paused": 60.0}


@pytest.mark.parametrize("by", ["queue", "agent", "number", "total"])
@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"interval": "hour"},
        {"interval": "day"},
        {"interval": "whole"},
        {"interval": "2h", "start": "2025-03-01T08:15", "end": "2025-03-01T11:00"},
        {"interval": "day", "thresholds": (20.0, 5.0), "short": 30.0},
    ],
    ids=str,
)
def test_memory_and_log_agree(log: Path, by: str, wanted: dict[str, Any]) -> None:
    today = Today(ZoneInfo("UTC"), at("00:00"))
    story(today)
    query = ask(NOW, "UTC", by=by, **wanted)
    remembered = today.report(query, NOW)
    assert remembered
    assert remembered == read(log, by=by, **wanted)


@pytest.mark.parametrize("by", ["queue", "agent", "number", "total"])
def test_a_server_that_starts_anew_remembers_the_day(log: Path, by: str) -> None:
    today = Today(ZoneInfo("UTC"), NOW)
    with Reader(log) as reader:
        today.restore(reader, NOW)
    assert today.report(ask(NOW, "UTC", by=by), NOW) == read(log, by=by)


@pytest.mark.parametrize(
    "wanted",
    [
        {"start": "2025-02-28"},
        {"interval": "10m"},
        {"interval": "90s"},
        {"thresholds": (17.0,)},
        {"short": 4.0},
        {"start": "2025-03-01T08:01"},
        {"end": "2025-03-01T08:01"},
    ],
    ids=str,
)
def test_memory_says_what_it_does_not_know(wanted: dict[str, Any]) -> None:
    today = Today(ZoneInfo("UTC"), at("00:00"))
    assert today.report(ask(NOW, "UTC", **wanted), NOW) is None
    assert today.report(ask(NOW, "Asia/Shanghai"), NOW) is None


def test_at_midnight_a_new_day_begins() -> None:
    today = Today(ZoneInfo("UTC"), at("00:00"))
    story(today)
    tomorrow = at("24:00") + 60
    (item,) = today.report(ask(tomorrow, "UTC", by="total", interval="day"), tomorrow) or []
    assert (f"{item.start:%d}", item.counts.offered, item.agent_seconds) == ("02", 0, {"ready": 60.0, "paused": 60.0})


def test_an_empty_log_has_no_figures(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    write(path, [])
    assert read(path) == []
