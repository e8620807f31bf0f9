"""What agents do to their offers and calls, told as small stories on a virtual clock."""

import msgspec
import pytest

from acd import facts
from acd.core.actions import AgentChanged, Withdraw, WithdrawCause
from acd.core.agents import AgentState
from acd.core.events import (
    AgentBusy,
    AgentEvent,
    AgentForced,
    AgentIdle,
    AgentLoggedIn,
    AgentLoggedOut,
    AgentPaused,
    AgentReady,
    AgentRegistered,
    AgentUnregistered,
    CallConsulting,
    CallEnded,
    CallHeld,
    CallRetrieved,
    FailCause,
    Forced,
    OfferFailed,
    OfferRinging,
)
from acd.core.profiles import AgentProfile
from tests.acd.core.virtual_floor import Floor, agent, offer_in, offers, pairs


@pytest.mark.parametrize(
    ("queue", "own", "seconds"),
    [("sales", None, 10), ("sales", 3.0, 3), ("sales", 0.0, 0), ("support", None, 0), ("support", 3.0, 3)],
)
def test_wrap_up_is_the_agents_or_else_the_queues(queue: str, own: float | None, seconds: float) -> None:
    floor = Floor(agent("ann", queue, wrap_up=own))
    floor.talk("c1", queue)
    floor.tell(CallEnded("c1"))
    assert floor.state("ann") is (AgentState.WRAP_UP if seconds else AgentState.READY)
    assert floor.distributor.next_deadline() == (seconds or None)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([], AgentState.LOGGED_OUT),
        ([AgentRegistered("ann")], AgentState.READY),
        ([AgentLoggedIn("ann")], AgentState.LOGGED_OUT),
        ([AgentLoggedOut("ann"), AgentRegistered("ann")], AgentState.LOGGED_OUT),
        ([AgentPaused("ann", "lunch"), AgentRegistered("ann")], AgentState.PAUSED),
        ([AgentRegistered("ann"), AgentPaused("ann", "lunch"), AgentRegistered("ann")], AgentState.PAUSED),
        ([AgentRegistered("ann"), AgentLoggedOut("ann"), AgentRegistered("ann")], AgentState.LOGGED_OUT),
        ([AgentRegistered("ann"), AgentLoggedOut("ann"), AgentLoggedIn("ann")], AgentState.READY),
        ([AgentRegistered("ann"), AgentPaused("ann", "lunch"), AgentReady("ann")], AgentState.READY),
        ([AgentRegistered("ann"), AgentUnregistered("ann")], AgentState.LOGGED_OUT),
        ([AgentRegistered("ann"), AgentUnregistered("ann"), AgentRegistered("ann")], AgentState.READY),
        ([AgentRegistered("ann"), AgentBusy("ann", "x")], AgentState.BUSY),
        ([AgentBusy("ann", "x"), AgentRegistered("ann")], AgentState.BUSY),
        ([AgentRegistered("ann"), AgentBusy("ann", "x"), AgentIdle("ann", "x")], AgentState.READY),
        ([AgentRegistered("ann"), AgentBusy("ann", "x"), AgentReady("ann")], AgentState.BUSY),
    ],
)
def test_only_a_ready_agent_is_offered_calls(told: list[AgentEvent], expected: AgentState) -> None:
    floor = Floor(agent("ann"), registered=False)
    for event in told:
        floor.tell(event)
    assert floor.state("ann") is expected
    assert pairs(floor.arrive("c1")) == ([("c1", "ann")] if expected is AgentState.READY else [])
    assert floor.distributor.has_agent_logged_in("sales") is (expected is not AgentState.LOGGED_OUT)
    assert floor.distributor.has_agent_logged_in("support") is False


UNAVAILABLE: list[tuple[AgentEvent, WithdrawCause, AgentState]] = [
    (AgentLoggedOut("ann"), WithdrawCause.AGENT_LOGGED_OUT, AgentState.LOGGED_OUT),
    (AgentPaused("ann", "lunch"), WithdrawCause.AGENT_PAUSED, AgentState.PAUSED),
    (AgentUnregistered("ann"), WithdrawCause.AGENT_UNREGISTERED, AgentState.LOGGED_OUT),
    (AgentBusy("ann", "x"), WithdrawCause.AGENT_BUSY, AgentState.BUSY),
]


@pytest.mark.parametrize("ringing", [True, False], ids=["ringing", "reserved"])
@pytest.mark.parametrize(("event", "cause", "state"), UNAVAILABLE)
def test_agent_becoming_unavailable_gives_the_offer_back(
    event: AgentEvent, cause: WithdrawCause, state: AgentState, ringing: bool
) -> None:
    floor = Floor(agent("ann"), agent("bob"))
    offer = offer_in(floor.arrive("c1"))
    if ringing:
        floor.tell(OfferRinging("c1", "ann", offer.epoch))
    actions = floor.tell(event)
    assert actions[0] == Withdraw("c1", "ann", offer.epoch, cause)
    assert pairs(actions) == [("c1", "bob")]
    assert floor.state("ann") is state
    assert floor.run_until(19.0) == []


