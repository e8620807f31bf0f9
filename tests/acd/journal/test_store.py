"""The log in SQLite: nothing is lost, nothing waits, nothing changes."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields
from structlog.testing import capture_logs

from acd import facts
from acd.journal import schema
from acd.journal.codec import Codec
from acd.journal.port import Entry
from acd.journal.reader import Reader
from acd.journal.schema import JournalError
from acd.journal.store import COMMIT_BOUNDS, SqliteJournal, Sync
from acd.journal.tail import Tail, encode, read_tail, tail_file
from tests.acd.test_cdr_store import until

NOON = 1_740_830_400.0
ARRIVED = facts.CallArrived("c1", "1@127.0.0.1", "10001", "alice")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(file: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(file, limit=10, commit_seconds=0.02)
    journal.open()
    journal.start()
    yield journal
    journal.close(timeout=0)


def read(file: Path) -> list[Entry]:
    with Reader(file) as log:
        return list(log.entries())


class Disk:
    """A disk that can be slow, and can fail: what is opened through it obeys."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.broken = self.database_broken = False
        self.saves = 0

    def connect(self, path: Path, sync: Sync) -> sqlite3.Connection:
        if self.database_broken:
            raise sqlite3.OperationalError("disk I/O error")
        return schema.connect(path, sync)

    def tail(self, path: Path, sync: bool) -> Tail:
        return _Tail(path, sync, self)


class _Tail(Tail):
    def __init__(self, path: Path, sync: bool, disk: Disk) -> None:
        super().__init__(path, sync)
        self._disk = disk

    def append(self, data: bytes) -> None:
        self._disk.gate.wait(10)
        if self._disk.broken:
            raise OSError("disk I/O error")
        self._disk.saves += 1
        super().append(data)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def slow(file: Path, disk: Disk) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(file, limit=10, commit_seconds=0.01, connect=disk.connect, make_tail=disk.tail)
    journal.open()
    journal.start()
    yield journal
    disk.gate.set()
    journal.close(timeout=0)


def test_what_is_appended_is_read_in_order(journal: SqliteJournal, file: Path) -> None:
    told = [(ARRIVED, NOON), (facts.CallAnswered("c1"), NOON + 0.000001), (facts.CallBridged("c1", "x.wav"), NOON + 1)]
    for fact, at in told:
        journal.append(fact, at)
    assert journal.flush()
    assert read(file) == [Entry(seq, at, fact) for seq, (fact, at) in enumerate(told, 1)]
    counters = journal.counters()
    assert (counters.waiting, counters.written, counters.dropped, counters.failures) == (0, 3, 0, 0)
    assert sum(counters.commits) >= 1
    assert len(counters.commits) == len(COMMIT_BOUNDS) + 1


def test_a_reader_finds_calls_instants_and_landmarks(journal: SqliteJournal, file: Path) -> None:
    journal.append(facts.ServerStarted("n", "1"), NOON)
    for number in range(6):
        journal.append(facts.CallAnswered(f"c{number % 2}"), NOON + number)
    journal.append(facts.ServerStopped("n"), NOON + 9)
    assert journal.flush()
    with Reader(file) as log:
        assert [entry.seq for entry in log.call("c1")] == [3, 5, 7]
        assert log.call("nobody") == []
        assert [entry.seq for entry in log.entries(NOON + 2, NOON + 4)] == [4, 5]
        assert [entry.seq for entry in log.entries(after=6)] == [7, 8]
        assert [entry.seq for entry in log.entries(kinds=("server.stopped", "server.started"))] == [1, 8]
        assert [entry.seq for entry in log.landmarks("server.stopped", "server.started")] == [1, 8]
        stopped = log.latest("server.stopped")
        assert stopped is not None
        assert stopped.seq == 8
        assert log.latest("server.stopped", before=8) is None
        assert log.last() == (8, NOON + 9)


def test_a_commit_comes_by_itself_and_in_time(file: Path) -> None:
    journal = SqliteJournal(file, commit_seconds=0.05)
    journal.open()
    journal.start()
    journal.append(ARRIVED, NOON)
    until(lambda: journal.counters().written == 1)
    assert journal.counters().at_risk_seconds > 0
    assert journal.close()


