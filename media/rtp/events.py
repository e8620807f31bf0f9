"""Digits carried as telephone-events (RFC 4733): many packets, one key press."""

from __future__ import annotations

from typing import Final

DIGITS: Final = "0123456789*#ABCD"
_EVENT_SIZE: Final = 4
_LONGEST_SEGMENT: Final = 0xFFFF
_BACKWARD: Final = 0x80000000


class DigitReceiver:
    """Reports each key press once, at the first packet of it that arrives, whichever that is.

    An event is named by its code and its RTP timestamp, which all its packets share (2.5.1.2), so that lost first
    packets and the three copies of the last one change nothing.
    """

    __slots__ = ("_duration", "_ended", "_event", "_timestamp")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the last event: the source is a new one."""
        self._timestamp = -1
        self._event = -1
        self._duration = 0
        self._ended = True

    def receive(self, payload: bytes, timestamp: int, *, marker: bool) -> str | None:
        """Take one packet's payload; returns the digit if a press begins with it, else None."""
        if len(payload) < _EVENT_SIZE:
            return None
        event = payload[0]
        ended = bool(payload[1] & 0x80)
        duration = int.from_bytes(payload[2:4], "big")
        step = (timestamp - self._timestamp) & 0xFFFFFFFF if self._timestamp >= 0 else 0
        if self._timestamp >= 0 and step >= _BACKWARD:
            return None
        if event == self._event and self._continues(step, duration, marker=marker):
            self._duration = duration if step == _LONGEST_SEGMENT else max(duration, self._duration)
            self._ended = self._ended or ended
            self._timestamp = timestamp
            return None
        self._timestamp, self._event, self._duration, self._ended = timestamp, event, duration, ended
        return DIGITS[event] if event < len(DIGITS) else None

    def _continues(self, step: int, duration: int, *, marker: bool) -> bool:
        if step == 0:
            return True
        if marker:
            return False
        # Senders that advance the timestamp within an event: no press begins while the last one still lasted.
        if step < self._duration or (not self._ended and step == duration - self._duration):
            return True
        # 2.5.1.3: a long event goes on in a new segment, its timestamp advanced by the longest duration.
        return not self._ended and step == _LONGEST_SEGMENT == self._duration
