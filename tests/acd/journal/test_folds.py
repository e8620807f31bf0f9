"""A day of calls in a whole server: what is folded from its log is what the live engine said."""

import random
from collections import defaultdict
from pathlib import Path

import pytest

from acd import facts
from acd.cdr import Cdr
from acd.journal.calls import fold_call
from acd.journal.port import Entry
from acd.journal.reader import Reader
from acd.journal.state import Floor, owed, wishes
from acd.journal.store import SqliteJournal
from tests.acd.house import House, Phone


def by_call(entries: list[Entry]) -> dict[str, list[Entry]]:
    found = defaultdict(list)
    for entry in entries:
        call = getattr(entry.fact, "call", "")
        if call and not isinstance(entry.fact, facts.AgentChanged):
            found[call].append(entry)
    return found


def refold(entries: list[Entry]) -> dict[str, Cdr]:
    folds = [fold_call(of_call) for of_call in by_call(entries).values()]
    return {fold.id: fold.cdr() for fold in folds if fold is not None}


def live_through(house: House, calls: int, seed: int) -> None:
    """Let callers call, press, wait, give up and talk, and agents refuse, ring out, pause and go."""
    chance = random.Random(seed)
    agents = [house.agent(agent) for agent in ("1001", "1002", "1003", "1004")]
    house.run(1.0)
    callers: list[Phone] = []
    for number in range(calls):
        agents[number % 4].on_invite = chance.choice(
            [Phone.answer, Phone.answer, Phone.refuse, Phone.ring_for_ever]
        ).__get__(agents[number % 4])
        caller = house.phone(f"caller{number}")
        callers.append(caller)
        caller.dial(chance.choice(["10000", "10001", "10001", "10002", "10003"]))
        house.run(chance.expovariate(0.3))
        if chance.random() < 0.3:
            house.do(lambda: house.press_if_answered(chance.choice("1209#")))
        if chance.random() < 0.4:
            chance.choice(callers).hang_up()
        if chance.random() < 0.2:
            chance.choice(agents).hang_up()
        if chance.random() < 0.15:
            chance.choice(agents).dial(chance.choice(["*11", "*12", "*13", "*14"]))
        if chance.random() < 0.05:
            house.lose_media()
    house.run(60.0)
    for phone in (*callers, *agents):
        phone.hang_up()
    house.settle()


@pytest.fixture(scope="module")
def day() -> tuple[list[Entry], list[Cdr], House]:
    with House() as house:
        live_through(house, 120, seed=7)
        return house.journal.entries, house.records.cdrs, house


def test_the_cdrs_of_a_day_are_those_refolded_from_its_log(
    day: tuple[list[Entry], list[Cdr], House], tmp_path: Path
) -> None:
    entries, cdrs, _ = day
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    journal.open()
    journal.write([(entry.at, entry.fact) for entry in entries])
    assert journal.close()
    with Reader(tmp_path / "journal.sqlite") as log:
        read = list(log.entries())
    assert read == entries
    assert refold(read) == {cdr.id: cdr for cdr in cdrs}
    assert len(cdrs) >= 120
    assert len({cdr.outcome for cdr in cdrs}) >= 5
    assert any(cdr.quality_caller is not None for cdr in cdrs)
    assert any(cdr.recording is not None for cdr in cdrs)


def test_a_timeline_is_in_the_order_of_time_and_ends_with_the_call(day: tuple[list[Entry], list[Cdr], House]) -> None:
    steps = set()
    for cdr in day[1]:
        instants = [step.at for step in cdr.timeline]
        assert instants == sorted(instants)
        assert cdr.timeline[0].event == "call.arrived"
        steps |= {step.event for step in cdr.timeline}
    assert steps >= {
        "call.arrived", "call.answered", "menu.chose", "call.queued", "agent.offered", "agent.withdrawn",
        "agent.failed", "agent.connected", "call.bridged", "caller.pressed", "call.ended",
    }  # fmt: skip


def test_the_floor_folded_from_the_log_is_that_of_the_distributor(day: tuple[list[Entry], list[Cdr], House]) -> None:
    entries, _, house = day
    floor = Floor()
    for entry in entries:
        floor.apply(entry)
    assert floor.calls == {}
    states = {agent: standing.state for agent, standing in floor.agents.items()}
    assert states == {agent: state for agent, state in house.agent_states.items() if state != "logged_out"}


def test_every_interval_of_an_agent_begins_where_the_last_one_ended(day: tuple[list[Entry], list[Cdr], House]) -> None:
    since: dict[str, tuple[str, float]] = {}
    for entry in day[0]:
        fact = entry.fact
        if isinstance(fact, facts.AgentChanged):
            if fact.agent in since:
                state, began = since[fact.agent]
                assert fact.old == state
                assert fact.lasted == pytest.approx(entry.at - began, abs=1e-3)
            since[fact.agent] = (fact.new, entry.at)
    assert since


def test_facts_say_a_calls_end_last(day: tuple[list[Entry], list[Cdr], House]) -> None:
    for entries in by_call(day[0]).values():
        assert isinstance(entries[0].fact, facts.CallArrived)
        assert isinstance(entries[-1].fact, facts.CallEnded)
        assert sum(isinstance(entry.fact, facts.CallEnded) for entry in entries) == 1


def entry(seq: int, fact: facts.Fact) -> Entry:
    return Entry(seq, float(seq), fact)


def test_the_last_wish_counts_and_being_ready_is_none() -> None:
    told = [
        facts.AgentWished("1001", "paused", "lunch"),
        facts.AgentWished("1002", "logged_out"),
        facts.AgentWished("1001", "ready"),
        facts.AgentWished("1003", "paused", "", "missed"),
    ]
    assert wishes(entry(seq, fact) for seq, fact in enumerate(told)) == {"1002": told[1], "1003": told[3]}


def test_a_call_back_is_owed_until_it_is_settled() -> None:
    told = [
        facts.CallbackOwed("c1", "sales", "100"),
        facts.CallbackOwed("c2", "sales", "200", waited=60.0),
        facts.CallbackSettled("c1", "answered"),
    ]
    assert owed(entry(seq, fact) for seq, fact in enumerate(told)) == {"c2": told[1]}


def test_a_floor_that_was_noted_stands_for_all_before() -> None:
    floor = Floor()
    for seq, fact in enumerate(
        (
            facts.AgentChanged("1001", "logged_out", "ready", 0.0),
            facts.CallArrived("c1", "x", "10001", "alice"),
            facts.FloorStood((("1002", "paused", 5.0, "lunch", "", ""),), ("c2",)),
        )
    ):
        floor.apply(Entry(seq, 100.0, fact))
    assert {agent: (standing.state, standing.since) for agent, standing in floor.agents.items()} == {
        "1002": ("paused", 95.0)
    }
    assert list(floor.calls) == ["c2"]
    floor.apply(entry(9, facts.ServerStarted("n", "1")))
    assert (floor.agents, floor.calls) == ({}, {})
