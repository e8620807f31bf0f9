"""The phones of `benchmarks.connections`, in a process of their own: TRANSPORT PORT CONNECTIONS SECONDS.

Connects and registers them all, writes ``ready``, waits for a line, keeps `WINDOW` refreshes under way for that long,
and writes what became of them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections import deque

import uvloop

from benchmarks.processes import LOOPBACK

WINDOW = 100  # refreshes under way at a time
AT_ONCE = 50  # connections opened at a time
END = b"\r\n\r\n"


class Phone(asyncio.Protocol):
    """One user with one connection."""

    def __init__(self, number: int, transport: str, load: Load) -> None:
        self._load = load
        self._number = number
        self._transport = transport
        self._cseq = 0
        self._buffer = b""
        self._connection: asyncio.Transport | None = None
        self._text = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Compose the request."""
        assert hasattr(transport, "write")
        self._connection = transport  # type: ignore[assignment]  # uvloop's is none by class
        host, port = transport.get_extra_info("sockname")[:2]
        user = f"sip:u{self._number:05d}@ims.example"
        self._text = (
            f"REGISTER sip:ims.example SIP/2.0\r\n"
            f"Via: SIP/2.0/{self._transport.upper()} {host}:{port};branch=z9hG4bK{self._number}x%d;rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <{user}>;tag=b{self._number}\r\nTo: <{user}>\r\n"
            f"Call-ID: bench-{self._number}\r\nCSeq: %d REGISTER\r\n"
            f"Contact: <sip:u{self._number:05d}@{host}:{port};transport={self._transport}>\r\n"
            f"Expires: 3600\r\nContent-Length: 0\r\n\r\n"
        )

    def refresh(self) -> None:
        """Register once more."""
        self._cseq += 1
        assert self._connection is not None
        self._connection.write((self._text % (self._cseq, self._cseq)).encode())

    def data_received(self, data: bytes) -> None:
        """Tell of whole answers; none has a body."""
        self._buffer += data
        while END in self._buffer:
            answer, _, self._buffer = self._buffer.partition(END)
            self._load.answered(self, good=answer.startswith(b"SIP/2.0 200 "))

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection that ends before we do."""
        self._load.failed += 1


class Load:
    """All phones: those that wait for their turn, and what was counted."""

    def __init__(self) -> None:
        self.good = self.failed = 0
        self._idle: deque[Phone] = deque()
        self._under_way = 0
        self._running = False
        self._still = asyncio.Event()

    async def run(self, transport: str, port: int, connections: int, seconds: float) -> None:
        """Do what the module says."""
        loop = asyncio.get_running_loop()
        context = None
        if transport == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for first in range(0, connections, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, connections))
            opened = await asyncio.gather(
                *(
                    loop.create_connection(lambda n=n: Phone(n, transport, self), LOOPBACK, port, ssl=context)
                    for n in numbers
                )
            )
            await self._all([phone for _, phone in opened])
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        self.good = 0
        started = loop.time()
        self._running = True
        for _ in range(min(WINDOW, connections)):
            self._next()
        await asyncio.sleep(seconds)
        took = loop.time() - started
        answered = self.good
        self._running = False
        self._still.clear()
        if self._under_way:
            await asyncio.wait_for(self._still.wait(), 10)
        print(json.dumps({"answered": answered, "failed": self.failed, "seconds": took}), flush=True)

    async def _all(self, phones: list[Phone]) -> None:
        self._still.clear()
        for phone in phones:
            self._under_way += 1
            phone.refresh()
        await asyncio.wait_for(self._still.wait(), 20)

    def _next(self) -> None:
        self._under_way += 1
        self._idle.popleft().refresh()

    def answered(self, phone: Phone, *, good: bool) -> None:
        """Let the phone queue up again, and the next one have its turn."""
        self._under_way -= 1
        if good:
            self.good += 1
        else:
            self.failed += 1
        self._idle.append(phone)
        if self._running:
            self._next()
        elif not self._under_way:
            self._still.set()


if __name__ == "__main__":
    uvloop.run(Load().run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
