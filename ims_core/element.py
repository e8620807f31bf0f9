"""An element on real sockets, ready to use: what a proxy, a registrar or a B2BUA is written on.

    async with Element("udp:127.0.0.1:5060", domain="lab.example") as element:
        element.register = registrar.handle       # what becomes of a REGISTER
        element.route = forward                   # what becomes of any other request outside a dialog
        element.serve = answer                    # a coroutine function for each call that is routed to a service
        await element.forever()

`Node` is the same without sockets, and `Call` a call that can be awaited.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import structlog

from ims_core.calls import Call
from ims_core.errors import SipError
from ims_core.flow import TRANSPORTS, Address, Flow, format_address
from ims_core.ids import Ids
from ims_core.messages.uri import split_host_port
from ims_core.node import Node
from ims_core.registrar.location import Domains, Location
from ims_core.roles.routing import HERE, Decision, ToService
from ims_core.transactions.endpoint import Endpoint
from ims_core.transport.stack import Stack
from ims_core.ua.session_events import ignore

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.transactions.machines import TimerValues
    from ims_core.transport.limits import TransportLimits
    from ims_core.transport.tls import Tls
    from ims_core.transport.websocket import WebSocketSettings
    from ims_core.ua.incoming import IncomingCall

Route = Callable[["Request", Flow, float], Decision]
Serve = Callable[[Call], Awaitable[None]]

log = structlog.get_logger("sip")

SERVICE = "service"


class Element:
    """One SIP element with its listeners, open while the context lasts.

    ``listen`` are listeners as ``"udp:127.0.0.1:5060"`` (port 0: any free one, see ``addresses``); ``domain`` is what
    requests to the element name, besides its addresses. ``register`` decides about each REGISTER and ``route`` about
    other requests outside any dialog: as they are, the one refuses and the other hands every call to ``serve``.
    ``serve`` is run as a task of its own for each such call: the call ends when it returns, and it is cancelled when
    the caller hangs up. Listeners of TLS and WSS need ``tls``; ``websocket`` says who may connect to those of WS and
    WSS.
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
        self._listen = [_listener(text) for text in listen]
        self._timers = timers
        self._limits = limits
        self._tls = tls
        self._websocket = websocket
        self._tasks: set[asyncio.Task[None]] = set()
        self.domains = Domains(domain)
        self.location = Location()
        self.ids = Ids(random.Random(secrets.randbits(256)).getrandbits)
        self.addresses: list[tuple[str, Address]] = []
        self.register: Route = _to_nobody
        self.route: Route = _to_service
        self.serve: Serve | None = None
        self.stack: Stack
        self.node: Node

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
        self.node = Node(
            Endpoint(clock=asyncio.get_running_loop().time, ids=self.ids, sent_by=told, timers=self._timers),
            domains=self.domains,
            location=self.location,
            router=_Router(self),
            advertised=told,
            secret=secrets.token_bytes(16),
        )
        self.node.services[SERVICE] = self._begin
        self.stack.attach(self.node)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the calls and close the listeners."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.stack.close()

    async def forever(self) -> None:
        """Serve until the task is cancelled."""
        await asyncio.Event().wait()

    def call(self, target: str, *, caller: str, sdp: bytes = b"", hop: Flow | str | None = None) -> Call:
        """Call ``target``, a URI, as ``caller``, a name-addr; by way of ``hop`` where that is not the target itself.

        Use the call as a context: it is hung up at the end, whatever happened. Raises ``SipError`` when there is no
        way there.
        """
        session = self.node.call(target if hop is None else hop, ignore)
        call = Call(self.stack.flush).attach(session)
        session.start(target, caller=caller, callee=f"<{target}>", sdp=sdp)
        self.stack.flush()
        return call

    def _begin(self, session: IncomingCall) -> None:
        if self.serve is None:
            session.reject(480)
            return
        call = Call(self.stack.flush).attach(session)
        task = asyncio.get_running_loop().create_task(self._run(self.serve, call))
        call.on_end = task.cancel
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, serve: Serve, call: Call) -> None:
        async with call:
            try:
                await serve(call)
            except Exception:
                log.exception("call.failed", call_id=call.call_id)


class _Router:
    def __init__(self, element: Element) -> None:
        self._element = element

    def route(self, request: Request, flow: Flow, now: float) -> Decision:
        decide = self._element.register if request.method == "REGISTER" else self._element.route
        return decide(request, flow, now)


def _to_nobody(request: Request, flow: Flow, now: float) -> Decision:
    return ToService(HERE)


def _to_service(request: Request, flow: Flow, now: float) -> Decision:
    return ToService(SERVICE, request.from_.uri.user)


def _listener(text: str) -> tuple[str, str, int]:
    """Return transport, host and port of ``transport:host:port``. Raises ``ValueError``."""
    transport, _, address = text.partition(":")
    any_port = address.endswith(":0")  # which is none in a URI
    try:
        host, port = split_host_port(address.removesuffix(":0") if any_port else address)
    except SipError:
        raise ValueError(f"not a listener: {text}") from None
    if transport.upper() not in TRANSPORTS:
        raise ValueError(f"not a transport: {transport}")
    return transport.upper(), host, 0 if any_port else port or 5060
