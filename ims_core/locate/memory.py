"""What is remembered of servers: which are dead, which have no TCP (RFC 3263 4.3, RFC 3261 18.1.1 and 21.5.4)."""

from __future__ import annotations

from typing import Generic, TypeVar

Key = TypeVar("Key")

MOST = 4096


class Memory(Generic[Key]):
    """Remembers keys for a time each; the oldest goes when there are too many."""

    def __init__(self) -> None:
        self._until: dict[Key, float] = {}

    def note(self, key: Key, until: float) -> None:
        """Remember ``key``."""
        self._until.pop(key, None)
        if len(self._until) >= MOST:
            del self._until[next(iter(self._until))]
        self._until[key] = until

    def forget(self, key: Key) -> None:
        """Remember it no more."""
        self._until.pop(key, None)

    def has(self, key: Key, now: float) -> bool:
        """Whether ``key`` is remembered still."""
        until = self._until.get(key)
        if until is None:
            return False
        if until <= now:
            del self._until[key]
            return False
        return True

    def count(self, now: float) -> int:
        """How many are remembered."""
        return sum(until > now for until in self._until.values())
