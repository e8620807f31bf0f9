"""What the small expressions mean, and how they say that they mean nothing."""

from collections.abc import Callable
from itertools import islice, pairwise, takewhile
from math import inf, sqrt
from random import Random
from statistics import fmean, stdev

import pytest

from acd.simulation.arrivals import arrivals
from acd.simulation.draws import draw
from acd.simulation.expressions import Expression, ExpressionError, rate, seconds, time_of_day

FILES = {
    "talks.txt": "# measured\n60\n2min\n\n180  # the longest\n",
    "empty.txt": "# nothing\n",
    "wrong.txt": "60\nlong\n",
    "day.csv": "06:00,60\n8:30,240\n18,0\n",
    "backwards.csv": "8:00,1\n7:00,2\n",
}


def lines(name: str) -> list[str]:
    if name not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return FILES[name].splitlines()


@pytest.mark.parametrize(
    ("text", "value"), [("180", 180), ("180s", 180), ("3min", 180), ("0.5 h", 1800), ("1d", 86400), (".5", 0.5)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(("text", "value"), [("120/h", 1 / 30), ("2/min", 1 / 30), ("60/30min", 1 / 30), ("3/s", 3)])
def test_rates(text: str, value: float) -> None:
    assert rate(text) == pytest.approx(value)


@pytest.mark.parametrize(("text", "value"), [("8", 28800), ("08:30", 30600), ("24", 86400), ("0:00", 0)])
def test_times_of_day(text: str, value: float) -> None:
    assert time_of_day(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (seconds, "-1"), (seconds, "3 weeks"), (seconds, ""), (seconds, "1e3"), (seconds, "nan"),
        (rate, "120"), (rate, "120/0h"), (rate, "/h"), (time_of_day, "24:01"), (time_of_day, "8:60"),
        (time_of_day, "noon"),
    ],
)  # fmt: skip
def test_what_is_none_of_these(read: Callable[[str], float], text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read(text)


# Distributions


@pytest.mark.parametrize(
    ("text", "mean", "deviation"),
    [
        ("exponential:180", 180, 180),
        ("exponential:mean=3min", 180, 180),
        ("lognormal:mean=180,cv=1.2", 180, 216),
        ("lognormal:180,cv=0.5", 180, 90),
        ("erlang:k=4,mean=180", 180, 90),
        ("uniform:5,15", 10, 10 / sqrt(12)),
        ("constant:180", 180, 0),
        ("45", 45, 0),
        ("empirical:talks.txt", 120, sqrt(2400)),
    ],
)
def test_distributions_have_the_mean_and_spread_they_say(text: str, mean: float, deviation: float) -> None:
    sample = draw(Expression(text), lines)(Random(1))
    values = [sample() for _ in range(20_000)]
    assert min(values) >= 0
    assert fmean(values) == pytest.approx(mean, rel=0.03)
    assert stdev(values) == pytest.approx(deviation, rel=0.06)


def test_never_is_never() -> None:
    assert draw(Expression("never"), lines)(Random(1))() == inf


def test_the_same_chance_draws_the_same() -> None:
    drawn = draw(Expression("lognormal:mean=180,cv=1"), lines)
    one, other = drawn(Random(7)), drawn(Random(7))
    assert [one() for _ in range(9)] == [other() for _ in range(9)]


# Arrivals


def times(text: str, until: float, time_of_day: float = 0.0, seed: int = 1) -> list[float]:
    coming = arrivals(Expression(text), lines)(Random(seed), time_of_day)
    return list(takewhile(lambda at: at < until, coming))


def test_poisson_arrivals_are_independent_at_their_rate() -> None:
    found = times("poisson:rate=120/h", 100 * 3600)
    assert len(found) == pytest.approx(12_000, abs=4 * sqrt(12_000))
    gaps = [after - before for before, after in pairwise(found)]
    assert stdev(gaps) == pytest.approx(30, rel=0.05)


def test_hours_have_their_own_rates_and_begin_again() -> None:
    found = times("hourly:60,0,240", 300 * 3600)
    by_hour = [sum(at // 3600 % 3 == hour for at in found) for hour in range(3)]
    assert by_hour == [pytest.approx(6000, rel=0.05), 0, pytest.approx(24_000, rel=0.03)]


def test_a_profile_follows_the_time_of_day_wherever_it_starts() -> None:
    at_noon = times("profile:day.csv", 20 * 86400, time_of_day=12 * 3600)
    by_hour = [sum((at / 3600 + 12) % 24 // 1 == hour for at in at_noon) / 20 for hour in range(24)]
    assert by_hour[18:] == [0] * 6
    assert by_hour[:6] == [0] * 6
    assert fmean(by_hour[6:8]) == pytest.approx(60, rel=0.1)
    assert by_hour[8] == pytest.approx(150, rel=0.1)
    assert fmean(by_hour[9:18]) == pytest.approx(240, rel=0.05)
    assert at_noon == sorted(at_noon)


def test_any_distribution_can_be_the_gap() -> None:
    assert times("constant:30", 100) == [30, 60, 90]
    assert list(islice(arrivals(Expression("never"), lines)(Random(1), 0.0), 3)) == []


def test_where_nobody_calls_the_stream_ends() -> None:
    for text in ("hourly:0,0", "poisson:0/h"):
        assert list(arrivals(Expression(text), lines)(Random(1), 0.0)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gauss:5", "no distribution is called 'gauss': it is one of exponential, lognormal"),
        ("exponential", "exponential needs mean="),
        ("exponential:soon", "mean is to be a duration like 180, 180s or 3min, not 'soon'"),
        ("exponential:0", "mean is to be above 0"),
        ("lognormal:mean=180", "lognormal needs cv="),
        ("lognormal:mean=180,cv=-1", "cv is to be a number from 0"),
        ("erlang:k=0,mean=9", "k is to be a whole number from 1, not '0'"),
        ("erlang:k=1.5,mean=9", "k is to be a whole number from 1, not '1.5'"),
        ("uniform:9,5", "low is above high"),
        ("exponential:180,cv=1", "exponential knows no cv="),
        ("exponential:180,20", "exponential has no use for '20'"),
        ("exponential:mean=1,mean=2", "mean is given twice"),
        ("empirical:nowhere.txt", "nowhere.txt cannot be read: No such file or directory"),
        ("empirical:empty.txt", "the file holds no duration above 0"),
        ("empirical:wrong.txt", "line 2 is to be a duration in seconds, not 'long'"),
    ],
)
def test_what_is_wrong_with_a_distribution_is_one_sentence(text: str, said: str) -> None:
    def read() -> None:
        expression = Expression(text)
        draw(expression, lines)
        expression.close()

    with pytest.raises(ExpressionError) as caught:
        read()
    assert str(caught.value).startswith(f"{text!r}: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("posson:9/h", "no arrivals are called 'posson'"),
        ("poisson", "poisson needs rate="),
        ("poisson:120", "rate is to be like 120/h, 2/min or 50/30min, not '120'"),
        ("hourly:", "hourly needs calls per hour"),
        ("hourly:4,x", "calls per hour are to be numbers from 0, not 'x'"),
        ("hourly:4,-1", "calls per hour are to be numbers from 0, not '-1'"),
        ("profile:talks.txt", "line 1 is to be \"HH:MM,calls per hour\", not '60'"),
        ("profile:backwards.csv", "line 2: 7:00 does not come after the line before it"),
        ("profile:empty.txt", "the file holds no rate"),
        ("constant:0", "value is to be above 0"),
    ],
)
def test_what_is_wrong_with_arrivals_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        arrivals(Expression(text), lines)
    assert str(caught.value).startswith(f"{text!r}: {said}")