def test_a_slow_disk_delays_nobody(slow: SqliteJournal, disk: Disk, file: Path) -> None:
    disk.gate.clear()
    slow.append(ARRIVED, NOON)
    until(lambda: slow.counters().waiting == 0)  # the writer has it and waits for the disk
    for number in range(10):
        slow.append(facts.CallAnswered(f"c{number}"), NOON)
    assert slow.counters().waiting == 10
    assert not slow.flush(timeout=0.01)
    with capture_logs() as lines:
        for _ in range(3):
            slow.append(ARRIVED, NOON)
    assert slow.counters().dropped == 3
    assert [(line["event"], line["waiting"]) for line in lines] == [("journal.dropped", 10)]
    disk.gate.set()
    assert slow.flush()
    assert slow.counters().written == 11
    assert disk.saves == 2
    slow.append(ARRIVED, NOON)
    assert slow.flush()
    assert len(read(file)) == 12


def test_a_failing_disk_is_told_once_tried_again_and_loses_nothing(slow: SqliteJournal, disk: Disk, file: Path) -> None:
    disk.broken = True
    with capture_logs() as lines:
        slow.append(ARRIVED, NOON)
        until(lambda: slow.counters().failures >= 3)
        slow.append(facts.CallAnswered("c1"), NOON)
        disk.broken = False
        assert slow.flush()
    assert [entry.fact for entry in read(file)] == [ARRIVED, facts.CallAnswered("c1")]
    assert [line["event"] for line in lines] == ["journal.write_failed", "journal.write_recovered"]


def test_a_disk_that_stays_broken_does_not_hold_up_the_end(slow: SqliteJournal, disk: Disk) -> None:
    disk.broken = True
    slow.append(ARRIVED, NOON)
    until(lambda: slow.counters().failures >= 1)
    slow.append(ARRIVED, NOON)
    with capture_logs() as lines:
        assert not slow.close(timeout=0.05)
    assert [line["facts"] for line in lines if line["event"] == "journal.lost"] == [2]


def test_a_database_that_fails_leaves_the_facts_safe_in_the_tail(slow: SqliteJournal, disk: Disk, file: Path) -> None:
    slow.append(ARRIVED, NOON)
    assert slow.flush()
    with closing(sqlite3.connect(file)) as database:
        database.execute("ALTER TABLE fact RENAME TO hidden")
    disk.database_broken = True
    with capture_logs() as lines:
        slow.append(facts.CallAnswered("c1"), NOON)
        assert not slow.flush(timeout=0.2)
        assert slow.counters().written == 2
        assert [row[0] for row in read_tail(tail_file(file))] == [2]
        with closing(sqlite3.connect(file)) as database:
            database.execute("ALTER TABLE hidden RENAME TO fact")
        disk.database_broken = False
        assert slow.flush()
    assert [entry.fact for entry in read(file)] == [ARRIVED, facts.CallAnswered("c1")]
    assert read_tail(tail_file(file)) == []
    assert [line["event"] for line in lines] == ["journal.settle_failed", "journal.settle_recovered"]


def test_what_is_in_the_tail_only_is_read_and_taken_over(file: Path) -> None:
    journal = SqliteJournal(file)
    journal.open()
    journal.write([(NOON, ARRIVED)])
    assert journal.close()
    known = (1, NOON, "call.answered", 1, "c1", facts.CallAnswered("it is in the database"))
    answered = (2, NOON + 1, "call.answered", 1, "c1", facts.CallAnswered("c1"))
    bridged = (3, NOON + 2, "call.bridged", 1, "c2", facts.CallBridged("c2"))
    tail = Tail(tail_file(file), False)
    tail.append(encode([known, answered, bridged]))
    tail.close()
    with tail_file(file).open("ab") as torn:
        torn.write(b'[4,1.0,"call.answ')
    expected = [ARRIVED, facts.CallAnswered("c1"), facts.CallBridged("c2")]
    for _ in range(2):
        with Reader(file) as log:
            assert [(entry.seq, entry.fact) for entry in log.entries()] == list(enumerate(expected, 1))
            assert [entry.seq for entry in log.call("c1")] == [1, 2]
            assert [entry.seq for entry in log.entries(NOON + 1, NOON + 2)] == [2]
            assert [entry.seq for entry in log.entries(kinds=("call.bridged",))] == [3]
            assert log.last() == (3, NOON + 2)
        journal = SqliteJournal(file)
        journal.open()
        assert read_tail(tail_file(file)) == []
        assert journal.close()


