"""After a crash: every call is recorded once, no agent is left in a state, and what is owed stays owed."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from acd import facts
from acd.cdr import Cdr, EndedBy, Outcome
from acd.journal.queue_log_file import QueueLogFile
from acd.journal.reader import Reader
from acd.journal.recovery import Left
from acd.journal.run import begin
from acd.journal.schema import JournalError, lock_file
from acd.journal.state import Floor
from acd.journal.store import SqliteJournal
from acd.store import CdrStore
from tests.acd.house import House
from tests.acd.journal.test_folds import live_through, refold

NOON = 1_740_830_400.0
RECORDING = "recordings/c1.wav"


class Crashing(CdrStore):
    """A CDR store whose process dies after so many CDRs."""

    def __init__(self, url: str, after: int) -> None:
        super().__init__(url)
        self.left = after

    def submit(self, cdr: Cdr) -> None:
        if not self.left:
            self.flush()
            raise KeyboardInterrupt
        self.left -= 1
        super().submit(cdr)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def store(tmp_path: Path, after: int | None = None) -> CdrStore:
    url = f"sqlite:///{tmp_path / 'cdr.sqlite'}"
    made = CdrStore(url) if after is None else Crashing(url, after)
    made.open()
    return made


def start(file: Path, cdrs: CdrStore, now: float = NOON + 3600, queue_log: QueueLogFile | None = None) -> Left:
    """Begin a run, and stop without a word: what follows sees a crash again."""
    journal = SqliteJournal(file)
    try:
        return begin(journal, cdrs, node="n", software="test", now=now, queue_log=queue_log)
    finally:
        journal.close()


def write(file: Path, told: list[tuple[float, facts.Fact]]) -> None:
    journal = SqliteJournal(file)
    journal.open()
    journal.write(told)
    assert journal.close()


def crashed(*more: tuple[float, facts.Fact]) -> list[tuple[float, facts.Fact]]:
    """A run with a call that talks, one for whom a phone rings, one in the menu, and one that ended."""

    def call(name: str, at: float, *steps: facts.Fact) -> list[tuple[float, facts.Fact]]:
        arrived = facts.CallArrived(name, f"{name}@x", "10001", "alice")
        return [(NOON + at + number, fact) for number, fact in enumerate((arrived, *steps))]

    return [
        (NOON, facts.ServerStarted("n", "test")),
        (NOON, facts.AgentChanged("1001", "logged_out", "ready", 0.0)),
        (NOON, facts.AgentChanged("1002", "logged_out", "ready", 0.0)),
        *call(
            "c1", 10, facts.CallAnswered("c1"), facts.CallQueued("c1", "sales"),
            facts.OfferMade("c1", "1001", 1, "sales"), facts.CallConnected("c1", "1001", 1, "sales", 2.0),
            facts.CallBridged("c1", RECORDING),
        ),
        (NOON + 14, facts.AgentChanged("1001", "ready", "talking", 14.0, "", "c1", "sales")),
        *call("c2", 20, facts.CallQueued("c2", "sales", waited=30.0), facts.OfferMade("c2", "1002", 2, "sales")),
        (NOON + 22, facts.AgentChanged("1002", "ready", "ringing", 22.0, "", "c2", "sales")),
        *call("c3", 30, facts.CallAnswered("c3")),
        *call("c4", 40, facts.CallEnded("c4", "served", "caller")),
        *more,
        (NOON + 60, facts.CallerPressed("c3", "1")),
    ]  # fmt: skip


def by_id(cdrs: CdrStore) -> dict[str, Cdr]:
    return {cdr.id: cdr for cdr in cdrs.recent(1000)}


def test_every_call_under_way_is_recorded_as_ended_at_the_last_instant_known(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / RECORDING).parent.mkdir()
    (tmp_path / RECORDING).touch()
    write(file, crashed())
    cdrs = store(tmp_path)
    with capture_logs() as lines:
        left = start(file, cdrs)
    assert left.crashed_at == NOON + 60
    found = by_id(cdrs)
    assert {name: cdr.outcome for name, cdr in found.items()} == {
        "c1": Outcome.CRASHED,
        "c2": Outcome.CRASHED,
        "c3": Outcome.CRASHED,
        "c4": Outcome.SERVED,
    }
    assert {cdr.ended_by for name, cdr in found.items() if name != "c4"} == {EndedBy.SYSTEM}
    assert found["c1"].talked_seconds == 46.0
    assert found["c1"].recording == RECORDING
    assert found["c2"].waited_seconds == 39.0
    assert found["c2"].recording is None
    assert found["c3"].timeline[-1].event == "call.ended"
    (recovered,) = [line for line in lines if line["event"] == "journal.recovered"]
    assert (recovered["calls"], recovered["cdrs"], recovered["agents"]) == (3, 4, 2)
    with Reader(file) as log:
        entries = list(log.entries())
    assert refold(entries) == found
    told = [entry.fact for entry in entries]
    assert facts.TalkEnded("c1", "1001", "sales", 46.0) in told
    assert facts.CallLeft("c2", "sales", "released", 69.0) in told
    assert facts.OfferWithdrawn("c2", "1002", 2, "crashed") in told
    assert facts.AgentChanged("1001", "talking", "logged_out", 46.0) in told
    assert facts.AgentChanged("1002", "ringing", "logged_out", 38.0) in told
    assert isinstance(told[-1], facts.ServerStarted)


def test_a_run_that_stopped_in_good_order_leaves_nothing(file: Path, tmp_path: Path) -> None:
    write(file, [(NOON, facts.ServerStarted("n", "1")), (NOON + 1, facts.ServerStopped("n"))])
    with capture_logs() as lines:
        left = start(file, store(tmp_path))
    assert left == Left()
    assert [line["event"] for line in lines] == ["journal.opened"]


def test_a_first_start_finds_nothing(file: Path, tmp_path: Path) -> None:
    assert start(file, store(tmp_path)) == Left()


@pytest.mark.parametrize("after", range(4))
def test_a_crash_while_cdrs_are_recovered_counts_nothing_twice(file: Path, tmp_path: Path, after: int) -> None:
    write(file, crashed())
    interrupted = store(tmp_path, after)
    with pytest.raises(KeyboardInterrupt):
        start(file, interrupted)
    interrupted.close()
    cdrs = store(tmp_path)
    start(file, cdrs)
    assert set(by_id(cdrs)) == {"c1", "c2", "c3", "c4"}
    assert cdrs.counters().dropped == 0
    with Reader(file) as log:
        ends = [entry.fact.call for entry in log.entries() if isinstance(entry.fact, facts.CallEnded)]
    assert sorted(ends) == ["c1", "c2", "c3", "c4"]


def test_a_crash_while_the_run_is_closed_counts_nothing_twice(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, crashed())

    def fail(*_: object) -> None:
        raise JournalError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(SqliteJournal, "write", fail)
        with pytest.raises(JournalError):
            start(file, store(tmp_path))
    cdrs = store(tmp_path)
    start(file, cdrs)
    start(file, cdrs)
    with Reader(file) as log:
        entries = list(log.entries())
    assert refold(entries) == by_id(cdrs)
    assert sum(isinstance(entry.fact, facts.CallEnded) for entry in entries) == 4
    floor = Floor()
    for entry in entries:
        floor.apply(entry)
    assert (floor.agents, floor.calls) == ({}, {})


def test_a_second_start_after_a_crash_has_nothing_to_recover(file: Path, tmp_path: Path) -> None:
    write(file, crashed())
    cdrs = store(tmp_path)
    start(file, cdrs)
    left = start(file, cdrs)  # the run between ended without a word, too
    assert (left.calls, left.agents) == ((), {})


def test_the_server_said_that_it_lived_after_its_last_fact(file: Path, tmp_path: Path) -> None:
    write(file, crashed())
    lock_file(file).write_text(f"{NOON + 90:.6f}\n")
    assert start(file, store(tmp_path)).crashed_at == NOON + 90


def test_recovery_begins_where_the_floor_was_noted_last(file: Path, tmp_path: Path) -> None:
    stood = facts.FloorStood((("1001", "talking", 30.0, "", "c1", "sales"),), ("c1",))
    write(file, crashed((NOON + 45, stood)))
    cdrs = store(tmp_path)
    left = start(file, cdrs)
    assert set(left.agents) == {"1001"}
    assert left.agents["1001"].since == NOON + 15
    assert {entries[0].fact.call for entries in left.calls} == {"c1"}  # type: ignore[attr-defined]


def test_wishes_and_debts_outlive_both_kinds_of_end(file: Path, tmp_path: Path) -> None:
    wish, owed = facts.AgentWished("1001", "paused", "lunch"), facts.CallbackOwed("c4", "sales", "100")
    write(file, crashed((NOON + 50, wish), (NOON + 50, owed)))
    cdrs = store(tmp_path)
    for _ in range(2):
        left = start(file, cdrs)
        assert (left.wishes, left.owed) == ({"1001": wish}, {"c4": owed})
    write(file, [(NOON + 99, facts.ServerStopped("n")), (NOON + 99, facts.CallbackSettled("c4", "answered"))])
    left = start(file, cdrs)
    assert (left.wishes, left.owed) == ({"1001": wish}, {})


def test_the_queue_log_goes_on_after_a_crash(file: Path, tmp_path: Path) -> None:
    write(file, crashed())
    start(file, store(tmp_path), queue_log=QueueLogFile(tmp_path / "queue_log"))
    lines = (tmp_path / "queue_log").read_text().splitlines()
    end, begin_ = int(NOON + 60), int(NOON + 3600)
    assert lines == [
        f"{end}|c1|sales|SIP/1001|COMPLETEAGENT|2|46|1",
        f"{end}|c2|sales|SIP/1002|RINGCANCELED|38000",
        f"{end}|c2|sales|NONE|EXITWITHTIMEOUT|1|1|39",
        f"{begin_}|NONE|NONE|NONE|QUEUESTART|",
    ]


def test_an_agents_wish_holds_in_the_engine_after_a_restart() -> None:
    wishes = {
        "1001": facts.AgentWished("1001", "paused", "lunch"),
        "1002": facts.AgentWished("1002", "logged_out"),
        "gone": facts.AgentWished("gone", "paused"),
    }
    with House() as house:
        house.engine.dispatcher.begin((), (), wishes)
        for agent in ("1001", "1002", "1003"):
            house.agent(agent)
        assert house.agent_states["1001"] == "paused"
        assert house.agent_states["1002"] == "logged_out"
        assert house.agent_states["1003"] == "ready"
        agents = house.engine.dispatcher.distributor.snapshot(0).agents
        assert next(agent.reason for agent in agents if agent.id == "1001") == "lunch"


def cut(entries: list[tuple[float, facts.Fact]], share: float) -> list[tuple[float, facts.Fact]]:
    return entries[: int(len(entries) * share)]


@pytest.mark.parametrize("share", [0.1, 0.35, 0.5, 0.77, 0.98])
def test_a_day_cut_off_anywhere_is_put_in_order(file: Path, tmp_path: Path, share: float) -> None:
    with House() as house:
        live_through(house, 60, seed=3)
        told = [(entry.at, entry.fact) for entry in house.journal.entries]
    write(file, [(told[0][0], facts.ServerStarted("n", "1")), *cut(told, share)])
    cdrs = store(tmp_path)
    left = start(file, cdrs, now=told[-1][0])
    assert left.calls
    with Reader(file) as log:
        entries = list(log.entries())
    arrived = {entry.fact.call for entry in entries if isinstance(entry.fact, facts.CallArrived)}
    found = by_id(cdrs)
    assert set(found) == arrived
    assert refold(entries) == found
    assert sum(cdr.outcome is Outcome.CRASHED for cdr in found.values()) == len(left.calls)
