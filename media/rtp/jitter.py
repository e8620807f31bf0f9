"""An adaptive jitter buffer: puts packets in order and gives them out when their time has come.

A plain object: arrival times and the times of reading are handed in, in seconds. It is read by somebody whose own
clock asks for the next packet whenever the last one has been played; so the depth is what the reader lags behind.
"""

from __future__ import annotations

import enum
from typing import Final, Generic, NamedTuple, TypeVar

from media.rtp.delays import Delays

T = TypeVar("T")

MAX_DROPOUT: Final = 3000
"""A greater step of the sequence number is a restart, when the next packet follows it (RFC 3550 A.1)."""
CAPACITY: Final = 256
"""Packets held at most, whatever arrives."""
_CLOCK_JUMP_SECONDS: Final = 1.0
_LONGEST_PACKET_SECONDS: Final = 0.12
_USUAL_PACKET_SECONDS: Final = 0.02
_UNSEEN: Final = -1


class NotYet(enum.Enum):
    """Nothing is due: the sender is silent, or what it sent is late. Play on without it, and ask again."""

    NOT_YET = enum.auto()


NOT_YET: Final = NotYet.NOT_YET


class Packet(NamedTuple, Generic[T]):
    """A packet that is due."""

    sequence: int
    timestamp: int
    payload: T


class Missing(NamedTuple, Generic[T]):
    """A packet that is due did not come.

    It lasts `duration` clock units. `following` is the next one's payload, where that has come (it may help out: FEC).
    """

    duration: int
    following: T | None


