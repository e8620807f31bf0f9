"""Bindings that survive a restart."""

import ast
import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from ims_core.flow import Flow
from ims_core.registrar import bindings_store
from ims_core.registrar.bindings_store import BindingsStore
from ims_core.registrar.location import Binding, BindingAdded, Location, Removal

ALICE = "sip:alice@ims.example"
LOCAL = ("127.0.0.1", 5060)
UDP = Flow("UDP", LOCAL, ("127.0.0.1", 5070))
ROOT = Path(__file__).parents[3]
TCP = Flow("TCP", LOCAL, ("127.0.0.1", 40000), 3)


class Clock:
    """Both clocks of a run: ``now`` starts anew with each, Unix time goes on."""

    def __init__(self, unix: float = 1_700_000_000.0, now: float = 100.0) -> None:
        self.unix = unix
        self.now = now

    def after(self, seconds: float) -> "Clock":
        return Clock(self.unix + seconds, now=5.0)


class Run:
    """A location and its store from start to end, written when told."""

    def __init__(
        self, path: Path, clock: Clock | None = None, *, interval: float = 3600.0, beside: "Notes | None" = None
    ) -> None:
        self.clock = clock or Clock()
        self.location = Location()
        self.store = BindingsStore(
            path, interval=interval, clock=lambda: self.clock.now, unix_time=lambda: self.clock.unix, beside=beside
        )

    def add(self, contact: str = "sip:alice@127.0.0.1:5070", flow: Flow | None = UDP, **fields: Any) -> Binding:
        given: dict[str, Any] = {"expires_at": self.clock.now + 60, "call_id": "1", "cseq": 1}
        binding = Binding(ALICE, contact, flow, **{**given, **fields})
        self.location.add(binding)
        return binding

    def pump(self) -> None:
        while (event := self.location.next_event()) is not None:
            self.store.note(event)

    def write(self) -> None:
        self.pump()
        self.store._write()

    def end(self) -> None:
        self.pump()
        self.store.start()
        self.store.close()


def rows(path: Path) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT contact, cseq FROM bindings ORDER BY contact").fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "bindings.db"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_binding_is_there_after_a_restart(path: Path) -> None:
    first = Run(path)
    assert first.store.restore(first.location) == 0
    first.add(q=0.5, instance="<urn:uuid:1>", path=("<sip:p1;lr>", "<sip:p2;lr>"), cseq=7)
    first.end()
    second = Run(path, first.clock.after(20))
    assert second.store.restore(second.location, {("UDP", LOCAL)}) == 1
    (binding,) = second.location.bindings(ALICE)
    assert (binding.contact, binding.flow, binding.call_id, binding.cseq) == ("sip:alice@127.0.0.1:5070", UDP, "1", 7)
    assert (binding.q, binding.instance, binding.path) == (0.5, "<urn:uuid:1>", ("<sip:p1;lr>", "<sip:p2;lr>"))
    assert binding.expires_at == pytest.approx(45.0)
    assert second.location.next_event() == BindingAdded(ALICE, binding, first=True)


def test_contacts_that_are_the_same_of_two_who_share_outlive_a_restart(path: Path) -> None:
    first = Run(path)
    for private in ("carol@ims.example", "dave@ims.example"):
        first.add(private=private)
    first.end()
    second = Run(path, first.clock.after(20))
    assert second.store.restore(second.location, {("UDP", LOCAL)}) == 2


def test_whose_a_contact_is_outlives_a_restart(path: Path) -> None:
    first = Run(path)
    first.add(private="älice@ims.example")
    first.end()
    second = Run(path, first.clock.after(20))
    second.store.restore(second.location, {("UDP", LOCAL)})
    (binding,) = second.location.bindings(ALICE)
    assert binding.private == "älice@ims.example"


