"""Who may be offered to whom: skills, rings that widen, the preferred agent, all ringing at once."""

import pytest

from acd import facts
from acd.core.actions import AgentChanged, Connected, Withdraw, WithdrawCause
from acd.core.agents import AgentState
from acd.core.events import (
    AgentEvent,
    AgentLoggedOut,
    AgentPaused,
    AgentReady,
    AgentUnregistered,
    CallArrived,
    CallEnded,
    CallLeft,
)
from acd.core.needs import Needs, needs
from acd.core.profiles import AgentProfile, Membership, QueueProfile, Ring, UnderLoad
from tests.acd.core.virtual_floor import Floor, offer_in, offers, pairs, withdrawn


def queue(*rings: Ring, **more: object) -> QueueProfile:
    return QueueProfile("sales", "Sales", ring_seconds=60, wrap_up_seconds=0, rings=rings, **more)  # type: ignore[arg-type]


def agent(agent_id: str, level: int = 1, **skills: int) -> AgentProfile:
    return AgentProfile(agent_id, agent_id.title(), (Membership("sales", level),), skills=skills)


def arrive(floor: Floor, call: str, wanted: Needs = needs(), **more: object) -> list[tuple[str, str]]:  # noqa: B008
    return pairs(floor.tell(CallArrived(call, "sales", needs=wanted, **more)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "who"),
    [
        (needs(), "ann"),
        (needs({"zh": 1}), "bob"),
        (needs({"zh": 3}), "cem"),
        (needs({"zh": 4}), None),
        (needs({"zh": 1, "vip": 1}), "cem"),
        (needs(excluded=["en"]), "bob"),
        (needs({"en": 1}, excluded=["en"]), None),
        (needs(preferred={"vip": 9}), "ann"),
    ],
)
def test_skills_are_required_with_a_level_or_excluded(wanted: Needs, who: str | None) -> None:
    floor = Floor(agent("ann", en=1), agent("bob", zh=2), agent("cem", zh=3, vip=1), queues=[queue()])
    assert arrive(floor, "c1", wanted) == ([("c1", who)] if who else [])


def test_an_agent_passes_over_callers_whom_he_cannot_serve() -> None:
    floor = Floor(agent("ann"), queues=[queue()])
    floor.talk("c0")
    arrive(floor, "c1", needs({"zh": 1}))
    arrive(floor, "c2")
    assert pairs(floor.tell(CallEnded("c0"))) == [("c2", "ann")]
    assert floor.distributor.position("c1") == 1


def test_rings_widen_as_the_caller_waits() -> None:
    rings = Ring(10, levels=2), Ring(20, relax=1), Ring(30, drop=("zh",))
    profiles = [agent("ann", zh=3), agent("bob", 2, zh=3), agent("cem", zh=2), agent("dot", 2)]
    floor = Floor(*profiles, queues=[queue(*rings)])
    seen = [(floor.now, a) for n in range(4) for _, a in arrive(floor, f"c{n}", needs({"zh": 3}))]
    while (deadline := floor.distributor.next_deadline()) is not None and deadline <= 30.0:
        seen += [(deadline, agent_id) for _, agent_id in pairs(floor.run_until(deadline))]
    assert seen == [(0.0, "ann"), (10.0, "bob"), (20.0, "cem"), (30.0, "dot")]
    told = [fact.ring for fact in floor.distributor.take_facts() if isinstance(fact, facts.RingWidened)]
    assert told == [1, 1, 1, 2, 2, 3]


def test_a_kept_place_is_in_the_ring_that_belongs_to_it() -> None:
    floor = Floor(agent("ann", 2), agent("bob", 1), queues=[queue(Ring(10, levels=2))])
    floor.talk("c0")
    assert arrive(floor, "c1") == []
    assert arrive(floor, "c2", waited_seconds=10.0) == [("c2", "ann")]


def test_a_ring_with_nobody_logged_in_is_skipped_at_once() -> None:
    floor = Floor(agent("ann", 1), agent("bob", 2), queues=[queue(Ring(30, levels=2))])
    floor.talk("c0")
    assert arrive(floor, "c1") == []
    floor.tell(AgentLoggedOut("ann"))
    assert floor.state("ann") is AgentState.TALKING
    assert pairs(floor.tell(CallEnded("c0"))) == [("c1", "bob")]  # now nobody of the first ring is left
    assert floor.state("ann") is AgentState.LOGGED_OUT
    floor.tell(CallLeft("c1"))
    assert arrive(floor, "c2") == [("c2", "bob")]


