"""Whose connection goes when there are too many, and which nobody needs, without I/O.

Who connects is a *stranger*, whatever he says and however often, until the node knows him: somebody registered over the
connection, something that came by it was let in, or his host is trusted. A stranger has a time to become known, and a
source has so many strangers. When there is no room at all, the source with the most of them loses the one that came
first; after that, what has been idle longest of those whom nobody needs any more. A connection that somebody is
registered by never goes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Container
from math import inf
from typing import Final, Protocol

from ims_core.flow import Flow, source_of

FULL: Final = "full"
"""It was not taken: there are as many connections as there may be, and all are needed."""
SOURCE: Final = "source"
"""It was not taken: its source has as many strangers as it may have, none of which has had its time yet."""
DISPLACED: Final = "displaced"
"""It was closed to make room for another."""
STRANGER: Final = "stranger"
"""It was closed because nobody came to know who it is."""
TURNED_AWAY: Final = (FULL, SOURCE, DISPLACED, STRANGER)

PATIENCE = 5.0  # seconds in which who means well has said who he is: among equals nobody goes before
SEARCH_SECONDS = 0.1  # between two searches among those who are known
NOBODY: Final[OrderedDict[int, None]] = OrderedDict()


class NoRoom(Exception):
    """A connection is not taken; ``reason`` is ``FULL`` or ``SOURCE``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Acquaintances(Protocol):
    """What the node tells about connections."""

    def knows(self, flow: Flow) -> bool:
        """Whether ``flow`` is no stranger's."""

    def needs(self, flow: Flow) -> bool:
        """Whether ``flow`` must stay: somebody is registered by it, or its host is trusted."""

    def busy(self) -> Container[int]:
        """Return the numbers of the connections that calls under way go by."""


class Visitors:
    """The connections that peers opened. ``source`` is how many strangers a source may have, ``seconds`` how long.

    Of both 0 means that there is no such limit.
    """

    def __init__(self, node: Acquaintances, *, source: int, seconds: float) -> None:
        self._node = node
        self._most = source
        self._seconds = seconds
        self._strangers: OrderedDict[int, tuple[Flow, float]] = OrderedDict()
        self._by_source: dict[str, OrderedDict[int, None]] = {}
        self._known: OrderedDict[int, Flow] = OrderedDict()
        self._searched = -inf

    def arrive(self, flow: Flow, now: float, *, is_full: bool) -> Flow | None:
        """Take a connection in, and return the one that goes for it, if one must. Raises ``NoRoom``."""
        is_known = self._node.knows(flow)
        source = "" if is_known else source_of(flow.remote[0])
        gone = None
        held = self._by_source.get(source, NOBODY)
        if 0 < self._most <= len(held):
            gone = self._first(held, came_by=now - PATIENCE)
            if gone is None:
                raise NoRoom(SOURCE)
        elif is_full:
            gone = self.give_way(now, source)
            if gone is None:
                raise NoRoom(FULL)
        if is_known:
            self._known[flow.connection] = flow
        else:
            self._strangers[flow.connection] = flow, now
            self._by_source.setdefault(source, OrderedDict())[flow.connection] = None
        return gone

    def give_way(self, now: float, source: str = "") -> Flow | None:
        """Return the connection that is needed least, and forget it; None when all are needed.

        ``source`` is that of the stranger for whom, empty when it is for somebody else. Another source with more
        strangers, by two at least, loses one even if that has just come.
        """
        ours = self._by_source.get(source, NOBODY)
        theirs = max(self._by_source.values(), key=len, default=ours)
        if len(theirs) > len(ours) + 1:
            first = self._first(theirs, came_by=inf)
        else:
            first = self._first(ours or theirs, came_by=now - PATIENCE)
        return first or self._idlest(now)

    def heard(self, flow: Flow) -> None:
        """Take note that a message came, which its sender may be known by now."""
        number = flow.connection
        if number in self._known:
            self._known.move_to_end(number)
        elif number in self._strangers and self._node.knows(flow):
            self.welcome(flow)

    def welcome(self, flow: Flow) -> None:
        """Know a connection from now on."""
        self.leave(flow)
        self._known[flow.connection] = flow

    def leave(self, flow: Flow) -> None:
        """Forget a connection."""
        self._known.pop(flow.connection, None)
        if self._strangers.pop(flow.connection, None) is not None:
            source = source_of(flow.remote[0])
            del self._by_source[source][flow.connection]
            if not self._by_source[source]:
                del self._by_source[source]

    def next_deadline(self) -> float | None:
        """Return when the next stranger has been here long enough."""
        if not self._strangers or not self._seconds:
            return None
        return next(iter(self._strangers.values()))[1] + self._seconds

    def overstayed(self, now: float) -> list[Flow]:
        """Return the connections of those who have been strangers for too long, and forget them."""
        gone = []
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            flow, _ = next(iter(self._strangers.values()))
            if self._node.knows(flow):
                self.welcome(flow)
            else:
                self.leave(flow)
                gone.append(flow)
        return gone

    def _first(self, strangers: Collection[int], *, came_by: float) -> Flow | None:
        """Return, and forget, who came first of ``strangers``, if that was not after ``came_by``."""
        while strangers:
            flow, came = self._strangers[next(iter(strangers))]
            if self._node.knows(flow):
                self.welcome(flow)
            elif came > came_by:
                return None
            else:
                self.leave(flow)
                return flow
        return None

    def _idlest(self, now: float) -> Flow | None:
        """Return, and forget, the connection heard least lately of those that are known and not needed.

        It is one of the source that has most of them. All are looked at for it, so that is not done all the time.
        """
        if now < self._searched + SEARCH_SECONDS or not self._known:
            return None
        self._searched = now
        busy, node = self._node.busy(), self._node
        idle = [flow for number, flow in self._known.items() if number not in busy and not node.needs(flow)]
        held = Counter(source_of(flow.remote[0]) for flow in idle)
        found = max(idle, key=lambda flow: held[source_of(flow.remote[0])], default=None)
        if found is not None:
            self.leave(found)
        return found
