"""The connections of a node: TCP, TLS and WebSocket, accepted or opened (RFC 3261 section 18, RFC 5923)."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Container, Coroutine
from typing import TYPE_CHECKING, Protocol

import structlog

from ims_core.errors import SipError
from ims_core.flow import SECURE, WEBSOCKETS, Address, Flow, format_address
from ims_core.messages.uri import is_ip_address
from ims_core.transport.framing import Framer, StreamFramer
from ims_core.transport.limits import Owner
from ims_core.transport.sent_by import alias_port, return_address
from ims_core.transport.streams import Stream
from ims_core.transport.visitors import DISPLACED, FULL, STRANGER, NoRoom, Visitors
from ims_core.transport.websocket import WebSocketFramer, WebSocketSettings

if TYPE_CHECKING:
    from ims_core.transport.tls import HandshakeFailed, Tls

log = structlog.get_logger("sip")

BACKLOG = 1024  # connections that the system holds until we take them
PROBE_SECONDS = 1.0  # to open a connection that there is another way for
LOGGED_LINES, LOGGED_SECONDS = 10, 10.0  # so many faults of peers are logged within so long; all are counted

Peer = tuple[str, Address, str]  # transport, remote address, and the name that a certificate has proved


class ConnectionsOwner(Owner, Protocol):
    """What the connections need of the stack beyond that."""

    def connection_failed(self, flow: Flow) -> None:
        """Take note that what was sent on ``flow`` did not arrive, or that the connection is gone."""

    def is_probing(self, flow: Flow) -> bool:
        """Whether the connection is opened only to see whether the peer has one."""

    def shuts_out(self, flow: Flow) -> bool:
        """Whether nothing is to be heard from ``flow``."""

    def knows(self, flow: Flow) -> bool:
        """Whether ``flow`` is no stranger's."""

    def needs(self, flow: Flow) -> bool:
        """Whether ``flow`` must stay: somebody is registered by it, or its host is trusted."""

    def busy(self) -> Container[int]:
        """Return the numbers of the connections that calls under way go by."""


