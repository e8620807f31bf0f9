"""When callers call.

    poisson:rate=120/h              at random, at a constant rate
    hourly:20,40,90,60,...          at random, so many an hour: the first from 00:00, the second from 01:00, ...
    profile:FILE                    at random, by a file of lines "HH:MM,calls per hour", each valid until the next
    exponential:30, constant:30...  any distribution: the time from one caller to the next

A profile repeats every day, a list of hours as soon as it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf, log
from typing import TYPE_CHECKING

from acd.simulation.draws import KINDS, Draw, ReadLines, constant, draw, lines_of
from acd.simulation.expressions import Expression, rate, time_of_day

if TYPE_CHECKING:
    from acd.simulation.chance import Random

HOUR, DAY = 3600.0, 86400.0

Arrivals = Callable[["Random", float], Iterator[float]]
"""An arrival process: a source of chance and the time of day (seconds) when it starts give the seconds since then."""


def poisson(per_second: float) -> Arrivals:
    """Independent callers at a constant rate."""

    def times(random: Random, _: float) -> Iterator[float]:
        now = 0.0
        while per_second > 0:
            now -= log(1.0 - random.random()) / per_second
            yield now

    return times


def renewal(gap: Draw) -> Arrivals:
    """Independent gaps of any distribution from one caller to the next."""

    def times(random: Random, _: float) -> Iterator[float]:
        sample, now = gap(random), 0.0
        while (now := now + sample()) < inf:
            yield now

    return times


def periodic(steps: list[tuple[float, float]], period: float) -> Arrivals:
    """Independent callers at a rate that depends on the time of day.

    `steps` are (start in the period, rate per second), the first from 0 on, in order. Exact: an exponential amount
    of expected callers is spent step by step.
    """
    ends = [start for start, _ in steps[1:]] + [period]

    def times(random: Random, time_of_day: float) -> Iterator[float]:
        if not any(per_second > 0 for _, per_second in steps):
            return
        midnight, within = divmod(time_of_day, period)
        base, step = midnight * period - time_of_day, 0
        while ends[step] <= within:
            step += 1
        now = 0.0
        while True:
            spend = -log(1.0 - random.random())
            while True:
                per_second, end = steps[step][1], base + ends[step]
                if spend < per_second * (end - now):
                    now += spend / per_second
                    break
                spend -= per_second * (end - now)
                now = end
                step += 1
                if step == len(steps):
                    step, base = 0, base + period
            yield now

    return times


def arrivals(expression: Expression, read_lines: ReadLines) -> Arrivals:
    """Return what an expression stands for; it is not closed. Raises ExpressionError."""
    match expression.kind:
        case "poisson":
            text = expression.need("rate", positional=True)
            try:
                return poisson(rate(text))
            except ValueError:
                raise expression.error(f"rate is to be like 120/h, 2/min or 50/30min, not {text!r}") from None
        case "hourly":
            return _hourly(expression)
        case "profile":
            return _profile(expression, read_lines)
        case "constant":
            return renewal(constant(expression.seconds("value", positional=True)))  # 0 would be all at once
        case kind if kind in KINDS:
            return renewal(draw(expression, read_lines))
    raise expression.error(
        f"no arrivals are called {expression.kind!r}: they are poisson, hourly, profile or a distribution "
        f"({', '.join(KINDS)})"
    )


def _hourly(expression: Expression) -> Arrivals:
    steps = [(hour * HOUR, _per_hour(expression, text)) for hour, text in enumerate(expression.values)]
    expression.values.clear()
    if not steps:
        raise expression.error("hourly needs calls per hour, like hourly:20,40,90,60")
    return periodic(steps, len(steps) * HOUR)


def _per_hour(expression: Expression, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < inf:
        raise expression.error(f"calls per hour are to be numbers from 0, not {text!r}")
    return value / HOUR


def _profile(expression: Expression, read_lines: ReadLines) -> Arrivals:
    steps: list[tuple[float, float]] = []
    for number, line in enumerate(lines_of(expression, read_lines), 1):
        start, _, per_hour = line.partition(",")
        try:
            at = time_of_day(start)
        except ValueError:
            raise expression.error(f'line {number} is to be "HH:MM,calls per hour", not {line!r}') from None
        if (steps and at <= steps[-1][0]) or at >= DAY:
            raise expression.error(f"line {number}: {start} does not come after the line before it")
        steps.append((at, _per_hour(expression, per_hour)))
    if not steps:
        raise expression.error("the file holds no rate")
    if steps[0][0] > 0:
        steps.insert(0, (0.0, steps[-1][1]))  # the last of a day lasts until the first of the next
    return periodic(steps, DAY)
