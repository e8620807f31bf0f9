"""What presses keys for a peer: one press after the other, each as long as it is to last, with pauses between."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

TICK_MS: Final = 20
SHORTEST_MS: Final = 50
"""What every receiver must hear, and more (ITU-T Q.24: 40 ms)."""
LONGEST_MS: Final = 60_000
PAUSE_MS: Final = 80
COPIES: Final = 3
"""Of an event's last packet (RFC 4733 2.5.1.4)."""
MOST_WAITING: Final = 64
_LOST_MS: Final = 160


class Press:
    """One press of the key with this event number; `known_ms` is how long it has lasted as far as that is known.

    Somebody who holds the key himself tells how that goes on with `update`, until it has ended.
    """

    __slots__ = ("ended", "event", "known_ms")

    def __init__(self, event: int, ms: float = 0.0, *, ended: bool) -> None:
        self.event = event
        self.known_ms = ms
        self.ended = ended

    def update(self, ms: float, *, ended: bool = False) -> None:
        """The key has been held for so long."""
        self.known_ms = max(self.known_ms, ms)
        self.ended = self.ended or ended

    def lasts_ms(self, elapsed_ms: float) -> float | None:
        """Return how long the press lasts, None while that is open. Who was not heard of for a while has let go."""
        if self.ended or elapsed_ms - self.known_ms > _LOST_MS:
            return min(max(self.known_ms, SHORTEST_MS), LONGEST_MS)
        return LONGEST_MS if elapsed_ms >= LONGEST_MS else None


class Step(NamedTuple):
    """What is to be said of a press in a tick: it has lasted for `lasted_ms`.

    `copy` is 0 while it lasts, 1 when it has ended, and above that the same again (`COPIES` times in all).
    """

    press: Press
    lasted_ms: float
    began: bool
    copy: int


class Keypad:
    """The presses for one peer. `tick` is to be called each 20 ms while it is `busy`.

    `refused` counts presses that were too many.
    """

    __slots__ = ("_copies", "_elapsed_ms", "_press", "_rest_ms", "_waiting", "refused")

    def __init__(self) -> None:
        self.refused = 0
        self._waiting: deque[Press] = deque()
        self._press: Press | None = None
        self._elapsed_ms = 0.0
        self._copies = 0
        self._rest_ms = 0.0

    @property
    def busy(self) -> bool:
        """Whether there is a press under way or to come, or the pause after one."""
        return self._press is not None or bool(self._waiting) or self._rest_ms > 0

    def add(self, press: Press) -> None:
        """Press the key when those before are done with."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(press)
        else:
            self.refused += 1

    def clear(self) -> None:
        """Press nothing more; what is under way ends."""
        self._waiting.clear()
        if self._press is not None:
            self._press.ended = True

    def tick(self) -> Step | None:
        """Go on by 20 ms; None in a pause."""
        press = self._press
        if press is None:
            if self._rest_ms > 0:
                self._rest_ms -= TICK_MS
                return None
            if not self._waiting:
                return None
            press = self._press = self._waiting.popleft()
            self._elapsed_ms, self._copies = 0.0, 0
        began = self._elapsed_ms == 0
        if not self._copies:
            self._elapsed_ms += TICK_MS
            lasts_ms = press.lasts_ms(self._elapsed_ms)
            if lasts_ms is None or lasts_ms > self._elapsed_ms:
                return Step(press, self._elapsed_ms, began, 0)
            self._elapsed_ms = lasts_ms
        self._copies += 1
        if self._copies == COPIES:
            self._press = None
            self._rest_ms = PAUSE_MS - (COPIES - 1) * TICK_MS
        return Step(press, self._elapsed_ms, began, self._copies)
