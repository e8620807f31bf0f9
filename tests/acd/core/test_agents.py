"""The agent's states against tables written by hand: each state, each event that can come."""

from collections.abc import Callable

import pytest

from acd.core.actions import AgentChanged
from acd.core.agents import Agent, AgentState, Trigger
from acd.core.events import (
    AgentBusy,
    AgentForced,
    AgentHindered,
    AgentIdle,
    AgentLoggedOut,
    AgentPaused,
    AgentReady,
    AgentRegistered,
    AgentUnhindered,
    AgentUnregistered,
    CallConsulting,
    CallEnded,
    CallHeld,
    CallLeft,
    CallRetrieved,
    Event,
    FailCause,
    Forced,
    OfferAnswered,
    OfferFailed,
    OfferRinging,
)
from acd.core.profiles import AgentProfile
from tests.acd.core.virtual_floor import Floor, agent, pairs

RING, ANSWER = OfferRinging("c1", "ann", 1), OfferAnswered("c1", "ann", 1)
# How an agent whose phone is bound gets into each state; the first call is offered under epoch 1.
PATHS: dict[AgentState, tuple[Event, ...]] = {
    AgentState.LOGGED_OUT: (AgentLoggedOut("ann"),),
    AgentState.READY: (),
    AgentState.BUSY: (AgentBusy("ann", "x"),),
    AgentState.PAUSED: (AgentPaused("ann"),),
    AgentState.RESERVED: (),
    AgentState.RINGING: (RING,),
    AgentState.TALKING: (RING, ANSWER),
    AgentState.HOLD: (ANSWER, CallHeld("c1")),
    AgentState.CONSULTING: (ANSWER, CallConsulting("c1")),
    AgentState.WRAP_UP: (ANSWER, CallEnded("c1")),
}
OFFERED = set(AgentState) - {AgentState.LOGGED_OUT, AgentState.READY, AgentState.BUSY, AgentState.PAUSED}

EVENTS: dict[str, Event] = {
    "bound": AgentRegistered("ann"),
    "unbound": AgentUnregistered("ann"),
    "ready": AgentReady("ann"),
    "log_out": AgentLoggedOut("ann"),
    "pause": AgentPaused("ann"),
    "occupied": AgentBusy("ann", "x"),
    "vacated": AgentIdle("ann", "x"),
    "ring": RING,
    "answer": ANSWER,
    "refuse": OfferFailed("c1", "ann", 1, FailCause.REFUSED),
    "leave": CallLeft("c1"),
    "hold": CallHeld("c1"),
    "consult": CallConsulting("c1"),
    "retrieve": CallRetrieved("c1"),
}

# The state after the event, "." where it stays what it is.
TABLE = """
            bound  unbound     ready  log_out     pause   occupied vacated
logged_out  .      .           ready  .           .       .        .
ready       .      logged_out  .      logged_out  paused  busy     .
busy        .      logged_out  .      logged_out  paused  .        ready
paused      .      logged_out  ready  logged_out  .       .        .
reserved    .      logged_out  .      logged_out  paused  busy     .
ringing     .      logged_out  .      logged_out  paused  busy     .
talking     .      .           .      .           .       .        .
hold        .      .           .      .           .       .        .
consulting  .      .           .      .           .       .        .
wrap_up     .      logged_out  ready  logged_out  paused  .        .

            ring     answer   refuse  leave    hold  consult     retrieve
logged_out  .        .        .       .        .     .           .
ready       .        .        .       .        .     .           .
busy        .        .        .       .        .     .           .
paused      .        .        .       .        .     .           .
reserved    ringing  talking  ready   ready    .     .           .
ringing     .        talking  ready   ready    .     .           .
talking     .        .        .       wrap_up  hold  consulting  .
hold        .        .        .       wrap_up  .     consulting  talking
consulting  .        .        .       wrap_up  hold  .           talking
wrap_up     .        .        .       .        .     .           .
"""


def cells() -> list[tuple[AgentState, str, AgentState]]:
    found = []
    for table in TABLE.strip().split("\n\n"):
        head, *rows = (line.split() for line in table.splitlines())
        for state, *row in rows:
            for event, cell in zip(head, row, strict=True):
                found.append((AgentState(state), event, AgentState(state if cell == "." else cell)))
    return found


def floor_in(state: AgentState) -> Floor:
    floor = Floor(agent("ann"))
    if state in OFFERED:
        floor.arrive("c1")
    for event in PATHS[state]:
        floor.tell(event)
    assert floor.state("ann") is state
    return floor


