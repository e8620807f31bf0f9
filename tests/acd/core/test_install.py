"""Other profiles while calls wait, ring and talk."""

import msgspec
import pytest

from acd.core.actions import AgentChanged, Withdraw, WithdrawCause
from acd.core.agents import AgentState
from acd.core.distributor import UnknownQueueError
from acd.core.events import AgentRegistered, CallArrived, CallEnded, CallMoved, Ignored
from acd.core.needs import needs
from acd.core.profiles import AgentProfile, QueueProfile, Ring
from tests.acd.core.virtual_floor import SALES, SUPPORT, Floor, agent, offer_in, pairs, withdrawn

ANN, BOB = agent("ann", wrap_up=0), agent("bob", "support", wrap_up=0)


def test_an_agent_who_is_given_a_queue_takes_who_waits_there() -> None:
    floor = Floor(ANN, BOB)
    floor.talk("c0")
    floor.arrive("c1")
    more = msgspec.structs.replace(BOB, queues=("support", "sales"))
    assert pairs(floor.distributor.install([SALES, SUPPORT], [ANN, more], floor.now)) == [("c1", "bob")]
    assert floor.distributor.policy == 2


def test_an_agent_who_loses_a_queue_finishes_what_rings() -> None:
    floor = Floor(ANN, BOB)
    offer = offer_in(floor.arrive("c1"))
    moved = msgspec.structs.replace(ANN, queues=("support",))
    assert floor.distributor.install([SALES, SUPPORT], [moved, BOB], floor.now) == []
    floor.answer(offer)
    assert floor.state("ann") is AgentState.TALKING
    floor.arrive("c2")
    assert pairs(floor.tell(CallEnded("c1"))) == []
    assert not floor.distributor.has_agent_logged_in("sales")


def test_skills_and_rings_count_for_who_waits() -> None:
    floor = Floor(ANN, BOB)
    floor.talk("c0")
    floor.tell(CallArrived("c1", "sales", needs=needs({"zh": 2})))
    learned = msgspec.structs.replace(BOB, queues=("sales",), skills={"zh": 1})
    assert floor.distributor.install([SALES, SUPPORT], [ANN, learned], floor.now) == []
    wider = msgspec.structs.replace(SALES, rings=(Ring(3, relax=1),))  # the first ring has nobody: it is skipped
    assert pairs(floor.distributor.install([wider, SUPPORT], [ANN, learned], floor.now)) == [("c1", "bob")]


def test_priority_that_ages_orders_who_waits_anew() -> None:
    floor = Floor(ANN, BOB)
    floor.talk("c0")
    floor.arrive("old")
    floor.now = 9.0
    floor.arrive("vip", priority=1)
    assert floor.distributor.position("vip") == 1
    aged = msgspec.structs.replace(SALES, ageing_seconds=5.0)
    floor.distributor.install([aged, SUPPORT], [ANN, BOB], floor.now)
    assert [floor.distributor.position(call) for call in ("old", "vip")] == [1, 2]
    assert pairs(floor.tell(CallEnded("c0"))) == [("old", "ann")]


def test_a_queue_that_goes_serves_who_is_in_it() -> None:
    floor = Floor(ANN, BOB)
    floor.talk("c0")
    floor.arrive("c1")
    ann = msgspec.structs.replace(ANN, queues=("support",))
    assert floor.distributor.install([SUPPORT], [ann, BOB], floor.now) == []
    with pytest.raises(UnknownQueueError):
        floor.arrive("c2")
    assert floor.distributor.waiting("sales") == 1
    offer = offer_in(floor.tell(CallEnded("c0")))
    assert (offer.call_id, offer.agent_id) == ("c1", "ann")
    floor.answer(offer)
    with pytest.raises(UnknownQueueError):
        floor.distributor.waiting("sales")
    assert [queue.id for queue in floor.distributor.snapshot(floor.now).queues] == ["support"]
    floor.tell(CallEnded("c1"))
    assert floor.state("ann") is AgentState.READY


def test_an_agent_who_goes_finishes_his_talk() -> None:
    floor = Floor(ANN, BOB)
    floor.talk("c0")
    assert floor.distributor.install([SALES, SUPPORT], [BOB], floor.now) == []
    assert floor.tell(CallEnded("c0")) == [AgentChanged("ann", AgentState.TALKING, AgentState.LOGGED_OUT)]
    with pytest.raises(KeyError):
        floor.distributor.agent("ann")
    floor.tell(AgentRegistered("ann"))
    assert floor.ignored() == {Ignored.UNKNOWN_AGENT: 1}