class Notes:
    """What is known of bindings beside what they say themselves: the same of each."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.given_back: dict[str, str] = {}

    def written(self, binding: Binding) -> str:
        return self.text

    def restored(self, binding: Binding, text: str) -> None:
        self.given_back[binding.contact] = text


@pytest.mark.parametrize("text", ["known beside", "ä\udcff", ""])
def test_what_is_known_beside_a_binding_is_kept_with_it(path: Path, text: str) -> None:
    first = Run(path, beside=Notes(text))
    first.add()
    first.end()
    notes = Notes()
    second = Run(path, first.clock.after(20), beside=notes)
    assert second.store.restore(second.location, {("UDP", LOCAL)}) == 1
    assert notes.given_back == ({"sip:alice@127.0.0.1:5070": text} if text else {})


@pytest.mark.parametrize(("version", "lacking"), [(3, ["private", "beside"]), (4, ["beside"]), (5, [])])
def test_the_file_of_a_former_version_gets_what_it_lacks(path: Path, version: int, lacking: list[str]) -> None:
    run = Run(path)
    run.add(reg_id=2, instance="<urn:uuid:1>")
    run.end()
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for column in lacking:
            database.execute(f"ALTER TABLE bindings DROP COLUMN {column}")
        database.execute("DROP TABLE renewals")
        database.execute(f"PRAGMA user_version = {version}")
    again = Run(path, run.clock.after(1))
    assert again.store.restore(again.location, {("UDP", LOCAL)}) == 1
    (binding,) = again.location.bindings(ALICE)
    assert (binding.reg_id, binding.private) == (2, "")
    again.pump()
    again.location.renew(binding, call_id="2", cseq=9, expires_at=again.clock.now + 600)
    again.end()
    later = Run(path, again.clock.after(200))
    assert later.store.restore(later.location, {("UDP", LOCAL)}) == 1


def test_the_file_of_a_former_version_is_taken_over_whole(path: Path) -> None:
    path.parent.mkdir()
    held = [
        (1, ALICE, "sip:alice@127.0.0.1:5070", "1", 7, 1_700_000_060.0, 0.5, "<urn:uuid:1>", "", 1,
         "UDP", "127.0.0.1", 5060, "127.0.0.1", 5070),
        (2, "sip:bob@ims.example", "sip:bob@127.0.0.1:5080", "2", 1, 1_700_000_060.0, None, "", "<sip:p1;lr>", 0,
         None, None, None, None, None),
    ]  # fmt: skip
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE bindings (number INTEGER PRIMARY KEY, aor, contact, call_id, cseq, expires_at, q, instance, "
            "path, by_flow, transport, local_host, local_port, remote_host, remote_port)"
        )
        database.executemany(f"INSERT INTO bindings VALUES ({', '.join('?' * 15)})", held)
        database.execute("PRAGMA user_version = 2")
    run = Run(path)
    with capture_logs() as logs:
        assert run.store.restore(run.location, {("UDP", LOCAL)}) == 2
    assert [entry["event"] for entry in logs] == ["bindings_store.loaded"]
    (alice,), (bob,) = run.location.bindings(ALICE), run.location.bindings("sip:bob@ims.example")
    assert (alice.flow, alice.q, alice.instance, alice.reg_id, alice.expires_at) == (UDP, 0.5, "<urn:uuid:1>", 0, 160.0)
    assert (bob.flow, bob.path, bob.by_flow) == (None, ("<sip:p1;lr>",), False)
    run.add("sip:carol@127.0.0.1", instance="<urn:uuid:2>", reg_id=3)
    run.end()
    again = Run(path, run.clock.after(1))
    assert again.store.restore(again.location, {("UDP", LOCAL)}) == 3
    assert {binding.contact: binding.reg_id for binding in again.location} == {
        "sip:alice@127.0.0.1:5070": 0,
        "sip:bob@127.0.0.1:5080": 0,
        "sip:carol@127.0.0.1": 3,
    }


@pytest.mark.rfc("5626-6")
def test_a_flow_over_a_connection_that_is_gone_is_not_restored(path: Path) -> None:
    first = Run(path)
    first.add("sip:alice@127.0.0.1:5070;transport=tcp", TCP, instance="<urn:uuid:1>", reg_id=1)
    first.add("sip:alice@127.0.0.1:5070", UDP, instance="<urn:uuid:1>", reg_id=2)
    first.end()
    second = Run(path, first.clock.after(1))
    assert second.store.restore(second.location, {("UDP", LOCAL), ("TCP", LOCAL)}) == 1
    assert [(binding.reg_id, binding.flow) for binding in second.location] == [(2, UDP)]


def test_a_binding_whose_time_is_over_is_not_restored(path: Path) -> None:
    first = Run(path)
    first.add()
    first.end()
    second = Run(path, first.clock.after(60))
    assert second.store.restore(second.location) == 0
    second.end()
    assert rows(path) == []


@pytest.mark.parametrize(
    ("flow", "contact", "restored", "flow_after"),
    [
        (UDP, "sip:alice@127.0.0.1:5070", 1, UDP),
        (UDP._replace(local=("127.0.0.1", 5099)), "sip:alice@127.0.0.1:5070", 1, None),
        (TCP, "sip:alice@127.0.0.1:5070;transport=tcp", 1, None),
        (TCP, "sip:alice@127.0.0.1:40000;transport=tcp", 0, None),
        (None, "sip:alice@127.0.0.1:5070", 1, None),
    ],
)
def test_a_flow_is_restored_when_it_can_still_be_used(
    path: Path, flow: Flow | None, contact: str, restored: int, flow_after: Flow | None
) -> None:
    first = Run(path)
    first.add(contact, flow)
    first.end()
    second = Run(path, first.clock.after(1))
    assert second.store.restore(second.location, {("UDP", LOCAL), ("TCP", LOCAL)}) == restored
    assert [binding.flow for binding in second.location] == [flow_after] * restored


def test_changes_between_two_writes_are_one(path: Path) -> None:
    run = Run(path)
    kept, gone, dropped = run.add(), run.add("sip:b@127.0.0.1"), run.add("sip:c@127.0.0.1")
    run.location.remove(dropped, Removal.EXPIRED)
    run.write()
    assert run.store.written == 2
    assert rows(path) == [("sip:alice@127.0.0.1:5070", 1), ("sip:b@127.0.0.1", 1)]
    for cseq in range(2, 10):
        new = Binding(ALICE, "sip:alice@127.0.0.1:5071", UDP, call_id="1", cseq=cseq, expires_at=500.0)
        run.location.refresh(kept, new)
    run.location.remove(gone, Removal.DEREGISTERED)
    run.write()
    assert run.store.written == 3
    assert rows(path) == [("sip:alice@127.0.0.1:5071", 9)]
    run.write()
    assert run.store.written == 3


def test_a_binding_that_was_renewed_has_its_later_lifetime_after_a_restart(path: Path) -> None:
    first = Run(path)
    kept = first.add(q=0.5)
    first.write()
    first.location.renew(kept, call_id="2", cseq=9, expires_at=first.clock.now + 600)
    first.write()
    assert first.store.written == 2
    second = Run(path, first.clock.after(200))
    assert second.store.restore(second.location, {("UDP", LOCAL)}) == 1, "its first lifetime is over"
    (binding,) = second.location.bindings(ALICE)
    assert (binding.call_id, binding.cseq, binding.q) == ("2", 9, 0.5)
    assert binding.expires_at == pytest.approx(405.0)


def test_what_a_binding_says_anew_counts_more_than_its_renewals_before(path: Path) -> None:
    first = Run(path)
    kept = first.add()
    first.write()
    first.location.renew(kept, call_id="2", cseq=9, expires_at=first.clock.now + 600)
    first.write()
    new = Binding(ALICE, kept.contact, UDP, call_id="3", cseq=1, expires_at=first.clock.now + 90, q=0.1)
    first.location.refresh(kept, new)
    first.write()
    second = Run(path, first.clock.after(60))
    assert second.store.restore(second.location, {("UDP", LOCAL)}) == 1
    (binding,) = second.location.bindings(ALICE)
    assert (binding.call_id, binding.cseq, binding.q) == ("3", 1, 0.1)
    assert binding.expires_at == pytest.approx(35.0)


def test_renewals_go_with_their_binding(path: Path) -> None:
    run = Run(path)
    kept, gone = run.add(), run.add("sip:b@127.0.0.1")
    run.write()
    for binding in (kept, gone):
        run.location.renew(binding, call_id="2", cseq=9, expires_at=run.clock.now + 600)
    run.write()
    run.location.remove(gone, Removal.DEREGISTERED)
    run.write()
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT number FROM renewals").fetchall() == [(kept.number,)]
    again = Run(path, run.clock.after(1))
    again.store.restore(again.location)
    again.store._write()
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT number FROM renewals").fetchall() == [], "its row says it all"
    assert rows(path) == [("sip:alice@127.0.0.1:5070", 9)]


def test_more_rows_than_one_statement_takes(path: Path) -> None:
    run = Run(path)
    bindings = [run.add(f"sip:{number}@127.0.0.1") for number in range(125)]
    run.write()
    assert len(rows(path)) == 125
    for binding in bindings:
        run.location.renew(binding, call_id="2", cseq=2, expires_at=run.clock.now + 600)
    run.write()
    for binding in bindings[:-1]:
        run.location.remove(binding, Removal.DEREGISTERED)
    run.write()
    assert rows(path) == [("sip:124@127.0.0.1", 1)]
    assert Run(path, run.clock.after(200)).store.restore(Location()) == 1


def test_a_removed_contact_that_comes_back_stays(path: Path) -> None:
    run = Run(path)
    run.location.remove(run.add(cseq=1), Removal.DEREGISTERED)
    run.add(cseq=2)
    run.write()
    assert rows(path) == [("sip:alice@127.0.0.1:5070", 2)]


def test_what_was_restored_is_stored_on_and_then_changes_as_all_do(path: Path) -> None:
    first = Run(path)
    first.add()
    first.add("sip:b@127.0.0.1")
    first.end()
    second = Run(path, first.clock.after(1))
    second.store.restore(second.location)
    second.store._write()
    assert len(rows(path)) == 2
    second.location.remove(second.location.bindings(ALICE)[0], Removal.EXPIRED)
    second.write()
    assert rows(path) == [("sip:b@127.0.0.1", 1)]


def test_fixed_bindings_are_left_to_the_configuration(path: Path) -> None:
    run = Run(path)
    run.location.add(Binding(ALICE, "sip:alice@127.0.0.1:16060"))
    run.end()
    assert rows(path) == []
    first = Run(path)
    first.add()
    first.end()
    second = Run(path)
    second.location.add(Binding(ALICE, "sip:alice@127.0.0.1:5070"))
    assert second.store.restore(second.location) == 0
    assert len(second.location.bindings(ALICE)) == 1


def test_bytes_that_are_no_text_survive(path: Path) -> None:
    strange = b"\xff\xfe\xc3\xa9".decode("utf-8", "surrogateescape")
    first = Run(path)
    first.add(call_id=strange, instance="\N{SNOWMAN}\x00")
    first.end()
    second = Run(path)
    second.store.restore(second.location)
    (binding,) = second.location
    assert (binding.call_id, binding.instance) == (strange, "\N{SNOWMAN}\x00")


def test_the_thread_writes_within_its_interval(path: Path) -> None:
    run = Run(path, interval=0.01)
    run.store.start()
    run.add()
    run.pump()
    until = time.monotonic() + 10
    while run.store.written == 0 and time.monotonic() < until:
        time.sleep(0.002)
    assert rows(path) == [("sip:alice@127.0.0.1:5070", 1)]
    run.store.close()
    run.store.close()


class NoWaiting:
    """An event of a thread that is told to stop once it has waited three times; ``waits`` are the seconds."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        return len(self.waits) == 3

    def set(self) -> None:
        """It stops by itself."""


