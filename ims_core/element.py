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
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Unpack

import structlog

from ims_core.calls import Call
from ims_core.flow import Address, Flow
from ims_core.host import Host, Settings
from ims_core.node import Node
from ims_core.proxy.stateless import StatelessProxy
from ims_core.roles.routing import HERE, Decision, ToService
from ims_core.ua.session_events import ignore

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.proxy.forking import Target
    from ims_core.security.credentials import Credentials
    from ims_core.security.digest import Challenge
    from ims_core.transactions.endpoint import Endpoint
    from ims_core.ua.incoming import IncomingCall

Route = Callable[["Request", Flow, float], "Decision | Challenge"]
Serve = Callable[[Call], Awaitable[None]]

log = structlog.get_logger("sip")

SERVICE = "service"


class Element(Host):
    """One SIP element with its listeners, open while the context lasts; see ``Host`` for what it is made with.

    ``register`` decides about each REGISTER and ``route`` about other requests outside any dialog: as they are, the
    one refuses and the other hands every call to ``serve``. That is run as a task of its own for each such call: the
    call ends when it returns, and it is cancelled when the caller hangs up, once it was given what it awaited before.
    """

    def __init__(self, *listen: str, **settings: Unpack[Settings]) -> None:
        super().__init__(*listen, **settings)
        self._tasks: set[asyncio.Task[None]] = set()
        self.register: Route = _to_nobody
        self.route: Route = _to_service
        self.serve: Serve | None = None
        self.node: Node

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the calls and close the listeners."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().__aexit__(kind, error, trace)

    def _core(self, endpoint: Endpoint, advertised: dict[tuple[str, Address], str], secret: bytes) -> Node:
        self.node = Node(
            endpoint,
            domains=self.domains,
            location=self.location,
            router=_Router(self),
            advertised=advertised,
            secret=secret,
        )
        self.node.services[SERVICE] = self._begin
        return self.node

    def call(
        self,
        target: str,
        *,
        caller: str,
        sdp: bytes = b"",
        hop: Flow | str | None = None,
        credentials: Credentials | None = None,
        reliable: bool = True,
    ) -> Call:
        """Call ``target``, a URI, as ``caller``, a name-addr; by way of ``hop`` where that is not the target itself.

        ``credentials`` answer who asks for some. Unless ``reliable`` the callee is not told that his provisional
        responses may be reliable (RFC 3262), which without ``sdp`` may bring his offer, to be answered before he
        answers. Use the call as a context: it is hung up at the end, whatever happened. Raises ``SipError`` when there
        is no way there.
        """
        session = self.node.call(target if hop is None else hop, ignore, credentials=credentials)
        call = Call(self.stack.flush).attach(session)
        session.start(target, caller=caller, callee=f"<{target}>", sdp=sdp, reliable=reliable)
        self.stack.flush()
        return call

    def _begin(self, session: IncomingCall) -> None:
        if self.serve is None:
            session.reject(480)
            return
        call = Call(self.stack.flush).attach(session)
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._run(self.serve, call))
        call.on_end = lambda: loop.call_soon(task.cancel)  # after what it awaited and came with the end
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, serve: Serve, call: Call) -> None:
        async with call:
            try:
                await serve(call)
            except Exception:
                log.exception("call.failed", call_id=call.call_id)


class StatelessElement(Host):
    """A proxy that keeps nothing, with its listeners; ``forward`` is the ``route`` of ``StatelessProxy``."""

    def __init__(self, *listen: str, forward: Callable[[Request, Flow], Target], **settings: Unpack[Settings]) -> None:
        super().__init__(*listen, **settings)
        self._forward = forward

    def _core(self, endpoint: Endpoint, advertised: dict[tuple[str, Address], str], secret: bytes) -> StatelessProxy:
        return StatelessProxy(
            endpoint,
            domains=self.domains,
            location=self.location,
            route=self._forward,
            advertised=advertised,
            secret=secret,
        )


class _Router:
    def __init__(self, element: Element) -> None:
        self._element = element

    def route(self, request: Request, flow: Flow, now: float) -> Decision | Challenge:
        decide = self._element.register if request.method == "REGISTER" else self._element.route
        return decide(request, flow, now)


def _to_nobody(request: Request, flow: Flow, now: float) -> Decision:
    return ToService(HERE)


def _to_service(request: Request, flow: Flow, now: float) -> Decision:
    return ToService(SERVICE, request.from_.uri.user)
