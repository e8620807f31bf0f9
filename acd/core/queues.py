"""Queues, the callers in them, and the one ordered collection the distributor is made of."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Generic, TypeVar

from acd.core.events import LeftCause
from acd.core.profiles import QueueProfile as QueueProfile  # noqa: PLC0414

if TYPE_CHECKING:
    from collections.abc import Iterator

    from acd.core.agents import Agent

T = TypeVar("T")


class Line(Generic[T]):
    """Members in the order of a number, then of a sequence number that is unique among them.

    Finding a place takes O(log n) comparisons. Making or closing the gap is one memmove of 8 bytes per member
    behind it, for ten thousand members still cheaper than a tree written in Python.
    """

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, T]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[T]:
        return (member for _, _, member in self._entries)

    def add(self, order: float, seq: int, member: T) -> None:
        """Put `member` in its place."""
        insort(self._entries, (order, seq, member))

    def remove(self, order: float, seq: int) -> None:
        """Take out the member that was added under this order. Raises KeyError if there is none."""
        index = bisect_left(self._entries, (order, seq))
        if index == len(self._entries) or self._entries[index][:2] != (order, seq):
            raise KeyError((order, seq))
        del self._entries[index]

    def first(self) -> tuple[float, int, T] | None:
        """The foremost (order, seq, member), or None if the line is empty."""
        return self._entries[0] if self._entries else None

    def ahead(self, order: float, seq: int) -> int:
        """How many members stand before this place."""
        return bisect_left(self._entries, (order, seq))


class Caller:
    """One call from its arrival in a queue to its end.

    `agent` is the one he is offered to or talks with; `epoch` is that offer's number, 0 without one.
    """

    __slots__ = ("agent", "arrived_at", "connected_at", "epoch", "id", "order", "queue", "seq")

    def __init__(self, call_id: str, queue: Queue, priority: int, seq: int, now: float) -> None:
        self.id = call_id
        self.queue = queue
        self.order = -priority
        self.seq = seq
        self.arrived_at = self.connected_at = now
        self.agent: Agent | None = None
        self.epoch = 0


class Queue:
    """One queue: its line of callers, its idle agents, its counters.

    `callers` are all who wait for an answer, `unoffered` those of them whom no phone rings for, `idle` the agents
    who can be offered a caller now. Between two events `unoffered` or `idle` is empty.
    The counters obey offered = answered + len(callers) + the sum of `left`.
    """

    __slots__ = (
        "answered",
        "answered_in_time",
        "callers",
        "idle",
        "left",
        "logged_in",
        "offered",
        "profile",
        "unoffered",
    )

    def __init__(self, profile: QueueProfile) -> None:
        self.profile = profile
        self.callers: Line[Caller] = Line()
        self.unoffered: Line[Caller] = Line()
        self.idle: Line[Agent] = Line()
        self.logged_in = 0
        self.offered = 0
        self.answered = 0
        self.answered_in_time = 0
        self.left = dict.fromkeys(LeftCause, 0)

    def count_answer(self, waited_seconds: float) -> None:
        """Count a caller answered after `waited_seconds`."""
        self.answered += 1
        if waited_seconds <= self.profile.service_level_seconds:
            self.answered_in_time += 1

    @property
    def service_level(self) -> float | None:
        """Callers answered within T / callers offered; None before the first caller."""
        return self.answered_in_time / self.offered if self.offered else None
