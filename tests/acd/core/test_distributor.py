"""The distributor told as small stories on a virtual clock: callers, offers, queues."""

import pytest

from acd.core.actions import AgentChanged, Connected, Offer, Refused, Withdraw, WithdrawCause
from acd.core.agents import AgentState
from acd.core.distributor import Distributor, Ignored, UnknownQueueError
from acd.core.events import (
    AgentIdle,
    AgentPaused,
    AgentReady,
    AgentRegistered,
    CallArrived,
    CallEnded,
    CallHeld,
    CallLeft,
    CallRetrieved,
    Draining,
    Event,
    LeftCause,
    OfferAnswered,
    OfferRinging,
)
from acd.core.profiles import AgentProfile, QueueProfile
from tests.acd.core.virtual_floor import SALES, Floor, agent, offer_in, pairs, withdrawn


def test_a_call_from_arrival_to_wrap_up() -> None:
    floor = Floor(agent("ann"), registered=False)
    assert floor.arrive("c1") == []
    floor.now = 4.0
    ready, reserved, offer = floor.tell(AgentRegistered("ann"))
    assert ready == AgentChanged("ann", AgentState.LOGGED_OUT, AgentState.READY)
    assert reserved == AgentChanged("ann", AgentState.READY, AgentState.RESERVED)
    assert isinstance(offer, Offer)
    assert offer == Offer("c1", "ann", offer.epoch, ring_seconds=20)
    floor.now = 5.0
    assert floor.tell(OfferRinging("c1", "ann", offer.epoch)) == [
        AgentChanged("ann", AgentState.RESERVED, AgentState.RINGING)
    ]
    floor.now = 7.5
    assert floor.answer(offer) == [
        AgentChanged("ann", AgentState.RINGING, AgentState.TALKING),
        Connected("c1", "ann", offer.epoch, "sales", waited_seconds=7.5),
    ]
    floor.now = 60.0
    assert floor.tell(CallEnded("c1")) == [AgentChanged("ann", AgentState.TALKING, AgentState.WRAP_UP)]
    assert floor.run_until(69.9) == []
    assert floor.run_until(70.0) == [AgentChanged("ann", AgentState.WRAP_UP, AgentState.READY)]
    assert floor.distributor.next_deadline() is None
    assert floor.ignored() == {}


def test_longest_idle_agent_is_offered_the_call() -> None:
    floor = Floor(agent("ann"), agent("bob"), agent("cem"), registered=False)
    for now, agent_id in ((1.0, "bob"), (2.0, "cem"), (3.0, "ann")):
        floor.now = now
        floor.tell(AgentRegistered(agent_id))
    assert [pairs(floor.arrive(f"c{n}")) for n in range(4)] == [
        [("c0", "bob")],
        [("c1", "cem")],
        [("c2", "ann")],
        [],
    ]


def test_callers_are_served_by_priority_then_arrival() -> None:
    floor = Floor(agent("ann", wrap_up=0))
    floor.talk("c0")
    for call_id, priority in (("c1", 0), ("c2", 0), ("vip1", 5), ("c3", 0), ("vip2", 5), ("low", -1)):
        floor.arrive(call_id, priority=priority)
    order = ["vip1", "vip2", "c1", "c2", "c3", "low"]
    assert [floor.distributor.position(call_id) for call_id in order] == [1, 2, 3, 4, 5, 6]
    call_id = "c0"
    for expected in order:
        offer = offer_in(floor.tell(CallEnded(call_id)))
        assert offer.call_id == expected
        floor.answer(offer)
        call_id = expected


def test_agent_of_two_queues_takes_the_oldest_caller_of_both() -> None:
    floor = Floor(agent("ann", "sales", "support", wrap_up=0))
    floor.talk("c0")
    for call_id, queue in (("c1", "support"), ("c2", "sales"), ("c3", "support")):
        floor.arrive(call_id, queue)
    assert [floor.distributor.position(call_id) for call_id in ("c1", "c2", "c3")] == [1, 1, 2]
    call_id = "c0"
    for expected in ("c1", "c2", "c3"):
        offer = offer_in(floor.tell(CallEnded(call_id)))
        assert offer.call_id == expected
        floor.answer(offer)
        call_id = expected


