"""The single estimators against what they are defined to be, and the judge who scores them."""

from math import sqrt
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acd.core.backtest import Judge
from acd.core.estimators import (
    Departures,
    HeadOfLine,
    LastToEnterService,
    QueueLength,
    QueueLengthWithPatience,
    RecentWaits,
    Window,
    all_estimators,
    drain_seconds,
)
from acd.core.foretold import Place
from acd.core.traffic import Mean, Traffic


def busy(agents: int = 2) -> Traffic:
    """A line of two; one came, waited 30 s and was answered by an agent whose phone rang 5 s, and one left."""
    traffic = Traffic(0.0)
    traffic.agents = agents
    traffic.handled(100.0)
    for _ in range(4):
        traffic.joined()
    traffic.advance(30.0)
    traffic.answered(30.0)
    traffic.rang(5.0)
    traffic.advance(40.0)
    traffic.left()
    return traffic


def test_no_estimator_knows_anything_before_something_happened() -> None:
    traffic = Traffic(0.0)
    traffic.agents = 3
    assert [estimator.estimate(Place(1, 1, 0.0), traffic) for estimator in all_estimators()] == [None] * 6


def test_no_estimator_speaks_without_agents() -> None:
    estimators = all_estimators()
    for estimator in estimators:
        estimator.learn(Place(3, 3, 0.0), 30.0, 2)
    assert None not in [estimator.estimate(Place(3, 3, 0.0), busy()) for estimator in estimators]
    traffic = busy()
    traffic.agents = 0
    assert [estimator.estimate(Place(3, 3, 0.0), traffic) for estimator in estimators] == [None] * 6


def test_names_differ() -> None:
    assert len({estimator.name for estimator in all_estimators()}) == 6


def test_what_traffic_remembers() -> None:
    traffic = busy()
    assert traffic.waiting == 2
    assert traffic.cycle == 100
    assert traffic.ring == 5
    assert traffic.pace == pytest.approx(2 * 40, rel=0.02)  # one answer in 40 s of two agents
    assert traffic.impatience == pytest.approx(1 / (4 * 30 + 3 * 10), rel=0.02)  # one left in 150 s of waiting
    traffic.advance(50.0)
    assert traffic.pace == pytest.approx(2 * 50, rel=0.02)  # nobody answers, and somebody waits


def test_each_definition() -> None:
    traffic = busy()
    tail, middle = Place(4, 4, 20.0), Place(2, 4, 20.0)
    assert LastToEnterService().estimate(tail, traffic) == 30
    assert LastToEnterService().estimate(middle, traffic) == 15
    assert traffic.gap is not None
    assert HeadOfLine().estimate(tail, traffic) == 20 + traffic.gap + 5
    assert QueueLength().estimate(tail, traffic) == 4 * 100 / 2 + 5
    with_patience = QueueLengthWithPatience().estimate(tail, traffic)
    theta = traffic.impatience
    assert with_patience == pytest.approx(sum(1 / (2 / 100 + i * theta) for i in range(4)) + 5)
    assert traffic.pace is not None
    assert Departures().estimate(tail, traffic) == pytest.approx(
        sum(1 / (2 / traffic.pace + i * theta) for i in range(4))
    )


def test_recent_waits_are_per_place_and_per_agent() -> None:
    estimator = RecentWaits()
    for seconds in (80.0, 100.0, 900.0):
        estimator.learn(Place(4, 4, 0.0), seconds, 1)
    assert estimator.estimate(Place(5, 5, 0.0), busy(agents=1)) == 125
    assert estimator.estimate(Place(5, 5, 0.0), busy(agents=2)) == 62.5
    assert estimator.estimate(Place(9, 9, 0.0), busy()) is None


@given(st.integers(1, 300), st.floats(0.001, 10), st.floats(0, 0.1))
def test_draining_a_line_takes_the_sum_of_its_departures(position: int, served: float, impatience: float) -> None:
    exact = sum(1 / (served + ahead * impatience) for ahead in range(position))
    assert drain_seconds(position, served, impatience) == pytest.approx(exact, rel=0.002)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(1, 10))
def test_a_window_is_the_last_numbers_in_order(numbers: list[float], size: int) -> None:
    window = Window(size)
    for number in numbers:
        window.add(number)
    last = sorted(numbers[-size:])
    assert len(window) == len(last)
    assert [window.ranked(rank) for rank in range(1, len(last) + 1)] == last
    assert window.ranked(0) == last[0]
    assert window.ranked(size + 1) == last[-1]


def test_a_mean_forgets() -> None:
    mean = Mean(kept=0.5)
    assert mean.value is None
    for observation in [100.0] * 20 + [0.0] * 20:
        mean.add(observation)
    assert mean.value == pytest.approx(0, abs=1e-3)


def test_the_score_is_the_mean_pinball_loss() -> None:
    judge = Judge()
    for n in range(19):
        judge.score(judge.guess(100.0, 10.0), 55.0 + 5.0 * n)
    guess = judge.guess(100.0, 10.0)
    assert guess.ranged
    fresh = Judge()
    fresh.score(guess, 200.0)
    pinball = [
        share * (200.0 - quantile) for share, quantile in ((0.1, guess.low), (0.5, guess.expected), (0.9, guess.high))
    ]
    assert fresh.loss == pytest.approx(2 * fmean(pinball))


def test_the_range_covers_what_it_says_also_when_the_errors_change() -> None:
    random = Random(3)
    judge = Judge()
    inside = []
    for n in range(6000):
        scale = 10.0 if n < 3000 else 40.0
        guess = judge.guess(100.0, sqrt(100.0))
        waited = max(random.gauss(110.0, scale), 0.0)
        if guess.ranged:
            inside.append(guess.low <= waited <= guess.high)
        judge.score(guess, waited)
    assert fmean(inside[500:3000]) == pytest.approx(0.8, abs=0.02)
    assert fmean(inside[3500:]) == pytest.approx(0.8, abs=0.02)
    accuracy = judge.accuracy
    assert accuracy.scored == 6000
    assert accuracy.bias_seconds == pytest.approx(-10, abs=8)
    assert accuracy.coverage == pytest.approx(0.8, abs=0.1)
