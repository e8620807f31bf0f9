"""Legs of different workers that hear each other: RTP between the workers, and at each end a leg for the far one.

What an end sends is what that peer is sent, so that in its own worker it is relayed as it is, and what has to be
converted is converted where it comes from. Ends have negative numbers; workers count nothing of them as a leg's.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from media.rtp.stream import Stream
from media.worker import control

if TYPE_CHECKING:
    from media.builtin.leg import WorkerLeg


class End(NamedTuple):
    """One end of a cord: a number in the worker of the leg that hears it, and a port."""

    number: int
    port: int


class Cord:
    """Carries what two legs say to each other. Raises MediaUnavailable when a worker has no port at hand."""

    def __init__(self, one: WorkerLeg, other: WorkerLeg) -> None:
        self.legs = one, other
        self._host = _reachable(one.worker.settings.bind)
        ends: list[End] = []
        try:
            ends.extend(End(*leg.worker.lend()) for leg in self.legs)
        except BaseException:
            for leg, end in zip(self.legs, ends, strict=False):
                leg.worker.take_back(end.port)
            raise
        self._ends = dict(zip(self.legs, ends, strict=True))
        for leg, end in self._ends.items():
            leg.worker.send(control.Open(end.number, end.port, self._stream(leg)))
            leg.cords[self.far(leg)] = self

    def far(self, leg: WorkerLeg) -> WorkerLeg:
        """Return the leg at the other end."""
        return self.legs[leg is self.legs[0]]

    def number(self, leg: WorkerLeg) -> int:
        """Return the number that, in the worker of `leg`, stands for the other leg."""
        return self._ends[leg].number

    def configure(self) -> None:
        """Follow what was agreed with the peers."""
        for leg, end in self._ends.items():
            leg.worker.send(control.Configure(end.number, self._stream(leg)))

    def close(self) -> None:
        """Take both ends away."""
        for leg, end in self._ends.items():
            if leg.cords.pop(self.far(leg), None) is not None:
                leg.worker.send(control.Close(end.number))

    def _stream(self, leg: WorkerLeg) -> Stream:
        """Return what the end beside `leg` sends and receives."""
        near, far = leg.negotiation.stream, self.far(leg).negotiation.stream
        coming = (near.send, *((near.send_events,) if near.send_events else ()))
        return Stream(
            self._host,
            self._ends[self.far(leg)].port,
            far.send,
            {each.payload: each for each in coming},
            far.send_events,
        )


def _reachable(bind: str) -> str:
    """Return an address at which what is bound there is reached from the same host."""
    address = ipaddress.ip_address(bind)
    if not address.is_unspecified:
        return bind
    return "127.0.0.1" if address.version == 4 else "::1"
