"""A source of chance: what the simulator needs of `random.Random`, which only its shell makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Random(Protocol):
    """Draws numbers."""

    def random(self) -> float:
        """Draw from [0, 1)."""

    def uniform(self, a: float, b: float, /) -> float:
        """Draw from `a` to `b`."""

    def gauss(self, mu: float, sigma: float, /) -> float:
        """Draw from the normal distribution."""

    def gammavariate(self, alpha: float, beta: float, /) -> float:
        """Draw from the gamma distribution of shape `alpha` and scale `beta`."""

    def choice(self, values: Sequence[T], /) -> T:
        """Draw one of the values."""


Chance = Callable[[str], Random]
"""Gives the source of chance of a name: one for each purpose, so that none depends on how much another was used."""