def test_an_agent_who_goes_gives_back_what_rings() -> None:
    floor = Floor(ANN, agent("cem"), BOB)
    offer = offer_in(floor.arrive("c1"))
    actions = floor.distributor.install([SALES, SUPPORT], [agent("cem"), BOB], floor.now)
    assert actions[0] == Withdraw("c1", "ann", offer.epoch, WithdrawCause.AGENT_REMOVED)
    assert pairs(actions) == [("c1", "cem")]


def test_an_agent_who_comes_is_offered_calls_once_he_registers() -> None:
    floor = Floor(ANN, BOB)
    floor.talk("c0")
    floor.arrive("c1")
    new = AgentProfile("new", "New", ("sales",))
    assert floor.distributor.install([SALES, SUPPORT], [new, ANN, BOB], floor.now) == []
    assert pairs(floor.tell(AgentRegistered("new"))) == [("c1", "new")]


@pytest.mark.parametrize(
    ("queues", "agents"),
    [
        ([SALES, SALES], [ANN]),
        ([SALES, SUPPORT], [ANN, ANN]),
        ([SUPPORT], [ANN]),
        ([SALES, msgspec.structs.replace(SUPPORT, strategy=("random",))], [ANN]),
    ],
)
def test_what_cannot_be_changes_nothing(queues: list[QueueProfile], agents: list[AgentProfile]) -> None:
    floor = Floor(ANN, BOB)
    with pytest.raises((ValueError, UnknownQueueError)):
        floor.distributor.install(queues, agents, floor.now)
    assert floor.distributor.policy == 1
    assert pairs(floor.arrive("c1")) == [("c1", "ann")]
    assert pairs(floor.arrive("c2", "support")) == [("c2", "bob")]


def test_a_caller_is_moved_and_keeps_his_place() -> None:
    floor = Floor(ANN, BOB)
    floor.talk("c0")
    floor.talk("s0", "support")
    floor.arrive("c1")
    floor.now = 5.0
    floor.arrive("s1", "support")
    assert floor.tell(CallMoved("c1", "support")) == []
    assert [floor.distributor.position(call) for call in ("c1", "s1")] == [1, 2]
    assert (floor.distributor.waiting("sales"), floor.distributor.waiting("support")) == (0, 2)
    floor.now = 6.0
    offer = offer_in(floor.tell(CallEnded("s0")))
    assert (offer.call_id, offer.agent_id) == ("c1", "bob")
    back = floor.tell(CallMoved("c1", "sales"))
    assert withdrawn(back) == [("c1", "bob", WithdrawCause.CALLER_MOVED)]
    assert pairs(back) == [("s1", "bob")]
    sales, support = floor.distributor.snapshot(6.0).queues
    assert (sales.offered, sales.answered, sales.overflowed, sales.waiting) == (3, 1, 1, 1)
    assert (support.offered, support.answered, support.overflowed, support.waiting) == (3, 1, 1, 1)


def test_a_move_that_cannot_be_changes_nothing() -> None:
    floor = Floor(ANN, BOB)
    floor.talk("c0")
    floor.arrive("c1")
    for call, queue in (("c0", "support"), ("c1", "sales"), ("nobody", "support")):
        assert floor.tell(CallMoved(call, queue)) == []
    with pytest.raises(UnknownQueueError):
        floor.tell(CallMoved("c1", "nowhere"))
    assert floor.ignored() == {Ignored.MOVE_WITHOUT_EFFECT: 2, Ignored.UNKNOWN_CALL: 1}
    assert floor.distributor.position("c1") == 1


@pytest.mark.parametrize(
    ("profile", "error"),
    [
        ({"weight": 0}, "weight must be above 0"),
        ({"ageing_seconds": -1}, "ageing_seconds must not be negative"),
        ({"strategy": ()}, "at least one policy"),
        ({"rings": (Ring(9), Ring(3))}, "each ring must begin later"),
    ],
)
def test_figures_that_make_no_order(profile: dict[str, object], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        QueueProfile("sales", "Sales", **profile)  # type: ignore[arg-type]