def test_the_thread_waits_for_a_second_at_most_when_nothing_else_is_asked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = NoWaiting()
    monkeypatch.setattr(bindings_store, "Event", lambda: event)
    store = BindingsStore(path)
    store.start()
    store.close()
    assert len(event.waits) == 3
    assert 0 < max(event.waits) <= 0.5


@pytest.mark.parametrize("module", ["acd/assembly.py", "acd/ims/hops.py"])
def test_a_server_asks_for_no_other_interval(module: str) -> None:
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "BindingsStore"
    ]
    assert len(calls) == 1
    assert not {"interval", None} & {keyword.arg for keyword in calls[0].keywords}


@pytest.mark.parametrize("content", [b"no database at all, but some text" * 100, None])
def test_a_corrupt_file_is_set_aside_with_one_line(path: Path, content: bytes | None) -> None:
    path.parent.mkdir()
    if content is None:
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA user_version = 99")
            database.execute("CREATE TABLE bindings (x)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    run = Run(path)
    with capture_logs() as lines:
        assert run.store.restore(run.location) == 0
        run.add()
        run.end()
    errors = [line for line in lines if line["log_level"] == "error"]
    assert [line["event"] for line in errors] == ["bindings_store.found_corrupt"]
    assert errors[0]["path"] == str(path)
    assert Path(errors[0]["set_aside"]).read_bytes() == before
    assert rows(path) == [("sip:alice@127.0.0.1:5070", 1)]


def test_a_locked_database_is_tried_again_and_told_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings_store, "_BUSY_SECONDS", 0.0)
    run = Run(path)
    gone = run.add("sip:gone@127.0.0.1")
    run.write()
    run.store._disconnect()
    with locked(path), capture_logs() as lines:
        for number in range(3):
            run.add(f"sip:{number}@127.0.0.1")
            run.write()
        run.location.remove(gone, Removal.EXPIRED)
        run.write()
    assert [line["event"] for line in lines] == ["bindings_store.write_failed"]
    assert run.store.failures == 4
    with capture_logs() as lines:
        run.write()
        run.write()
    assert [line["event"] for line in lines] == ["bindings_store.recovered"]
    assert rows(path) == [(f"sip:{number}@127.0.0.1", 1) for number in range(3)]


