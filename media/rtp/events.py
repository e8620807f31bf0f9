"""Telephone-events (RFC 4733): many packets, one press of a key; read, and written for the clock of any stream."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final, NamedTuple

DIGITS: Final = "0123456789*#ABCD"
"""The key of each event number that is one (3.2)."""
VOLUME: Final = 10
"""Of the tones that an event stands for: -10 dBm0."""
_EVENT_SIZE: Final = 4
_END: Final = 0x80
_VOLUME_BITS: Final = 0x3F
_LONGEST_SEGMENT: Final = 0xFFFF
_NEWEST: Final = 0x80000000
# Of two timestamps, the lower belongs to a late packet; one that is lower by more, to a peer that counts anew.
_LATEST: Final = 4 * _LONGEST_SEGMENT


@functools.lru_cache(maxsize=256)
def lists(parameters: str, event: int) -> bool:
    """Tell whether a receiver whose a=fmtp says this takes the event: "0-15,66" for example, 0-15 unless it says so.

    What is not in a receiver's list is not to be sent to it (2.4.1).
    """
    for item in (parameters or "0-15").split(","):
        first, _, last = item.strip().partition("-")
        if first.isdecimal() and (last or first).isdecimal() and int(first) <= event <= int(last or first):
            return True
    return False


class Progress(NamedTuple):
    """What a packet tells of an event: whether it `began` with this packet, and how long it has lasted since.

    `duration` is in units of the event's clock, over all segments. `ended` is told by each copy of the last packet.
    """

    event: int
    volume: int
    duration: int
    began: bool
    ended: bool


class EventReceiver:
    """Follows the events of one source and one clock, and tells of each one once that it began.

    That is at the first packet of it that arrives, whichever it is. An event is named by its code and its RTP
    timestamp, which all its packets share (2.5.1.2), so that lost first packets and the three copies of the last one
    change nothing.
    """

    __slots__ = ("_duration", "_ended", "_event", "_passed", "_timestamp")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the last event: the source is a new one."""
        self._timestamp = -1
        self._event = -1
        self._duration = 0
        self._passed = 0  # in earlier segments
        self._ended = True

    def receive(self, payload: bytes, timestamp: int, *, marker: bool) -> Progress | None:
        """Take one packet's payload; None when it is no event, or a late packet of an event before the last one."""
        if len(payload) < _EVENT_SIZE:
            return None
        event = payload[0]
        ended = bool(payload[1] & _END)
        duration = int.from_bytes(payload[2:4], "big")
        step = (timestamp - self._timestamp) & 0xFFFFFFFF if self._timestamp >= 0 else 0
        if self._timestamp >= 0 and step >= _NEWEST and 0x100000000 - step <= _LATEST:
            return None
        continues = self._timestamp >= 0 and event == self._event and self._continues(step, duration, marker=marker)
        if continues:
            is_next_segment = step > 0 and step % _LONGEST_SEGMENT == 0
            self._passed += step if is_next_segment else 0
            self._duration = duration if is_next_segment else max(duration, self._duration)
            self._ended = self._ended or ended
        else:
            self._event, self._duration, self._passed, self._ended = event, duration, 0, ended
        self._timestamp = timestamp
        return Progress(event, payload[1] & _VOLUME_BITS, self._passed + self._duration, not continues, self._ended)

    def _continues(self, step: int, duration: int, *, marker: bool) -> bool:
        if step == 0:
            return True
        if marker:
            return False
        # Senders that advance the timestamp within an event: no press begins while the last one still lasted.
        if step < self._duration or (not self._ended and step == duration - self._duration):
            return True
        # 2.5.1.3: a long event goes on in a new segment, its timestamp advanced by the longest duration.
        return not self._ended and step % _LONGEST_SEGMENT == 0 and step <= _LATEST


class EventWriter:
    """Writes one event into a stream: payloads and timestamps at the stream's clock.

    The event begins at `timestamp`. What lasts longer than a packet can say is cut into segments (2.5.1.3).
    """

    __slots__ = ("_duration", "_head", "_segment", "_timestamp")

    def __init__(self, event: int, timestamp: int, volume: int = VOLUME) -> None:
        self._head = event << 8 | volume
        self._timestamp = timestamp
        self._segment = 0
        self._duration = 0

    def write(self, duration: int, *, ended: bool = False) -> Iterator[tuple[bytes, int, bool]]:
        """Yield payload, timestamp and marker of each packet that tells of this duration, which never decreases.

        There is one, but where a segment is full: "a packet with the maximum duration" closes it first.
        """
        began = self._duration == 0
        self._duration = duration = max(duration, self._duration)
        segment = max(0, duration - 1) // _LONGEST_SEGMENT
        while self._segment < segment:
            yield self._packet(_LONGEST_SEGMENT, 0), self._begin, began
            began = False
            self._segment += 1
        yield self._packet(duration - segment * _LONGEST_SEGMENT, _END if ended else 0), self._begin, began

    @property
    def _begin(self) -> int:
        return (self._timestamp + self._segment * _LONGEST_SEGMENT) & 0xFFFFFFFF

    def _packet(self, duration: int, end: int) -> bytes:
        return (self._head | end).to_bytes(2, "big") + duration.to_bytes(2, "big")