@pytest.mark.parametrize("held", [True, False], ids=["hold", "talking"])
@pytest.mark.parametrize(("event", "cause", "state"), UNAVAILABLE)
def test_agent_becoming_unavailable_finishes_his_call_first(
    event: AgentEvent, cause: WithdrawCause, state: AgentState, held: bool
) -> None:
    floor = Floor(agent("ann"))
    floor.talk("c1")
    if held:
        floor.tell(CallHeld("c1"))
    assert floor.tell(event) == []
    assert floor.state("ann") is (AgentState.HOLD if held else AgentState.TALKING)
    floor.arrive("c2")
    assert offers(floor.tell(CallEnded("c1"))) == []
    assert floor.state("ann") is (AgentState.WRAP_UP if state is AgentState.BUSY else state)
    assert offers(floor.run_until(100.0)) == []
    assert floor.state("ann") is state


def test_logging_in_again_during_the_call_takes_the_log_out_back() -> None:
    floor = Floor(agent("ann", wrap_up=0))
    floor.talk("c1")
    floor.tell(AgentLoggedOut("ann"))
    floor.tell(AgentReady("ann"))
    floor.tell(CallEnded("c1"))
    assert floor.state("ann") is AgentState.READY


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (AgentReady("ann"), AgentState.READY),
        (AgentLoggedIn("ann"), AgentState.READY),
        (AgentPaused("ann"), AgentState.PAUSED),
        (AgentLoggedOut("ann"), AgentState.LOGGED_OUT),
        (AgentUnregistered("ann"), AgentState.LOGGED_OUT),
        (AgentRegistered("ann"), AgentState.WRAP_UP),
        (AgentBusy("ann"), AgentState.WRAP_UP),
    ],
)
def test_wrap_up_ends_early_only_at_the_agents_word(event: AgentEvent, state: AgentState) -> None:
    floor = Floor(agent("ann"))
    floor.talk("c1")
    floor.tell(CallEnded("c1"))
    floor.tell(event)
    assert floor.state("ann") is state
    assert (floor.distributor.next_deadline() is None) is (state is not AgentState.WRAP_UP)


def test_outside_call_begun_in_wrap_up_shows_when_it_ends() -> None:
    floor = Floor(agent("ann"))
    floor.talk("c1")
    floor.tell(CallEnded("c1"))
    floor.tell(AgentBusy("ann", "x"))
    floor.run_until(10.0)
    assert floor.state("ann") is AgentState.BUSY
    floor.arrive("c2")
    assert pairs(floor.tell(AgentIdle("ann", "x"))) == [("c2", "ann")]


def told(floor: Floor, kind: type[facts.Fact]) -> list[facts.Fact]:
    return [fact for fact in floor.distributor.take_facts() if isinstance(fact, kind)]


@pytest.mark.parametrize(
    ("before", "state", "expected"),
    [
        ([], Forced.PAUSED, AgentState.PAUSED),
        ([], Forced.LOGGED_OUT, AgentState.LOGGED_OUT),
        ([AgentLoggedOut("ann")], Forced.PAUSED, AgentState.PAUSED),
        ([AgentLoggedOut("ann")], Forced.READY, AgentState.READY),
        ([AgentPaused("ann", "lunch")], Forced.READY, AgentState.READY),
        ([AgentBusy("ann", "never ends")], Forced.READY, AgentState.READY),
        ([AgentUnregistered("ann")], Forced.READY, AgentState.LOGGED_OUT),
    ],
)
def test_a_supervisor_decides_for_an_agent(before: list[AgentEvent], state: Forced, expected: AgentState) -> None:
    floor = Floor(agent("ann"))
    for event in before:
        floor.tell(event)
    told(floor, facts.AgentWished)
    floor.tell(AgentForced("ann", state, "meeting"))
    assert floor.state("ann") is expected
    assert floor.distributor.agent("ann").reason == ("meeting" if state is Forced.PAUSED else "")
    assert all(
        isinstance(fact, facts.AgentWished) and fact.cause == "forced" for fact in told(floor, facts.AgentWished)
    )
    assert pairs(floor.arrive("c1")) == ([("c1", "ann")] if expected is AgentState.READY else [])


def test_who_is_forced_finishes_his_talk() -> None:
    floor = Floor(agent("ann"))
    floor.talk("c1")
    assert floor.tell(AgentForced("ann", Forced.PAUSED, "meeting")) == []
    floor.tell(CallEnded("c1"))
    assert floor.state("ann") is AgentState.PAUSED


DELAYS = {FailCause.REFUSED: 2.0, FailCause.NO_ANSWER: 30.0, FailCause.UNREACHABLE: 0.0}


