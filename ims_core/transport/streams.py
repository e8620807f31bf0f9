"""A connection of the asyncio shell: TCP, TLS or WebSocket (RFC 3261 section 18.3, RFC 7118)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Protocol, cast

from ims_core.flow import Address, Flow
from ims_core.transport.framing import PING, PONG, Framer, Unframed
from ims_core.transport.limits import Owner
from ims_core.transport.tls import CLOSED, TIMEOUT, HandshakeFailed, TlsLayer

EARLIEST = 0.8  # RFC 5626 section 4.4.1: pings come "between 80 and 100% of the upper bound"


class StreamOwner(Owner, Protocol):
    """What a connection needs beyond that."""

    def stream_opened(self, stream: Stream, remote: Address) -> Flow | None:
        """Number a connection; None when there are too many."""

    def stream_ready(self, stream: Stream, flow: Flow) -> None:
        """Take note that the handshakes are over."""

    def stream_closed(self, stream: Stream, flow: Flow) -> None:
        """Forget a connection."""

    def handshake_failed(self, flow: Flow, failure: HandshakeFailed) -> None:
        """Count, and tell, why there is no TLS."""

    def tell(self, event: str, flow: Flow, reason: str) -> None:
        """Log what became of a connection."""


class Stream(asyncio.Protocol):
    """A connection, accepted by a listener of ours or opened ``to`` a peer.

    Bytes of the peer pass ``tls``, when there is one, and then ``framer``. What the peer does not read collects up to
    ``unsent_bytes``; then the connection is given up, so that a stuck peer costs no more than that.
    """

    def __init__(
        self,
        owner: StreamOwner,
        transport: str,
        local: Address,
        framer: Framer,
        *,
        tls: TlsLayer | None = None,
        to: Flow | None = None,
    ) -> None:
        self.transport = transport
        self.local = local
        self.to = to
        self.tls = tls
        self.is_ready = False
        self.known_as: list[tuple[str, Address, str]] = []
        self._owner = owner
        self._framer = framer
        self._socket: asyncio.Transport | None = None
        self._flow: Flow | None = None
        self._heard = False
        self._stall: asyncio.TimerHandle | None = None
        self._keepalive: asyncio.TimerHandle | None = None
        self._pong_due: asyncio.TimerHandle | None = None
        self._answers_pings = False

    @property
    def is_open(self) -> bool:
        """Whether the connection was admitted and can be sent on."""
        return self._flow is not None and self._socket is not None and not self._socket.is_closing()

    # What the loop calls ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the stack number the connection."""
        self._socket = cast("asyncio.Transport", transport)  # uvloop's is none by class
        peer = transport.get_extra_info("peername")  # None: it has gone again already
        if peer is not None:
            self._flow = self._owner.stream_opened(self, peer[:2])
        if self._flow is None:
            self._socket.abort()
            return
        if self.tls is None and self._framer.ready:
            self._begin()
            return
        self._stall = self._in(self._owner.limits.handshake_seconds, self._handshake_timed_out)
        if self.tls is not None and self.to is not None:
            self.tls.start()
            self._socket.write(self.tls.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Hand on whole messages and answer keep-alives."""
        if self._flow is None:
            return
        if self.tls is not None:
            data = self._decrypt(self.tls, data)
            if self._due_to_begin():
                self._begin()
        if data:
            self._take(data, self._flow)

    def _take(self, data: bytes, flow: Flow) -> None:
        if self._pong_due is not None:
            self._be_glad(data)
        progress = False
        try:
            for message in self._framer.feed(data):
                progress = True
                self._owner.receive(message, flow)
        except Unframed as lost:
            self._leave(lost, flow)
            return
        if progress:
            self._owner.flush()
        if not self.is_open:
            return
        if replies := self._framer.replies():
            self._write(replies)
        if self._framer.closing:
            self.close()
        elif self.is_ready:
            self._watch_for_stall(progress=progress)
        elif self._due_to_begin():
            self._begin()

    def _leave(self, lost: Unframed, flow: Flow) -> None:
        """Give up a stream that cannot be followed, once the peer has what there is to tell him."""
        if lost.head:
            self._owner.refuse(lost.head, lost.error, flow)
        self._owner.flush()
        self._note_drop("unframed stream", lost.error.reason)
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the stack."""
        for timer in (self._stall, self._keepalive, self._pong_due):
            if timer is not None:
                timer.cancel()
        if self._flow is not None:
            if self.tls is not None and not self.tls.established and not self.tls.closed:
                self._owner.handshake_failed(self._flow, HandshakeFailed(CLOSED))
            self._owner.stream_closed(self, self._flow)

    # What the stack calls -----------------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """Write, unless the peer has stopped reading: then give the connection up."""
        if not self.is_open:
            return
        self._heard = True  # a connection that we have a use for is not a silent stranger's
        self._write(self._framer.wrap(message))

    def close(self) -> None:
        """Say farewell as TLS and WebSocket do it, and close once all is written."""
        if not self.is_open:
            return
        assert self._socket is not None
        if self.is_ready:
            if farewell := self._framer.farewell():
                self._write(farewell)
            if self.tls is not None:
                self.tls.close()
                self._socket.write(self.tls.data_to_send())
        self._shut(self._socket)

    def _shut(self, transport: asyncio.Transport) -> None:
        """Close when all is written, or after a while in which the peer has not read it."""
        transport.close()
        if self._stall is not None:
            self._stall.cancel()
        self._stall = self._in(self._owner.limits.handshake_seconds, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if self.tls is not None:
            self.tls.closed = True  # by us: no handshake of the peer has failed
        if self._socket is not None:
            self._socket.abort()

    # Handshakes ---------------------------------------------------------------------------------------------

    def _decrypt(self, tls: TlsLayer, data: bytes) -> bytes:
        assert self._socket is not None
        assert self._flow is not None
        was_established = tls.established
        try:
            return tls.receive(data)
        except HandshakeFailed as failure:
            tls.closed = True
            # the alert of a TLS 1.3 server about our certificate comes after the handshake as the client sees it
            if not was_established or not self._heard:
                self._owner.handshake_failed(self._flow, failure)
            return b""
        finally:
            if answer := tls.data_to_send():
                self._socket.write(answer)
            if tls.closed:
                self._shut(self._socket)

    def _due_to_begin(self) -> bool:
        return (
            not self.is_ready
            and self._framer.ready
            and (self.tls is None or (self.tls.established and not self.tls.closed))
        )

    def _begin(self) -> None:
        """Take part in SIP from now on."""
        assert self._flow is not None
        self.is_ready = True
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._owner.stream_ready(self, self._flow)
        self._watch_for_stall(progress=False)
        if self.to is not None:
            self._ping_later()

    def _handshake_timed_out(self) -> None:
        if self._flow is not None and self.tls is not None and not self.tls.established:
            self.tls.closed = True
            self._owner.handshake_failed(self._flow, HandshakeFailed(TIMEOUT))
            self.abort()
        else:
            self._drop("stalled stream", "no handshake")

    # Writing ------------------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        assert self._socket is not None
        if self._socket.get_write_buffer_size() > self._owner.limits.unsent_bytes:
            self._drop("peer does not read", "the peer does not read")
            return
        if self.tls is not None:
            self.tls.send(data)
            data = self.tls.data_to_send()
        self._socket.write(data)

    def _drop(self, counted: str, reason: str) -> None:
        self._note_drop(counted, reason)
        self.abort()

    def _note_drop(self, counted: str, reason: str) -> None:
        self._owner.dropped[counted] += 1
        if self._flow is not None:
            self._owner.tell("connection.dropped", self._flow, reason)

    # Time ---------------------------------------------------------------------------------------------------

    def _in(self, seconds: float, action: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, action)

    def _watch_for_stall(self, *, progress: bool) -> None:
        """Bound the time for which a message may be unfinished, and that for which nothing at all is said."""
        self._heard = self._heard or progress
        waiting = self._framer.pending or not self._heard
        if self._stall is not None and (progress or not waiting):
            self._stall.cancel()
            self._stall = None
        if self._stall is None and waiting:
            self._stall = self._in(self._owner.limits.stall_seconds, self._stalled)

    def _stalled(self) -> None:
        self._stall = None
        if self._framer.pending:
            self._drop("stalled stream", "half a message")
        elif not self._heard:
            self._drop("stalled stream", "silence")

    def _ping_later(self) -> None:
        upper = self._owner.limits.keepalive_seconds
        if upper:
            self._keepalive = self._in(random.uniform(EARLIEST * upper, upper), self._ping)

    def _ping(self) -> None:
        if self.is_open:
            self._write(PING)
            self._pong_due = self._in(self._owner.limits.pong_seconds, self._miss_pong)

    def _be_glad(self, data: bytes) -> None:
        """Take whatever comes for a sign of life, and note whether it is the pong."""
        assert self._pong_due is not None
        self._pong_due.cancel()
        self._pong_due = None
        self._answers_pings = self._answers_pings or data.startswith(PONG)
        self._ping_later()

    def _miss_pong(self) -> None:
        """Give the flow up (RFC 5626 section 4.4.1), unless the peer is one that never answered a ping."""
        self._pong_due = None
        if self._answers_pings:
            self._drop("missing pong", "no pong")