def test_a_landmark_is_in_the_database_at_once(file: Path) -> None:
    journal = SqliteJournal(file, commit_seconds=0.01)
    journal.open()
    journal.start()
    journal.append(facts.AgentWished("1001", "paused"), NOON)
    until(lambda: journal.counters().written == 1 and read_tail(tail_file(file)) == [])
    assert [entry.seq for entry in read(file)] == [1]
    assert journal.close()


def test_closing_writes_what_waits(file: Path) -> None:
    journal = SqliteJournal(file, commit_seconds=60.0)
    journal.open()
    journal.start()
    for _ in range(2500):
        journal.append(ARRIVED, NOON)
    assert journal.close()
    assert len(read(file)) == 2500
    journal.append(ARRIVED, NOON)
    assert journal.counters().dropped == 1


def test_a_fact_that_cannot_be_stored_does_not_stop_the_others(journal: SqliteJournal, file: Path) -> None:
    with capture_logs() as lines:
        journal.append(ARRIVED, NOON)
        journal.append(facts.CallAnswered(object()), NOON)  # type: ignore[arg-type]
        journal.append(facts.CallAnswered("c1"), float("nan"))
        journal.append(facts.CallAnswered("c1"), NOON)
        assert journal.flush()
    assert [entry.fact for entry in read(file)] == [ARRIVED, facts.CallAnswered("c1")]
    assert journal.counters().dropped == 2
    assert [line["event"] for line in lines] == ["journal.refused", "journal.refused"]


def test_what_no_text_can_hold_is_written_with_backslashes(journal: SqliteJournal, file: Path) -> None:
    journal.append(facts.CallArrived("c\udce4", "x", "10001", "\ud800"), NOON)
    assert journal.flush()
    assert [entry.fact for entry in read(file)] == [facts.CallArrived("c\\udce4", "x", "10001", "\\ud800")]
    with Reader(file) as log:
        assert len(log.call("c\\udce4")) == 1


def test_facts_can_be_neither_changed_nor_deleted(journal: SqliteJournal, file: Path) -> None:
    journal.append(ARRIVED, NOON)
    assert journal.flush()
    with closing(sqlite3.connect(file)) as database:
        with pytest.raises(sqlite3.IntegrityError, match="does not change"):
            database.execute("UPDATE fact SET at = 0")
        with pytest.raises(sqlite3.IntegrityError, match="stays"):
            database.execute("DELETE FROM fact")


def test_old_facts_are_forgotten_but_for_what_is_in_force(journal: SqliteJournal, file: Path) -> None:
    journal.append(facts.AgentWished("1001", "paused", "lunch"), NOON)
    for number in range(4):
        journal.append(facts.CallAnswered(f"c{number}"), NOON + number)
    assert journal.close()
    with closing(schema.connect(file)) as database:
        assert schema.delete_before(database, NOON + 2) == 2
        with pytest.raises(sqlite3.IntegrityError, match="stays"):
            database.execute("DELETE FROM fact")
    assert [entry.seq for entry in read(file)] == [1, 4, 5]


def test_one_process_writes_at_a_time(journal: SqliteJournal, file: Path) -> None:
    other = SqliteJournal(file)
    with pytest.raises(JournalError, match="another server writes this log"):
        other.open()
    assert journal.close()
    other.open()
    assert other.close()


def test_the_log_says_when_its_server_last_lived(file: Path) -> None:
    journal = SqliteJournal(file, unix=lambda: NOON)
    journal.open()
    journal.start()
    journal.append(ARRIVED, NOON)
    until(lambda: schema.lock_file(file).read_text() != "")
    with Reader(file) as log:
        assert log.alive() == NOON
    assert journal.close()


@pytest.mark.parametrize("version", [99])
def test_a_log_of_another_version_is_refused(journal: SqliteJournal, file: Path, version: int) -> None:
    assert journal.close()
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(JournalError, match=f"expected version {schema.VERSION}, found {version}"):
        SqliteJournal(file).open()
    with pytest.raises(JournalError, match="found"):
        Reader(file)