class JitterBuffer(Generic[T]):
    """The packets of one source between their arrival and their playing.

    `put` takes packets as they come, `get` gives out the next one. The depth follows the delays seen lately within
    `minimum_ms` and `maximum_ms`; it is taken up at the beginning, after each pause of the sender and where packets
    are missing anyway. A reader that can shorten what it plays does so by `excess`.
    """

    __slots__ = (
        "_clock_rate",
        "_delays",
        "_due_sequence",
        "_due_timestamp",
        "_held",
        "_highest",
        "_highest_timestamp",
        "_last_step",
        "_maximum",
        "_minimum",
        "_passed",
        "_playing",
        "_seen",
        "_starved_at",
        "_step",
        "_stray_sequence",
        "_stray_transit",
        "delay",
        "discarded",
        "duplicates",
        "late",
        "lost",
        "received",
        "reordered",
        "restarts",
    )

    def __init__(self, clock_rate: int, *, minimum_ms: int = 10, maximum_ms: int = 300) -> None:
        self._clock_rate = clock_rate
        self._minimum = minimum_ms * clock_rate // 1000
        self._maximum = maximum_ms * clock_rate // 1000
        self._delays = Delays(clock_rate, minimum_ms, maximum_ms)
        self.received = self.late = self.duplicates = self.reordered = 0
        self.lost = self.discarded = self.restarts = 0
        self.delay = 0.0
        self._begin()

    def _begin(self) -> None:
        self._held: dict[int, tuple[int, T]] = {}
        self._highest = _UNSEEN
        self._highest_timestamp = 0
        self._seen = 0
        self._playing = False
        self._due_sequence = 0
        self._due_timestamp = 0
        self._last_step = 0
        self._passed: set[int] = set()
        self._step = int(self._clock_rate * _USUAL_PACKET_SECONDS)
        self._starved_at: float | None = None
        self._stray_sequence = _UNSEEN
        self._stray_transit: float | None = None

    def __len__(self) -> int:
        return len(self._held)

    @property
    def delay_ms(self) -> float:
        """How much later than with the quickest packet possible what is read is played: a part of Ta (G.107)."""
        return self.delay * 1000 / self._clock_rate

    @property
    def target_ms(self) -> float:
        """The depth that the delays seen lately ask for."""
        return self._delays.target * 1000 / self._clock_rate

    @property
    def excess(self) -> float:
        """By how many clock units the depth exceeds what is needed, where that is worth to be shortened; else 0."""
        excess = self.delay - self._delays.target - max(self._step, self._clock_rate * _USUAL_PACKET_SECONDS)
        return excess if excess > 0 and self._playing else 0.0

    def restart(self) -> None:
        """Begin anew: the packets that follow are another source's (SSRC)."""
        if self._highest != _UNSEEN:
            self.restarts += 1
        self._delays.restart()
        self._begin()

    def look_ahead(self) -> None:
        """From now on be deep enough for the packet after a missing one to be there, as far as delays allow."""
        self._delays.need(self._step + self._minimum)

    def pass_over(self, sequence: int) -> None:
        """Know of a packet that came and is not played (a telephone-event, say): its number is not missing."""
        if self._highest == _UNSEEN:
            return
        extended = self._highest + _signed(sequence - self._highest, 16)
        if abs(extended - self._highest) < CAPACITY and not self._is_duplicate(extended):
            self._passed.add(extended)
            if len(self._passed) > CAPACITY:
                self._passed.remove(min(self._passed))
            self._highest = max(self._highest, extended)
            self._last_step = 0

    def put(self, sequence: int, timestamp: int, payload: T, now: float) -> None:
        """Take a packet that arrived `now`."""
        self.received += 1
        if self._highest == _UNSEEN:
            # Room below for packets that were sent earlier and come later.
            self._highest, self._highest_timestamp = sequence + 0x10000, timestamp + 0x100000000
        else:
            self._watch_for_restart(sequence, timestamp, now)
            if self._stray_sequence != _UNSEEN or self._stray_transit is not None:
                self.discarded += 1
                return
        extended = self._highest + _signed(sequence - self._highest, 16)
        time = self._highest_timestamp + _signed(timestamp - self._highest_timestamp, 32)
        if self._is_duplicate(extended):
            self.duplicates += 1
            return
        self._delays.add(now * self._clock_rate - time, now)
        if extended > self._highest:
            if extended == self._highest + 1:
                self._learn_duration(time - self._highest_timestamp)
            self._highest, self._highest_timestamp = extended, time
        elif extended < self._highest:
            self.reordered += 1
        if self._playing and extended < self._due_sequence:
            self.late += 1
            return
        self._held[extended] = (time, payload)
        if len(self._held) > CAPACITY:
            self._skip_to(sorted(self._held)[1])

    def get(self, now: float) -> Packet[T] | Missing[T] | NotYet:
        """Return what is to be played now; a packet that was given out is not given out again."""
        clock = now * self._clock_rate
        if not self._held:
            if self._playing and self._starved_at is None:
                self._starved_at = clock
            return NOT_YET
        first = self._shorten(min(self._held), clock)
        time, payload = self._held[first]
        if not self._playing:
            if not self._is_due(time, clock):
                return NOT_YET
            self._playing = True
            self._due_sequence, self._due_timestamp = first, time
        if first > self._due_sequence:
            self._bridge(first, clock)
        if first > self._due_sequence and time > self._due_timestamp:
            # No deeper than the target, it may still come; else it is given up.
            return self._miss(first, time) if self._is_due(self._due_timestamp, clock) else NOT_YET
        if time > self._due_timestamp and not self._is_due(time, clock):
            return NOT_YET  # the sender paused: the numbers go on, the timestamps jump
        del self._held[first]
        self.lost += first - self._due_sequence if first > self._due_sequence else 0
        self._due_sequence, self._due_timestamp = first + 1, time + self._step
        self._starved_at = None
        self.delay = max(0.0, clock - time - self._delays.base)
        return Packet(first & 0xFFFF, time & 0xFFFFFFFF, payload)

    def _bridge(self, first: int, clock: float) -> None:
        """Go on to the first packet held, past numbers that need nothing and the time that went by without any."""
        while self._due_sequence < first and self._due_sequence in self._passed:
            self._due_sequence += 1
        self._passed = {number for number in self._passed if number >= self._due_sequence}
        if self._starved_at is not None:
            bridged = min(round((clock - self._starved_at) / self._step), first - self._due_sequence)
            self.lost += bridged
            self._due_sequence += bridged
            self._due_timestamp += bridged * self._step
            self._starved_at = None

    def _miss(self, first: int, time: int) -> Missing[T]:
        duration = min(self._step, time - self._due_timestamp)
        self.lost += 1
        self._due_sequence += 1
        self._due_timestamp += duration
        return Missing(duration, self._held[first][1] if self._due_sequence == first else None)

    def _is_due(self, time: int, clock: float) -> bool:
        return clock - time - self._delays.base >= self._delays.target

    def _is_duplicate(self, extended: int) -> bool:
        """Tell whether the packet came before, and keep in mind that it came."""
        age = self._highest - extended
        if age < 0:
            self._seen = (self._seen << -age | 1) & (1 << CAPACITY) - 1 if -age < CAPACITY else 1
            return False
        if self._seen >> age & 1:
            return True
        self._seen |= 1 << age
        return False

    def _learn_duration(self, step: int) -> None:
        if 0 < step <= self._clock_rate * _LONGEST_PACKET_SECONDS:
            if step < self._step or step == self._last_step:
                self._step = step
            self._last_step = step

    def _watch_for_restart(self, sequence: int, timestamp: int, now: float) -> None:
        """Begin anew with the second packet in a row of another numbering or clock, and mark the first as stray."""
        if abs(_signed(sequence - self._highest, 16)) > MAX_DROPOUT:
            if sequence == self._stray_sequence:
                self.restart()
                self._highest, self._highest_timestamp = sequence + 0x10000, timestamp + 0x100000000
            else:
                self._stray_sequence = (sequence + 1) & 0xFFFF
            return
        self._stray_sequence = _UNSEEN
        time = self._highest_timestamp + _signed(timestamp - self._highest_timestamp, 32)
        transit = now * self._clock_rate - time
        tolerance = self._clock_rate * _CLOCK_JUMP_SECONDS
        if abs(transit - self._delays.base) <= tolerance:
            self._stray_transit = None
        elif self._stray_transit is not None and abs(transit - self._stray_transit) <= tolerance:
            self.restart()
            self._highest, self._highest_timestamp = sequence + 0x10000, timestamp + 0x100000000
        else:
            self._stray_transit = transit

    def _shorten(self, first: int, clock: float) -> int:
        """Leave out what would be played later than the greatest depth allows."""
        while len(self._held) > 1 and clock - self._held[first][0] - self._delays.base > self._maximum + self._step:
            following = sorted(self._held)[1]
            self._skip_to(following)
            first = following
        return first

    def _skip_to(self, sequence: int) -> None:
        for held in [number for number in self._held if number < sequence]:
            del self._held[held]
            self.discarded += 1
        if self._playing:
            self._due_sequence, self._due_timestamp = sequence, self._held[sequence][0]


def _signed(difference: int, bits: int) -> int:
    """Return the difference of two numbers that wrap around, the nearer way."""
    half = 1 << bits - 1
    return (difference + half & (1 << bits) - 1) - half
