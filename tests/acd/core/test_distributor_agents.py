"""What agents do to their offers and calls, told as small stories on a virtual clock."""

import pytest

from acd.core.actions import Withdraw, WithdrawCause
from acd.core.agents import AgentState
from acd.core.events import (
    AgentBusy,
    AgentEvent,
    AgentIdle,
    AgentLoggedIn,
    AgentLoggedOut,
    AgentPaused,
    AgentReady,
    AgentRegistered,
    AgentUnregistered,
    CallEnded,
    CallHeld,
    OfferRinging,
)
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
