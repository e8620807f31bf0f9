"""A bad network between phones and a server: loses datagrams both ways and spoils some on their way to the server.

python -m tests.soak.relay PORT BEYOND --loss 0.02 --spoil 0.01 --seed 1 [--server-in-front]

The server is at the port BEYOND and phones send to PORT or, with ``--server-in-front``, the other way round. Whoever
sends to PORT gets a socket of its own towards BEYOND, as behind a NAT. On SIGTERM it tells as JSON what it did.
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
        """Whoever was there has gone."""


class Relay:
    """Carries datagrams between whoever sends to its port and ``beyond``, one of which is the server.

    It is what is ``beyond``, or sends to the port: ``server_in_front``. Only what goes to the server is spoilt.
    """

    def __init__(self, beyond: Address, *, loss: float, spoil: float, seed: int, server_in_front: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self._beyond = beyond
        self._server_in_front = server_in_front
        self._loss = loss
        self._spoil = spoil
        self._random = random.Random(seed)
        self._front: asyncio.DatagramTransport
        self._openings: dict[Address, asyncio.Task[asyncio.DatagramTransport]] = {}

    async def open(self, port: int) -> Address:
        """Listen; returns where, which tells the port when 0 was asked for."""
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(lambda: Side(self._from_front), (LOOPBACK, port))
        return cast("Address", self._front.get_extra_info("sockname"))

    async def close(self) -> None:
        """Carry nothing any more."""
        self._front.close()
        for opening in self._openings.values():
            (await opening).close()

    def _from_front(self, data: bytes, sender: Address) -> None:
        carried = self._carried(data, to_server=not self._server_in_front)
        if carried is None:
            return
        opening = self._openings.get(sender)
        if opening is None:
            opening = self._openings[sender] = asyncio.get_running_loop().create_task(self._open_for(sender))
        opening.add_done_callback(lambda done: done.result().sendto(carried, self._beyond))

    async def _open_for(self, sender: Address) -> asyncio.DatagramTransport:
        def back(data: bytes, _: Address) -> None:
            carried = self._carried(data, to_server=self._server_in_front)
            if carried is not None:
                self._front.sendto(carried, sender)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Side(back), (LOOPBACK, 0))
        return transport

    def _carried(self, data: bytes, *, to_server: bool) -> bytes | None:
        """What arrives of a datagram; None: it is lost."""
        self.counts["carried"] += 1
        if self._random.random() < self._loss:
            self.counts["lost"] += 1
            return None
        if to_server and self._random.random() < self._spoil:
            self.counts["spoilt"] += 1
            return spoilt(data, self._random)
        return data


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
    parser.add_argument("beyond", type=int)
    parser.add_argument("--loss", type=float, default=0.02)
    parser.add_argument("--spoil", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server-in-front", action="store_true")
    chosen = parser.parse_args()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    relay = Relay(
        (LOOPBACK, chosen.beyond),
        loss=chosen.loss,
        spoil=chosen.spoil,
        seed=chosen.seed,
        server_in_front=chosen.server_in_front,
    )
    await relay.open(chosen.port)
    print("ready", flush=True)
    await stop.wait()
    print(json.dumps(relay.counts), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
