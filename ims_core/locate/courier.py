"""Takes requests to their next hop, which is a flow or is named by a URI (RFC 3261 8.1.2, 16.6; RFC 3263).

An IP address, a registered contact's flow and an open connection are taken at once. A name is looked up, a server that
does not serve is followed by the next one, and what is too large for a datagram goes by TCP where the peer has it:
for these there is an ``Errand``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from ims_core.errors import NoRoute, SipError
from ims_core.flow import SECURE, WEBSOCKETS, Address, Flow
from ims_core.locate.errand import NO_TCP, UNAVAILABLE, UNRESOLVED, Errand, Prepare
from ims_core.locate.listeners import Listeners
from ims_core.locate.memory import Memory
from ims_core.locate.resolver import Resolver
from ims_core.messages.message import Request, Response
from ims_core.messages.uri import parse_uri
from ims_core.transactions.machines import ClientTransaction

if TYPE_CHECKING:
    from ims_core.locate.records import Server
    from ims_core.registrar.location import Location
    from ims_core.transactions.endpoint import Endpoint, Headers

__all__ = ["Courier", "Hop", "Outbound", "Peer", "Prepare", "Several"]

PATIENCE = 8  # times T1: an INVITE has been sent four times by then
MAX_DATAGRAM = 1300  # bytes: RFC 3261 18.1.1, for a path whose MTU is not known
SURELY_FITS = 850  # characters, without what we may add: Via, two of Record-Route, Contact
DEAD_SECONDS = 60.0  # a server that did not serve is tried last
LONGEST_REST = 3600.0  # a Retry-After counts as no longer than that
NO_TCP_SECONDS = 600.0
PROBE_SECONDS = 2.0  # for which a connection to a peer that may have no TCP counts as a try


class Peer(NamedTuple):
    """The peer of a dialog by a URI whose host is a name; ``heard_from`` will do when nobody knows the name."""

    uri: str
    heard_from: Flow


class Several(NamedTuple):
    """Next hops that serve alike, by their URIs, to be tried one after the other.

    With ``or_else`` the sender has yet another way: the last one is not waited for longer than those before it. With
    ``urgent`` servers that asked to be left alone are tried as well, after the others.
    """

    uris: tuple[str, ...]
    or_else: bool = False
    urgent: bool = False


Hop = Flow | str | Peer | Several
"""A next hop: the way there, the text of its URI, or several."""

Outbound = ClientTransaction | Errand
"""A request on its way; its user is told of ``receive_response`` and ``request_failed`` with it."""


class Courier:
    """Sends requests for the transaction users of one ``endpoint``.

    ``listeners`` are what it may send by, the first of each transport and version of IP first. ``location`` knows
    the flows of registered contacts. An INVITE that a server has not answered at all for ``patience`` seconds goes to
    the next one too, if there is one. ``failovers`` counts by why a server was left for the next one (``FAILOVERS``);
    ``oversize`` counts what tried TCP because it was too large for a datagram. ``on_failed`` is told of a server that
    did not serve, and why.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        listeners: Iterable[tuple[str, Address]],
        location: Location | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.patience = PATIENCE * endpoint.timers.t1
        self.failovers: Counter[str] = Counter()
        self.oversize = 0
        self.on_failed: Callable[[Flow, str], None] = _ignore
        self._location = location
        # a browser opens its WebSocket itself: nobody can be reached by opening one
        usable = [(transport, local) for transport, local in listeners if transport not in WEBSOCKETS]
        self._listeners = Listeners(usable)
        self.resolver = Resolver(usable, clock=endpoint.clock, number=endpoint.ids.number)
        self._dead: Memory[tuple[str, Address]] = Memory()
        self._resting: Memory[tuple[str, Address]] = Memory()
        self._no_tcp: Memory[Address] = Memory()
        self._probed: Memory[Address] = Memory()

    # For the transaction users ------------------------------------------------------------------------------

    def way(self, uri: str) -> Hop:
        """Choose the way to ``uri``: a registered contact's flow, else its address; the text if it is a name.

        Raises ``NoRoute`` where there is none: a transport or version of IP without listener, a name that nobody
        can look up.
        """
        parsed = parse_uri(uri)
        if self._location is not None:
            binding = self._location.binding_at(parsed)
            if binding is not None and binding.way is not None:
                return binding.way
        if not parsed.has_ip_host or "maddr" in parsed.params:
            if not parsed.host or not self.resolver.can_find(parsed):
                raise NoRoute
            return uri
        flow = self._listeners.towards(parsed.transport, parsed.address)
        if flow is None or (parsed.scheme == "sips" and parsed.transport not in SECURE):
            raise NoRoute
        return flow

    def way_to_peer(self, uri: str, heard_from: Flow) -> Hop:
        """Choose the way to a peer of a dialog: over its own connection, else as its Contact or route set says."""
        if heard_from.reliable:
            return heard_from
        try:
            way = self.way(uri)
        except SipError:
            return heard_from
        return Peer(uri, heard_from) if type(way) is str else way

    def request(
        self, request: Request, hop: Hop, user: object, *, prepare: Prepare | None = None, mark: str = ""
    ) -> Outbound:
        """Send ``request``, which is the courier's from then on, and have its responses told to ``user``.

        ``prepare`` is called, before anything is sent, with the request and the flow chosen; with each attempt
        where several are needed. ``mark`` ends each branch. Raises ``SipError`` when there is no way to the hop.
        """
        way = self.way(hop) if type(hop) is str else hop
        if type(way) is Flow:
            if way.transport != "UDP" or fits(request):
                if prepare is not None:
                    prepare(request, way)
                return self.endpoint.request(request, way, user, mark)
            errand = Errand(self, request, user, prepare=prepare, mark=mark, flow=way)
            errand.run((way,))
            return errand
        if isinstance(way, Several):
            errand = Errand(self, request, user, prepare=prepare, mark=mark, flow=NOWHERE, impatient=way.or_else)
            self._find_all(way, errand.run)
            return errand
        uri = way.uri if isinstance(way, Peer) else str(way)
        fallback = way.heard_from if isinstance(way, Peer) else None
        errand = Errand(self, request, user, prepare=prepare, mark=mark, flow=fallback or NOWHERE)
        self._find(uri, fallback, errand.run)
        return errand

    def cancel(self, outbound: Outbound, headers: Headers = ()) -> None:
        """CANCEL an INVITE, with these headers, as soon as that is allowed; a final response or failure still comes.

        RFC 3261 9.1; what was not sent yet fails as ``CANCELLED``.
        """
        if isinstance(outbound, Errand):
            outbound.cancel(headers)
        else:
            self.endpoint.cancel(outbound, headers)

    def send_ack(self, ack: Request, hop: Hop, *, prepare: Prepare | None = None) -> Callable[[], None]:
        """Send the ACK to a 2xx; call what is returned to send it again (13.2.2.4).

        An ACK has no answer, so that there is nothing to fail over by: the best server gets it. Raises ``SipError``
        when there is no way to the hop.
        """
        way = self.way(hop) if type(hop) is str else hop
        if type(way) is Flow and (way.transport != "UDP" or fits(ack)):
            if prepare is not None:
                prepare(ack, way)
            data = self.endpoint.send_ack(ack, way)
            return lambda: self.endpoint.send(way, data)
        acknowledgement = Acknowledgement(self, ack, prepare)
        if type(way) is Flow:
            acknowledgement.send((way,))
        elif isinstance(way, Several):
            self._find_all(way, acknowledgement.send)
        elif isinstance(way, Peer):
            self._find(way.uri, way.heard_from, acknowledgement.send)
        else:
            self._find(str(way), None, acknowledgement.send)
        return acknowledgement.repeat

    # For the owner ------------------------------------------------------------------------------------------

    def connection_failed(self, flow: Flow) -> None:
        """Take note that a stream connection could not be opened, or is gone."""
        if flow.transport == "TCP" and not flow.connection:
            self._no_tcp.note(flow.remote, self.endpoint.clock() + NO_TCP_SECONDS)
        self.endpoint.transport_failed(flow)

    def is_probing(self, flow: Flow) -> bool:
        """Whether a connection is only a try: opening it must not take long."""
        return self._probed.has(flow.remote, self.endpoint.clock())

    def dead(self) -> int:
        """How many servers are known not to serve."""
        now = self.endpoint.clock()
        return self._dead.count(now) + self._resting.count(now)

    # For errands (``errand.Dispatch``) ----------------------------------------------------------------------

    def tcp_first(self, request: Request, flow: Flow, prepare: Prepare | None) -> Flow | None:
        """Return the flow by TCP that a request too large for ``flow`` is to try first, else None (18.1.1)."""
        now = self.endpoint.clock()
        by_tcp = self._listeners.towards("TCP", flow.remote) if flow.transport == "UDP" else None
        if by_tcp is None or self._no_tcp.has(flow.remote, now):
            return None
        trial = request.copy()
        if prepare is not None:
            prepare(trial, flow)
        if self.endpoint.measure(trial, flow) <= MAX_DATAGRAM:
            return None
        self.oversize += 1
        self._probed.note(flow.remote, now + PROBE_SECONDS)
        return by_tcp

    def fell_back(self) -> None:
        """Take note that it went by UDP after all."""
        self.failovers[NO_TCP] += 1

    def served(self, flow: Flow) -> None:
        """Take note that the server at ``flow`` lives."""
        self._dead.forget((flow.transport, flow.remote))

    def failed(self, flow: Flow, cause: str | Response, *, has_next: bool) -> None:
        """Take note that the server at ``flow`` did not serve, and whether the next one is tried."""
        now, server = self.endpoint.clock(), (flow.transport, flow.remote)
        why = cause if isinstance(cause, str) else str(cause.status)
        if has_next:
            self.failovers[why] += 1
        self.on_failed(flow, why)
        rest = 0 if isinstance(cause, str) else _retry_after(cause)
        if rest:  # 21.5.4: "SHOULD NOT forward any other requests to that server for the duration specified"
            self._resting.note(server, now + min(rest, LONGEST_REST))
        else:
            self._dead.note(server, now + DEAD_SECONDS)

    # Inside -------------------------------------------------------------------------------------------------

    def _find(self, uri: str, fallback: Flow | None, run: Callable[[Sequence[Flow], str], None]) -> None:
        """Look up ``uri`` and go on with the flows to its servers, those known to be dead last (RFC 3263 4.3)."""

        def found(servers: Sequence[Server]) -> None:
            flows = self._flows_to(servers)
            awake = self._awake(flows)
            if fallback is not None and not flows:
                awake.append(fallback)
            run(awake, UNAVAILABLE if flows else UNRESOLVED)

        self.resolver.resolve(parse_uri(uri), found)

    def _find_all(self, way: Several, run: Callable[[Sequence[Flow], str], None]) -> None:
        """Look up the URIs and go on with the flows to all their servers, in the order of the URIs."""
        uris = way.uris
        known: dict[int, list[Flow]] = {}

        def found(position: int, servers: Sequence[Server]) -> None:
            known[position] = self._flows_to(servers)
            if len(known) == len(uris):
                flows = list(dict.fromkeys(flow for position in sorted(known) for flow in known[position]))
                awake = self._awake(flows)
                if way.urgent:
                    awake += [flow for flow in flows if flow not in awake]
                run(awake, UNAVAILABLE if flows else UNRESOLVED)

        for position, uri in enumerate(uris):
            self.resolver.resolve(parse_uri(uri), partial(found, position))

    def _flows_to(self, servers: Sequence[Server]) -> list[Flow]:
        return [flow for server in servers if (flow := self._flow_to(server)) is not None]

    def _awake(self, flows: Sequence[Flow]) -> list[Flow]:
        """Leave out who asked to be left alone, and put those known to be dead last."""
        now = self.endpoint.clock()
        awake = [flow for flow in flows if not self._resting.has((flow.transport, flow.remote), now)]
        awake.sort(key=lambda flow: self._dead.has((flow.transport, flow.remote), now))
        return awake

    def _flow_to(self, server: Server) -> Flow | None:
        flow = self._listeners.towards(server.transport, (server.host, server.port))
        return flow and flow._replace(server_name=server.domain)