@pytest.mark.parametrize(("state", "event", "expected"), cells())
def test_state_after_each_event(state: AgentState, event: str, expected: AgentState) -> None:
    floor = floor_in(state)
    floor.now = 2.0
    floor.tell(EVENTS[event])
    assert floor.state("ann") is expected
    assert floor.distributor.agent("ann").since == (0.0 if expected is state else 2.0)


def test_table_covers_every_state_and_event() -> None:
    assert {(state, event) for state, event, _ in cells()} == {
        (state, event) for state in AgentState for event in EVENTS
    }


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (AgentLoggedOut("ann"), AgentState.LOGGED_OUT),
        (AgentPaused("ann"), AgentState.PAUSED),
        (AgentUnregistered("ann"), AgentState.LOGGED_OUT),
    ],
)
def test_standing_shows_when_the_talk_is_over(before: Event, expected: AgentState) -> None:
    floor = floor_in(AgentState.TALKING)
    floor.tell(before)
    floor.tell(CallEnded("c1"))
    assert floor.state("ann") is expected


def lone(*, always_ready: bool = False) -> Agent:
    return Agent(AgentProfile("1001", "Ann", (), always_ready=always_ready), seq=0, now=0.0)


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ((), AgentState.READY),
        ((Trigger.LOG_OUT,), AgentState.LOGGED_OUT),
        ((Trigger.PAUSE,), AgentState.PAUSED),
        ((Trigger.PAUSE, Trigger.MAKE_READY), AgentState.READY),
        ((Trigger.LOG_OUT, Trigger.MAKE_READY), AgentState.READY),
        ((Trigger.LOG_OUT, Trigger.PAUSE), AgentState.LOGGED_OUT),
        ((Trigger.PAUSE, Trigger.LOG_OUT), AgentState.LOGGED_OUT),
        ((Trigger.OCCUPIED,), AgentState.BUSY),
        ((Trigger.OCCUPIED, Trigger.PAUSE), AgentState.PAUSED),
    ],
)
def test_wish_outlives_the_binding(wishes: tuple[Trigger, ...], expected: AgentState) -> None:
    ann = lone()
    for trigger in (Trigger.BOUND, *wishes, Trigger.UNBOUND):
        ann.restand(trigger)
    assert ann.standing is AgentState.LOGGED_OUT
    ann.restand(Trigger.BOUND)
    assert ann.standing is expected


def test_phone_is_busy_until_its_last_outside_call_is_over() -> None:
    ann = lone(always_ready=True)
    assert ann.restand(Trigger.OCCUPIED, "a")
    assert ann.restand(Trigger.OCCUPIED, "b")
    assert not ann.restand(Trigger.OCCUPIED, "b")
    standings = []
    for call_id, known in (("a", True), ("unheard of", False), ("b", True)):
        assert ann.restand(Trigger.VACATED, call_id) is known
        standings.append(ann.standing)
    assert standings == [AgentState.BUSY, AgentState.BUSY, AgentState.READY]


@pytest.mark.parametrize("state", list(AgentState))
def test_who_is_hindered_is_as_one_who_is_in_a_call_outside(state: AgentState) -> None:
    occupied, hindered = floor_in(state), floor_in(state)
    cut_short = occupied.tell(AgentBusy("ann", "y"))
    assert [type(action) for action in hindered.tell(AgentHindered("ann", "leg closed"))] == (
        [type(action) for action in cut_short] or ([AgentChanged] if state is AgentState.BUSY else [])
    )
    assert hindered.state("ann") is occupied.state("ann")
    assert hindered.distributor.agent("ann").reason == ("leg closed" if hindered.state("ann") == "busy" else "")


def test_a_supervisor_who_makes_ready_does_not_clear_what_hinders() -> None:
    floor = floor_in(AgentState.BUSY)
    floor.tell(AgentHindered("ann", "leg closed"))
    floor.tell(AgentForced("ann", Forced.READY))
    assert floor.state("ann") is AgentState.BUSY
    assert floor.arrive("c1") == []
    assert pairs(floor.tell(AgentUnhindered("ann"))) == [("c1", "ann")]


def test_who_is_hindered_in_a_talk_takes_no_call_after_it() -> None:
    floor = floor_in(AgentState.TALKING)
    floor.arrive("c2")
    floor.tell(AgentHindered("ann", "leg closed"))
    floor.tell(CallEnded("c1"))
    assert floor.state("ann") is AgentState.WRAP_UP
    floor.run_until(100.0)
    assert floor.state("ann") is AgentState.BUSY


