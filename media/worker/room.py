"""Who hears whom: legs, and the gain at which each of them hears each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from media.worker.outgoing import Outgoing
    from media.worker.session import Session

Gains = Mapping[tuple["Session", "Session"], float]
"""The gain from a speaker (first) to a hearer (second); who is not in it is not heard."""


class Room:
    """Legs connected by a matrix of gains: a bridge has two ones, an echo is a leg that hears itself.

    A hearer with exactly one audible speaker, at gain 1 and of the same bitstream, is relayed to packet by packet.
    Whatever changes that (the matrix, volume, SDP, what plays, the codec that a speaker changes to) calls `plan`.
    """

    __slots__ = ("_gains", "_members")

    def __init__(self) -> None:
        self._members: tuple[Session, ...] = ()
        self._gains: Gains = {}

    def connect(self, gains: Gains) -> None:
        """Connect these legs exactly so: each leaves the room it was in, and who is not named leaves this one."""
        members = dict.fromkeys(leg for pair in gains for leg in pair)
        for leg in self._members:
            if leg not in members:
                leg.room = None
                leg.route((), ())
        for leg in members:
            if leg.room is not self:
                leg.leave()
                leg.room = self
        self._members = tuple(members)
        self._gains = dict(gains)
        self.plan()

    def leave(self, leg: Session) -> None:
        """Take one leg out; the others stay as they are."""
        self.connect({pair: gain for pair, gain in self._gains.items() if leg not in pair})

    def dissolve(self) -> None:
        """Part all legs."""
        self.connect({})

    def plan(self) -> None:
        """Find anew how each leg's packets reach those who hear it."""
        heard: dict[Session, list[Outgoing]] = {leg: [] for leg in self._members}
        for hearer in self._members:
            if hearer.listens:
                for speaker in self._members:
                    if self._gains.get((speaker, hearer), 0.0) > 0 and speaker.stream.receives:
                        heard[speaker].append(hearer.outgoing)
        for leg in self._members:
            leg.route(tuple(heard[leg]), tuple(heard[leg]))
