"""Packets of one speaker where a recording is written."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, pairwise
from operator import add, itemgetter
from typing import TYPE_CHECKING, Final

from media.recording.packet import Packet

if TYPE_CHECKING:
    from media.recording.gathering import Columns
    from media.rtp.stream import Format

MOST_JOINED: Final = 25
"""Packets that are put together: enough to cost little each, few enough to follow the sender's clock."""
_MOST_COMPARED: Final = 1024
_FOLLOWING: Final = array("H", [number & 0xFFFF for number in range(0x10000 + _MOST_COMPARED)])


class Stretch:
    """Packets of one coding and source, column by column, in the order in which they came."""

    __slots__ = ("arrivals", "coding", "payloads", "sequences", "sizes", "source", "timestamps")

    def __init__(self, coding: Format, source: object) -> None:
        self.coding = coding
        self.source = source
        self.sequences, self.sizes = array("H"), array("H")
        self.timestamps = array("I")
        self.arrivals = array("d")
        self.payloads = b""

    @classmethod
    def of(cls, coding: Format, source: object, columns: Columns) -> Stretch:
        """Return what was gathered in the audio path."""
        stretch = cls(coding, source)
        stretch.sequences.frombytes(columns.sequences)
        stretch.timestamps.frombytes(columns.timestamps)
        stretch.sizes.frombytes(columns.sizes)
        stretch.arrivals.frombytes(columns.arrivals)
        stretch.payloads = columns.payloads
        return stretch

    def __len__(self) -> int:
        return len(self.sizes)

    def extend(self, other: Stretch) -> None:
        """Take what came after this, of the same coding and source."""
        self.sequences += other.sequences
        self.timestamps += other.timestamps
        self.sizes += other.sizes
        self.arrivals += other.arrivals
        self.payloads += other.payloads

    def follows(self, other: Stretch) -> bool:
        """Tell whether it is of the same coding and source."""
        return self.source == other.source and self.coding == other.coding

    def cut(self, before: float) -> Stretch:
        """Take out, and return, what came up to this time, and what was sent before any of that but came later."""
        count = bisect_right(self.arrivals, before)
        if 0 < count < len(self) and not self._is_in_order():
            orders = self._orders()
            newest = max(orders[:count])
            overtaken = [place for place in range(count, len(self)) if orders[place] < newest]
            others = [place for place in range(count, len(self)) if orders[place] >= newest]
            self._arrange([*range(count), *overtaken, *others])
            count += len(overtaken)
        taken = Stretch(self.coding, self.source)
        octets = sum(self.sizes[:count])
        taken.sequences, self.sequences = self.sequences[:count], self.sequences[count:]
        taken.timestamps, self.timestamps = self.timestamps[:count], self.timestamps[count:]
        taken.sizes, self.sizes = self.sizes[:count], self.sizes[count:]
        taken.arrivals, self.arrivals = self.arrivals[:count], self.arrivals[count:]
        taken.payloads, self.payloads = self.payloads[:octets], self.payloads[octets:]
        return taken

    def sort(self) -> None:
        """Put the packets into the order in which they were sent."""
        if not self._is_in_order():
            self._arrange(sorted(range(len(self)), key=self._orders().__getitem__))

    def packets(self) -> Iterator[Packet]:
        """Yield each packet by itself."""
        for sequence, timestamp, payload, arrived in zip(
            self.sequences, self.timestamps, self._split(), self.arrivals, strict=True
        ):
            yield Packet(self.coding, self.source, sequence, timestamp, payload, arrived)

    def joined(self) -> Iterator[Packet]:
        """Yield packets of up to `MOST_JOINED`, where an octet is a sample and they follow on each other, once each.

        They came when the least late of them lets them have come.
        """
        rate = self.coding.clock_rate
        offsets = list(accumulate(self.sizes, initial=0))
        for start, stop in self._runs():
            behind = self.sizes[start] / rate
            count = stop - start
            waits = [behind * (count - 1 - place) for place in range(count)]
            arrived = min(map(add, self.arrivals[start:stop], waits))
            joined = self.payloads[offsets[start] : offsets[stop]]
            yield Packet(
                self.coding, self.source, self.sequences[start], self.timestamps[start], joined, arrived, count
            )

    def _is_in_order(self) -> bool:
        first = self.sequences[0]
        return self.sequences == _FOLLOWING[first : first + len(self)]

    def _orders(self) -> list[int]:
        """Return numbers that grow as those of the packets do, past 65,535 as well."""
        first = self.sequences[0]
        return [(sequence - first + 0x8000) & 0xFFFF for sequence in self.sequences]

    def _arrange(self, places: list[int]) -> None:
        """Put the packets that are at these places one after the other; there are two at least."""
        pick = itemgetter(*places)
        self.payloads = b"".join(pick(self._split()))
        self.sequences, self.sizes = array("H", pick(self.sequences)), array("H", pick(self.sizes))
        self.timestamps, self.arrivals = array("I", pick(self.timestamps)), array("d", pick(self.arrivals))

    def _split(self) -> list[bytes]:
        """Return the payload of each packet."""
        return [self.payloads[begin:end] for begin, end in pairwise(accumulate(self.sizes, initial=0))]

    def _runs(self) -> Iterator[tuple[int, int]]:
        """Yield where each run of packets of one size begins and ends."""
        sequences, timestamps, sizes = self.sequences, self.timestamps, self.sizes
        start, count = 0, len(self)
        while start < count:
            stop = min(start + MOST_JOINED, count)
            sequence, timestamp, size = sequences[start], timestamps[start], sizes[start]
            length = stop - start
            if (
                sizes[start:stop] != sizes[start : start + 1] * length
                or sequences[start:stop] != _FOLLOWING[sequence : sequence + length]
                or list(timestamps[start:stop]) != list(range(timestamp, timestamp + length * size, size or 1))
            ):
                stop = start + 1
                while (
                    stop < count
                    and stop - start < MOST_JOINED
                    and sizes[stop] == size
                    and sequences[stop] == (sequence + stop - start) & 0xFFFF
                    and timestamps[stop] == (timestamp + size * (stop - start)) & 0xFFFFFFFF
                ):
                    stop += 1
            yield start, stop
            start = stop
            while start < count and sequences[start] == sequences[stop - 1]:
                start += 1  # a packet that came again
