"""Deadlines without a clock: one queue for each length of time.

All timers of one length run out in the order in which they were started, so that a first-in-first-out queue for
each length replaces a heap: starting and running out cost the same however many are pending. SIP has few lengths
(T1 doubled up to T2, T4, 64·T1); a small heap knows which of their queues is next. Timers are not stopped: whoever is
told of one that no longer concerns its state ignores it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush, heapreplace
from itertools import count
from typing import Any, Protocol


class Timed(Protocol):
    """Whatever a timer may be started for."""

    def fire(self, event: str) -> None:
        """Take note that the timer ``event`` has run out."""


class TimerQueue:
    """Pending deadlines, each with whom to tell of what when it has passed. Times are in seconds."""

    def __init__(self) -> None:
        # by length: deadline, who, event, deadline, who, and so on; a tuple for each would be most of their memory
        self._queues: dict[float, deque[Any]] = {}
        self._heads: list[tuple[float, int, float]] = []  # of each queue: its first deadline, number, length
        self._numbers = count()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values())) // 3

    def start(self, delay: float, timed: Timed, event: str, now: float) -> None:
        """Hand both back ``delay`` seconds after ``now``; calls must come in order of ``now``."""
        deadline = now + delay
        queue = self._queues.get(delay)
        if queue is not None:  # somebody waits in it, and for an earlier deadline
            queue.extend((deadline, timed, event))
            return
        self._queues[delay] = deque((deadline, timed, event))
        heappush(self._heads, (deadline, next(self._numbers), delay))

    def next_deadline(self) -> float | None:
        """Return when the next timer runs out; None when none is pending."""
        return self._heads[0][0] if self._heads else None

    def pop_due(self, now: float) -> Iterator[tuple[Timed, str]]:
        """Yield those whose time has come, earliest first. New timers may be started meanwhile."""
        heads = self._heads
        while heads and heads[0][0] <= now:
            _, number, delay = heads[0]
            queue = self._queues[delay]
            queue.popleft()
            timed, event = queue.popleft(), queue.popleft()
            if queue:
                heapreplace(heads, (queue[0], number, delay))
            else:
                del self._queues[delay]
                heappop(heads)
            yield timed, event
