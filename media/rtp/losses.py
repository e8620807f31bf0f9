"""How losses lie in a stream: runs of them, bursts and gaps, found from holes in the sequence numbers.

A stream without holes costs nothing: this is told of a hole when a packet comes out of step, and of packets that come
late.
"""

from __future__ import annotations

from typing import NamedTuple

from media.rtp.xr import GMIN

LATEST = 100
"""A packet that comes so many numbers late, or later, is lost."""


class LossCounts(NamedTuple):
    """What was counted, to be subtracted from later counts.

    `runs` are stretches of consecutive losses. `c11` to `c33` are the transitions of RFC 3611 A.2 between 1 received
    in a gap, 2 received in a burst, 3 lost in a burst and 4 an isolated loss in a gap.
    """

    lost: int = 0
    runs: int = 0
    duplicates: int = 0
    c11: int = 0
    c13: int = 0
    c14: int = 0
    c22: int = 0
    c23: int = 0
    c33: int = 0

    def since(self, earlier: LossCounts) -> LossCounts:
        """Return what was counted since then."""
        return LossCounts(*(now - then for now, then in zip(self, earlier, strict=True)))

    def burst_ratio(self, expected: int) -> float | None:
        """Return how bursty the losses are (ITU-T G.107 7.4, BurstR), None without losses.

        It is the mean length of a run over what it would be if the same share of packets were lost at random,
        1 / (1 - share): 1 for random loss, more for bursts.
        """
        if self.lost <= 0 or self.runs <= 0 or expected <= 0:
            return None
        return self.lost / self.runs * max(0.0, 1 - self.lost / expected)

    def burst_density(self) -> float:
        """Return the share of packets lost within bursts (RFC 3611 4.7.2)."""
        if not self.c13:
            return 0.0
        leaves = self.c13 + self.c23 + self.c33
        p32 = self.c23 / leaves
        inside = self.c22 + self.c23
        p23 = 1 - self.c22 / inside if inside else 1.0
        return p23 / (p23 + p32)

    def gap_density(self) -> float:
        """Return the share of packets lost within gaps."""
        return self.c14 / (self.c11 + self.c14) if self.c14 else 0.0

    def mean_lengths(self, expected: int) -> tuple[float, float]:
        """Return the mean lengths of bursts and of gaps in packets; all is one gap where there was no burst."""
        if not self.c13:
            return 0.0, float(expected)
        total = self.c11 + self.c14 + 2 * self.c13 + self.c22 + 2 * self.c23 + self.c33
        gap = (self.c11 + self.c14 + self.c13) / self.c13
        return total / self.c13 - gap, gap


class Losses:
    """Counts the holes of one stream. Positions are extended sequence numbers, which only grow."""

    __slots__ = ("_counts", "_end", "_holes", "_in_burst", "duplicates")

    def __init__(self) -> None:
        self.duplicates = 0
        self._counts = [0] * 8  # lost, runs, c11 … c33
        self._holes: list[tuple[int, int]] = []  # those that late packets may still fill
        self._end = 1  # behind the last loss counted
        self._in_burst = 0

    def restart(self, end: int, begin: int) -> None:
        """The stream ended before position `end`, and goes on at `begin` with other numbers."""
        for hole in self._holes:
            self._count(*hole)
        self._holes.clear()
        self._end += begin - end

    def miss(self, first: int, end: int) -> None:
        """The packets from `first` to before `end` were passed over by the one that came."""
        while self._holes and self._holes[0][1] <= end - LATEST:
            self._count(*self._holes.pop(0))
        self._holes.append((first, end))

    def come_late(self, position: int) -> None:
        """A packet came that is not the newest: it fills a hole, or is one that came before."""
        holes = self._holes
        for index in range(len(holes) - 1, -1, -1):
            first, end = holes[index]
            if first <= position < end:
                holes[index : index + 1] = [
                    part for part in ((first, position), (position + 1, end)) if part[0] < part[1]
                ]
                return
        self.duplicates += 1

    @property
    def lost(self) -> int:
        """How many packets are missing."""
        return self._counts[0] + sum(end - first for first, end in self._holes)

    def counts(self, end: int) -> LossCounts:
        """Return the counts of all before position `end`, as if nothing came late any more."""
        so_far = Losses()
        so_far._end, so_far._in_burst, so_far._counts = self._end, self._in_burst, self._counts.copy()
        for hole in self._holes:
            so_far._count(*hole)
        lost, runs, *transitions = so_far._counts
        counts = LossCounts(lost, runs, self.duplicates, *transitions)
        since = end - so_far._end
        if since >= GMIN:
            c13, c14 = _ended(so_far._in_burst)
            return counts._replace(c11=counts.c11 + since, c13=counts.c13 + c13, c14=counts.c14 + c14)
        return counts._replace(c22=counts.c22 + max(0, since))

    def _count(self, first: int, end: int) -> None:
        """Count a run of losses as RFC 3611 A.2 does, in one step."""
        counts, before, length = self._counts, first - self._end, end - first
        self._end = end
        counts[0] += length
        counts[1] += 1
        if before >= GMIN:
            c13, c14 = _ended(self._in_burst)
            counts[2] += before  # c11
            counts[3] += c13
            counts[4] += c14
            self._in_burst = 0
        elif before:
            counts[5] += before - 1  # c22
            counts[6] += 1  # c23
        else:
            counts[7] += 1  # c33
        counts[7] += length - 1
        self._in_burst += length


def _ended(losses: int) -> tuple[int, int]:
    """Tell what so many losses close to each other were: (bursts, isolated losses)."""
    return int(losses > 1), int(losses == 1)
