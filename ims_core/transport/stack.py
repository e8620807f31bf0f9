"""The asyncio shell of a node: sockets, one timer, nothing else (RFC 3261 section 18)."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING

import structlog

from ims_core.errors import SipError
from ims_core.flow import Address, Flow
from ims_core.locate.dns import Dns
from ims_core.locate.records import Answer, Question
from ims_core.transport.connections import Connections
from ims_core.transport.datagrams import Datagrams, send_datagrams
from ims_core.transport.limits import TransportLimits

if TYPE_CHECKING:
    from ims_core.node import Node
    from ims_core.proxy.stateless import StatelessProxy
    from ims_core.transport.tls import Tls
    from ims_core.transport.websocket import WebSocketSettings

Tap = Callable[[str, Flow, bytes], None]

log = structlog.get_logger("sip")

TIMER_GRAIN = 0.005  # timers that run out within so many seconds are served in one go


class Stack:
    """Pumps bytes between sockets and a node.

    Call ``bind`` for each listener, then ``attach`` the node made with the addresses it returned. Whoever uses the
    node or one of its calls from outside must call ``flush`` afterwards. ``tap`` sees every message with ``"in"``
    or ``"out"``. ``dropped`` counts what was discarded by reason. Listeners for TLS and WSS need ``tls``; ``streams``
    are the connections of all but UDP. Names of hosts are looked up at ``nameservers``, None meaning the system's.
    """

    def __init__(
        self,
        limits: TransportLimits | None = None,
        *,
        tls: Tls | None = None,
        websocket: WebSocketSettings | None = None,
        nameservers: Sequence[Address] | None = None,
    ) -> None:
        self.limits = limits or TransportLimits()
        self.tap: Tap | None = None
        self.dropped: Counter[str] = Counter()
        self.streams = Connections(self, tls=tls, websocket=websocket)
        self._loop = asyncio.get_running_loop()
        self._dns = Dns(self._answered, nameservers=nameservers)
        self._node: Node | StatelessProxy | None = None
        self._datagrams: dict[Address, Datagrams] = {}
        self._wake_at: float | None = None
        self._wake: asyncio.TimerHandle | None = None
        self._sampled = False

    async def bind(self, transport: str, host: str, port: int) -> Address:
        """Open a listener, by a transport of ``flow.TRANSPORTS``, and return its real address. Raises ``OSError``."""
        if transport != "UDP":
            return await self.streams.listen(transport, host, port)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if family == socket.AF_INET6:  # as asyncio does it for streams: the same port may be bound for IPv4
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.limits.receive_buffer)
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
        address: Address = sock.getsockname()[:2]
        self._datagrams[address] = Datagrams(self, sock)
        return address

    def attach(self, node: Node | StatelessProxy) -> None:
        """Start handing what comes in to ``node``."""
        self._node = node
        node.courier.resolver.ask = self._dns.ask
        self.flush()

    async def close(self) -> None:
        """Close every socket."""
        self._node = None
        if self._wake is not None:
            self._wake.cancel()
        for listener in self._datagrams.values():
            listener.close()
        await self._dns.close()
        await self.streams.close()

    def connection_failed(self, flow: Flow) -> None:
        """Tell the node that what it sent on ``flow`` did not arrive, or that the connection is gone."""
        if self._node is not None:
            self._node.connection_failed(flow)
            self.flush()

    def is_probing(self, flow: Flow) -> bool:
        """Whether a connection is opened only to see whether the peer has one: that must not take long."""
        return self._node is not None and self._node.courier.is_probing(flow)

    def shuts_out(self, flow: Flow) -> bool:
        """Whether nothing is to be heard from ``flow``."""
        return self._node is not None and self._node.door.shuts_out(flow)

    def knows(self, flow: Flow) -> bool:
        """Whether ``flow`` is no stranger's."""
        return self._node is not None and self._node.door.knows(flow)

    def needs(self, flow: Flow) -> bool:
        """Whether ``flow`` must stay: somebody is registered by it, or its host is trusted."""
        return self._node is not None and self._node.door.needs(flow)

    def busy(self) -> Container[int]:
        """Return the numbers of the connections that calls under way go by."""
        return self._node.door.busy() if self._node is not None else ()

    def receive(self, data: bytes, flow: Flow) -> None:
        """Hand one whole message to the node; never raises. The caller flushes."""
        self.receive_all(((data, flow),))

    def receive_all(self, messages: Sequence[tuple[bytes, Flow]]) -> None:
        """Hand whole messages that came together to the node; never raises. The caller flushes."""
        node = self._node
        if node is None:
            return
        for data, flow in messages:
            if self.tap is not None:
                self.tap("in", flow, data)
            try:
                node.take(data, flow)
            except Exception:
                self.dropped["defect"] += 1
                log.exception("message.failed", peer=str(flow))
        is_settled = False
        while not is_settled:  # what the node fails at does not keep it from the rest
            try:
                node.settle()
                is_settled = True
            except Exception:
                self.dropped["defect"] += 1
                log.exception("message.failed", peer=" or ".join(sorted({str(flow) for _, flow in messages})))

    def refuse(self, head: bytes, error: SipError, flow: Flow) -> None:
        """Have the node tell the sender of a message why it is not taken; never raises. The caller flushes."""
        if self._node is not None and not self._node.door.shuts_out(flow):
            self._node.endpoint.refuse_unread(head, error, flow)

    def waited(self, seconds: float) -> None:
        """Take note of how long a message was there before it is taken now."""
        if self._node is not None:
            self._sampled = True
            self._node.door.waited(seconds)

    def flush(self) -> None:
        """Send what the node has to send and set the timer to its next deadline."""
        node = self._node
        if node is None:
            return
        out = node.data_to_send()
        if self.tap is not None:
            for flow, data in out:
                self.tap("out", flow, data)
        for flow, data in send_datagrams(self._datagrams, out):
            self.streams.send(flow, data)
        deadline = node.next_deadline()
        if deadline is not None and (self._wake_at is None or deadline < self._wake_at):
            # What is overdue must not put off the timer that is set already: under load that would be for ever.
            wake_at = max(deadline, self._loop.time() + TIMER_GRAIN)
            if self._wake is None or self._wake_at is None or wake_at < self._wake_at:
                if self._wake is not None:
                    self._wake.cancel()
                self._wake_at = wake_at
                self._wake = self._loop.call_at(wake_at, self._on_timer)

    def _answered(self, question: Question, answer: Answer) -> None:
        if self._node is not None:
            try:
                self._node.resolved(question, answer)
            except Exception:
                self.dropped["defect"] += 1
                log.exception("answer.failed", question=str(question))
            self.flush()

    def _on_timer(self) -> None:
        wake_at, self._wake, self._wake_at = self._wake_at, None, None
        if wake_at is not None and not self._sampled and len(self.streams):
            self.waited(time.monotonic() - wake_at)  # as long as what connections had brought
        self._sampled = False
        if self._node is not None:
            try:
                self._node.handle_timer()
            except Exception:
                self.dropped["defect"] += 1
                log.exception("timer.failed")
            self.flush()