class Acknowledgement:
    """An ACK to a 2xx on its way, and again whenever the 2xx comes again."""

    __slots__ = ("_ack", "_courier", "_data", "_flow", "_prepare", "_sent_by")

    def __init__(self, courier: Courier, ack: Request, prepare: Prepare | None) -> None:
        self._courier = courier
        self._ack = ack
        self._prepare = prepare
        self._flow: Flow | None = None  # known when the name has been looked up
        self._sent_by: Flow | None = None
        self._data = b""

    def send(self, flows: Sequence[Flow], _: str = "") -> None:
        """Send it to the first of these."""
        if flows:
            self._flow = flows[0]
            self.repeat()

    def repeat(self) -> None:
        """Send it, by UDP when the peer turns out to have no TCP."""
        if self._flow is None:
            return
        courier, endpoint = self._courier, self._courier.endpoint
        flow = courier.tcp_first(self._ack, self._flow, self._prepare) or self._flow
        if flow == self._sent_by:
            endpoint.send(flow, self._data)
            return
        ack = self._ack.copy()
        if self._prepare is not None:
            self._prepare(ack, flow)
        self._sent_by = flow
        self._data = endpoint.send_ack(ack, flow)


def fits(request: Request) -> bool:
    """Whether a request is sure to go in a datagram where that is the way: with no more than we may add to it."""
    lines = request.lines
    size = len(request.body) + len(request.uri) + sum(map(len, lines)) + 2 * len(lines)
    return size < SURELY_FITS and request.uri.isascii() and all(map(str.isascii, lines))


def _retry_after(response: Response) -> int:
    """Return the seconds of a Retry-After; 0 when there is none that can be read (20.33)."""
    digits = _DIGITS.match(response.get("Retry-After") or "")
    return int(digits[0]) if digits else 0


def _ignore(_flow: Flow, _cause: str) -> None:
    """Nobody wants to know."""


NOWHERE: Final = Flow("", ("", 0), ("", 0))
_DIGITS = re.compile("[0-9]{1,9}")
