"""How late packets come, compared with the quickest of them."""

from __future__ import annotations

import math
from typing import Final

QUANTILE: Final = 0.98
"""The share of packets for which the depth must suffice."""
MEMORY_PACKETS: Final = 500
"""A packet's weight falls to 1/e after so many later ones."""
_BASE_SECONDS: Final = 5.0
_EXPECTED_SECONDS: Final = 0.03
_BINS_PER_SECOND: Final = 400
_GROWTH: Final = 1 + 1 / MEMORY_PACKETS
_LARGEST_WEIGHT: Final = 1e9
_MEASURE_EACH: Final = 8


class Delays:
    """The delays of one source's packets beyond the quickest one, in its clock units.

    The quickest is sought among those of the last five to ten seconds: so a drift of the sender's clock, or a new path,
    is followed. `base` is its transit (arrival minus timestamp, an arbitrary number), `target` the delay that but two
    packets in a hundred exceed, between the bounds.
    """

    __slots__ = (
        "_bin_width",
        "_bins",
        "_count",
        "_current",
        "_current_since",
        "_maximum",
        "_minimum",
        "_previous",
        "_total",
        "_weight",
        "base",
        "target",
    )

    def __init__(self, clock_rate: int, minimum_ms: int, maximum_ms: int) -> None:
        self._minimum = minimum_ms * clock_rate / 1000
        self._maximum = maximum_ms * clock_rate / 1000
        self._bin_width = clock_rate / _BINS_PER_SECOND
        self._bins = [0.0] * (int(self._maximum / self._bin_width) + 1)
        self._bins[min(int(_EXPECTED_SECONDS * _BINS_PER_SECOND), len(self._bins) - 1)] = 1.0
        self._total = 1.0
        self._weight = 1.0
        self._count = 0
        self.target = min(self._maximum, max(self._minimum, _EXPECTED_SECONDS * clock_rate))
        self.restart()

    def restart(self) -> None:
        """Forget the quickest packet (another source, another clock), not how much they vary: the path is the same."""
        self._previous = self._current = math.inf
        self._current_since = 0.0
        self.base = 0.0

    def add(self, transit: float, now: float) -> None:
        """Count a packet."""
        if now - self._current_since >= _BASE_SECONDS:
            self._previous = self._current
            self._current = transit
            self._current_since = now
        elif transit < self._current:
            self._current = transit
        self.base = min(self._previous, self._current)
        place = int((transit - self.base) / self._bin_width)
        self._bins[min(place, len(self._bins) - 1)] += self._weight
        self._total += self._weight
        self._weight *= _GROWTH
        self._count += 1
        if self._weight > _LARGEST_WEIGHT:
            self._bins = [weight / self._weight for weight in self._bins]
            self._total /= self._weight
            self._weight = 1.0
        if self._count % _MEASURE_EACH == 0:
            self._measure()

    def need(self, depth: float) -> None:
        """Never let the target be less again."""
        self._minimum = min(self._maximum, max(self._minimum, depth))
        self.target = max(self.target, self._minimum)

    def _measure(self) -> None:
        beyond = (1 - QUANTILE) * self._total
        for place in range(len(self._bins) - 1, -1, -1):
            beyond -= self._bins[place]
            if beyond < 0:
                self.target = min(self._maximum, max(self._minimum, (place + 1) * self._bin_width))
                return
