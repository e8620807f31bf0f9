"""Once a second each leg in its turn: how it fares, its RTCP, whether anything comes, and what it has counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from media.worker.session import TOTALS, Session

_PAUSE_SECONDS: Final = 0.002
_AT_ONCE: Final = 2
_STEPS: Final = 400  # a round takes 0.8 s at most


class Tally(NamedTuple):
    """The legs towards peers, those to which something is played, and those that hear a mix."""

    legs: int = 0
    playing: int = 0
    mixed: int = 0


class Rounds:
    """Goes round the legs, a few at a time: packets do not wait for many.

    `sessions` are those of the worker; numbers below zero stand for legs of other workers, and are not counted.
    `totals` are of all legs there have been, in the order of TOTALS; `tally` is of the last round.
    """

    def __init__(
        self, sessions: Mapping[int, Session], call_later: Callable[..., object], clock: Callable[[], float]
    ) -> None:
        self.totals = [0] * len(TOTALS)
        self.tally = Tally()
        self.timeouts = 0
        self._sessions = sessions
        self._rtp_timeout = 0.0
        self._call_later = call_later
        self._clock = clock
        self._remaining: list[tuple[int, Session]] = []
        self._found = [0, 0, 0]

    def begin(self, rtp_timeout: float, done: Callable[[], None]) -> None:
        """Go round once, then call `done`; nothing if the round before is not over yet.

        After `rtp_timeout` seconds without a packet that is told (0: never).
        """
        if not self._remaining:
            self._rtp_timeout = rtp_timeout
            self._remaining = list(self._sessions.items())
            self._found = [0, 0, 0]
            self._go_on(done, max(_AT_ONCE, -(-len(self._remaining) // _STEPS)))

    def count(self, session: Session) -> None:
        """Add what a leg has counted since it was asked last."""
        for place, risen in enumerate(session.count()):
            if risen:
                self.totals[place] += risen

    def count_all(self) -> None:
        """See how all legs stand now."""
        self._found = [0, 0, 0]
        for number, session in self._sessions.items():
            if number > 0:
                self._count_in(session)
        self.tally = Tally(*self._found)

    def _go_on(self, done: Callable[[], None], at_once: int) -> None:
        now = self._clock()
        few = self._remaining[-at_once:]
        del self._remaining[-at_once:]
        try:
            for number, session in few:
                if self._sessions.get(number) is session:  # it has not left meanwhile
                    session.look(now)
                    if number > 0:
                        self._see_to(session)
                        self._count_in(session)
        finally:  # who fails does not keep the others from it
            if self._remaining:
                self._call_later(_PAUSE_SECONDS, self._go_on, done, at_once)
            else:
                self.tally = Tally(*self._found)
                done()

    def _see_to(self, session: Session) -> None:
        """Tell of a leg that hears nothing, and seek its peer elsewhere."""
        if session.closed:
            return
        session.seek_peer()
        if self._rtp_timeout:
            self.timeouts += session.check_timeout(self._rtp_timeout)

    def _count_in(self, session: Session) -> None:
        self.count(session)
        self._found[0] += 1
        self._found[1] += session.player.playing
        self._found[2] += session.room is not None and session.room.mixes_for(session)