def test_a_place_that_cannot_be_written_is_told_and_nothing_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    run = Run(tmp_path / "file" / "bindings.db")
    with capture_logs() as lines:
        assert run.store.restore(run.location) == 0
        run.add()
        run.end()
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["bindings_store.write_failed"]


def test_a_database_that_cannot_be_read_is_told_and_nothing_raised(path: Path) -> None:
    path.mkdir(parents=True)
    run = Run(path)
    with capture_logs() as lines:
        assert run.store.restore(run.location) == 0
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["bindings_store.load_failed"]


def test_rows_of_somebody_else_are_passed_over(path: Path) -> None:
    first = Run(path)
    first.add()
    first.add("sip:b@127.0.0.1", cseq=2)
    first.add("sip:c@127.0.0.1", cseq=3)
    first.end()
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE bindings SET expires_at = 'never' WHERE cseq = 1")
        database.execute("UPDATE bindings SET contact = 'nonsense' WHERE cseq = 2")
    second = Run(path)
    assert second.store.restore(second.location) == 1
    assert [binding.contact for binding in second.location] == ["sip:c@127.0.0.1"]


def test_what_waits_while_nothing_can_be_written_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings_store, "MAX_PENDING", 3)
    (tmp_path / "file").write_text("in the way")
    run = Run(tmp_path / "file" / "bindings.db")
    added = [run.add(f"sip:{number}@127.0.0.1") for number in range(5)]
    run.write()
    assert list(run.store._pending.values()) == added[:3]
    run.location.remove(added[0], Removal.EXPIRED)
    run.write()
    assert list(run.store._pending.values()) == [None, *added[1:3]]
    assert not run.store._changes
