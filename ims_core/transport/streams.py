"""A TCP connection of the asyncio shell (RFC 3261 section 18.3)."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import structlog

from ims_core.errors import BadRequest
from ims_core.flow import Address, Flow, format_address
from ims_core.transport.framing import PONG, StreamFramer
from ims_core.transport.limits import Owner

log = structlog.get_logger("sip")


class StreamOwner(Owner, Protocol):
    """What a connection needs beyond that."""

    def stream_opened(self, stream: Stream, remote: Address) -> Flow | None:
        """Number a connection; None when there are too many."""

    def stream_closed(self, stream: Stream, flow: Flow) -> None:
        """Forget a connection."""


class Stream(asyncio.Protocol):
    """A TCP connection."""

    def __init__(self, owner: StreamOwner, local: Address) -> None:
        self.local = local
        self._owner = owner
        self._flow: Flow | None = None
        self._framer = StreamFramer(max_body=owner.limits.max_message)
        self._transport: asyncio.Transport | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._heard = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the stack number the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        peer = transport.get_extra_info("peername")  # None: it has gone again already
        if peer is not None:
            self._flow = self._owner.stream_opened(self, peer[:2])
        if self._flow is None:
            self._transport.abort()
        else:
            self._watch_for_stall(progress=False)

    @property
    def is_open(self) -> bool:
        """Whether the connection was admitted and can be sent on."""
        return self._flow is not None and self._transport is not None and not self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Hand on whole messages and answer keep-alives."""
        if self._flow is None:
            return
        progress = False
        try:
            for message in self._framer.feed(data):
                progress = True
                self._owner.receive(message, self._flow)
                self._owner.flush()
        except BadRequest as error:
            self._owner.dropped["unframed stream"] += 1
            log.info("connection.dropped", peer=format_address(self._flow.remote), reason=error.reason)
            self.abort()
            return
        while self._framer.pings:
            self._framer.pings -= 1
            self.send(PONG)
        self._watch_for_stall(progress=progress)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the stack."""
        if self._stall is not None:
            self._stall.cancel()
        if self._flow is not None:
            self._owner.stream_closed(self, self._flow)

    def send(self, data: bytes) -> None:
        """Write, unless the peer has stopped reading: then give the connection up."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > self._owner.limits.unsent_bytes:
            self._owner.dropped["peer does not read"] += 1
            self.abort()
            return
        self._heard = True  # a connection that we have a use for is not a silent stranger's
        transport.write(data)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _watch_for_stall(self, *, progress: bool) -> None:
        """Bound the time for which a message may be unfinished, and that for which nothing at all is said."""
        self._heard = self._heard or progress
        waiting = self._framer.pending or not self._heard
        if self._stall is not None and (progress or not waiting):
            self._stall.cancel()
            self._stall = None
        if self._stall is None and waiting:
            loop = asyncio.get_running_loop()
            self._stall = loop.call_later(self._owner.limits.stall_seconds, self._stalled)

    def _stalled(self) -> None:
        self._owner.dropped["stalled stream"] += 1
        if self._flow is not None:
            log.info(
                "connection.dropped",
                peer=format_address(self._flow.remote),
                reason="half a message" if self._framer.pending else "silence",
            )
        self.abort()