def test_load_widens_the_rings_at_once() -> None:
    load = UnderLoad(from_waiting=2, to_waiting=0, ring=1)
    floor = Floor(agent("ann", 1), agent("bob", 2), queues=[queue(Ring(30, levels=2), under_load=load)])
    floor.talk("c0")
    assert arrive(floor, "c1") == []
    assert arrive(floor, "c2") == [("c1", "bob")]


def test_the_preferred_agent_alone_is_waited_for_with_patience() -> None:
    floor = Floor(agent("ann"), agent("bob"), queues=[queue()])
    floor.talk("c0")
    assert arrive(floor, "c1", prefers="ann", patience_seconds=8.0) == []
    assert pairs(floor.run_until(7.9)) == []
    assert pairs(floor.run_until(8.0)) == [("c1", "bob")]


def test_the_preferred_agent_takes_his_caller_before_others_of_equal_rank() -> None:
    floor = Floor(agent("ann"), queues=[queue()])
    floor.talk("c0")
    arrive(floor, "c1", prefers="ann", patience_seconds=8.0)
    arrive(floor, "c2")
    assert pairs(floor.tell(CallEnded("c0"))) == [("c1", "ann")]


@pytest.mark.parametrize("event", [AgentLoggedOut("ann"), AgentPaused("ann", "lunch"), AgentUnregistered("ann")])
def test_the_preferred_agent_is_given_up_when_he_goes(event: AgentEvent) -> None:
    floor = Floor(agent("ann"), agent("bob"), queues=[queue()])
    offer = offer_in(floor.tell(CallArrived("c1", "sales", prefers="ann", patience_seconds=30.0)))
    assert offer.agent_id == "ann"
    assert pairs(floor.tell(event)) == [("c1", "bob")]
    floor.tell(CallLeft("c1"))
    assert arrive(floor, "c2", prefers="ann", patience_seconds=30.0) == [("c2", "bob")]


@pytest.mark.parametrize("prefers", ["nobody", "out"])
def test_a_preferred_agent_who_cannot_be_is_not_waited_for(prefers: str) -> None:
    out = AgentProfile("out", "Out", ("other",))
    floor = Floor(agent("ann"), out, queues=[queue(), QueueProfile("other", "Other")])
    assert arrive(floor, "c1", prefers=prefers, patience_seconds=30.0) == [("c1", "ann")]


ALL = queue(ring_all=True)


def test_all_ring_and_the_first_to_answer_has_the_call() -> None:
    floor = Floor(agent("ann"), agent("bob"), agent("cem"), queues=[ALL])
    made = offers(floor.arrive("c1"))
    assert [offer.agent_id for offer in made] == ["ann", "bob", "cem"]
    assert len({offer.epoch for offer in made}) == 3
    floor.now = 5.0
    actions = floor.answer(made[1])
    assert Connected("c1", "bob", made[1].epoch, "sales", 5.0) in actions
    elsewhere = WithdrawCause.ANSWERED_ELSEWHERE
    assert withdrawn(actions) == [("c1", "ann", elsewhere), ("c1", "cem", elsewhere)]
    assert actions[-1] == AgentChanged("cem", AgentState.RESERVED, AgentState.READY)
    assert floor.distributor.agent("ann").idle_since == 0.0
    assert floor.answer(made[0]) == [Withdraw("c1", "ann", made[0].epoch, WithdrawCause.STALE)]


def test_who_becomes_free_joins_those_who_ring_for_the_first_caller() -> None:
    floor = Floor(agent("ann"), agent("bob"), queues=[ALL])
    first, second = offers(floor.arrive("c1"))
    floor.answer(first)
    assert pairs(floor.arrive("c2")) == [("c2", "bob")]
    assert pairs(floor.arrive("c3")) == []
    assert second.agent_id == "bob"
    assert pairs(floor.tell(CallEnded("c1"))) == [("c2", "ann")]
    actions = floor.tell(CallLeft("c2"))
    assert pairs(actions) == [("c3", "bob"), ("c3", "ann")]


def test_one_who_refuses_leaves_the_others_ringing() -> None:
    floor = Floor(agent("ann"), agent("bob"), queues=[ALL])
    first, _ = offers(floor.arrive("c1"))
    assert pairs(floor.fail(first)) == []
    assert floor.state("bob") is AgentState.RESERVED
    assert pairs(floor.tell(AgentReady("ann"))) == [("c1", "ann")]
