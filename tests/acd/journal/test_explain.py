"""Why a call was offered to whom, folded from the log."""

from pathlib import Path

import msgspec
import pytest

from acd import facts
from acd.cli import main
from acd.core.profiles import AgentProfile, Membership, QueueProfile, Ring
from acd.journal.explain import Explained, Routing, explain
from acd.journal.reader import Reader
from acd.journal.store import SqliteJournal
from acd.journal.tell import tell
from tests.acd.house import CONFIG, House

NOON = 1_740_830_400.0

QUEUE = QueueProfile(
    "sales", "Sales", strategy=("tiers", "longest_idle"), rings=(Ring(20.0, relax=1), Ring(40.0, levels=2))
)
AGENTS = (
    AgentProfile("1001", "Anna", (Membership("sales"),), skills={"en": 5}),
    AgentProfile("1002", "Bert", ("sales",), skills={"en": 3}),
    AgentProfile("1003", "Cleo", ("sales",), skills={"en": 5}),
    AgentProfile("1004", "Dora", (Membership("sales", level=2),), skills={"en": 5}),
    AgentProfile("1005", "Emil", ("sales",)),
    AgentProfile("1006", "Fred", ("sales",), skills={"en": 5}),
    AgentProfile("1007", "Gina", ("sales",), skills={"en": 5, "trainee": 1}),
    AgentProfile("1008", "Hugo", ("sales",), skills={"en": 5}, refuse_delay_seconds=30.0),
    AgentProfile("1009", "Ines", ("support",)),
    AgentProfile("1010", "Jack", ("sales",), skills={"en": 5}),
    AgentProfile("1011", "Kate", ("sales",), skills={"en": 5}),
)
POLICY = facts.PolicyInstalled(4, msgspec.json.encode({"queues": (QUEUE,), "agents": AGENTS}).decode())


def changed(agent: str, new: str, reason: str = "", call: str = "") -> facts.AgentChanged:
    return facts.AgentChanged(agent, "logged_out", new, 0.0, reason, call, "sales" if call else "")


def offer(agent: str, epoch: int, ring: int = 0) -> facts.OfferMade:
    return facts.OfferMade(
        "c1", agent, epoch, "sales", 4, ring, "agent", (1.0, 50.0), (("1003", (1.0, 62.5)),), idle=3, waiting=2
    )