def test_callers_wait_for_agents_of_their_own_queue() -> None:
    floor = Floor(agent("ann", "sales"), agent("bob", "support"))
    assert pairs(floor.arrive("c1", "support")) == [("c1", "bob")]
    assert pairs(floor.arrive("c2", "support")) == []
    assert floor.state("ann") is AgentState.READY


def test_refused_offer_goes_to_the_next_agent_and_the_caller_keeps_his_place() -> None:
    floor = Floor(agent("ann"), agent("bob"))
    first = offer_in(floor.arrive("c1"))
    floor.talk("c2")
    floor.arrive("c3")
    assert (first.agent_id, floor.distributor.position("c1")) == ("ann", 1)
    assert floor.fail(first) == [AgentChanged("ann", AgentState.RESERVED, AgentState.READY)]
    assert floor.distributor.position("c1") == 1
    assert floor.distributor.position("c3") == 2
    second = offer_in(floor.tell(CallEnded("c2")) + floor.run_until(5.0))
    assert (second.call_id, second.agent_id) == ("c1", "ann")
    assert second.epoch > first.epoch
    assert pairs(floor.run_until(10.0)) == [("c3", "bob")]


def test_next_idle_agent_is_tried_at_once_and_the_refuser_only_after_his_delay() -> None:
    floor = Floor(agent("ann"), agent("bob"))
    first = offer_in(floor.arrive("c1"))
    second = offer_in(floor.fail(first))
    assert (first.agent_id, second.agent_id) == ("ann", "bob")
    assert floor.fail(second) == [AgentChanged("bob", AgentState.RESERVED, AgentState.READY)]
    assert floor.run_until(4.9) == []
    assert pairs(floor.run_until(5.0)) == [("c1", "ann")]


def test_without_a_delay_the_refuser_goes_behind_the_others() -> None:
    floor = Floor(agent("ann", delay=0), agent("bob", delay=0))
    tried = []
    actions = floor.arrive("c1")
    for now in (1.0, 2.0, 3.0):
        floor.now = now
        tried += pairs(actions)
        actions = floor.fail(offer_in(actions))
    assert tried == [("c1", "ann"), ("c1", "bob"), ("c1", "ann")]


def test_refuser_starts_a_new_idle_time() -> None:
    floor = Floor(agent("ann", delay=0), agent("bob"), agent("cem"), registered=False)
    for now, agent_id in ((0.0, "ann"), (1.0, "bob"), (2.0, "cem")):
        floor.now = now
        floor.tell(AgentRegistered(agent_id))
    floor.now = 3.0
    assert pairs(floor.fail(offer_in(floor.arrive("c1")))) == [("c1", "bob")]
    assert pairs(floor.arrive("c2")) == [("c2", "cem")]
    assert pairs(floor.arrive("c3")) == [("c3", "ann")]


def test_asking_for_calls_ends_the_delay() -> None:
    floor = Floor(agent("ann", delay=60))
    floor.fail(offer_in(floor.arrive("c1")))
    floor.now = 1.0
    assert pairs(floor.tell(AgentReady("ann"))) == [("c1", "ann")]
    assert floor.distributor.next_deadline() == 21.0


@pytest.mark.parametrize("ringing", [True, False], ids=["ringing", "reserved"])
def test_unanswered_offer_is_withdrawn_after_ring_seconds(ringing: bool) -> None:
    floor = Floor(agent("ann"), agent("bob"))
    offer = offer_in(floor.arrive("c1"))
    if ringing:
        floor.now = 3.0
        floor.tell(OfferRinging("c1", "ann", offer.epoch))
    assert floor.run_until(19.9) == []
    actions = floor.run_until(20.0)
    assert actions[0] == Withdraw("c1", "ann", offer.epoch, WithdrawCause.RING_TIMEOUT)
    assert pairs(actions) == [("c1", "bob")]
    assert (floor.state("ann"), floor.distributor.next_deadline()) == (AgentState.READY, 25.0)
    assert floor.distributor.position("c1") == 1


