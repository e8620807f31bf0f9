"""Packets of one speaker on their way into a recording."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from operator import add, itemgetter
from typing import TYPE_CHECKING, Final

from media.recording.packet import Packet

if TYPE_CHECKING:
    from media.rtp.stream import Format

MOST_JOINED: Final = 25
"""Packets that are put together: enough to cost little each, few enough to follow the sender's clock."""


class Stretch:
    """Packets of one coding and source, column by column, in the order in which they came."""

    __slots__ = ("arrivals", "coding", "payloads", "sequences", "source", "timestamps")

    def __init__(self, coding: Format | None, source: object) -> None:
        self.coding = coding
        self.source = source
        self.sequences: list[int] = []
        self.timestamps: list[int] = []
        self.payloads: list[bytes] = []
        self.arrivals: list[float] = []

    def __len__(self) -> int:
        return len(self.payloads)

    @property
    def octets(self) -> int:
        """Octets of all payloads."""
        return sum(map(len, self.payloads))

    def add(self, sequence: int, timestamp: int, payload: bytes, arrived: float) -> None:
        """Take a packet."""
        self.sequences.append(sequence)
        self.timestamps.append(timestamp)
        self.payloads.append(payload)
        self.arrivals.append(arrived)

    def extend(self, other: Stretch) -> None:
        """Take what came after this, of the same coding and source."""
        self.sequences += other.sequences
        self.timestamps += other.timestamps
        self.payloads += other.payloads
        self.arrivals += other.arrivals

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
        taken.sequences, self.sequences = self.sequences[:count], self.sequences[count:]
        taken.timestamps, self.timestamps = self.timestamps[:count], self.timestamps[count:]
        taken.payloads, self.payloads = self.payloads[:count], self.payloads[count:]
        taken.arrivals, self.arrivals = self.arrivals[:count], self.arrivals[count:]
        return taken

    def sort(self) -> None:
        """Put the packets into the order in which they were sent."""
        if not self._is_in_order():
            self._arrange(sorted(range(len(self)), key=self._orders().__getitem__))

    def packets(self) -> Iterator[Packet]:
        """Yield each packet by itself."""
        assert self.coding is not None
        for sequence, timestamp, payload, arrived in zip(
            self.sequences, self.timestamps, self.payloads, self.arrivals, strict=True
        ):
            yield Packet(self.coding, self.source, sequence, timestamp, payload, arrived)

    def joined(self) -> Iterator[Packet]:
        """Yield packets of up to `MOST_JOINED`, where an octet is a sample and they follow on each other, once each.

        They came when the least late of them lets them have come.
        """
        assert self.coding is not None
        rate = self.coding.clock_rate
        for start, stop in self._runs():
            payloads = self.payloads[start:stop]
            behind = len(payloads[0]) / rate
            count = stop - start
            waits = [behind * (count - 1 - place) for place in range(count)]
            arrived = min(map(add, self.arrivals[start:stop], waits))
            joined = b"".join(payloads)
            yield Packet(
                self.coding, self.source, self.sequences[start], self.timestamps[start], joined, arrived, count
            )

    def _is_in_order(self) -> bool:
        first = self.sequences[0]
        return self.sequences == list(range(first, first + len(self)))

    def _orders(self) -> list[int]:
        """Return numbers that grow as those of the packets do, past 65,535 as well."""
        first = self.sequences[0]
        return [(sequence - first + 0x8000) & 0xFFFF for sequence in self.sequences]

    def _arrange(self, places: list[int]) -> None:
        """Put the packets that are at these places one after the other; there are two at least."""
        pick = itemgetter(*places)
        self.sequences, self.timestamps = list(pick(self.sequences)), list(pick(self.timestamps))
        self.payloads, self.arrivals = list(pick(self.payloads)), list(pick(self.arrivals))

    def _runs(self) -> Iterator[tuple[int, int]]:
        """Yield where each run of packets of one size begins and ends."""
        sequences, timestamps, sizes = self.sequences, self.timestamps, list(map(len, self.payloads))
        start, count = 0, len(self)
        while start < count:
            stop = min(start + MOST_JOINED, count)
            sequence, timestamp, size = sequences[start], timestamps[start], sizes[start]
            length = stop - start
            if (
                sizes[start:stop].count(size) < length
                or sequences[start:stop] != list(range(sequence, sequence + length))
                or timestamps[start:stop] != list(range(timestamp, timestamp + length * size, size or 1))
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