@pytest.mark.parametrize(
    ("cause", "again"),
    [(FailCause.REFUSED, 2.0), (FailCause.NO_ANSWER, 30.0), (FailCause.UNREACHABLE, 0.0), (FailCause.BUSY, 5.0)],
)
def test_the_delay_after_a_failed_offer_follows_its_cause(cause: FailCause, again: float) -> None:
    floor = Floor(AgentProfile("ann", "Ann", ("sales",), refuse_delays=DELAYS))
    offer = offer_in(floor.arrive("c1"))
    actions = floor.tell(OfferFailed("c1", "ann", offer.epoch, cause))
    assert floor.distributor.next_deadline() == (again or 20.0)
    assert pairs(actions + floor.run_until(again)) == [("c1", "ann")]


def test_agents_who_do_not_answer_are_paused_after_so_many_in_a_row() -> None:
    floor = Floor(AgentProfile("ann", "Ann", ("sales",), wrap_up_seconds=0, pause_after_missed=2))
    offer = offer_in(floor.arrive("c1"))
    offer = offer_in(floor.run_until(25.0))  # rang out at 20, again after 5
    floor.answer(offer)  # in a row no longer
    floor.tell(CallEnded("c1"))
    floor.arrive("c2")
    floor.run_until(50.0)
    floor.distributor.take_facts()
    assert AgentChanged("ann", AgentState.RESERVED, AgentState.PAUSED, "missed calls") in floor.run_until(70.0)
    assert told(floor, facts.AgentWished) == [facts.AgentWished("ann", "paused", "missed calls", "missed")]
    assert pairs(floor.tell(AgentReady("ann"))) == [("c2", "ann")]
    assert floor.run_until(90.0)[-1] == AgentChanged("ann", AgentState.RESERVED, AgentState.READY)  # one of two


def test_who_refuses_has_not_missed_a_call() -> None:
    floor = Floor(AgentProfile("ann", "Ann", ("sales",), refuse_delay_seconds=0, pause_after_missed=1))
    for cause in (FailCause.REFUSED, FailCause.BUSY, FailCause.ERROR):
        offer = offer_in(floor.arrive(cause) or floor.tell(AgentReady("ann")))
        floor.tell(OfferFailed(offer.call_id, "ann", offer.epoch, cause))
        assert floor.state("ann") is AgentState.RESERVED
        floor.tell(CallEnded(cause))


def test_consulting_is_a_hold_of_its_own() -> None:
    floor = Floor(agent("ann"))
    floor.talk("c1")
    floor.now = 10.0
    assert floor.tell(CallConsulting("c1")) == [AgentChanged("ann", AgentState.TALKING, AgentState.CONSULTING)]
    assert floor.tell(CallConsulting("c1")) == []
    floor.now = 25.0
    floor.tell(CallHeld("c1"))
    floor.now = 30.0
    assert floor.tell(CallRetrieved("c1")) == [AgentChanged("ann", AgentState.HOLD, AgentState.TALKING)]
    floor.now = 60.0
    floor.tell(CallEnded("c1"))
    assert told(floor, facts.TalkEnded) == [facts.TalkEnded("c1", "ann", "sales", talked=60.0, held=20.0)]


def test_an_agent_takes_as_many_calls_as_his_capacity_one_ringing_at_a_time() -> None:
    two = AgentProfile("ann", "Ann", ("support",), capacity=2)
    floor = Floor(two)
    first = offer_in(floor.arrive("c1", "support"))
    assert pairs(floor.arrive("c2", "support")) == []
    second = offer_in(floor.answer(first))
    assert (second.call_id, floor.state("ann")) == ("c2", AgentState.TALKING)
    floor.arrive("c3", "support")
    assert pairs(floor.answer(second)) == []
    floor.tell(CallHeld("c1"))
    assert floor.state("ann") is AgentState.TALKING  # the busiest counts
    floor.tell(CallHeld("c2"))
    assert floor.state("ann") is AgentState.HOLD
    assert pairs(floor.tell(CallEnded("c1"))) == [("c3", "ann")]
    assert floor.state("ann") is AgentState.HOLD
    with pytest.raises(ValueError, match="agent 'ann': capacity must be at least 1"):
        msgspec.structs.replace(two, capacity=0)


def test_wrap_up_of_one_talk_keeps_the_next_call_away_while_another_goes_on() -> None:
    floor = Floor(AgentProfile("ann", "Ann", ("support",), wrap_up_seconds=4.0, capacity=2))
    floor.talk("c1", "support")
    floor.talk("c2", "support")
    floor.arrive("c3", "support")
    assert pairs(floor.tell(CallEnded("c1"))) == []
    assert floor.state("ann") is AgentState.TALKING
    assert pairs(floor.run_until(4.0)) == [("c3", "ann")]
