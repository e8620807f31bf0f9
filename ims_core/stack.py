"""The asyncio shell of a node: sockets, one timer, nothing else (RFC 3261 section 18)."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

import structlog

from ims_core.errors import BadRequest
from ims_core.flow import Address, Flow, format_address
from ims_core.framing import PONG, StreamFramer

if TYPE_CHECKING:
    from ims_core.node import Node

Tap = Callable[[str, Flow, bytes], None]

log = structlog.get_logger("sip")

TIMER_GRAIN = 0.005  # timers that run out within so many seconds are served in one go


FLOWS_REMEMBERED = 4096
BATCH = 64  # datagrams taken in one go
BUSY_SECONDS = 0.002  # batches that follow each other so quickly mean load
GATHER_SECONDS = 0.001  # what a datagram may wait under load for others to come


class TransportLimits(NamedTuple):
    """What peers may take: see the keys of the same names in the shipped configuration."""

    receive_buffer: int = 4 * 1024 * 1024
    max_message: int = 65_535
    connections: int = 2000
    stall_seconds: float = 30.0
    connect_seconds: float = 5.0
    unsent_bytes: int = 1024 * 1024


class Stack:
    """Pumps bytes between sockets and a node.

    Call ``bind`` for each listener, then ``attach`` the node made with the addresses it returned. Whoever uses the
    node or one of its calls from outside must call ``flush`` afterwards. ``tap`` sees every message with ``"in"``
    or ``"out"``. ``dropped`` counts what was discarded by reason.
    """

    def __init__(self, limits: TransportLimits | None = None) -> None:
        self.limits = limits or TransportLimits()
        self.tap: Tap | None = None
        self.dropped: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._node: Node | None = None
        self._datagrams: dict[Address, _Datagrams] = {}
        self._servers: list[asyncio.Server] = []
        self._streams: dict[int, _Stream] = {}
        self._by_remote: dict[Address, _Stream] = {}
        self._opening: dict[Flow, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._wake_at: float | None = None
        self._wake: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """How many stream connections are open."""
        return len(self._streams)

    async def bind(self, transport: str, host: str, port: int) -> Address:
        """Open a listener (``UDP`` or ``TCP``) and return its real address. Raises ``OSError``."""
        if transport == "TCP":
            return await self._bind_stream(host, port)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.limits.receive_buffer)
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
        address: Address = sock.getsockname()[:2]
        self._datagrams[address] = _Datagrams(self, sock)
        return address

    def attach(self, node: Node) -> None:
        """Start handing what comes in to ``node``."""
        self._node = node
        self.flush()

    async def close(self) -> None:
        """Close every socket."""
        self._node = None
        if self._wake is not None:
            self._wake.cancel()
        for server in self._servers:
            server.close()
        for stream in list(self._streams.values()):
            stream.abort()
        for transport in self._datagrams.values():
            transport.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    def receive(self, data: bytes, flow: Flow) -> None:
        """Hand one whole message to the node and send what it answers."""
        if self._node is None:
            return
        if self.tap is not None:
            self.tap("in", flow, data)
        self._node.receive(data, flow)
        self.flush()

    def flush(self) -> None:
        """Send what the node has to send and set the timer to its next deadline."""
        node = self._node
        if node is None:
            return
        for flow, data in node.data_to_send():
            if self.tap is not None:
                self.tap("out", flow, data)
            if flow.transport == "UDP":
                self._datagrams[flow.local].send(data, flow.remote)
            else:
                self._send_stream(flow, data)
        deadline = node.next_deadline()
        if deadline is not None and (self._wake_at is None or deadline < self._wake_at):
            # What is overdue must not put off the timer that is set already: under load that would be for ever.
            wake_at = max(deadline, self._loop.time() + TIMER_GRAIN)
            if self._wake is None or self._wake_at is None or wake_at < self._wake_at:
                if self._wake is not None:
                    self._wake.cancel()
                self._wake_at = wake_at
                self._wake = self._loop.call_at(wake_at, self._on_timer)

    def _on_timer(self) -> None:
        self._wake = self._wake_at = None
        if self._node is not None:
            self._node.handle_timer()
            self.flush()

    # Streams ------------------------------------------------------------------------------------------------

    async def _bind_stream(self, host: str, port: int) -> Address:
        local: list[Address] = []
        server = await self._loop.create_server(lambda: _Stream(self, local[0]), host, port)
        address: Address = server.sockets[0].getsockname()[:2]
        local.append(address)
        self._servers.append(server)
        return address

    def stream_opened(self, stream: _Stream, remote: Address) -> Flow | None:
        """Number a connection; None when there are too many."""
        if len(self._streams) >= self.limits.connections:
            self.dropped["connection limit"] += 1
            return None
        self._connections += 1
        flow = Flow("TCP", stream.local, remote, self._connections)
        self._streams[flow.connection] = stream
        self._by_remote[remote] = stream
        return flow

    def stream_closed(self, stream: _Stream, flow: Flow) -> None:
        """Forget a connection and tell the node."""
        self._streams.pop(flow.connection, None)
        if self._by_remote.get(flow.remote) is stream:
            del self._by_remote[flow.remote]
        if self._node is not None:
            self._node.connection_failed(flow)
            self.flush()

    def _send_stream(self, flow: Flow, data: bytes) -> None:
        if flow in self._opening:
            self._opening[flow].append(data)
        elif (stream := self._streams.get(flow.connection) or self._by_remote.get(flow.remote)) is not None:
            stream.send(data)
        else:
            self._opening[flow] = [data]
            task = self._loop.create_task(self._open(flow))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, flow: Flow) -> None:
        """Open a connection for a flow that has none; 18.4 reports what cannot be sent."""
        try:
            opening = self._loop.create_connection(lambda: _Stream(self, flow.local), *flow.remote)
            async with asyncio.timeout(self.limits.connect_seconds):
                _, stream = await opening
        except (OSError, TimeoutError) as error:
            log.info("connection.failed", peer=format_address(flow.remote), error=str(error) or "timeout")
            self._give_up(flow)
            return
        if not stream.is_open:  # one too many
            self._give_up(flow)
            return
        for data in self._opening.pop(flow, ()):
            stream.send(data)

    def _give_up(self, flow: Flow) -> None:
        self._opening.pop(flow, None)
        if self._node is not None:
            self._node.connection_failed(flow)
            self.flush()


class _Datagrams:
    """A UDP listener: drains its socket in batches.

    Under load it lets datagrams gather for ``GATHER_SECONDS`` between two batches, as network drivers do with
    interrupts: one wake-up then serves many messages, whose code is still warm in the processor.
    """

    def __init__(self, stack: Stack, sock: socket.socket) -> None:
        self.sock = sock
        self._stack = stack
        self._loop = asyncio.get_running_loop()
        self._local: Address = sock.getsockname()[:2]
        self._flows: dict[object, Flow] = {}
        self._gathering: asyncio.TimerHandle | None = None
        self._last = 0.0
        self._loop.add_reader(sock, self._on_readable)

    def _on_readable(self) -> None:
        now = self._loop.time()
        taken = self._drain()
        if taken and now - self._last < BUSY_SECONDS:
            self._loop.remove_reader(self.sock)
            self._gathering = self._loop.call_later(GATHER_SECONDS, self._resume)
        self._last = now

    def _resume(self) -> None:
        self._gathering = None
        if self._drain():
            self._gathering = self._loop.call_later(GATHER_SECONDS, self._resume)
        else:
            self._loop.add_reader(self.sock, self._on_readable)

    def _drain(self) -> int:
        """Take what has come, up to a batch; returns how many datagrams."""
        receive, recvfrom, flows = self._stack.receive, self.sock.recvfrom, self._flows
        largest = self._stack.limits.max_message
        for taken in range(BATCH):
            try:
                data, address = recvfrom(65536)
            except BlockingIOError:
                return taken
            except OSError:
                self._stack.dropped["icmp error"] += 1
                continue
            if len(data) <= 4:  # RFC 5626 section 3.5.1, and what NAT keep-alives of older phones send
                continue
            if len(data) > largest:
                self._stack.dropped["datagram too large"] += 1
                continue
            receive(data, flows.get(address) or self._remember(address))
        return BATCH

    def _remember(self, address: tuple[str, int] | tuple[str, int, int, int]) -> Flow:
        """Make the flow of a peer, to be shared by whatever comes from it."""
        if len(self._flows) >= FLOWS_REMEMBERED:
            self._flows.clear()
        flow = self._flows[address] = Flow("UDP", self._local, address[:2])
        return flow

    def send(self, data: bytes, remote: Address) -> None:
        try:
            self.sock.sendto(data, remote)
        except BlockingIOError:
            self._stack.dropped["send buffer full"] += 1
        except (OSError, ValueError):  # an address that the socket cannot send to
            self._stack.dropped["datagram not sent"] += 1

    def close(self) -> None:
        if self.sock.fileno() < 0:
            return
        if self._gathering is not None:
            self._gathering.cancel()
        self._loop.remove_reader(self.sock)
        self.sock.close()


class _Stream(asyncio.Protocol):
    """A TCP connection."""

    def __init__(self, stack: Stack, local: Address) -> None:
        self.local = local
        self._stack = stack
        self._flow: Flow | None = None
        self._framer = StreamFramer(max_body=stack.limits.max_message)
        self._transport: asyncio.Transport | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        peer = transport.get_extra_info("peername")  # None: it has gone again already
        if peer is not None:
            self._flow = self._stack.stream_opened(self, peer[:2])
        if self._flow is None:
            self._transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether the connection was admitted and can be sent on."""
        return self._flow is not None and self._transport is not None and not self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        if self._flow is None:
            return
        progress = False
        try:
            for message in self._framer.feed(data):
                progress = True
                self._stack.receive(message, self._flow)
        except BadRequest as error:
            self._stack.dropped["unframed stream"] += 1
            log.info("connection.dropped", peer=format_address(self._flow.remote), reason=error.reason)
            self.abort()
            return
        while self._framer.pings:
            self._framer.pings -= 1
            self.send(PONG)
        self._watch_for_stall(progress=progress)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stall is not None:
            self._stall.cancel()
        if self._flow is not None:
            self._stack.stream_closed(self, self._flow)

    def send(self, data: bytes) -> None:
        """Write, unless the peer has stopped reading: then give the connection up."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > self._stack.limits.unsent_bytes:
            self._stack.dropped["peer does not read"] += 1
            self.abort()
            return
        transport.write(data)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _watch_for_stall(self, *, progress: bool) -> None:
        """Bound the time for which part of one message may wait for the rest."""
        if self._stall is not None and (progress or not self._framer.pending):
            self._stall.cancel()
            self._stall = None
        if self._stall is None and self._framer.pending:
            loop = asyncio.get_running_loop()
            self._stall = loop.call_later(self._stack.limits.stall_seconds, self._stalled)

    def _stalled(self) -> None:
        self._stack.dropped["stalled stream"] += 1
        if self._flow is not None:
            log.info("connection.dropped", peer=format_address(self._flow.remote), reason="half a message")
        self.abort()
