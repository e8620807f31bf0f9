"""Confidence intervals of the mean over independent replications, by Student's t.

Waits within one run depend on each other, so that an interval made from them is far too narrow; the means of
independent runs do not.
"""

from __future__ import annotations

from functools import cache
from math import atan2, cos, inf, pi, sin, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, float | int) and self.low <= value <= self.high


def interval(values: Sequence[float], confidence: float, least: float = -inf, most: float = inf) -> Interval | None:
    """Return the interval that contains the true mean with this probability; None of fewer than two values.

    What is measured lies between `least` and `most`, and so does the interval: what is cut off cannot be the mean.
    """
    if len(values) < 2:
        return None
    mean, half = fmean(values), t_quantile((1 + confidence) / 2, len(values) - 1) * stdev(values) / sqrt(len(values))
    return Interval(max(mean - half, least), min(mean + half, most))


@cache
def t_quantile(probability: float, freedom: int) -> float:
    """Return the value below which Student's t with `freedom` degrees of freedom lies with this probability (>= .5)."""
    low, high = 0.0, 1.0
    while t_distribution(high, freedom) < probability:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in {low, high}:
        if t_distribution(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return high


def t_distribution(value: float, freedom: int) -> float:
    """Return the probability that Student's t is at most `value`: for whole `freedom` a finite sum (A&S 26.7.3-4)."""
    angle = atan2(value, sqrt(freedom))
    square = cos(angle) ** 2
    odd = freedom % 2
    term = cos(angle) if odd else 1.0
    total = 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= square * (power + 1) / (power + 2)
    within = sin(angle) * total
    return (1 + (2 / pi * (angle + within) if odd else within)) / 2