def test_ring_time_is_the_queues() -> None:
    floor = Floor(agent("ann", "support"))
    assert offer_in(floor.arrive("c1", "support")).ring_seconds == 15
    assert floor.distributor.next_deadline() == 15.0


def test_caller_leaving_while_a_phone_rings_frees_the_agent_at_once() -> None:
    floor = Floor(agent("ann"), agent("bob"))
    floor.arrive("c1")
    floor.talk("c2")
    floor.arrive("c3")
    floor.now = 1.0
    actions = floor.tell(CallLeft("c1"))
    assert withdrawn(actions) == [("c1", "ann", WithdrawCause.CALLER_LEFT)]
    assert pairs(actions) == [("c3", "ann")]
    assert floor.distributor.position("c1") is None


def test_agent_freed_by_a_leaving_caller_keeps_his_turn() -> None:
    floor = Floor(agent("ann"), agent("bob"))
    floor.arrive("c1")
    floor.now = 9.0
    assert floor.tell(CallLeft("c1"))[-1] == AgentChanged("ann", AgentState.RESERVED, AgentState.READY)
    assert pairs(floor.arrive("c2")) == [("c2", "ann")]


def test_caller_leaving_the_line_lets_the_others_move_up() -> None:
    floor = Floor(agent("ann"), agent("bob"), registered=False)
    for call_id in ("c1", "c2", "c3"):
        floor.arrive(call_id)
    assert floor.tell(CallLeft("c2", LeftCause.OVERFLOWED)) == []
    assert [floor.distributor.position(call_id) for call_id in ("c1", "c2", "c3")] == [1, None, 2]
    assert floor.distributor.waiting("sales") == 2
    assert pairs(floor.tell(AgentRegistered("ann"))) == [("c1", "ann")]
    assert pairs(floor.tell(AgentRegistered("bob"))) == [("c3", "bob")]


def test_answer_after_the_caller_left_releases_that_phone() -> None:
    floor = Floor(agent("ann"))
    offer = offer_in(floor.arrive("c1"))
    floor.tell(CallLeft("c1"))
    assert floor.answer(offer) == [Withdraw("c1", "ann", offer.epoch, WithdrawCause.STALE)]
    assert floor.ignored() == {Ignored.STALE_ANSWER: 1}
    assert floor.state("ann") is AgentState.READY


def test_late_answer_does_not_touch_the_offer_that_followed() -> None:
    floor = Floor(agent("ann", delay=0))
    late = offer_in(floor.arrive("c1"))
    live = offer_in(floor.run_until(20.0))
    assert (live.call_id, live.agent_id) == (late.call_id, late.agent_id)
    assert floor.answer(late) == [Withdraw("c1", "ann", late.epoch, WithdrawCause.STALE)]
    assert floor.tell(OfferRinging("c1", "ann", late.epoch)) == []
    assert floor.fail(late) == []
    assert floor.state("ann") is AgentState.RESERVED
    assert floor.answer(live)[-1] == Connected("c1", "ann", live.epoch, "sales", 20.0)
    assert floor.ignored() == {Ignored.STALE_ANSWER: 1, Ignored.STALE_RINGING: 1, Ignored.STALE_FAILURE: 1}


def test_answer_under_another_agents_name_is_stale() -> None:
    floor = Floor(agent("ann"), agent("bob"))
    offer = offer_in(floor.arrive("c1"))
    assert floor.tell(OfferAnswered("c1", "bob", offer.epoch)) == [
        Withdraw("c1", "bob", offer.epoch, WithdrawCause.STALE)
    ]
    assert floor.state("ann") is AgentState.RESERVED