class Connections:
    """Accepts and opens connections, and chooses the one that a message takes.

    A flow with a number means that connection and no other. What has none takes an open connection to the same peer,
    or one opened for it. A peer is an address and a port, for TLS together with the name that is to be proved. Whoever
    connected from an address is the peer there as long as only the address is named: that is how phones are called,
    by TLS too, to whose port nobody can connect. To be called by a name over a connection that it opened itself, a
    peer must prove the name by its certificate and ask for it by ``alias`` (RFC 5923).
    ``handshakes_failed`` counts those of TLS by reason (``tls.FAILURES``), ``turned_away`` by reason the connections
    that there was no room for, or no longer (``visitors.TURNED_AWAY``).
    """

    def __init__(self, owner: ConnectionsOwner, *, tls: Tls | None, websocket: WebSocketSettings | None) -> None:
        self.limits = owner.limits
        self.dropped = owner.dropped
        self.flush = owner.flush
        self.handshakes_failed: Counter[str] = Counter()
        self.turned_away: Counter[str] = Counter()
        self._owner = owner
        self._visitors = Visitors(
            owner, source=owner.limits.connections_per_source, seconds=owner.limits.stranger_seconds
        )
        self._turning_out: asyncio.TimerHandle | None = None
        self._tls = tls
        self._websocket = websocket or WebSocketSettings()
        self._loop = asyncio.get_running_loop()
        self._servers: list[asyncio.Server] = []
        self._streams: dict[int, Stream] = {}
        self._by_peer: dict[Peer, Stream] = {}
        self._opening: dict[Flow, list[bytes]] = {}
        self._may_be_aliased: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._logged: deque[float] = deque(maxlen=LOGGED_LINES)

    def __len__(self) -> int:
        return len(self._streams)

    def by_transport(self) -> Counter[str]:
        """How many connections are open of each kind."""
        return Counter(stream.transport for stream in list(self._streams.values()))

    async def listen(self, transport: str, host: str, port: int) -> Address:
        """Accept connections and return the real address. Raises ``OSError``."""
        if transport in SECURE and self._tls is None:
            raise ValueError("a listener for TLS needs a certificate")
        local: list[Address] = []

        def accept() -> Stream:
            tls = self._tls.accepting() if self._tls is not None and transport in SECURE else None
            return Stream(self, transport, local[0], self._framer(transport), tls=tls)

        server = await self._loop.create_server(accept, host, port, backlog=BACKLOG)
        address: Address = server.sockets[0].getsockname()[:2]
        local.append(address)
        self._servers.append(server)
        return address

    async def close(self) -> None:
        """Close every listener and connection."""
        for server in self._servers:
            server.close()
        if self._turning_out is not None:
            self._turning_out.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for farewell in (Stream.close, Stream.abort):  # who does not take leave at once is left
            for stream in list(self._streams.values()):
                farewell(stream)
            await asyncio.sleep(0)

    def send(self, flow: Flow, data: bytes) -> None:
        """Send one message, over a connection opened for it if need be; 18.4 reports what cannot be sent."""
        stream = self._streams.get(flow.connection) if flow.connection else self._by_peer.get(_peer_of(flow))
        if stream is not None and stream.is_open:
            stream.send(data)
        elif flow.connection or flow.transport in WEBSOCKETS:  # which clients open, and nobody else
            back = return_address(flow, data)
            if back is not None:
                self.send(back, data)
            else:
                self._fail_soon(flow)
        elif flow in self._opening:
            self._queue(flow, data)
        elif self._is_full and not self._make_room():
            self._turn_away(flow, FULL)
            self._fail_soon(flow)
        else:
            self._opening[flow] = [data]
            self._run(self._open(flow))

    # For the connections (``streams.StreamOwner``) ------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow) -> None:
        """Hand on one whole message."""
        if flow.connection in self._may_be_aliased:
            self._alias(self._may_be_aliased.pop(flow.connection), data, flow)
        self._owner.receive(data, flow)
        self._visitors.heard(flow)

    def refuse(self, head: bytes, error: SipError, flow: Flow) -> None:
        """Hand on why a message was not taken."""
        self._owner.refuse(head, error, flow)

    def stream_opened(self, stream: Stream, remote: Address) -> Flow | None:
        """Number a connection; None when there is no room for it, or its peer is banned."""
        self._numbers += 1
        flow = Flow(stream.transport, stream.local, remote, self._numbers)
        if stream.to is None and (self._owner.shuts_out(flow) or not self._take_in(flow)):
            return None
        self._streams[flow.connection] = stream
        return flow

    def stream_ready(self, stream: Stream, flow: Flow) -> None:
        """Send what a connection was opened for, and use it for whatever else goes to its peer."""
        if stream.to is not None:
            self._know(stream, _peer_of(stream.to))
            for data in self._opening.pop(stream.to, ()):
                stream.send(data)
            return
        if flow.transport not in WEBSOCKETS:
            self._know(stream, _peer_of(flow))
        if stream.tls is not None and stream.tls.peer_names:
            self._visitors.welcome(flow)
            if flow.transport == "TLS":
                self._may_be_aliased[flow.connection] = stream

    def stream_closed(self, stream: Stream, flow: Flow) -> None:
        """Forget a connection and report it."""
        self._streams.pop(flow.connection, None)
        self._visitors.leave(flow)
        self._may_be_aliased.pop(flow.connection, None)
        for peer in stream.known_as:
            if self._by_peer.get(peer) is stream:
                del self._by_peer[peer]
        if stream.to is not None:
            self._give_up(stream.to)
        self._owner.connection_failed(flow)

    def handshake_failed(self, flow: Flow, failure: HandshakeFailed) -> None:
        """Count, and tell, why there is no TLS."""
        self.handshakes_failed[failure.reason] += 1
        self.tell("handshake.failed", flow, str(failure))

    def tell(self, event: str, flow: Flow, reason: str) -> None:
        """Log what became of a connection, unless there were too many lines of that kind lately."""
        now = self._loop.time()
        if len(self._logged) < LOGGED_LINES or now - self._logged[0] >= LOGGED_SECONDS:
            self._logged.append(now)
            log.info(event, transport=flow.transport, peer=format_address(flow.remote), reason=reason)

    # Room ---------------------------------------------------------------------------------------------------

    @property
    def _is_full(self) -> bool:
        return len(self._streams) + len(self._opening) >= self.limits.connections

    def _take_in(self, flow: Flow) -> bool:
        """Find room for a connection that a peer opened; False when there is none."""
        try:
            gone = self._visitors.arrive(flow, self._loop.time(), is_full=self._is_full)
        except NoRoom as refusal:
            self._turn_away(flow, refusal.reason)
            return False
        if gone is not None:
            self._displace(gone)
        self._watch_strangers()
        return True

    def _make_room(self) -> bool:
        """Find room for a connection of our own; False when there is none."""
        gone = self._visitors.give_way(self._loop.time())
        if gone is not None:
            self._displace(gone)
        return gone is not None

    def _displace(self, flow: Flow) -> None:
        self._turn_away(flow, DISPLACED)
        stream = self._streams.pop(flow.connection, None)
        if stream is not None:
            stream.abort()

    def _watch_strangers(self) -> None:
        """Wait for the time at which the stranger who came first has been here long enough."""
        deadline = self._visitors.next_deadline()
        if self._turning_out is None and deadline is not None:
            self._turning_out = self._loop.call_at(deadline, self._turn_out)

    def _turn_out(self) -> None:
        self._turning_out = None
        for flow in self._visitors.overstayed(self._loop.time()):
            self._turn_away(flow, STRANGER)
            self._streams[flow.connection].close()
        self._watch_strangers()

    def _turn_away(self, flow: Flow, reason: str) -> None:
        self.turned_away[reason] += 1
        self.tell("connection.turned_away", flow, reason)

    # Opening ------------------------------------------------------------------------------------------------

    def _framer(self, transport: str) -> Framer:
        if transport in WEBSOCKETS:
            return WebSocketFramer(self._websocket, max_message=self.limits.max_message)
        return StreamFramer(max_body=self.limits.max_message)

    async def _open(self, flow: Flow) -> None:
        """Open a connection; the handshakes that follow bound themselves."""
        tls = self._tls.opening(flow) if self._tls is not None and flow.transport in SECURE else None

        def make() -> Stream:
            return Stream(self, flow.transport, flow.local, self._framer(flow.transport), tls=tls, to=flow)

        seconds = self.limits.connect_seconds
        try:
            async with asyncio.timeout(min(seconds, PROBE_SECONDS) if self._owner.is_probing(flow) else seconds):
                _, stream = await self._loop.create_connection(make, *flow.remote, local_addr=(flow.local[0], 0))
        except (OSError, TimeoutError) as error:
            log.info("connection.failed", peer=format_address(flow.remote), error=str(error) or "timeout")
            self._give_up(flow)
        else:
            if not stream.is_open:  # one too many, or gone again already
                self._give_up(flow)

    def _queue(self, flow: Flow, data: bytes) -> None:
        waiting = self._opening[flow]
        if sum(map(len, waiting)) > self.limits.unsent_bytes:
            self.dropped["peer does not read"] += 1
        else:
            waiting.append(data)

    def _give_up(self, flow: Flow) -> None:
        if self._opening.pop(flow, None) is not None:
            self._owner.connection_failed(flow)

    def _fail_soon(self, flow: Flow) -> None:
        """Report a failure when the sender, who is in the middle of sending, has finished."""
        self._loop.call_soon(self._owner.connection_failed, flow)

    def _run(self, opening: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(opening)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Peers --------------------------------------------------------------------------------------------------

    def _alias(self, stream: Stream, data: bytes, flow: Flow) -> None:
        """Use a connection for requests to those whom its certificate stands for, if its first request wants that."""
        port = alias_port(data)
        if port is None or stream.tls is None:
            return
        host = flow.remote[0]
        for name in stream.tls.peer_names:
            if not is_ip_address(name):
                self._know(stream, ("TLS", (host, port), name))
            elif name == host:
                self._know(stream, ("TLS", (host, port), ""))

    def _know(self, stream: Stream, peer: Peer) -> None:
        self._by_peer[peer] = stream
        stream.known_as.append(peer)


def _peer_of(flow: Flow) -> Peer:
    return flow.transport, flow.remote, flow.server_name
