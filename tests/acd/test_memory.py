"""What belonged to a call is freed as soon as it is over: the cyclic collector has nothing to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.acd.house import SDP, House, Phone

HOLD = SDP + b"a=sendonly\r\n"


def answered(house: House, caller: Phone, _: Phone) -> None:
    caller.dial("10001")
    house.run(6.0)
    caller.hang_up()


def held(house: House, caller: Phone, _: Phone) -> None:
    caller.dial("10001")
    house.run(6.0)
    assert caller.call is not None
    caller.call.reinvite(HOLD)
    caller.flush()
    house.run(1.0)
    caller.hang_up()


def ended_by_agent(house: House, caller: Phone, agent: Phone) -> None:
    caller.dial("10001")
    house.run(6.0)
    agent.hang_up()


def abandoned_while_it_rings(house: House, caller: Phone, _: Phone) -> None:
    caller.dial("10001")
    house.run(0.3)
    caller.hang_up()


def refused_by_agent(house: House, caller: Phone, agent: Phone) -> None:
    agent.on_invite = agent.refuse
    caller.dial("10001")
    house.run(6.0)
    caller.hang_up()


def refused(_house: House, caller: Phone, _: Phone) -> None:
    caller.dial("404")


def caller_vanishes(house: House, caller: Phone, _: Phone) -> None:
    caller.dial("10001")
    house.run(6.0)
    house.dead.add(caller.address)


@pytest.mark.parametrize(
    "course",
    [answered, held, ended_by_agent, abandoned_while_it_rings, refused_by_agent, refused, caller_vanishes],
)
def test_a_call_that_is_over_leaves_nothing_for_the_collector(
    course: Callable[[House, Phone, Phone], None], uncollected: Callable[[], Counter[str]]
) -> None:
    with House() as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        house.run(5.0)
        uncollected()
        course(house, caller, agent)
        house.run(2000.0)
        assert house.engine.calls == {}
        caller.call = None
        for phone in (caller, agent):
            phone.incoming.clear()
            phone.events.clear()
        assert uncollected() == Counter()
