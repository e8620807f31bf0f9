import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from structlog.testing import capture_logs

from acd.cdr import Cdr, EndedBy, Outcome, Quality, Step
from acd.cdrtable import ADDED, COLUMNS, cdrs
from acd.store import CdrStore, StoreCounters, StoreError

NOON = datetime(2025, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def cdr(number: int = 1, **changes: Any) -> Cdr:
    fields: dict[str, Any] = {
        "id": f"c{number}",
        "call_id": f"{number}@127.0.0.1",
        "dialled": "10001",
        "caller": "alice",
        "arrived": NOON,
        "ended": NOON + timedelta(seconds=number),
        "ended_by": EndedBy.AGENT,
        "outcome": Outcome.ANSWERED,
    }
    return Cdr(**(fields | changes))


FULL = cdr(
    reason="200 OK",
    queue="sales",
    agent="1001",
    answered_by_system=NOON,
    queued=NOON,
    offered=NOON,
    connected=NOON + timedelta(milliseconds=1),
    quality_caller=Quality(codec="PCMU", packets=50, mos=4.3, basis="G.107"),
    quality_agent=Quality(),
    recording="recordings/c1.wav",
    timeline=(Step(NOON, "call.arrived", "10001"), Step(NOON, "call.queued")),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cdr.sqlite"


@pytest.fixture
def store(file: Path) -> Iterator[CdrStore]:
    store = CdrStore(f"sqlite:///{file}", limit=10)
    store.open()
    yield store
    store.close(timeout=0)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for what another thread does, within a bound."""
    tick = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        tick.wait(0.01)
    raise AssertionError("it did not happen in time")


def break_table(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE cdr RENAME TO hidden")
    connection.close()


def mend_table(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE hidden RENAME TO cdr")
    connection.close()


def test_the_table_has_the_fields_of_a_record_in_their_order() -> None:
    assert tuple(column.name for column in cdrs.columns) == COLUMNS == Cdr.__struct_fields__


def test_what_was_written_is_read_back(store: CdrStore) -> None:
    store.submit(FULL)
    store.submit(cdr(2))
    assert store.flush()
    assert store.recent(10) == [cdr(2), FULL]
    assert store.counters() == StoreCounters(queued=0, written=2, dropped=0, failures=0)


def test_the_latest_come_first_and_pages_follow_each_other(store: CdrStore) -> None:
    for number in (2, 5, 1, 4, 3):
        store.submit(cdr(number))
    assert store.flush()
    assert [record.id for record in store.recent(2)] == ["c5", "c4"]
    assert [record.id for record in store.recent(2, 2)] == ["c3", "c2"]
    assert [record.id for record in store.recent(2, 4)] == ["c1"]
    assert store.recent(2, 6) == []


def test_whom_callers_talked_to_last(store: CdrStore) -> None:
    store.submit(cdr(1, caller="ann", agent="1001", connected=NOON))
    store.submit(cdr(2, caller="ben", agent="1002", connected=NOON))
    store.submit(cdr(3, caller="ann", agent="1003", connected=NOON))
    store.submit(cdr(4, caller="ann", agent="1004"))  # was rung only
    store.submit(cdr(5, caller="", agent="1005", connected=NOON))
    assert store.flush()
    assert list(store.last_talks(10).items()) == [("ben", "1002"), ("ann", "1003")]
    assert store.last_talks(1) == {"ann": "1003"}


def test_instants_are_kept_in_utc(store: CdrStore, file: Path) -> None:
    there = NOON.astimezone(timezone(timedelta(hours=8)))
    store.submit(cdr(arrived=there))
    assert store.flush()
    assert store.recent(1)[0].arrived == NOON
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT arrived, outcome FROM cdr").fetchone() == (
            "2025-03-01T12:00:00.123456Z",
            "answered",
        )
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_rows_outlive_the_store(store: CdrStore, file: Path) -> None:
    store.submit(FULL)
    assert store.close()
    again = CdrStore(f"sqlite:///{file}")
    again.open()
    assert again.recent(1) == [FULL]
    assert again.close()


def test_closing_writes_what_waits_without_being_asked(file: Path) -> None:
    store = CdrStore(f"sqlite:///{file}")
    store.open()
    for number in range(1000):
        store.submit(cdr(number))
    assert store.close()
    assert store.counters() == StoreCounters(queued=0, written=1000, dropped=0, failures=0)


def test_a_record_after_the_end_is_counted(store: CdrStore) -> None:
    assert store.close()
    with capture_logs() as lines:
        store.submit(FULL)
    assert store.counters().dropped == 1
    assert [line["event"] for line in lines] == ["cdr.dropped"]


def test_a_broken_database_is_told_once_tried_again_and_loses_nothing(store: CdrStore, file: Path) -> None:
    break_table(file)
    with capture_logs() as lines:
        store.submit(cdr(1))
        until(lambda: store.counters().failures >= 3)
        store.submit(cdr(2))
        assert store.counters().queued == 2
        mend_table(file)
        assert store.flush()
    assert [record.id for record in store.recent(5)] == ["c2", "c1"]
    assert [line["event"] for line in lines] == ["cdr.write_failed", "cdr.write_recovered"]
    assert "no such table" in lines[0]["error"]


def test_without_room_records_are_dropped_counted_and_told_once_per_burst(store: CdrStore, file: Path) -> None:
    break_table(file)
    with capture_logs() as lines:
        store.submit(cdr(0))
        until(lambda: store.counters().failures >= 1)
        for number in range(1, 16):
            store.submit(cdr(number))
        assert store.counters().dropped == 5
        assert store.counters().queued == 11
        mend_table(file)
        assert store.flush()
        store.submit(cdr(99))
        assert store.flush()
    assert [line["event"] for line in lines if line["log_level"] != "info"] == [
        "cdr.write_failed",
        "cdr.dropped",
        "cdr.accepted_again",
    ]
    assert store.counters().written == 12


def test_a_database_that_stays_broken_does_not_hold_up_the_end(store: CdrStore, file: Path) -> None:
    break_table(file)
    store.submit(cdr(1))
    until(lambda: store.counters().failures >= 1)
    with capture_logs() as lines:
        assert not store.close(timeout=0.1)
    assert [line for line in lines if line["event"] == "cdr.lost"] == [
        {"event": "cdr.lost", "log_level": "error", "rows": 1, "store": f"sqlite:///{file}"}
    ]
    assert store.counters().dropped == 1


@pytest.mark.parametrize(
    "bad",
    [cdr(1), cdr(7, caller="\ud800"), cdr(7, dialled=None), cdr(7, timeline=(object(),))],
    ids=["same id", "lone surrogate", "required field missing", "no JSON"],
)
def test_a_row_that_cannot_be_stored_does_not_stop_the_others(store: CdrStore, bad: Cdr) -> None:
    store.submit(cdr(1))
    assert store.flush()
    with capture_logs() as lines:
        for record in (cdr(2), bad, cdr(3)):
            store.submit(record)
        assert store.flush()
    assert [record.id for record in store.recent(5)] == ["c3", "c2", "c1"]
    assert [(line["event"], line["cdr"]) for line in lines] == [("cdr.refused", bad.id)]
    assert store.counters() == StoreCounters(queued=0, written=3, dropped=1, failures=0)
    assert store.close()


def test_a_database_of_another_version_is_refused(store: CdrStore, file: Path) -> None:
    assert store.close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    with pytest.raises(StoreError, match=rf"^sqlite:///{file}: expected schema version 4, found 99$"):
        CdrStore(f"sqlite:///{file}").open()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_database_of_an_earlier_version_gets_the_new_columns(store: CdrStore, file: Path, version: int) -> None:
    store.submit(cdr(1))
    assert store.close()
    with sqlite3.connect(file) as connection:
        for column in [column for newer in range(version + 1, 5) for column in ADDED[newer]]:
            connection.execute(f"ALTER TABLE cdr DROP COLUMN {column}")
        connection.execute("DROP TABLE cdr_outbox")
        connection.execute("UPDATE schema_version SET version = ?", (version,))
    connection.close()
    for _ in range(2):
        newer = CdrStore(f"sqlite:///{file}")
        newer.open()
        newer.submit(cdr(2, trunk="carrier", icid="a1"))
        assert newer.flush()
        assert [(record.id, record.trunk, record.trunk_out, record.icid) for record in newer.recent(5)] == [
            ("c2", "carrier", None, "a1"),
            ("c1", None, None, None),
        ]
        assert newer.close()


def test_a_database_that_cannot_be_opened_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database, no directory", encoding="utf-8")
    for url in (f"sqlite:///{tmp_path}/file", f"sqlite:///{tmp_path}/file/x", f"sqlite:///{tmp_path}", "nosuch://x"):
        with pytest.raises(StoreError) as caught:
            CdrStore(url).open()
        assert "\n" not in str(caught.value)


def test_a_password_in_the_url_is_not_shown() -> None:
    with pytest.raises(StoreError) as caught:
        CdrStore("nosuch://user:opensesame@127.0.0.1/acd").open()
    assert "opensesame" not in str(caught.value)


def test_reading_from_a_broken_database_raises_our_error(store: CdrStore, file: Path) -> None:
    break_table(file)
    with pytest.raises(StoreError, match="no such table: cdr"):
        store.recent(1)
    with pytest.raises(StoreError, match="not open"):
        CdrStore("sqlite://").recent(1)


def test_postgresql_has_types_for_the_columns() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    ddl = str(sa.schema.CreateTable(cdrs).compile(dialect=dialect))
    assert "arrived TIMESTAMP WITH TIME ZONE NOT NULL" in ddl
    assert "timeline TEXT NOT NULL" in ddl
    bind = cdrs.c.arrived.type.dialect_impl(dialect).bind_processor(dialect)
    assert bind is None or bind(NOON) == NOON
