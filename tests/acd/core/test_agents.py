"""The agent's state machine against a table written by hand."""

import pytest

from acd.core.agents import Agent, AgentProfile, AgentState, IllegalTransitionError, Trigger

# How an agent whose phone is bound gets into each state.
PATHS: dict[AgentState, tuple[Trigger, ...]] = {
    AgentState.LOGGED_OUT: (Trigger.LOG_OUT,),
    AgentState.READY: (),
    AgentState.BUSY: (Trigger.OCCUPIED,),
    AgentState.PAUSED: (Trigger.PAUSE,),
    AgentState.RESERVED: (Trigger.RESERVE,),
    AgentState.RINGING: (Trigger.RESERVE, Trigger.RING),
    AgentState.TALKING: (Trigger.RESERVE, Trigger.RING, Trigger.ANSWER),
    AgentState.HOLD: (Trigger.RESERVE, Trigger.ANSWER, Trigger.HOLD),
    AgentState.WRAP_UP: (Trigger.RESERVE, Trigger.ANSWER, Trigger.WRAP),
}

# The state after the trigger; "-" where it does not move the agent, so that only his standing may change.
STANDING_TABLE = """
            bound       unbound     make_ready  log_out     pause       occupied    vacated
logged_out  logged_out  logged_out  ready       logged_out  logged_out  logged_out  logged_out
ready       ready       logged_out  ready       logged_out  paused      busy        ready
busy        busy        logged_out  busy        logged_out  paused      busy        ready
paused      paused      logged_out  ready       logged_out  paused      paused      paused
reserved    -           logged_out  -           logged_out  paused      busy        -
ringing     -           logged_out  -           logged_out  paused      busy        -
talking     -           -           -           -           -           -           -
hold        -           -           -           -           -           -           -
wrap_up     -           logged_out  ready       logged_out  paused      -           -
"""

# The state after the trigger; "-" where it is a defect.
OCCUPATION_TABLE = """
            reserve   ring     answer   release  refuse  hold  retrieve  end    wrap     wrapped
logged_out  -         -        -        -        -       -     -         -      -        -
ready       reserved  -        -        -        -       -     -         -      -        -
busy        -         -        -        -        -       -     -         -      -        -
paused      -         -        -        -        -       -     -         -      -        -
reserved    -         ringing  talking  ready    ready   -     -         -      -        -
ringing     -         -        talking  ready    ready   -     -         -      -        -
talking     -         -        -        -        -       hold  -         ready  wrap_up  -
hold        -         -        -        -        -       -     talking   ready  wrap_up  -
wrap_up     -         -        -        -        -       -     -         -      -        ready
"""


def cells(table: str) -> list[tuple[AgentState, Trigger, AgentState | None]]:
    head, *rows = (line.split() for line in table.strip().splitlines())
    return [
        (AgentState(state), Trigger(trigger), None if cell == "-" else AgentState(cell))
        for state, *row in rows
        for trigger, cell in zip(head, row, strict=True)
    ]


def agent_in(state: AgentState) -> Agent:
    agent = Agent(AgentProfile("1001", "Ann", ()), (), seq=0, now=0.0)
    for trigger in (Trigger.BOUND, *PATHS[state]):
        agent.restand(trigger)
        agent.move(trigger, 1.0)
    assert agent.state is state
    return agent


@pytest.mark.parametrize(("state", "trigger", "expected"), cells(STANDING_TABLE))
def test_standing_trigger(state: AgentState, trigger: Trigger, expected: AgentState | None) -> None:
    agent = agent_in(state)
    agent.restand(trigger)
    assert agent.can(trigger) is (expected is not None)
    if expected is not None:
        assert agent.move(trigger, 2.0) is (
            expected is not state or (state, trigger) == (AgentState.PAUSED, Trigger.PAUSE)
        )
        assert agent.state is expected


