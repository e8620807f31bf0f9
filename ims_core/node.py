"""One SIP element without I/O: the layers put together, and the way of a message through them.

    bytes → Endpoint (parse, transactions) → within a dialog: UserAgent or Proxy
                                           → else: Router.route → a response, the Proxy, or a service

A service is a callable that is handed the ``IncomingCall`` of an INVITE; it must answer or reject it. What there is
to send is taken with ``data_to_send()`` after every input, also after a service used one of its calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ims_core.errors import NoSuchDialog, SipError, TooManyHops
from ims_core.flow import Address, Flow
from ims_core.locate.courier import Courier, Hop
from ims_core.locate.records import Answer, Question
from ims_core.messages.extensions import check_required
from ims_core.messages.message import METHODS, Response
from ims_core.proxy.proxy import Proxy, ProxyPolicy
from ims_core.proxy.routes import next_route
from ims_core.roles.routing import HERE, Decision, Forward, ToService
from ims_core.security.digest import Challenge
from ims_core.security.door import Door
from ims_core.transactions.endpoint import AckReceived, CancelReceived, RequestFailed, RequestReceived, ResponseReceived
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.useragent import WITHIN_DIALOGS, UserAgent

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.proxy.forward import Passing
    from ims_core.registrar.location import Domains, Location, LocationEvent
    from ims_core.roles.routing import Router
    from ims_core.security.credentials import Credentials
    from ims_core.transactions.endpoint import Endpoint
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.session_events import EventHandler

Service = Callable[[IncomingCall], None]


class Node:
    """Owns an endpoint and everything above it.

    ``advertised`` maps each listener to the ``host:port`` it is reached by, ``services`` names to services.
    ``on_location`` is told of every change of a binding. ``within``, where it is set, says how a request within a
    dialog through us goes on, None: as it is; it raises ``SipError`` to refuse it. ``door`` says who may come in;
    without protection that is everybody.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        domains: Domains,
        location: Location,
        router: Router,
        advertised: Mapping[tuple[str, Address], str],
        secret: bytes,
        policy: ProxyPolicy = ProxyPolicy(),  # noqa: B008 - a value
        door: Door | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.location = location
        self.services: dict[str, Service] = {}
        self.on_location: Callable[[LocationEvent], None] = _ignore
        self.within: Callable[[Request, Flow, float], Passing | None] | None = None
        self._router = router
        self.courier = Courier(endpoint, listeners=advertised, location=location)
        self.ua = UserAgent(self.courier, way_to_peer=self.courier.way_to_peer, advertised=advertised)
        self.proxy = Proxy(
            self.courier,
            is_local=domains.serves,
            advertised=advertised,
            secret=secret,
            policy=policy,
        )
        self.proxy.hand_over = self._serve
        self.door = door or Door(clock=endpoint.clock, domains=domains, location=location)
        self.door.owns = self.ua.owns
        self.door.busy = self._busy
        endpoint.admits = self.door.admits

    # Inputs -------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take one whole message and act on it."""
        self.take(data, flow)
        self._react()

    def take(self, data: bytes, flow: Flow) -> None:
        """Take one of several whole messages; ``settle`` must follow the last of them.

        To read them all before acting on the first makes better use of the processor's caches.
        """
        if self.door.guard is not None and self.door.shuts_out(flow):
            return
        self.endpoint.receive(data, flow)

    def handle_timer(self) -> None:
        """Act on every deadline that has passed."""
        self.endpoint.handle_timer()
        self.location.expire(self.endpoint.clock())
        self._react()

    def connection_failed(self, flow: Flow) -> None:
        """A stream connection could not be opened or is gone."""
        self.courier.connection_failed(flow)
        self.location.connection_lost(flow)
        self.door.left(flow)
        self._react()

    def resolved(self, question: Question, answer: Answer) -> None:
        """Take what the DNS says to a question of the courier's resolver."""
        self.courier.resolver.answer(question, answer)
        self._react()

    def settle(self) -> None:
        """Act on what was taken, and on what its owner has changed otherwise: contacts that he removed, for one."""
        self._react()

    def call(self, hop: Hop, on_event: EventHandler, *, credentials: Credentials | None = None) -> OutgoingCall:
        """Make a session that can call through ``hop``; ``credentials`` answer who asks for some there."""
        return self.ua.outgoing(hop, on_event, credentials=credentials)

    # Outputs ------------------------------------------------------------------------------------------------

    def data_to_send(self) -> list[tuple[Flow, bytes]]:
        """Return and forget the bytes to send, each with its flow."""
        return self.endpoint.data_to_send()

    def next_deadline(self) -> float | None:
        """Return when ``handle_timer`` is to be called."""
        mine, bindings = self.endpoint.next_deadline(), self.location.next_deadline()
        return mine if bindings is None or (mine is not None and mine < bindings) else bindings

    # Reactions ----------------------------------------------------------------------------------------------

    def _react(self) -> None:
        events, changes = self.endpoint.events, self.location.events
        while events:
            event = events.popleft()
            if isinstance(event, RequestReceived):
                self._on_request(event)
            elif isinstance(event, ResponseReceived):
                self._on_response(event)
            elif isinstance(event, AckReceived):
                self._on_ack(event)
            elif isinstance(event, CancelReceived):
                self._on_cancel(event)
            else:
                self._on_failure(event)
        while changes:
            self.on_location(changes.popleft())

    def _on_request(self, event: RequestReceived) -> None:
        transaction, request, flow = event.transaction, event.request, event.flow
        try:
            if request.method != "REGISTER" and request.to_tag:
                self._within_dialog(transaction, request, flow)
            else:
                self._outside_dialog(transaction, request, flow)
        except SipError as error:
            self.endpoint.refuse(transaction, error)

    def _within_dialog(self, transaction: ServerTransaction, request: Request, flow: Flow) -> None:
        if self.ua.owns(request):
            self.ua.receive(transaction, request)
        else:
            try:
                if next_route(request) is None:
                    raise NoSuchDialog
                self._trying(transaction, request)
                passing = self.within(request, flow, self.endpoint.clock()) if self.within is not None else None
                if passing is None:
                    self.proxy.forward_within_dialog(transaction, request)
                else:
                    self.proxy.forward_within_dialog(transaction, passing.request, passing.companion)
            except SipError as error:
                self._turn_away(transaction, error, flow)
                return
        if flow.connection:
            self.door.let_in(flow)

    def _outside_dialog(self, transaction: ServerTransaction, request: Request, flow: Flow) -> None:
        try:
            decision = self._router.route(request, flow, self.endpoint.clock())
        except SipError as error:
            # 16.3: what a proxy looks for comes before credentials, and before it asks itself where the request goes
            objection = self.proxy.objection(request) if request.method != "REGISTER" else None
            if isinstance(objection, TooManyHops) and request.method == "OPTIONS":
                self._answer_here(transaction, request)
            else:
                self._turn_away(transaction, objection or error, flow)
            return
        if isinstance(decision, Challenge):
            self._turn_away(transaction, decision, flow)
            return
        if flow.connection and _lets_in(decision):
            self.door.let_in(flow)
        if isinstance(decision, Response):
            self.endpoint.respond(transaction, decision)
        elif isinstance(decision, Forward):
            self._forward(transaction, request, flow, decision)
        else:
            if decision.name in self.services:
                self._trying(transaction, request)
            self._serve(transaction, request, flow, decision)

    def _serve(self, transaction: ServerTransaction, request: Request, flow: Flow, decision: ToService) -> None:
        request = decision.request or request
        if decision.name not in self.services:
            self._answer_here(transaction, request)
        elif request.method == "INVITE":
            call = self.ua.incoming(transaction, request, flow, decision.identity)
            self.services[decision.name](call)
        else:
            self.ua.receive_outside(transaction, request, flow, decision.identity)

    def _turn_away(self, transaction: ServerTransaction, error: SipError, flow: Flow) -> None:
        """Refuse what nothing has been done for: of who did not prove to be where he says nothing is kept (8.2.7).

        Nobody makes us repeat a response to somebody else in that way.
        """
        is_proven = error.is_proven if isinstance(error, Challenge) else self.door.knows(flow)
        if is_proven:
            self.endpoint.refuse(transaction, error)
        else:
            self.endpoint.dismiss(transaction, error)

    def _forward(self, transaction: ServerTransaction, request: Request, flow: Flow, decision: Forward) -> None:
        self._trying(transaction, request)
        try:
            self.proxy.forward(transaction, request, flow, decision)
        except TooManyHops:
            if request.method != "OPTIONS":
                raise
            # 16.3: "the element MAY act as the final recipient", so that a path can be traced hop by hop
            self._answer_here(transaction, request)

    def _answer_here(self, transaction: ServerTransaction, request: Request) -> None:
        """Answer what is addressed to this element itself (11.2, 8.2.1)."""
        method = request.method
        if method in WITHIN_DIALOGS:
            raise NoSuchDialog
        check_required(request)
        allow = (("Allow", "OPTIONS, REGISTER"),)
        if method == "OPTIONS":
            accept = (*allow, ("Accept", "application/sdp"), ("Supported", "path, outbound"))
            self.endpoint.reply(transaction, 200, headers=accept)
        elif method == "INVITE":
            self.endpoint.reply(transaction, 404)
        else:
            self.endpoint.reply(transaction, 405 if method in METHODS else 501, headers=allow)

    def _trying(self, transaction: ServerTransaction, request: Request) -> None:
        if request.method == "INVITE":  # RFC 4320 section 4.1: no 100 to anything else
            self.endpoint.reply(transaction, 100)

    def _busy(self) -> set[int]:
        """Return the numbers of the connections that calls under way go by."""
        pending = {context.transaction.flow.connection for context in self.proxy.active}
        return pending | self.ua.connections()

    def _on_ack(self, event: AckReceived) -> None:
        try:
            if self.ua.owns(event.request):
                self.ua.receive_ack(event.request)
            else:
                request, flow = event.request, event.flow
                passing = self.within(request, flow, self.endpoint.clock()) if self.within is not None else None
                self.proxy.forward_ack(request if passing is None else passing.request, flow)
        except SipError:  # nobody can be told
            self.endpoint.dropped["stray ACK"] += 1

    # The user of a transaction is a session or a forwarding, or nobody when it is over.

    def _on_cancel(self, event: CancelReceived) -> None:
        if (user := event.transaction.user) is not None:
            user.cancelled(event.transaction, event.request)

    def _on_response(self, event: ResponseReceived) -> None:
        if event.response.status == 503:
            self.door.complained(event.transaction.flow)
        if (user := event.transaction.user) is not None:
            user.receive_response(event.transaction, event.response)

    def _on_failure(self, event: RequestFailed) -> None:
        if (user := event.transaction.user) is not None:
            user.request_failed(event.transaction, event.cause)


def _lets_in(decision: Decision) -> bool:
    """Whether the sender is somebody now, and no stranger who was told something about this element."""
    if isinstance(decision, Response):
        return decision.status < 300
    return decision != ToService(HERE)


def _ignore(_: LocationEvent) -> None:
    """Nobody wants to know."""
