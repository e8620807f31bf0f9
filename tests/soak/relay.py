"""A bad network between phones and a server: loses datagrams both ways and spoils some on their way to the server.

python -m tests.soak.relay PORT SERVER_PORT --loss 0.02 --spoil 0.01 --seed 1

Each phone gets a socket of its own towards the server, as behind a NAT. On SIGTERM it tells as JSON what it did.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import Callable
from typing import cast

LOOPBACK = "127.0.0.1"
Address = tuple[str, int]


class Side(asyncio.DatagramProtocol):
    """A socket that hands on what it receives."""

    def __init__(self, take: Callable[[bytes, Address], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self._take(data, cast("Address", addr[:2]))

    def error_received(self, exc: Exception) -> None:
        """A phone has gone."""


class Relay:
    """Carries datagrams between whoever sends to its port and the server."""

    def __init__(self, server: Address, *, loss: float, spoil: float, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._server = server
        self._loss = loss
        self._spoil = spoil
        self._random = random.Random(seed)
        self._front: asyncio.DatagramTransport
        self._towards_server: dict[Address, asyncio.Task[asyncio.DatagramTransport]] = {}

    async def open(self, port: int) -> None:
        """Listen for phones."""
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(lambda: Side(self._from_phone), (LOOPBACK, port))

    def _from_phone(self, data: bytes, phone: Address) -> None:
        if self._is_lost():
            return
        if self._random.random() < self._spoil:
            self.counts["spoilt"] += 1
            data = spoilt(data, self._random)
        opening = self._towards_server.get(phone)
        if opening is None:
            opening = self._towards_server[phone] = asyncio.get_running_loop().create_task(self._open_for(phone))
        opening.add_done_callback(lambda done: done.result().sendto(data, self._server))

    async def _open_for(self, phone: Address) -> asyncio.DatagramTransport:
        def to_phone(data: bytes, _: Address) -> None:
            if not self._is_lost():
                self._front.sendto(data, phone)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Side(to_phone), (LOOPBACK, 0))
        return transport

    def _is_lost(self) -> bool:
        self.counts["carried"] += 1
        if self._random.random() < self._loss:
            self.counts["lost"] += 1
            return True
        return False


def spoilt(data: bytes, chance: random.Random) -> bytes:
    """Return a message that is none any more, or another one."""
    position = chance.randrange(len(data)) if data else 0
    match chance.randrange(7):
        case 0:  # a byte of it is another
            return data[:position] + bytes([chance.randrange(256)]) + data[position + 1 :]
        case 1:  # it ends early
            return data[:position]
        case 2:
            return data.replace(b"SIP/2.0", b"SIP/7.0")
        case 3:
            return data.replace(b"CSeq:", b"CSeq: x")
        case 4:  # every line twice
            return b"\r\n".join(line for line in data.split(b"\r\n") for _ in range(2))
        case 5:
            return chance.randbytes(position)
        case _:
            return data.replace(b"\r\nVia:", b"\r\nVia: SIP/2.0/UDP nobody.invalid:x\r\nVia:")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("server", type=int)
    parser.add_argument("--loss", type=float, default=0.02)
    parser.add_argument("--spoil", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    relay = Relay((LOOPBACK, chosen.server), loss=chosen.loss, spoil=chosen.spoil, seed=chosen.seed)
    await relay.open(chosen.port)
    print("ready", flush=True)
    await stop.wait()
    print(json.dumps(relay.counts), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
