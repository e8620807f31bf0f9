"""Deadlines without a clock: one queue for each length of time.

All timers of one length run out in the order in which they were started, so that a first-in-first-out queue for
each length replaces a heap: starting and running out cost the same however many are pending. SIP has few lengths
(T1 doubled up to T2, T4, 64·T1). Timers are not stopped: whoever is told of one that no longer concerns its
state ignores it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")


class Timed(Protocol):
    """Whatever a timer may be started for."""

    def fire(self, event: str) -> None:
        """Take note that the timer ``event`` has run out."""


class TimerQueue(Generic[Item]):
    """Pending deadlines, each with the item to hand back when it has passed. Times are in seconds."""

    def __init__(self) -> None:
        self._queues: dict[float, deque[tuple[float, Item]]] = {}
        self._next: float | None = None

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def start(self, delay: float, item: Item, now: float) -> None:
        """Hand ``item`` back ``delay`` seconds after ``now``; calls must come in order of ``now``."""
        deadline = now + delay
        queue = self._queues.get(delay)
        if queue is not None:  # somebody waits in it, and for an earlier deadline
            queue.append((deadline, item))
            return
        self._queues[delay] = deque(((deadline, item),))
        if self._next is None or deadline < self._next:
            self._next = deadline

    def next_deadline(self) -> float | None:
        """Return when the next timer runs out; None when none is pending."""
        return self._next

    def pop_due(self, now: float) -> Iterator[Item]:
        """Yield the items whose time has come, earliest first. New timers may be started meanwhile."""
        while self._next is not None and self._next <= now:
            delay = min(self._queues, key=lambda length: self._queues[length][0][0])
            queue = self._queues[delay]
            _, item = queue.popleft()
            if not queue:
                del self._queues[delay]
            self._next = min((pending[0][0] for pending in self._queues.values()), default=None)
            yield item
