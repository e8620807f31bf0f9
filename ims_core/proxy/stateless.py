"""A proxy that keeps no state: each message goes on by itself, responses by their Via (RFC 3261 section 16.11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from ims_core.errors import Forbidden, MaxBreadthExceeded, NoRoute, SipError
from ims_core.flow import Flow
from ims_core.ids import MAGIC_COOKIE
from ims_core.locate.courier import Courier, fits
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.proxy.bounds import Loops, breadth_of, check_proxy_required, hops_left
from ims_core.proxy.passage import Passage
from ims_core.proxy.record_route import RecordRoute
from ims_core.proxy.routes import lead_on, strip_maddr, take_own_routes, undo_strict_routing
from ims_core.security.door import Door
from ims_core.transactions.vias import stamp_via

if TYPE_CHECKING:
    from ims_core.flow import Address
    from ims_core.locate.courier import Hop
    from ims_core.locate.records import Answer, Question
    from ims_core.messages.headers import Via
    from ims_core.messages.message import Message
    from ims_core.messages.uri import Uri
    from ims_core.proxy.forking import Target
    from ims_core.registrar.location import Domains, Location
    from ims_core.transactions.endpoint import Endpoint

CAME_BY: Final = "came"  # our Via parameter: the number of the listener, and of the connection, that a request came by


class StatelessProxy:
    """Forwards requests to the one target that ``route`` names, and responses back, without a transaction.

    ``route`` must name the same target for the same request each time, and raises ``SipError`` to refuse it; within
    dialogs that were set up through this proxy the Route counts. Next hops must be IP addresses: a name may be found
    elsewhere the next time. Retransmissions are what the ends make of them. It stands in the place of a ``Node``.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        domains: Domains,
        location: Location,
        route: Callable[[Request, Flow], Target],
        advertised: Mapping[tuple[str, Address], str],
        secret: bytes,
    ) -> None:
        self.endpoint = endpoint
        self.courier = Courier(endpoint, listeners=advertised, location=location)
        self.door = Door(clock=endpoint.clock, domains=domains, location=location)
        self._is_local = domains.serves
        self._route = route
        self._listeners = list(advertised)
        self._numbers = {listener: number for number, listener in enumerate(advertised)}
        self._sent_by = advertised
        self._secret = secret
        self._record_route = RecordRoute(advertised, secret)
        self._loops = Loops(secret)

    # What a stack calls -------------------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take one whole message."""
        endpoint = self.endpoint
        if self.door.shuts_out(flow):
            return
        try:
            message = parse_message(data, datagram=flow.transport == "UDP")
        except SipError as error:
            endpoint.refuse_malformed(error, flow)
            return
        if isinstance(message, Response):
            try:
                self._send_back(message)
            except SipError:
                endpoint.dropped["stray response"] += 1
            return
        reply_to = stamp_via(message, message.via, flow)
        try:
            self._send_on(message, flow)
            if flow.connection:
                self.door.let_in(flow)
        except SipError as error:
            if message.method == "ACK":  # nobody can be told
                endpoint.dropped["stray ACK"] += 1
            else:
                endpoint.refuse_statelessly(message, error, reply_to)

    def take(self, data: bytes, flow: Flow) -> None:
        """Take one of several whole messages; it is sent on at once."""
        self.receive(data, flow)

    def settle(self) -> None:
        """Nothing that was taken waits for it."""

    def handle_timer(self) -> None:
        """Nothing here waits for anything."""

    def next_deadline(self) -> float | None:
        """No time is waited for."""
        return None

    def data_to_send(self) -> list[tuple[Flow, bytes]]:
        """Return and forget the bytes to send, each with its flow."""
        return self.endpoint.data_to_send()

    def connection_failed(self, flow: Flow) -> None:
        """What could not be sent is lost: its sender will find out, and what he repeats goes by UDP then."""
        self.door.left(flow)
        self.courier.connection_failed(flow)
        self.endpoint.dropped["connection failed"] += 1

    def resolved(self, question: Question, answer: Answer) -> None:
        """No names are looked up."""

    # Requests -----------------------------------------------------------------------------------------------

    def _send_on(self, request: Request, came_by: Flow) -> None:
        token = self._record_route.token(request.call_id)
        hops = hops_left(request)
        check_proxy_required(request)
        breadth = breadth_of(request)
        followed = request.copy()
        if self._undo_routes(followed, token):
            passage, mark = self._passage(followed, came_by, hops, token), ""
            copy = passage.copy(followed.uri)
            hop: Hop = lead_on(copy)
        else:
            target = self._route(request, came_by)
            if not breadth:
                raise MaxBreadthExceeded
            passage, mark = self._passage(request, came_by, hops, token), self._loops.mark(request, target.route)
            copy, hop = passage.copy_for(target, breadth)
        way = self.courier.way(hop) if isinstance(hop, str) else hop
        if not isinstance(way, Flow):
            raise NoRoute
        if way.transport == "UDP" and not fits(copy):
            way = self.courier.tcp_first(copy, way, passage.prepare) or way
        passage.prepare(copy, way)
        copy.prepend("Via", self._via(way, self._branch(request.via, request) + mark, came_by))
        self.endpoint.send(way, copy.encode())

    def _passage(self, request: Request, came_by: Flow, hops: int, token: str) -> Passage:
        return Passage(request, came_by, hops, token, self._record_route)

    def _undo_routes(self, request: Request, token: str) -> bool:
        """Take our own URIs off the Route; whether one of them proves that the dialog goes through us (16.4)."""
        is_proven = token in request.uri and undo_strict_routing(request, self._is_ours(token)) is not None
        strip_maddr(request, self._is_local)
        for route in take_own_routes(request, self._is_local):
            is_proven = is_proven or self._record_route.proves(route, token)
        return is_proven

    def _is_ours(self, token: str) -> Callable[[Uri], bool]:
        return lambda uri: self._record_route.proves(uri, token) and self._is_local(uri)

    def _branch(self, via: Via, message: Message) -> str:
        """The branch for what came with ``via``: every copy of one request gets the same, its CANCEL and ACK too.

        Made with our secret, it proves a response to be to a request that had been sent on for that very sender.
        """
        params = via.params
        told = [via.branch, via.host, str(via.port), params.get("received", ""), params.get("rport", "")]
        if not via.branch.startswith(MAGIC_COOKIE):  # a hop of RFC 2543
            told += [message.from_tag, message.call_id, str(message.cseq.number)]
        text = "\n".join(told).encode("utf-8", "surrogateescape")
        return MAGIC_COOKIE + blake2b(text, digest_size=8, key=self._secret).hexdigest()

    def _via(self, way: Flow, branch: str, came_by: Flow) -> str:
        sent_by = self._sent_by[way.transport, way.local]
        number = self._numbers[came_by.transport, came_by.local]
        return f"SIP/2.0/{way.transport} {sent_by};branch={branch};rport;{CAME_BY}={number}-{came_by.connection}"

    # Responses ----------------------------------------------------------------------------------------------

    def _send_back(self, response: Response) -> None:
        """Forward a response to where the next Via says, by the listener that the request came by (18.2.2)."""
        ours = response.via
        copy = response.copy()
        copy.pop_value("Via")
        via = copy.via
        number, _, connection = ours.params.get(CAME_BY, "").partition("-")
        is_ours = ours.branch.partition(".")[0] == self._branch(via, response)
        if not is_ours or not _is_number(number, len(self._listeners)) or not _is_number(connection, 2**40):
            raise Forbidden("Not to a request that we sent on")
        transport, local = self._listeners[int(number)]
        params = via.params
        port = params.get("rport", "")
        remote = params.get("received") or via.host, int(port) if _is_number(port, 2**16) else via.port or 5060
        self.endpoint.send(Flow(transport, local, remote, int(connection)), copy.encode())


def _is_number(text: str, limit: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 14 and int(text) < limit
