"""How long callers would have waited, learnt from what they did.

Who hung up has shown his patience. Who was answered, or sent elsewhere, has shown only that he had more than he
needed: his patience is censored. Kaplan and Meier's estimate makes the most of both.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from math import inf, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Patience:
    """The distribution of patience behind waits that ended by hanging up (`gave_up`) or otherwise (`held_out`).

    Beyond the longest patience seen it goes on exponentially, with the mean that all waits together speak for: time
    waited / callers who gave up. If nobody gave up, nobody ever will.
    """

    def __init__(self, gave_up: Iterable[float], held_out: Iterable[float]) -> None:
        given_up = Counter(gave_up)
        ends = given_up + Counter(held_out)
        at_risk, survival = ends.total(), 1.0
        self._times: list[float] = []
        self._survival: list[float] = []  # the share that is more patient than the time at the same index
        for time in sorted(ends):
            if given_up[time]:
                survival *= 1 - given_up[time] / at_risk
                self._times.append(time)
                self._survival.append(survival)
            at_risk -= ends[time]
        total = sum(time * count for time, count in ends.items())
        self._mean = total / given_up.total() if given_up else inf

    def survival(self, time: float) -> float:
        """The estimated share of callers with more patience than `time`."""
        index = bisect_right(self._times, time)
        return self._survival[index - 1] if index else 1.0

    def beyond(self, waited: float, chance: float, tail: float) -> float:
        """Draw the patience of one who is known to have had more than `waited`, by two numbers drawn from [0, 1)."""
        if not self._times:
            return inf
        share = (1 - chance) * self.survival(waited)
        for index in range(bisect_right(self._times, waited), len(self._times)):
            if self._survival[index] < share:
                return self._times[index]
        return max(waited, self._times[-1]) - log(1 - tail) * self._mean