TOLD = (
    (0, facts.ServerStarted("n", "1")),
    (0, POLICY),
    *((1, changed(agent, "ready")) for agent in ("1001", "1002", "1003", "1004", "1005", "1007", "1008", "1011")),
    (2, changed("1006", "paused", "lunch")),
    (3, facts.CallArrived("c0", "0@x", "10001", "bob")),
    (3, changed("1010", "talking", "", "c0")),
    (4, facts.OfferFailed("c0", "1008", 1, "refused", "603 Decline")),
    (5, facts.CallArrived("c1", "1@x", "10001", "alice")),
    (6, facts.CallQueued("c1", "sales", "10001", 0, 30.0, {"en": 5}, {}, ("trainee",))),
    (8, offer("1001", 2)),
    (9, facts.OfferFailed("c1", "1001", 2, "busy", "486 Busy Here")),
    (50, offer("1003", 3, ring=2)),
    (52, facts.CallConnected("c1", "1003", 3, "sales", 76.0)),
    (60, facts.TalkEnded("c1", "1003", "sales", 8.0)),
    (60, facts.CallEnded("c1", "answered", "caller")),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def write(file: Path, told: tuple[tuple[float, facts.Fact], ...]) -> None:
    journal = SqliteJournal(file)
    journal.open()
    journal.write([(NOON + at, fact) for at, fact in told])
    assert journal.close()


def explained(file: Path, call: str = "c1") -> Routing | None:
    with Reader(file) as log:
        return explain(log, call)


def reasons(offer: Explained) -> dict[str, str]:
    return {person.agent: person.why for person in offer.excluded}


@pytest.fixture
def routing(file: Path) -> Routing:
    write(file, TOLD)
    routing = explained(file)
    assert routing is not None
    return routing


def test_each_offer_tells_its_candidates_and_scores(routing: Routing) -> None:
    assert (routing.dialled, routing.caller, routing.outcome, routing.agent) == ("10001", "alice", "answered", "1003")
    first, second = routing.offers
    assert [(person.agent, person.name, person.chosen) for person in first.candidates] == [
        ("1001", "Anna", True),
        ("1003", "Cleo", False),
    ]
    assert first.candidates[0].score == {"tiers": 1.0, "longest_idle": 50.0}
    assert (first.policy, first.ring, first.sought, first.could, first.waiting) == (4, 0, "agent", 3, 2)
    assert (first.waited_seconds, first.required) == (32.0, {"en": 5})
    assert (first.result, first.result_seconds) == ("busy (486 Busy Here)", 1.0)
    assert (second.result, second.result_seconds) == ("answered", 2.0)


def test_everybody_else_of_the_queue_is_told_with_the_reason(routing: Routing) -> None:
    assert reasons(routing.offers[0]) == {
        "1002": "has en at level 3, not 5",
        "1004": "level 2 is not reached in ring 0",
        "1005": "lacks en",
        "1006": "paused: lunch",
        "1007": "has trainee, which is excluded",
        "1008": "left alone for 26.0 s more after an offer that failed: refused",
        "1010": "talking",
        "1011": "ready, and ranked after those named",
    }
    by_agent = {person.agent: person for person in routing.offers[0].excluded}
    assert (by_agent["1006"].seconds, by_agent["1010"].seconds, by_agent["1010"].call) == (6.0, 5.0, "c0")


def test_a_wider_ring_and_the_time_change_the_reasons(routing: Routing) -> None:
    told = reasons(routing.offers[1])
    assert told["1002"] == "has en at level 3, not 4"
    assert told["1004"] == told["1008"] == "ready, and ranked after those named"


def test_an_agent_who_is_waited_for_keeps_the_others_out(file: Path) -> None:
    queued = facts.CallQueued("c1", "sales", prefers="1001")
    write(file, (*TOLD[:-7], (6, queued), (8, offer("1001", 2, ring=-1))))
    routing = explained(file)
    assert routing is not None
    assert reasons(routing.offers[0])["1002"] == "the caller waits for 1001"
    assert routing.outcome is None
    assert routing.offers[0].result is None


def test_an_agent_who_had_become_free_chose_among_callers(file: Path) -> None:
    rivals = (("c7", (-2.0, -10.0)), ("c9", (0.0, -90.0)))
    sought = facts.OfferMade("c1", "1001", 2, "sales", 4, 0, "caller", (-2.0, -32.0), rivals, idle=1, waiting=2)
    write(file, (*TOLD[:-6], (8, sought)))
    routing = explained(file)
    assert routing is not None
    (offer,) = routing.offers
    assert [(person.agent, person.score) for person in offer.candidates] == [("1001", {})]
    assert [(rival.call, rival.chosen, rival.priority, rival.weighted_wait_seconds) for rival in offer.callers] == [
        ("c1", True, 2.0, 32.0),
        ("c7", False, 2.0, 10.0),
        ("c9", False, 0.0, 90.0),
    ]
    assert tell(routing).splitlines()[6:10] == [
        "    1001 had become free, and these were first in their lines:",
        "     -> call c1: priority 2, 32.0 s by weight",
        "        call c7: priority 2, 10.0 s by weight",
        "        call c9: priority 0, 90.0 s by weight",
    ]


def test_a_restart_forgets_how_agents_stood(file: Path) -> None:
    write(file, ((0, changed("1002", "ready")), *TOLD[:2], *TOLD[-8:]))
    routing = explained(file)
    assert routing is not None
    assert set(reasons(routing.offers[0]).values()) == {"logged out"}


def test_the_floor_noted_last_is_where_the_fold_begins(file: Path) -> None:
    stood = facts.FloorStood((("1002", "paused", 100.0, "tea", "", ""),))
    write(file, (*TOLD[:-7], (7, stood), *TOLD[-7:]))
    routing = explained(file)
    assert routing is not None
    assert reasons(routing.offers[0])["1002"] == "paused: tea"
    assert reasons(routing.offers[0])["1006"] == "logged out"
    assert routing.offers[0].policy == 4


def test_a_call_that_is_not_known(file: Path) -> None:
    write(file, TOLD)
    assert explained(file, "nobody") is None


def test_the_page_for_people(routing: Routing) -> None:
    assert tell(routing).splitlines()[:12] == [
        "Call c1",
        "  alice dialled 10001 at 2025-03-01 12:00:05 UTC; ended: answered",
        "",
        "12:00:08.000  Offer 1 of 2: 1001, busy (486 Busy Here) after 1.0 s",
        "    queue sales, waited 32.0 s, 2 callers waiting, ring 0; the caller sought an agent",
        "    policy 4: by tiers, then longest_idle; required en 5",
        "    3 agents could take it:",
        "     -> 1001 (Anna)  tiers 1, first by longest_idle",
        "        1003 (Cleo)  tiers 1, longest_idle +12.5",
        "        and 1 more",
        "    the others:",
        "        1002 (Bert)  has en at level 3, not 5",
    ]
    assert "        1010 (Jack)  talking for 5.0 s (call c0)" in tell(routing)


def test_a_call_that_nobody_was_offered(file: Path) -> None:
    write(file, ((0, facts.CallArrived("c1", "1@x", "10002", "")),))
    routing = explained(file)
    assert routing is not None
    assert tell(routing).splitlines()[1:] == [
        "  anonymous dialled 10002 at 2025-03-01 12:00:00 UTC; under way",
        "",
        "  No agent was offered this call.",
    ]


def test_the_command_prints_the_page_and_the_queue_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "journal.sqlite", TOLD)
    with_storage = ["--config", str(CONFIG), "--set", f"storage.dir={tmp_path}"]
    assert main(["explain", "c1", *with_storage]) == 0
    assert "Offer 1 of 2: 1001" in capsys.readouterr().out
    assert main(["explain", "nobody", *with_storage]) == 1
    assert "knows no call 'nobody'" in capsys.readouterr().err
    assert main(["queue-log", *with_storage, "--since", str(NOON + 50)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1740830452|c1|sales|SIP/1003|CONNECT|46|c1-3|2",
        "1740830460|c1|sales|SIP/1003|COMPLETECALLER|46|8|1",
    ]
    assert main(["queue-log", *with_storage, "--since", "2030-01-01"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["explain", "c1", "--config", str(CONFIG), "--set", f"storage.dir={tmp_path / 'none'}"]) == 1
    assert "there is no log yet" in capsys.readouterr().err


def test_every_offer_of_the_engine_can_be_explained(tmp_path: Path) -> None:
    with House() as house:
        distributor = house.engine.dispatcher.distributor
        house.engine.dispatcher.begin([QueueProfile("support", "Support")], (), {})
        house.agent("1001")
        house.agent("1002").on_invite = house.agent("1004").refuse
        house.run(1.0)
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(10.0)
        entries = house.journal.entries
        assert distributor.waiting("support") == 0
        caller.hang_up()
        house.settle()
    write(tmp_path / "journal.sqlite", tuple((entry.at - NOON, entry.fact) for entry in entries))
    routing = explained(tmp_path / "journal.sqlite", house.records.cdrs[0].id)
    assert routing is not None
    assert [offer.agent for offer in routing.offers] == ["1001"]
    assert routing.offers[0].result == "answered"
    assert {person.agent for person in routing.offers[0].candidates} == {"1001", "1002", "1004"}