def test_a_log_that_is_not_there_or_cannot_be_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no log yet"):
        Reader(tmp_path / "journal.sqlite")
    (tmp_path / "file").write_text("no database", encoding="utf-8")
    for path in (tmp_path / "nowhere" / "journal.sqlite", tmp_path / "file"):
        with pytest.raises(JournalError) as caught:
            SqliteJournal(path).open()
        assert "\n" not in str(caught.value)


def test_kinds_that_are_not_known_survive_reading(journal: SqliteJournal, file: Path) -> None:
    journal.append(ARRIVED, NOON)
    assert journal.close()
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("INSERT INTO fact (at, kind, version, data) VALUES (?, 'moon.rose', 1, '{}')", (NOON,))
        database.execute("INSERT INTO fact (at, kind, version, data) VALUES (?, 'call.answered', 1, '{}')", (NOON,))
    with Reader(file) as log:
        assert [entry.fact for entry in log.entries()] == [ARRIVED]
        assert log.unreadable == 2


class Renamed(facts.Fact, frozen=True, gc=False):
    """A fact of version 2 whose field had another name, and another unit, before."""

    KIND = "test.renamed"
    VERSION = 2
    call: str
    seconds: float


def test_facts_of_an_older_version_are_upgraded_when_they_are_read(journal: SqliteJournal, file: Path) -> None:
    assert journal.close()
    upgrades = {
        ("test.renamed", 0): lambda old: {"id": old["id"], "milliseconds": old["ms"]},
        ("test.renamed", 1): lambda old: {"call": old["id"], "seconds": old["milliseconds"] / 1000},
    }
    with closing(sqlite3.connect(file)) as database, database:
        for version, data in enumerate(('{"id":"c1","ms":1500}', '{"id":"c1","milliseconds":1500}')):
            database.execute(
                "INSERT INTO fact (at, kind, version, data) VALUES (?, 'test.renamed', ?, ?)", (NOON, version, data)
            )
    with Reader(file, Codec({"test.renamed": Renamed}, upgrades)) as log:
        assert [entry.fact for entry in log.entries()] == [Renamed("c1", 1.5)] * 2
    with Reader(file, Codec({"test.renamed": Renamed}, {})) as log:
        assert list(log.entries()) == []
        assert log.unreadable == 2


def _values(kind: type[facts.Fact]) -> st.SearchStrategy[facts.Fact]:
    text = st.text(st.characters(exclude_categories=["Cs"]))
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    by_type: dict[str, st.SearchStrategy[Any]] = {
        "str": text,
        "int": st.integers(-(2**53), 2**53),
        "float": numbers,
        "bool": st.booleans(),
        "str | None": st.none() | text,
        "float | None": st.none() | numbers,
        "dict[str, int]": st.dictionaries(text, st.integers(0, 100), max_size=3),
        "tuple[str, ...]": st.lists(text, max_size=3).map(tuple),
        "tuple[float, ...]": st.lists(numbers, max_size=3).map(tuple),
        "tuple[tuple[str, tuple[float, ...]], ...]": st.lists(
            st.tuples(text, st.lists(numbers, max_size=2).map(tuple)), max_size=2
        ).map(tuple),
        "tuple[tuple[float, float, str], ...]": st.lists(st.tuples(numbers, numbers, text), max_size=2).map(tuple),
        "tuple[tuple[str, str, float, str, str, str], ...]": st.lists(
            st.tuples(text, text, numbers, text, text, text), max_size=2
        ).map(tuple),
    }
    names = [info.name for info in fields(kind)]
    return st.builds(kind, **{name: by_type[kind.__annotations__[name]] for name in names})


KINDS = [kind for kind in facts.KINDS.values() if kind.__module__ == "acd.facts"]
FACTS: st.SearchStrategy[facts.Fact] = st.one_of([_values(kind) for kind in KINDS])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(FACTS, st.floats(0, 4e9)), max_size=80))
def test_any_sequence_of_facts_survives(tmp_path_factory: Any, told: list[tuple[facts.Fact, float]]) -> None:
    file = tmp_path_factory.mktemp("any") / "journal.sqlite"
    journal = SqliteJournal(file, sync="normal")
    journal.open()
    journal.start()
    for fact, at in told:
        journal.append(fact, at)
    assert journal.close()
    assert [(entry.fact, entry.at) for entry in read(file)] == told
