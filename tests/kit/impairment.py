"""A network for media that loses, delays, reorders and doubles packets by seed, and tells which.

`Path` is one direction on a virtual clock. `Relay` puts two of them around real sockets: what it does to a packet does
not depend on time there, so that what arrives is the same in each run.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

Address = tuple[str, int]


class LossModel(Protocol):
    """Decides for each packet in turn."""

    def loses(self, chance: random.Random) -> bool:
        """Tell whether the next packet is lost."""


@dataclass
class RandomLoss:
    """Each packet is lost with the same probability: runs of loss have the mean length 1 / (1 - share)."""

    share: float = 0.0

    def loses(self, chance: random.Random) -> bool:
        """Draw."""
        return chance.random() < self.share


@dataclass
class GilbertElliott:
    """Two states: `good` and `bad` are the probabilities of loss in each, `worsen` and `better` those of a change.

    A share `worsen / (worsen + better)` of the time is bad, and a bad time lasts `1 / better` packets in the mean. With
    good = 0 and bad = 1 (the simple Gilbert model) these are the share lost and the mean length of a run.
    """

    worsen: float
    better: float
    good: float = 0.0
    bad: float = 1.0
    is_bad: bool = False

    def loses(self, chance: random.Random) -> bool:
        """Change state or not, and draw."""
        self.is_bad = chance.random() >= self.better if self.is_bad else chance.random() < self.worsen
        return chance.random() < (self.bad if self.is_bad else self.good)

    @property
    def share(self) -> float:
        """The share that is lost in the long run."""
        time_bad = self.worsen / (self.worsen + self.better)
        return time_bad * self.bad + (1 - time_bad) * self.good


@dataclass
class LossOf:
    """The packets with these numbers are lost, counted from 0."""

    numbers: frozenset[int]
    count: int = 0

    def loses(self, _: random.Random) -> bool:
        """Count."""
        self.count += 1
        return self.count - 1 in self.numbers


@dataclass
class Impairments:
    """What happens to packets. Times are in seconds; shares are probabilities from 0 to 1.

    Each packet takes `delay` and up to `jitter` more, evenly distributed, and a `reorder` share takes `late` more. A
    `duplicate` share comes twice.
    """

    loss: LossModel = field(default_factory=RandomLoss)
    delay: float = 0.0
    jitter: float = 0.0
    reorder: float = 0.0
    late: float = 0.05
    duplicate: float = 0.0


class Arrival(NamedTuple):
    """A packet that came out, and when."""

    at: float
    data: bytes


class Path:
    """One direction on a virtual clock. `lost` and `doubled` are the numbers of packets, counted from 0."""

    def __init__(self, impairments: Impairments, seed: int | str = 0) -> None:
        self.sent = 0
        self.lost: list[int] = []
        self.doubled: list[int] = []
        self._impairments = impairments
        self._chance = random.Random(f"path {seed}")
        self._queue: list[tuple[float, int, bytes]] = []
        self._order = 0

    def send(self, data: bytes, now: float) -> None:
        """Put a packet on its way."""
        number, self.sent = self.sent, self.sent + 1
        kind, chance = self._impairments, self._chance
        if kind.loss.loses(chance):
            self.lost.append(number)
            return
        copies = 1
        if kind.duplicate and chance.random() < kind.duplicate:
            self.doubled.append(number)
            copies = 2
        for _ in range(copies):
            at = now + kind.delay + kind.jitter * chance.random()
            if kind.reorder and chance.random() < kind.reorder:
                at += kind.late
            self._order += 1
            heappush(self._queue, (at, self._order, data))

    def arrive(self, until: float = float("inf")) -> list[Arrival]:
        """Take out what has arrived by then, in the order of arrival."""
        arrived = []
        while self._queue and self._queue[0][0] <= until:
            at, _, data = heappop(self._queue)
            arrived.append(Arrival(at, data))
        return arrived

    def runs(self, last: int | None = None) -> list[int]:
        """The lengths of the runs of loss, up to packet `last`."""
        lengths: list[int] = []
        before = -2
        for number in self.lost:
            if last is not None and number > last:
                break
            if number == before + 1:
                lengths[-1] += 1
            else:
                lengths.append(1)
            before = number
        return lengths


class Relay(asyncio.DatagramProtocol):
    """A host between two real sockets: what comes from `near` goes on to `far`, and the other way.

    Losses and doubles are drawn as in `Path`; a reordered packet is let go behind the next `behind` ones.
    """

    def __init__(self, near: Address, far: Address, impairments: Impairments, seed: int = 0, behind: int = 2) -> None:
        self.near, self.far = near, far
        self.paths = {near: Path(impairments, f"{seed} near"), far: Path(impairments, f"{seed} far")}
        self._chance = random.Random(seed)
        self._reorder = impairments.reorder
        self._behind = behind
        self._held: dict[Address, list[tuple[int, bytes]]] = {near: [], far: []}
        self._transport: asyncio.DatagramTransport

    async def start(self) -> int:
        """Begin on a port of 127.0.0.1; returns it."""
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self._transport = transport
        port: int = transport.get_extra_info("sockname")[1]
        return port

    def close(self) -> None:
        """Free the port."""
        self._transport.close()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Do to a datagram what is to be done."""
        path = self.paths.get(addr)
        if path is None:
            return
        path.send(data, 0.0)
        arrived = [arrival.data for arrival in path.arrive()]
        held = self._held[addr]
        if arrived and self._reorder and self._chance.random() < self._reorder:
            held.append((self._behind, arrived.pop()))
        target = self.far if addr == self.near else self.near
        for each in arrived:
            self._transport.sendto(each, target)
        due = [late for turns, late in held if turns == 0]
        held[:] = [(turns - 1, late) for turns, late in held if turns > 0]
        for late in due:
            self._transport.sendto(late, target)
