"""The expected wait of one queue: small stories, anything in any order, and a back-test on simulated queues."""

from collections.abc import Callable
from math import pi, sin
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acd.core.expected_wait import MOST_ABSENTEES, TOLD, ExpectedWait
from acd.core.foretold import Estimate, Place
from tests.acd.core.waiting_room import WaitingRoom

SERVICE = 180.0
TAIL = Place(position=5, length=5, head_waited=60.0)


def constant(erlangs: float) -> Callable[[float], float]:
    return lambda _now: erlangs / SERVICE


def busy_room(seed: int = 1, **but: float) -> WaitingRoom:
    return WaitingRoom(
        seed,
        arrival_rate=constant(12),
        peak_rate=12 / SERVICE,
        service_seconds=SERVICE,
        patience_seconds=but.get("patience_seconds", 300.0),
        agents=10,
    )


@pytest.fixture
def waits() -> ExpectedWait:
    """After an hour in which it was always busy."""
    room = busy_room()
    room.run_until(3600.0)
    return room.waits


# Small stories


def test_nothing_is_said_before_something_was_observed() -> None:
    waits = ExpectedWait()
    waits.staffed(3, 0.0)
    assert waits.estimate(TAIL, 0.0) is None
    assert waits.joined("c1", (0.0, 1), Place(1, 1, 0.0), 0.0) is None
    assert waits.accuracy[TOLD].error_seconds is None


def test_nothing_is_said_while_no_agent_is_there(waits: ExpectedWait) -> None:
    assert waits.estimate(TAIL, 3600.0) is not None
    waits.staffed(0, 3600.0)
    assert waits.estimate(TAIL, 3600.0) is None


def test_nine_callers_are_enough_for_a_range() -> None:
    waits = ExpectedWait()
    waits.staffed(1, 0.0)
    waits.handled(100.0)
    for n in range(9):
        assert waits.joined(f"c{n}", (0.0, n), Place(1, 1, 0.0), n * 100.0) is None
        waits.answered(f"c{n}", 0.0, n * 100.0 + 60.0 + 10.0 * n)
    estimate = waits.estimate(Place(1, 1, 0.0), 900.0)
    assert estimate is not None
    assert estimate.expected == 100
    assert estimate.low == pytest.approx(60, abs=4)
    assert estimate.high == pytest.approx(140, abs=4)


def test_agents_who_log_out_make_it_longer(waits: ExpectedWait) -> None:
    expected = []
    for agents in (20, 10, 5, 1):
        waits.staffed(agents, 3600.0)
        estimate = waits.estimate(TAIL, 3600.0)
        assert estimate is not None
        expected.append(estimate.expected)
    assert expected == sorted(expected)
    assert expected[0] < expected[1] < expected[2] < expected[3]


def test_the_further_ahead_the_shorter(waits: ExpectedWait) -> None:
    estimates = [waits.estimate(Place(n, 20, 60.0), 3600.0) for n in (1, 5, 10, 20)]
    expected = [estimate.expected for estimate in estimates if estimate is not None]
    assert len(expected) == 4
    assert expected[0] < expected[1] < expected[2] < expected[3]


def test_it_does_not_rise_after_calls_stop() -> None:
    room = busy_room()
    room.run_until(4 * 3600.0)
    while room.line:  # nobody comes any more; those who wait are served
        room.waits.answered(str(room.line.popleft()[0]), 0.0, room.now)
        room.waits.handled(SERVICE)
        room.now += 20.0
    room.waits.idle(room.now)
    hours = [room.waits.estimate(Place(1, 1, 0.0), room.now + hour * 3600.0) for hour in range(24)]
    assert hours[0] is not None
    assert set(hours) == {hours[0]}
    told = room.waits.accuracy
    room.waits.idle(room.now + 86_400.0)
    assert room.waits.accuracy == told


def test_a_caller_who_left_is_scored_when_his_place_is_served() -> None:
    waits = ExpectedWait()
    waits.staffed(1, 0.0)
    waits.handled(100.0)
    for n in range(3):
        waits.joined(f"c{n}", (0.0, n), Place(n + 1, n + 1, 0.0), 0.0)
    waits.left("c1", 10.0)
    waits.answered("c0", 0.0, 50.0)
    assert waits.accuracy["queue_length"].scored == 1
    waits.answered("c2", 0.0, 170.0)  # c1 would have been answered now, expected after 200 s, and c2 after 300 s
    assert waits.accuracy["queue_length"].scored == 3
    errors = [100 - 50, 300 - 170, 200 - 170]
    assert waits.accuracy["queue_length"].error_seconds == pytest.approx(fmean(errors), rel=0.02)


def test_a_caller_who_left_last_is_scored_when_an_agent_finds_nobody() -> None:
    waits = ExpectedWait()
    waits.staffed(1, 0.0)
    waits.handled(100.0)
    waits.joined("c1", (0.0, 1), Place(1, 1, 0.0), 0.0)
    waits.left("c1", 10.0)
    waits.idle(60.0)
    assert waits.accuracy["queue_length"].error_seconds == 40.0


