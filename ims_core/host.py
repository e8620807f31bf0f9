"""Listeners by their names, with a core behind them: what every element on real sockets has in common."""

from __future__ import annotations

import asyncio
import random
import secrets
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, TypedDict

from ims_core.errors import SipError
from ims_core.flow import TRANSPORTS, Address, format_address
from ims_core.ids import Ids
from ims_core.messages.uri import split_host_port
from ims_core.registrar.location import Domains, Location
from ims_core.transactions.endpoint import Endpoint
from ims_core.transport.stack import Stack

if TYPE_CHECKING:
    from ims_core.node import Node
    from ims_core.proxy.stateless import StatelessProxy
    from ims_core.transactions.machines import TimerValues
    from ims_core.transport.limits import TransportLimits
    from ims_core.transport.tls import Tls
    from ims_core.transport.websocket import WebSocketSettings


class Listener(NamedTuple):
    """Where to listen; ``transport`` is as in a Via, port 0 is any free one."""

    transport: str
    host: str
    port: int

    @classmethod
    def named(cls, text: str) -> Listener:
        """Read ``transport:host:port``, an IPv6 host in brackets. Raises ``ValueError``."""
        name, _, address = text.partition(":")
        transport = name.upper()
        any_port = address.endswith(":0")  # which is none in a URI
        try:
            host, port = split_host_port(address.removesuffix(":0") if any_port else address)
        except SipError:
            raise ValueError(f"not a listener: {text}") from None
        if transport not in TRANSPORTS:
            raise ValueError(f"not a transport: {name}")
        return cls(transport, host, 0 if any_port else port or (5061 if transport == "TLS" else 5060))


class Settings(TypedDict, total=False):
    """What a ``Host`` is made with besides its listeners."""

    domain: str
    timers: TimerValues | None
    limits: TransportLimits | None
    tls: Tls | None
    websocket: WebSocketSettings | None


class Host(ABC):
    """Listeners that are open while the context lasts, and whoever answers there.

    ``listen`` are listeners as ``"udp:127.0.0.1:5060"`` (port 0: any free one, see ``addresses``); ``domain`` is what
    requests to it name, besides its addresses. Listeners of TLS and WSS need ``tls``; ``websocket`` says who may
    connect to those of WS and WSS. Raises ``ValueError`` for what is no listener.
    """

    def __init__(
        self,
        *listen: str,
        domain: str = "localhost",
        timers: TimerValues | None = None,
        limits: TransportLimits | None = None,
        tls: Tls | None = None,
        websocket: WebSocketSettings | None = None,
    ) -> None:
        self._listen = [Listener.named(text) for text in listen]
        self._timers = timers
        self._limits = limits
        self._tls = tls
        self._websocket = websocket
        self.domains = Domains(domain)
        self.location = Location()
        self.ids = Ids(random.Random(secrets.randbits(256)).getrandbits)
        self.addresses: list[tuple[str, Address]] = []
        self.stack: Stack

    async def __aenter__(self) -> Self:
        """Open the listeners. Raises ``OSError``."""
        self.stack = Stack(self._limits, tls=self._tls, websocket=self._websocket)
        try:
            for transport, host, port in self._listen:
                self.addresses.append((transport, await self.stack.bind(transport, host, port)))
        except OSError:
            await self.stack.close()
            raise
        told = {listener: format_address(listener[1]) for listener in self.addresses}
        for host_and_port in told.values():
            self.domains.add_alias(host_and_port)
        clock = asyncio.get_running_loop().time
        endpoint = Endpoint(clock=clock, ids=self.ids, sent_by=told, timers=self._timers)
        self.stack.attach(self._core(endpoint, told, secrets.token_bytes(16)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the listeners."""
        await self.stack.close()

    async def forever(self) -> None:
        """Serve until the task is cancelled."""
        await asyncio.Event().wait()

    @abstractmethod
    def _core(
        self, endpoint: Endpoint, advertised: dict[tuple[str, Address], str], secret: bytes
    ) -> Node | StatelessProxy:
        """Make what answers."""
