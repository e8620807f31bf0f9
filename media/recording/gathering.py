"""Packets of one speaker in the audio path, on their way to the process that writes recordings."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from media.rtp.stream import Format

_FIRST_ROOM = 64


class Columns(msgspec.Struct, frozen=True, array_like=True):
    """Packets as arrays of this machine's integers and floats, column by column, and their payloads end to end.

    Sequence numbers and sizes are of type "H" of `array`, timestamps "I", arrivals "d".
    """

    sequences: bytes
    timestamps: bytes
    sizes: bytes
    arrivals: bytes
    payloads: bytes


class Gathering:
    """Packets of one coding and source, taken at little more cost than that of copying them.

    They are copied into arrays that have room for more than the `count` that are there: objects for each would be
    strewn over the memory by the time they are wanted.
    """

    __slots__ = ("_arrivals", "_payloads", "_room", "_sequences", "_sizes", "_timestamps", "coding", "count", "source")

    def __init__(self, coding: Format | None, source: object) -> None:
        self.coding = coding
        self.source = source
        self.count = 0
        self._payloads = bytearray()
        self._room = _FIRST_ROOM
        self._sequences, self._sizes = array("H", bytes(2 * self._room)), array("H", bytes(2 * self._room))
        self._timestamps = array("I", bytes(4 * self._room))
        self._arrivals = array("d", bytes(8 * self._room))

    def add(self, sequence: int, timestamp: int, payload: bytes, arrived: float) -> None:
        """Take a packet."""
        place = self.count
        if place == self._room:
            self._double_room()
        self._sequences[place] = sequence
        self._timestamps[place] = timestamp
        self._sizes[place] = len(payload)
        self._arrivals[place] = arrived
        self._payloads += payload
        self.count = place + 1

    @property
    def octets(self) -> int:
        """Octets of all payloads."""
        return len(self._payloads)

    def columns(self) -> Columns:
        """Return what came, in the order in which it did."""
        count = self.count
        return Columns(
            bytes(self._sequences[:count]),
            bytes(self._timestamps[:count]),
            bytes(self._sizes[:count]),
            bytes(self._arrivals[:count]),
            bytes(self._payloads),
        )

    def _double_room(self) -> None:
        self._room *= 2
        self._sequences = array("H", bytes(self._sequences) * 2)
        self._timestamps = array("I", bytes(self._timestamps) * 2)
        self._sizes = array("H", bytes(self._sizes) * 2)
        self._arrivals = array("d", bytes(self._arrivals) * 2)
