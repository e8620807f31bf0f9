"""A hang-up, a fault or a lost packet at every turn of the event loop in a call's life: nothing may be left.

A turn of the loop is the smallest step in which anything is awaited and resumed, so going through all of them goes
through every await point of every task of the call.
"""

from collections.abc import Callable

import pytest

from acd.cdr import Outcome
from ims_core.ua.session import INVITED
from tests.acd.house import SDP, House, Phone

Scene = Callable[[House], tuple[Phone, Phone]]


def straight_to_queue(house: House) -> tuple[Phone, Phone]:
    agent, caller = house.agent("1001"), house.phone("alice")
    caller.dial("10001")
    return caller, agent


def through_the_menu(house: House) -> tuple[Phone, Phone]:
    agent, caller = house.agent("1001"), house.phone("alice")
    caller.dial("10000")
    house.loop.call_later(0.2, house.press_if_answered, "2")
    return caller, agent


def first_agent_refuses(house: House) -> tuple[Phone, Phone]:
    first, second, caller = house.agent("1001"), house.agent("1002"), house.phone("alice")
    first.on_invite = first.refuse
    caller.dial("10001")
    return caller, second


def bearer_first(house: House) -> tuple[Phone, Phone]:
    """A handset that makes its bearer a precondition, and has it after 0.2 seconds (RFC 3312)."""
    agent, caller = house.agent("1001"), house.phone("alice")
    required = (("Require", "precondition"),)
    caller.dial("10001", sdp=SDP + b"a=des:qos mandatory local sendrecv\r\n", headers=required)

    def confirm() -> None:
        if caller.call is not None and caller.call.state == INVITED:
            caller.call.update(SDP + b"a=curr:qos local sendrecv\r\na=des:qos mandatory local sendrecv\r\n", required)
            caller.flush()

    house.loop.call_later(0.2, confirm)
    return caller, agent


def nobody_there(house: House) -> tuple[Phone, Phone]:
    caller = house.phone("alice")
    caller.dial("10001")
    return caller, house.phone("nobody")


SCENES: tuple[Scene, ...] = (straight_to_queue, through_the_menu, first_agent_refuses, bearer_first, nobody_there)
WITH_AGENTS = SCENES[:4]
LIFE = 4.0  # seconds in which each scene reaches the talk, or its end


def turns_of(scene: Scene) -> int:
    """Count the turns that the scene takes when nothing disturbs it."""
    with House() as house:
        scene(house)
        before = house.loop.iterations
        house.run(LIFE)
        turns = house.loop.iterations - before
        for phone in house.parties.values():
            if isinstance(phone, Phone):
                phone.hang_up()
        house.settle()
        house.assert_nothing_left()
    return turns


def play(scene: Scene, turn: int, disturb: Callable[[House, Phone, Phone], None]) -> House:
    with House(seed=turn) as house:
        caller, agent = scene(house)
        house.loop.at_iteration[house.loop.iterations + turn] = lambda: disturb(house, caller, agent)
        house.run(LIFE)
        caller.hang_up()
        house.settle()
        refused = caller.call is not None and any(getattr(event, "status", 0) == 503 for event in caller.events)
        assert len(house.records.cdrs) == 1 or (refused and not house.records.cdrs)
        stopped = {"wrap_up"} if house.drained is not None else set()
        assert set(house.agent_states.values()) <= {"ready", "logged_out"} | stopped
        house.assert_nothing_left()
    return house


@pytest.mark.rfc("3261-9.1")
@pytest.mark.rfc("3261-15.1.1")
@pytest.mark.parametrize("scene", SCENES)
def test_the_caller_hangs_up(scene: Scene) -> None:
    outcomes = set()
    for turn in range(turns_of(scene)):
        house = play(scene, turn, lambda _house, caller, _agent: caller.hang_up())
        outcomes.add(house.records.cdrs[0].outcome)
    if scene is nobody_there:
        assert outcomes == {Outcome.CANCELLED, Outcome.NO_AGENT}
    else:
        assert {Outcome.CANCELLED, Outcome.ABANDONED, Outcome.ANSWERED} <= outcomes
        assert outcomes <= {Outcome.CANCELLED, Outcome.ABANDONED, Outcome.ANSWERED}


@pytest.mark.parametrize("scene", WITH_AGENTS)
def test_the_agent_hangs_up(scene: Scene) -> None:
    for turn in range(turns_of(scene)):
        play(scene, turn, lambda _house, _caller, agent: agent.hang_up())


@pytest.mark.parametrize("scene", WITH_AGENTS)
def test_the_agent_unregisters(scene: Scene) -> None:
    for turn in range(turns_of(scene)):
        play(scene, turn, lambda house, _caller, agent: house.unregister_now(agent.user))


@pytest.mark.parametrize("scene", WITH_AGENTS)
def test_the_media_worker_dies(scene: Scene) -> None:
    for turn in range(turns_of(scene)):
        play(scene, turn, lambda house, _caller, _agent: house.lose_media())


@pytest.mark.parametrize("scene", WITH_AGENTS)
def test_both_hang_up_at_once(scene: Scene) -> None:
    def both(_house: House, caller: Phone, agent: Phone) -> None:
        agent.hang_up()
        caller.hang_up()

    for turn in range(turns_of(scene)):
        play(scene, turn, both)


@pytest.mark.parametrize("scene", WITH_AGENTS)
def test_the_server_is_stopped(scene: Scene) -> None:
    def drain(house: House, _caller: Phone, _agent: Phone) -> None:
        house.drained = house.loop.create_task(house.engine.drain())

    for turn in range(turns_of(scene)):
        play(scene, turn, drain)
