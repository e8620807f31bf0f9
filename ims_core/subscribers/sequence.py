"""Sequence numbers of vectors, after the clock (TS 33.102 Annex C.1.1.3).

SQN is SEQ, of 43 bits, and IND, of 5. SEQ follows a clock of tenths of a second, GLC, so that almost nothing must be
kept: what a subscriber's differs from the clock, DIF, which only a USIM that was ahead of it makes necessary, and the
time up to which numbers may have been handed out, which is reserved a minute or two ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

TICKS_PER_SECOND = 10
IND_BITS = 5
LARGEST_SEQ = (1 << 43) - 1
AHEAD = 60 * TICKS_PER_SECOND


class Ledger(Protocol):
    """What outlives a restart of ``SequenceNumbers``."""

    def reserved(self) -> int:
        """The last tick that was reserved, 0 for none."""

    def differences(self) -> Iterable[tuple[str, int]]:
        """The private identities whose SEQ differs from the clock, and by how many ticks."""

    def reserve(self, tick: int) -> bool:
        """Note that numbers up to ``tick`` may be handed out; False when that failed."""

    def differ(self, private: str, ticks: int) -> None:
        """Note how far the SEQ of a subscriber is from the clock."""


class SequenceNumbers:
    """Hands out the SQN of each vector, of 6 bytes: for one subscriber each is higher than those before.

    ``unix_time`` turns ``now`` into seconds since 1970. Neither a clock that is set back nor a restart makes a number
    come again; ``ledger`` remembers what that needs, and without it a restart does no harm unless the clock was wrong.
    """

    def __init__(self, unix_time: Callable[[float], float], ledger: Ledger | None = None) -> None:
        self._unix_time = unix_time
        self._ledger = ledger
        self._reserved = self._clock = 0
        self._differences: dict[str, int] = {}
        self._last: dict[str, int] = {}
        if ledger is not None:
            self._reserved = ledger.reserved()
            self._clock = self._reserved and self._reserved + 1
            self._differences.update(ledger.differences())

    def take(self, private: str, now: float) -> bytes:
        """Return the next SQN of a subscriber."""
        clock = self._tick(now)
        seq = self._next(private, clock)
        if seq > clock + self._differences.get(private, 0) + AHEAD:  # asked for more often than the clock ticks
            self._differ(private, seq - clock)
        self._last[private] = seq
        return _sqn(seq)

    def resynchronise(self, private: str, sqn_ms: bytes, now: float) -> bool:
        """Go on from the highest SQN that a USIM has accepted, unless it will surely take the next as it is (6.3.5).

        How far ahead of that a number may be is a secret of the USIM (C.2.1), which may just have refused one for it:
        a minute is safe. False when no higher number is left.
        """
        clock = self._tick(now)
        seq_ms = int.from_bytes(sqn_ms, "big") >> IND_BITS
        if seq_ms >= LARGEST_SEQ:
            return False
        if not seq_ms < self._next(private, clock) <= seq_ms + AHEAD:
            self._last[private] = seq_ms
            self._differ(private, seq_ms + 1 - clock)
        return True

    def _next(self, private: str, clock: int) -> int:
        seq = max(clock + self._differences.get(private, 0), self._last.get(private, 0) + 1)
        return min(seq, LARGEST_SEQ)

    def _tick(self, now: float) -> int:
        clock = self._clock = max(self._clock, int(self._unix_time(now) * TICKS_PER_SECOND))
        if self._ledger is not None and clock + AHEAD > self._reserved:
            until = clock + 2 * AHEAD
            done = self._ledger.reserve(until)
            self._reserved = until if done else clock + AHEAD + TICKS_PER_SECOND  # tried again in a second
        return clock

    def _differ(self, private: str, ticks: int) -> None:
        self._differences[private] = ticks
        if self._ledger is not None:
            self._ledger.differ(private, ticks)


def _sqn(seq: int) -> bytes:
    """SEQ and an IND: as no SEQ serves twice, any will do that goes through all of them (C.1.1.1, C.2.2)."""
    return (seq << IND_BITS | seq & (1 << IND_BITS) - 1).to_bytes(6, "big")
