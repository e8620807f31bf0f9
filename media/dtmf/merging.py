"""One press, told in several ways: as telephone-event, by a tone, by SIP INFO."""

from __future__ import annotations

from collections import deque
from typing import Final

SAME_SECONDS: Final = 2.0
"""For how long another way may tell of a press that was told already: INFO often waits for the key's release."""
_MOST_TOLD: Final = 32


class _Told:
    __slots__ = ("at", "digit", "ways")

    def __init__(self, digit: str, way: str, at: float) -> None:
        self.digit = digit
        self.ways = {way}
        self.at = at


class Merging:
    """Counts each press once.

    The same way telling again means another press; another way, the oldest press that it has not told of yet.
    """

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: deque[_Told] = deque(maxlen=_MOST_TOLD)

    def is_new(self, digit: str, way: str, now: float) -> bool:
        """Take that a press was told; False when it is one that was told in another way. `now` is in seconds."""
        told = self._told
        while told and now - told[0].at > SAME_SECONDS:
            told.popleft()
        for press in told:
            if press.digit == digit and way not in press.ways:
                press.ways.add(way)
                return False
        told.append(_Told(digit, way, now))
        return True