def test_repeated_answer_leaves_the_talk_alone() -> None:
    floor = Floor(agent("ann"))
    offer = floor.talk("c1")
    assert floor.answer(offer) == []
    assert floor.fail(offer) == []
    assert floor.tell(OfferRinging("c1", "ann", offer.epoch)) == []
    assert floor.state("ann") is AgentState.TALKING
    assert floor.ignored() == {
        Ignored.REPEATED_ANSWER: 1,
        Ignored.STALE_FAILURE: 1,
        Ignored.REPEATED_RINGING: 1,
    }


@pytest.mark.parametrize(
    ("end", "ignored"),
    [(CallEnded("c1"), CallLeft("c1")), (CallLeft("c1", LeftCause.RELEASED), CallEnded("c1"))],
)
def test_talk_ends_once_whichever_end_is_told_first(end: Event, ignored: Event) -> None:
    floor = Floor(agent("ann"))
    floor.talk("c1")
    floor.tell(end)
    assert floor.state("ann") is AgentState.WRAP_UP
    assert floor.tell(ignored) == []
    assert floor.ignored() == {Ignored.UNKNOWN_CALL: 1}
    (sales, _) = floor.distributor.snapshot(floor.now).queues
    assert (sales.answered, sales.abandoned, sales.released) == (1, 0, 0)


def test_end_before_an_answer_counts_as_abandoned() -> None:
    floor = Floor(agent("ann"))
    floor.arrive("c1")
    floor.tell(CallEnded("c1"))
    assert floor.distributor.snapshot(floor.now).queues[0].abandoned == 1
    assert floor.state("ann") is AgentState.READY


def test_hold_and_retrieve() -> None:
    floor = Floor(agent("ann"))
    floor.talk("c1")
    assert floor.tell(CallHeld("c1")) == [AgentChanged("ann", AgentState.TALKING, AgentState.HOLD)]
    assert floor.tell(CallHeld("c1")) == []
    assert floor.tell(CallRetrieved("c1")) == [AgentChanged("ann", AgentState.HOLD, AgentState.TALKING)]
    floor.arrive("c2")
    assert floor.tell(CallHeld("c2")) == []
    assert floor.tell(CallHeld("c3")) == []
    assert floor.ignored() == {Ignored.HOLD_WITHOUT_EFFECT: 2, Ignored.UNKNOWN_CALL: 1}


def test_draining_refuses_new_callers_and_serves_those_waiting() -> None:
    floor = Floor(agent("ann", wrap_up=0))
    floor.talk("c1")
    floor.arrive("c2")
    assert floor.tell(Draining()) == []
    assert floor.arrive("c3") == [Refused("c3", "sales")]
    assert floor.ignored() == {Ignored.DRAINING_CALL: 1}
    assert pairs(floor.tell(CallEnded("c1"))) == [("c2", "ann")]
    assert floor.distributor.snapshot(floor.now).queues[0].offered == 2


def test_inputs_without_effect_are_counted() -> None:
    floor = Floor(agent("ann"))
    floor.arrive("c1")
    for event in (
        CallArrived("c1", "support"),
        CallLeft("nobody"),
        CallEnded("nobody"),
        AgentRegistered("nobody"),
        AgentRegistered("ann"),
        AgentIdle("ann", "x"),
        AgentReady("ann"),
    ):
        assert floor.tell(event) == []
    assert floor.ignored() == {
        Ignored.DUPLICATE_CALL: 1,
        Ignored.UNKNOWN_CALL: 2,
        Ignored.UNKNOWN_AGENT: 1,
        Ignored.AGENT_WITHOUT_EFFECT: 3,
    }
    assert floor.state("ann") is AgentState.RESERVED


def test_unknown_queue_is_an_error_that_changes_nothing() -> None:
    floor = Floor(agent("ann"))
    with pytest.raises(UnknownQueueError, match="no queue 'slaes'"):
        floor.arrive("c1", "slaes")
    assert pairs(floor.arrive("c1")) == [("c1", "ann")]
    with pytest.raises(UnknownQueueError):
        floor.distributor.waiting("slaes")
    with pytest.raises(UnknownQueueError):
        Distributor([SALES], [agent("ann", "slaes")])