def test_reason_is_told_only_while_paused() -> None:
    floor = floor_in(AgentState.TALKING)
    ann = floor.distributor.agent("ann")
    floor.tell(AgentPaused("ann", "lunch"))
    assert ann.reason == ""
    floor.tell(CallEnded("c1"))
    assert ann.reason == "lunch"
    floor.now = 3.0
    floor.tell(AgentPaused("ann", "training"))
    assert (ann.reason, ann.since) == ("training", 3.0)
    floor.tell(AgentReady("ann"))
    assert ann.reason == ""


def leave(floor: Floor) -> None:
    floor.tell(CallLeft("c1"))


def refuse(floor: Floor) -> None:
    floor.tell(OfferFailed("c1", "ann", 1))


@pytest.mark.parametrize(("end", "idle_since"), [(leave, 0.0), (refuse, 9.0)])
def test_idle_time_survives_an_offer_withdrawn_without_fault(end: Callable[[Floor], None], idle_since: float) -> None:
    floor = floor_in(AgentState.RINGING)
    floor.now = 9.0
    end(floor)
    assert (floor.distributor.agent("ann").idle_since, floor.distributor.agent("ann").since) == (idle_since, 9.0)


def own_call(floor: Floor) -> None:
    floor.tell(AgentBusy("ann", "own"))
    floor.now += 5.0
    floor.tell(AgentIdle("ann", "own"))


def hindrance(floor: Floor) -> None:
    floor.tell(AgentHindered("ann", "leg closed"))
    floor.now += 5.0
    floor.tell(AgentHindered("ann", "leg refused"))
    floor.now += 5.0
    floor.tell(AgentUnhindered("ann"))


@pytest.mark.parametrize("interlude", [own_call, hindrance])
@pytest.mark.parametrize("state", [AgentState.READY, AgentState.RESERVED, AgentState.RINGING])
def test_idle_time_survives_a_call_of_his_own(interlude: Callable[[Floor], None], state: AgentState) -> None:
    floor = floor_in(state)
    floor.now = 9.0
    interlude(floor)
    floor.tell(CallLeft("c1"))
    assert floor.state("ann") is AgentState.READY
    assert floor.distributor.agent("ann").idle_since == 0.0


def test_idle_time_counts_from_the_end_of_the_queues_work_even_in_a_call_of_his_own() -> None:
    floor = floor_in(AgentState.WRAP_UP)
    ann = floor.distributor.agent("ann")
    floor.tell(AgentBusy("ann", "own"))
    assert ann.due is not None
    end = ann.due
    floor.run_until(end)
    assert floor.state("ann") is AgentState.BUSY
    floor.now = end + 50.0
    floor.tell(AgentIdle("ann", "own"))
    assert (floor.state("ann"), ann.idle_since) == (AgentState.READY, end)


def test_who_made_a_call_of_his_own_is_still_the_one_idle_longest() -> None:
    floor = Floor(agent("ann"), agent("bob"))
    floor.talk("c1")
    floor.now = 10.0
    floor.tell(CallEnded("c1"))
    floor.run_until(100.0)
    floor.tell(AgentBusy("bob", "own"))
    floor.now = 200.0
    floor.tell(AgentIdle("bob", "own"))
    assert pairs(floor.arrive("c2")) == [("c2", "bob")]


@pytest.mark.parametrize(
    ("away", "back"), [(AgentPaused("ann"), AgentReady("ann")), (AgentUnregistered("ann"), AgentRegistered("ann"))]
)
def test_idle_time_begins_anew_after_an_absence(away: Event, back: Event) -> None:
    floor = floor_in(AgentState.READY)
    floor.now = 9.0
    floor.tell(AgentBusy("ann", "own"))
    floor.tell(away)
    floor.now = 20.0
    floor.tell(back)
    floor.now = 30.0
    floor.tell(AgentIdle("ann", "own"))
    assert floor.distributor.agent("ann").idle_since == 20.0


def test_always_ready_agent_needs_no_binding_and_cannot_lose_it() -> None:
    ann = lone(always_ready=True)
    assert ann.state is AgentState.READY
    assert not ann.restand(Trigger.UNBOUND)
    assert ann.standing is AgentState.READY


def test_occupancy_is_work_over_time_in_service() -> None:
    floor = Floor(agent("ann"))
    ann = floor.distributor.agent("ann")
    assert ann.occupancy == 0.0
    floor.now = 30.0
    floor.talk("c1")
    floor.now = 90.0
    floor.tell(AgentPaused("ann"))
    floor.tell(CallEnded("c1"))
    floor.now = 500.0
    floor.tell(AgentReady("ann"))
    assert ann.occupancy == pytest.approx(60 / 90)
    assert ann.talked_seconds == 60.0
