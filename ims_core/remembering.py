"""Results that are asked for again and again, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """What ``compute`` returned for at most ``limit`` keys: all are forgotten when there is no room for one more.

    ``functools.lru_cache`` does nearly the same, but compiled code can call it only as it calls what it knows nothing
    of, at five times the cost of what is looked up here. An exception that ``compute`` raises is passed on, and comes
    anew each time; ``None`` is computed anew each time.
    """

    __slots__ = ("_compute", "_held", "_limit")

    def __init__(self, compute: Callable[[K], V], limit: int) -> None:
        self._compute = compute
        self._limit = limit
        self._held: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._held)

    def of(self, key: K) -> V:
        """Return the result for ``key``."""
        found = self._held.get(key)
        if found is None:
            found = self._compute(key)
            if len(self._held) >= self._limit:
                self._held.clear()
            self._held[key] = found
        return found