def test_ids_are_unique() -> None:
    with pytest.raises(ValueError, match="queue 'sales' is there twice"):
        Distributor([SALES, SALES], [])
    with pytest.raises(ValueError, match="agent 'ann' is there twice"):
        Distributor([SALES], [agent("ann"), agent("ann")])


def test_a_phone_must_be_given_time_to_ring() -> None:
    with pytest.raises(ValueError, match="queue 'sales': ring_seconds must be above 0"):
        QueueProfile("sales", "Sales", ring_seconds=0)


def test_always_ready_agents_are_offered_calls_from_the_start() -> None:
    profiles = [AgentProfile(f"a{n}", f"A{n}", ("sales",), 0.0, always_ready=True) for n in range(3)]
    distributor = Distributor([SALES], profiles, now=100.0)
    assert distributor.has_agent_logged_in("sales")
    assert distributor.agent("a0").since == 100.0
    assert [pairs(distributor.handle(CallArrived(f"c{n}", "sales"), 100.0)) for n in range(4)] == [
        [("c0", "a0")],
        [("c1", "a1")],
        [("c2", "a2")],
        [],
    ]


def test_several_deadlines_of_one_instant_are_all_met() -> None:
    floor = Floor(*(agent(f"a{n}") for n in range(3)))
    for n in range(3):
        floor.arrive(f"c{n}")
    actions = floor.distributor.handle_timer(20.0)
    assert [agent_id for _, agent_id, _ in withdrawn(actions)] == ["a0", "a1", "a2"]
    assert floor.distributor.next_deadline() == 25.0
    assert pairs(floor.run_until(25.0)) == [("c0", "a0"), ("c1", "a1"), ("c2", "a2")]


def test_snapshot_shows_queues_and_agents() -> None:
    floor = Floor(agent("ann", "sales", "support"), agent("bob"), agent("cem", "support"))
    floor.tell(AgentPaused("cem", "lunch"))
    floor.talk("c1")
    floor.now = 16.0
    floor.answer(offer_in(floor.arrive("c2")))
    floor.arrive("c3")
    floor.now = 18.0
    floor.arrive("c4", priority=1)
    floor.tell(CallLeft("c4", LeftCause.ABANDONED))
    floor.now = 20.0
    snapshot = floor.distributor.snapshot(floor.now)
    sales, support = snapshot.queues
    assert (sales.id, sales.name, sales.waiting, sales.longest_wait_seconds) == ("sales", "Sales", 1, 4.0)
    assert {state: count for state, count in sales.agents.items() if count} == {AgentState.TALKING: 2}
    assert {state: count for state, count in support.agents.items() if count} == {
        AgentState.TALKING: 1,
        AgentState.PAUSED: 1,
    }
    assert set(support.agents) == set(AgentState)
    assert (sales.offered, sales.answered, sales.abandoned) == (4, 2, 1)
    assert (sales.service_level, sales.service_level_seconds) == (0.5, 15.0)
    assert support.service_level is None
    ann, _, cem = snapshot.agents
    assert (ann.id, ann.name, ann.state, ann.since) == ("ann", "Ann", AgentState.TALKING, 0.0)
    assert (ann.queues, ann.calls_taken, ann.call_id) == (("sales", "support"), 1, "c1")
    assert (cem.state, cem.reason, cem.call_id) == (AgentState.PAUSED, "lunch", None)


@pytest.mark.parametrize(("waited", "level"), [(15.0, 1.0), (15.1, 0.0)])
def test_service_level_counts_answers_up_to_the_threshold(waited: float, level: float) -> None:
    floor = Floor(agent("ann"))
    offer = offer_in(floor.arrive("c1"))
    floor.now = waited
    floor.answer(offer)
    assert floor.distributor.snapshot(floor.now).queues[0].service_level == level