def test_who_left_before_a_night_without_agents_is_not_scored() -> None:
    waits = ExpectedWait()
    waits.staffed(1, 0.0)
    waits.handled(100.0)
    waits.joined("c1", (0.0, 1), Place(1, 1, 0.0), 0.0)
    waits.left("c1", 10.0)
    waits.staffed(0, 20.0)
    waits.staffed(1, 40_000.0)
    waits.idle(40_000.0)
    assert waits.accuracy["queue_length"].scored == 0


def test_absentees_are_bounded() -> None:
    waits = ExpectedWait()
    waits.staffed(1, 0.0)
    waits.handled(100.0)
    for n in range(2 * MOST_ABSENTEES):
        waits.joined(f"c{n}", (0.0, n), Place(1, 1, 0.0), float(n))
        waits.left(f"c{n}", float(n))
    waits.idle(5000.0)
    assert waits.accuracy["queue_length"].scored == MOST_ABSENTEES


def test_the_same_calls_give_the_same_estimates() -> None:
    def told() -> Estimate | None:
        room = busy_room(seed=7)
        room.run_until(7200.0)
        return room.waits.estimate(room.place(), room.now)

    assert told() == told() is not None


# Anything in any order

happenings = st.lists(
    st.tuples(
        st.sampled_from(["joined", "joined", "answered", "answered", "left", "handled", "idle", "staffed", "ask"]),
        st.integers(0, 7),
        st.sampled_from([0.0, 0.0, 1e-9, 0.5, 10.0, 1e5]),
    ),
    max_size=120,
)


@given(happenings)
def test_whatever_happens_an_estimate_is_a_range(story: list[tuple[str, int, float]]) -> None:
    waits = ExpectedWait()
    waits.staffed(2, 0.0)
    now = 0.0
    for seq, (what, which, seconds) in enumerate(story):
        now += seconds
        call, place = f"c{which}", Place(1 + which, 8, seconds)
        estimate = None
        if what == "joined":
            estimate = waits.joined(call, (float(which), seq), place, now)
        elif what == "answered":
            waits.answered(call, seconds, now)
        elif what == "left":
            waits.left(call, now)
        elif what == "handled":
            waits.handled(seconds)
        elif what == "idle":
            waits.idle(now)
        elif what == "staffed":
            waits.staffed(which, now)
        else:
            estimate = waits.estimate(place, now)
        if estimate is not None:
            assert 0 <= estimate.low <= estimate.expected <= estimate.high < float("inf")


# The back-test: fixed seeds, so the figures are what they are.


def steady(erlangs: float, patience: float, agents: int) -> Callable[[int], WaitingRoom]:
    return lambda seed: WaitingRoom(
        seed,
        arrival_rate=constant(erlangs),
        peak_rate=erlangs / SERVICE,
        service_seconds=SERVICE,
        patience_seconds=patience,
        agents=agents,
    )


def tides(seed: int) -> WaitingRoom:
    """From half to one and a half times what the agents can do, and back, in four hours."""
    return WaitingRoom(
        seed,
        arrival_rate=lambda now: (10 + 5 * sin(2 * pi * now / 14_400)) / SERVICE,
        peak_rate=15 / SERVICE,
        service_seconds=SERVICE,
        patience_seconds=300.0,
        agents=10,
    )


@pytest.mark.parametrize(
    "room",
    [
        pytest.param(steady(9, 1e12, 10), id="M/M/10"),
        pytest.param(steady(12, 180.0, 10), id="M/M/10+M overloaded"),
        pytest.param(steady(3, 300.0, 3), id="M/M/3+M"),
        pytest.param(tides, id="Mt/M/10+M"),
    ],
)
def test_the_chosen_one_is_nearly_the_best_and_its_ranges_hold(room: Callable[[int], WaitingRoom]) -> None:
    rooms = [room(seed) for seed in (1, 2, 3)]
    for simulated in rooms:
        simulated.run_until(20 * 3600.0)
    guesses = {name: [pair for one in rooms for pair in one.waits.guesses[name]] for name in rooms[0].waits.accuracy}
    errors = {name: fmean(abs(g.expected - waited) for g, waited in pairs) for name, pairs in guesses.items()}
    best = min(error for name, error in errors.items() if name != TOLD)
    worst = max(errors.values())
    assert errors[TOLD] <= 1.08 * best
    assert errors[TOLD] < 0.85 * worst
    assert 0.75 <= fmean(g.low <= waited <= g.high for g, waited in guesses[TOLD]) <= 0.85
    if errors[TOLD] < 50:  # the longer the waits the slower they forget: the bias of a day of such is chance
        assert abs(fmean(g.expected - waited for g, waited in guesses[TOLD])) < 0.1 * fmean(w for _, w in guesses[TOLD])
