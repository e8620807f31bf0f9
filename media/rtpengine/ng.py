"""A client of the ng protocol: each request is a datagram behind a cookie, repeated until it is answered.

rtpengine knows a repeated request by its cookie, and answers it again without doing its work twice.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from typing import Final, cast

from media.api import MediaError
from media.rtpengine.bencode import Value, Writable, decode, encode

REPEAT_SECONDS: Final = (0.25, 0.5, 0.75, 0.75)  # from each attempt to the next, or to giving up

Answer = dict[str, Value]
Address = tuple[str, int]


class Refused(MediaError):
    """rtpengine answered with an error."""


class Silent(MediaError):
    """rtpengine did not answer in time."""


class NgClient(asyncio.DatagramProtocol):
    """Asks one rtpengine. `repeated` and `strange` count requests sent again and datagrams that answer nothing.

    `refused` tells that the last thing heard was the kernel's word that nobody listens there.
    """

    def __init__(self) -> None:
        self.refused = False
        self.repeated = self.strange = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._cookies = itertools.count(1)
        self._prefix = secrets.token_hex(4)
        self._waiting: dict[bytes, asyncio.Future[Answer]] = {}

    async def connect(self, address: Address) -> None:
        """Bind a socket that speaks with this address only. Raises OSError."""
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, remote_addr=address)

    @property
    def local_host(self) -> str:
        """The address by which we reach rtpengine."""
        assert self._transport is not None
        return str(self._transport.get_extra_info("sockname")[0])

    async def ask(self, command: str, **arguments: Writable) -> Answer:
        """Return the answer; `_` in the names of arguments stands for `-`. Raises Refused, Silent."""
        if self._transport is None or self._transport.is_closing():
            raise Silent("The connection to rtpengine is closed.")
        cookie = f"{self._prefix}_{next(self._cookies)}".encode()
        body: dict[str, Writable] = {"command": command}
        body.update({key.replace("_", "-"): value for key, value in arguments.items()})
        request = b"%s %s" % (cookie, encode(body))
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[cookie] = answered
        try:
            for attempt, seconds in enumerate(REPEAT_SECONDS):
                self.repeated += attempt > 0
                self._transport.sendto(request)
                await asyncio.wait((answered,), timeout=seconds)
                if answered.done():
                    break
                if self.refused and attempt:
                    raise Silent("Nobody listens at the address of rtpengine.")
            else:
                raise Silent(f"rtpengine did not answer {command!r}.")
        finally:
            del self._waiting[cookie]
        answer = answered.result()
        if answer.get("result") not in ("ok", "pong"):
            raise Refused(f"rtpengine refused {command!r}: {answer.get('error-reason', 'no reason given')}")
        return answer

    def close(self) -> None:
        """Give the socket back; who still waits is told that there was no answer."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Hand an answer to who waits for it."""
        cookie, _, body = data.partition(b" ")
        waiting = self._waiting.get(cookie)
        try:
            answer = decode(body)
        except ValueError:
            answer = 0
        if waiting is None or not isinstance(answer, dict):
            self.strange += 1
            return
        self.refused = False
        if not waiting.done():
            waiting.set_result(answer)

    def error_received(self, exc: Exception) -> None:
        """Note that nobody listens there."""
        self.refused = isinstance(exc, ConnectionRefusedError)
