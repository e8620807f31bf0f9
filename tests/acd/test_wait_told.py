"""The expected wait as a caller hears it."""

from acd.core.foretold import Place
from tests.acd.house import House


def heard(*settings: str) -> list[tuple[str, ...]]:
    """What a caller hears who waits 15 s where the last nine waited from 100 to 180 s for one agent."""
    with House(*settings) as house:
        agent = house.agent("1001")
        agent.on_invite = agent.ring_for_ever
        house.run(1.0)
        distributor = house.engine.dispatcher.distributor
        waits = distributor._queues["support"].waits
        now = house.loop.time()
        waits.handled(140.0)
        for n in range(9):
            waits.joined(f"c{n}", (0.0, float(n)), Place(1, 1, 0.0), now)
        for n in range(9):
            waits.answered(f"c{n}", 0.0, now + 100.0 + 10.0 * n)
        caller = house.phone("alice")
        house.run(200.0)
        caller.dial("10001")
        house.run(15.0)
        played = [call.arguments[0] for call in house.caller_leg.calls if call.method == "play"]
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()
    return [tuple(names) for names in played if isinstance(names, tuple) and "en/position" in names]


def test_with_the_position_a_caller_hears_how_long_it_will_take() -> None:
    (told,) = heard("queues.support.announce_position_seconds=10")
    position, wait = told[:3], told[3:]
    assert position == ("en/position", "en/digits/1", "en/position-end")
    assert wait == ("en/wait-from", "en/digits/2", "en/wait-to", "en/digits/3", "en/numbers/minutes")


def test_no_wait_is_told_where_none_is_to_be() -> None:
    told = heard("queues.support.announce_position_seconds=10", "queues.support.announce_wait=false")
    assert told == [("en/position", "en/digits/1", "en/position-end")]
