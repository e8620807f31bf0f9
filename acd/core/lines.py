"""The ordered collections that the distributor is made of."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

K = TypeVar("K")
T = TypeVar("T")


class Line(Generic[K, T]):
    """Members in the order of a key, then of a sequence number that is unique among them.

    Finding a place takes O(log n) comparisons. Making or closing the gap is one memmove of 8 bytes per member
    behind it, for ten thousand members still cheaper than a tree written in Python.

    `entries` are (key, seq, member) in order, for others to read.
    """

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[tuple[K, int, T]] = []

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[T]:
        return (member for _, _, member in self.entries)

    def add(self, key: K, seq: int, member: T) -> None:
        """Put `member` in its place."""
        entries = self.entries
        entry = (key, seq, member)
        if not entries or entries[-1] < entry:  # who comes last mostly stands last
            entries.append(entry)
        else:
            insort(entries, entry)

    def remove(self, key: K, seq: int) -> None:
        """Take out the member that was added under this key. Raises KeyError if there is none."""
        entries = self.entries
        if entries and entries[0][1] == seq:  # who goes mostly stood first
            del entries[0]
            return
        index = bisect_left(entries, (key, seq))
        if index == len(entries) or entries[index][1] != seq or entries[index][0] != key:
            raise KeyError((key, seq))
        del entries[index]

    def first(self) -> tuple[K, int, T] | None:
        """The foremost (key, seq, member), or None if the line is empty."""
        return self.entries[0] if self.entries else None

    def foremost(self, count: int) -> list[tuple[K, int, T]]:
        """The first `count` entries, fewer if there are not so many."""
        return self.entries[:count]

    def ahead(self, key: K, seq: int) -> int:
        """How many members stand before this place."""
        return bisect_left(self.entries, (key, seq))


class StandsBy:
    """Who can stand by: `stint` is the number, never used twice, under which he does so now; 0: he does not."""

    __slots__ = ("seq", "stint")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.stint = 0


S = TypeVar("S", bound=StandsBy)
_SLACK = 16
_SWEPT = 6


class StandBy(Generic[K, S]):
    """Those who stand by, in the order of a key, then of their sequence numbers.

    Who takes a call leaves many such lines at once. So he is not searched for in each of them, but passed over, and let
    go of, where he would come up. `count` is how many are there; who has them leave counts them out. Where as many have
    gone as are there, each newcomer has a few places swept, one stretch of the line after the other.
    """

    __slots__ = ("_entries", "_swept", "count")

    def __init__(self) -> None:
        self._entries: list[tuple[K, int, int, S]] = []
        self._swept = 0
        self.count = 0

    def add(self, key: K, member: S) -> None:
        """Put `member` in his place."""
        entries = self._entries
        if len(entries) > 2 * self.count + _SLACK:
            self._sweep()
        entry = (key, member.seq, member.stint, member)
        if not entries or entries[-1] < entry:  # who comes last mostly stands last
            entries.append(entry)
        else:
            insort(entries, entry)
        self.count += 1

    def foremost(self, count: int) -> list[tuple[K, int, int, S]]:
        """The first `count` entries, (key, seq, stint, member), of those who are there; fewer if there are fewer."""
        entries = self._entries
        if not self.count:
            entries.clear()
            return []
        found: list[tuple[K, int, int, S]] = []
        seen = 0
        for entry in entries:
            seen += 1
            if entry[3].stint == entry[2]:
                found.append(entry)
                if len(found) == count:
                    break
        if seen > len(found):
            entries[:seen] = found
        return found

    def _sweep(self) -> None:
        entries = self._entries
        begin = self._swept if self._swept < len(entries) else 0
        passed = entries[begin : begin + _SWEPT]
        there = [entry for entry in passed if entry[3].stint == entry[2]]
        if len(there) < len(passed):
            entries[begin : begin + _SWEPT] = there
        self._swept = begin + len(there)


class Timed(Protocol):
    """What can have one deadline. Both are the agenda's; `due` is for others to read."""

    due: float | None
    entry: int


class Agenda:
    """What is due when; things due at the same time come up in the order they were set."""

    __slots__ = ("_entry", "_line")

    def __init__(self) -> None:
        self._line: Line[float, Timed] = Line()
        self._entry = 0

    @property
    def next(self) -> float | None:
        """When the next thing is due."""
        head = self._line.first()
        return head[0] if head else None

    def set(self, thing: Timed, due: float | None) -> None:
        """Give `thing` another deadline, or none."""
        if thing.due is not None:
            self._line.remove(thing.due, thing.entry)
        thing.due = due
        if due is not None:
            self._entry += 1
            thing.entry = self._entry
            self._line.add(due, self._entry, thing)

    def take(self, now: float) -> Timed | None:
        """Take out the next thing that was due by `now`."""
        head = self._line.first()
        if head is None or head[0] > now:
            return None
        self.set(head[2], None)
        return head[2]
