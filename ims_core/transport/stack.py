"""The asyncio shell of a node: sockets, one timer, nothing else (RFC 3261 section 18)."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from ims_core.flow import Address, Flow, format_address
from ims_core.transport.datagrams import Datagrams
from ims_core.transport.limits import TransportLimits
from ims_core.transport.streams import Stream

if TYPE_CHECKING:
    from ims_core.node import Node

Tap = Callable[[str, Flow, bytes], None]

log = structlog.get_logger("sip")

TIMER_GRAIN = 0.005  # timers that run out within so many seconds are served in one go


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
        self._datagrams: dict[Address, Datagrams] = {}
        self._servers: list[asyncio.Server] = []
        self._streams: dict[int, Stream] = {}
        self._by_remote: dict[Address, Stream] = {}
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
        self._datagrams[address] = Datagrams(self, sock)
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
        """Hand one whole message to the node; never raises. The caller flushes."""
        if self._node is None:
            return
        if self.tap is not None:
            self.tap("in", flow, data)
        try:
            self._node.receive(data, flow)
        except Exception:
            self.dropped["defect"] += 1
            log.exception("message.failed", peer=str(flow))

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
            try:
                self._node.handle_timer()
            except Exception:
                self.dropped["defect"] += 1
                log.exception("timer.failed")
            self.flush()

    # Streams ------------------------------------------------------------------------------------------------

    async def _bind_stream(self, host: str, port: int) -> Address:
        local: list[Address] = []
        server = await self._loop.create_server(lambda: Stream(self, local[0]), host, port)
        address: Address = server.sockets[0].getsockname()[:2]
        local.append(address)
        self._servers.append(server)
        return address

    def stream_opened(self, stream: Stream, remote: Address) -> Flow | None:
        """Number a connection; None when there are too many."""
        if len(self._streams) >= self.limits.connections:
            self.dropped["connection limit"] += 1
            return None
        self._connections += 1
        flow = Flow("TCP", stream.local, remote, self._connections)
        self._streams[flow.connection] = stream
        self._by_remote[remote] = stream
        return flow

    def stream_closed(self, stream: Stream, flow: Flow) -> None:
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
            opening = self._loop.create_connection(lambda: Stream(self, flow.local), *flow.remote)
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
