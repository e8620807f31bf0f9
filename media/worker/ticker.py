"""One 20 ms clock for everything that plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

TICK_SECONDS: Final = 0.020
MAX_CATCH_UP: Final = 5


class Ticking(Protocol):
    """Something that plays."""

    def tick(self, now: float) -> None:
        """Give out the next frame; `now` is in seconds."""


class _Handle(Protocol):
    def cancel(self) -> None: ...


class Ticker:
    """Calls `tick` of every member each 20 ms without drifting, and sleeps while there is none.

    `call_at` and `time` are those of an event loop, `clock` is what the members go by. After a stall up to
    five frames are caught up at once; more than that is given up and the clock starts anew.
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
        self._due = 0.0
        self._timer: _Handle | None = None

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: Ticking) -> None:
        """Begin ticking the member; the first one at once."""
        self._members[member] = None
        if self._timer is None:
            self._due = self._time()
            self._timer = self._call_at(self._due, self._run)

    def discard(self, member: Ticking) -> None:
        """Stop ticking the member, if it is one."""
        self._members.pop(member, None)

    def _run(self) -> None:
        now = self._time()
        clock = self._clock()
        missed = 0
        while True:
            for member in list(self._members):
                if member in self._members:
                    member.tick(clock)
            self._due += TICK_SECONDS
            missed += 1
            if self._due > now:
                break
            if missed == MAX_CATCH_UP:
                self._due = now + TICK_SECONDS
                break
        self._timer = self._call_at(self._due, self._run) if self._members else None
