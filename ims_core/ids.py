"""Fresh identifiers: branches, tags, Call-IDs (RFC 3261 sections 8.1.1.4, 8.1.1.7, 19.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MAGIC_COOKIE: Final = "z9hG4bK"


class Ids:
    """Makes identifiers from ``getrandbits``.

    Pass the method of a ``random.SystemRandom`` (or of a ``random.Random`` seeded from one) in production and of
    a seeded ``random.Random`` in tests. 19.3 asks for at least 32 random bits; these carry 64.
    """

    def __init__(self, getrandbits: Callable[[int], int]) -> None:
        self._getrandbits = getrandbits

    def branch(self) -> str:
        """A Via branch, with the cookie that marks it as globally unique."""
        return MAGIC_COOKIE + self._getrandbits(64).to_bytes(8, "big").hex()

    def tag(self) -> str:
        """A From or To tag."""
        return self._getrandbits(64).to_bytes(8, "big").hex()

    def call_id(self) -> str:
        """A Call-ID."""
        return self._getrandbits(96).to_bytes(12, "big").hex()

    def number(self, limit: int) -> int:
        """A number from 0 to ``limit`` − 1."""
        return self._getrandbits(32) * limit >> 32
