"""One 20 ms clock for everything that plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

TICK_SECONDS: Final = 0.020
TURN_SECONDS: Final = 0.001
MAX_CATCH_UP: Final = 5


class Ticking(Protocol):
    """Something that plays."""

    def tick(self, now: float) -> None:
        """Give out the next frame; `now` is in seconds."""


class _Handle(Protocol):
    def cancel(self) -> None: ...


class Ticker:
    """Calls `tick` of every member each 20 ms without drifting, and sleeps while there is none.

    `call_at` and `time` are those of an event loop, `clock` is what the members go by. Members that take longer than a
    millisecond together are ticked in several turns of the loop, so that what is relayed need not wait for all of them.
    After a stall up to five frames are caught up at once; more than that is given up and the clock starts anew.
    """

    def __init__(
        self,
        call_at: Callable[[float, Callable[[], None]], _Handle],
        time: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._call_at = call_at
        self._time = time
        self._clock = clock
        self._members: dict[Ticking, None] = {}
        self._turn: list[Ticking] = []  # those that are still to be ticked, the last one next
        self._now = 0.0
        self._due = 0.0
        self._missed = 0
        self._timer: _Handle | None = None

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: Ticking) -> None:
        """Begin ticking the member; the first one at once."""
        self._members[member] = None
        if self._timer is None:
            self._due = self._time()
            self._timer = self._call_at(self._due, self._begin)

    def discard(self, member: Ticking) -> None:
        """Stop ticking the member, if it is one."""
        self._members.pop(member, None)

    def _begin(self) -> None:
        self._missed = 0
        self._now = self._clock()
        self._turn = list(reversed(self._members))
        self._go_on()

    def _tick(self, member: Ticking) -> None:
        """Tick a member; one that fails is ticked no more, and does not keep the others from it."""
        try:
            member.tick(self._now)
        except BaseException:
            self.discard(member)
            self._timer = self._call_at(self._time(), self._go_on)
            raise

    def _go_on(self) -> None:
        began = self._clock()
        while True:
            while self._turn:
                member = self._turn.pop()
                if member in self._members:
                    self._tick(member)
                    if self._turn and self._clock() - began > TURN_SECONDS:
                        self._timer = self._call_at(self._time(), self._go_on)
                        return
            self._due += TICK_SECONDS
            self._missed += 1
            now = self._time()
            if self._due > now:
                break
            if self._missed == MAX_CATCH_UP:
                self._due = now + TICK_SECONDS
                break
            self._turn = list(reversed(self._members))
        self._timer = self._call_at(self._due, self._begin) if self._members else None