@pytest.mark.parametrize(("state", "trigger", "expected"), cells(OCCUPATION_TABLE))
def test_occupation_trigger(state: AgentState, trigger: Trigger, expected: AgentState | None) -> None:
    agent = agent_in(state)
    if expected is None:
        assert not agent.can(trigger)
        with pytest.raises(IllegalTransitionError, match=f"agent 1001: {trigger} while {state}"):
            agent.move(trigger, 2.0)
        assert agent.state is state
    else:
        assert agent.move(trigger, 2.0)
        assert (agent.state, agent.since) == (expected, 2.0)


def test_tables_cover_every_state_and_trigger() -> None:
    pairs = {(state, trigger) for state, trigger, _ in cells(STANDING_TABLE) + cells(OCCUPATION_TABLE)}
    assert pairs == {(state, trigger) for state in AgentState for trigger in Trigger}


@pytest.mark.parametrize(
    ("before", "end", "expected"),
    [
        (Trigger.LOG_OUT, Trigger.END, AgentState.LOGGED_OUT),
        (Trigger.PAUSE, Trigger.END, AgentState.PAUSED),
        (Trigger.UNBOUND, Trigger.END, AgentState.LOGGED_OUT),
        (Trigger.OCCUPIED, Trigger.END, AgentState.BUSY),
    ],
)
def test_standing_shows_when_the_talk_is_over(before: Trigger, end: Trigger, expected: AgentState) -> None:
    agent = agent_in(AgentState.TALKING)
    agent.restand(before)
    agent.move(end, 2.0)
    assert agent.state is expected


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
    agent = agent_in(AgentState.READY)
    for trigger in wishes:
        agent.restand(trigger)
        agent.move(trigger, 2.0)
    agent.restand(Trigger.UNBOUND)
    agent.move(Trigger.UNBOUND, 3.0)
    assert agent.state is AgentState.LOGGED_OUT
    agent.restand(Trigger.BOUND)
    agent.move(Trigger.BOUND, 4.0)
    assert agent.state is expected


def test_phone_is_busy_until_its_last_outside_call_is_over() -> None:
    agent = agent_in(AgentState.READY)
    assert agent.restand(Trigger.OCCUPIED, "a")
    assert agent.restand(Trigger.OCCUPIED, "b")
    assert not agent.restand(Trigger.OCCUPIED, "b")
    standings = []
    for call_id, known in (("a", True), ("unheard of", False), ("b", True)):
        assert agent.restand(Trigger.VACATED, call_id) is known
        standings.append(agent.standing)
    assert standings == [AgentState.BUSY, AgentState.BUSY, AgentState.READY]


def test_reason_is_told_only_while_paused() -> None:
    agent = agent_in(AgentState.TALKING)
    agent.restand(Trigger.PAUSE, "lunch")
    assert agent.reason == ""
    agent.move(Trigger.END, 2.0)
    assert agent.reason == "lunch"
    agent.restand(Trigger.PAUSE, "training")
    assert agent.move(Trigger.PAUSE, 3.0)
    assert (agent.reason, agent.since) == ("training", 3.0)
    agent.restand(Trigger.MAKE_READY)
    agent.move(Trigger.MAKE_READY, 4.0)
    assert agent.reason == ""


@pytest.mark.parametrize(
    ("trigger", "idle_since"),
    [(Trigger.RELEASE, 1.0), (Trigger.REFUSE, 9.0)],
)
def test_idle_time_survives_an_offer_withdrawn_without_fault(trigger: Trigger, idle_since: float) -> None:
    agent = agent_in(AgentState.READY)
    agent.move(Trigger.RESERVE, 8.0)
    agent.move(trigger, 9.0)
    assert (agent.idle_since, agent.since) == (idle_since, 9.0)


def test_always_ready_agent_needs_no_binding_and_cannot_lose_it() -> None:
    agent = Agent(AgentProfile("a001", "Lab", (), always_ready=True), (), seq=0, now=0.0)
    assert agent.state is AgentState.READY
    assert not agent.restand(Trigger.UNBOUND)
    assert agent.standing is AgentState.READY
