"""The stateful proxy: forwards requests and relays what comes back (RFC 3261 section 16)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ims_core.errors import Forbidden, MaxBreadthExceeded, NotFound, SipError, TemporarilyUnavailable
from ims_core.messages.uri import is_sos
from ims_core.proxy.bounds import Loops, breadth_of, check_proxy_required, hops_left
from ims_core.proxy.context import ResponseContext
from ims_core.proxy.forking import Recursion, Target, in_groups
from ims_core.proxy.passage import Passage
from ims_core.proxy.record_route import RecordRoute
from ims_core.proxy.routes import lead_on, strip_maddr, take_own_routes, undo_strict_routing

if TYPE_CHECKING:
    from ims_core.flow import Address, Flow
    from ims_core.locate.courier import Courier, Hop
    from ims_core.messages.message import Request
    from ims_core.messages.uri import Uri
    from ims_core.proxy.forward import Companion, Forward, ToService
    from ims_core.proxy.hiding import TopologyHiding
    from ims_core.setup import Measure
    from ims_core.transactions.endpoint import Endpoint
    from ims_core.transactions.machines import ServerTransaction


class ProxyPolicy(NamedTuple):
    """What a proxy may do as it likes.

    ``ring_seconds`` is Timer C, which 16.6 wants above 3 minutes; targets that have others after them ring for
    ``group_seconds``. ``recursion`` follows redirections, which are passed back without it; ``hiding`` keeps the
    inside from peers outside. ``extensions`` are option tags of Proxy-Require that the router understands, lower case:
    what it forwards must not have them any more. ``passes_unavailable``: a 503 without Retry-After is passed back as it
    is; among elements of one network it says that calls of that kind are not served, and not that one has too much to
    do.
    """

    ring_seconds: float = 181.0
    group_seconds: float = 20.0
    recursion: Recursion | None = None
    hiding: TopologyHiding | None = None
    extensions: frozenset[str] = frozenset()
    passes_unavailable: bool = False


class Way(NamedTuple):
    """How a request gets through this proxy, and its targets in the order in which they are tried."""

    passage: Passage
    groups: list[list[Target]]
    breadth: int


class Proxy:
    """Forwards requests and relays what comes back.

    ``courier`` takes requests on; ``is_local`` tells whether a URI names this element; ``advertised`` maps each
    listener to the ``host:port`` put into Record-Route. ``secret`` signs the Record-Route, so that only dialogs set
    up through this proxy are relayed by it later. ``hand_over`` gives to a service what a companion wants there,
    ``on_set_up`` is told how long the set-up of each call that is forwarded takes.
    """

    def __init__(
        self,
        courier: Courier,
        *,
        is_local: Callable[[Uri], bool],
        advertised: Mapping[tuple[str, Address], str],
        secret: bytes,
        policy: ProxyPolicy = ProxyPolicy(),  # noqa: B008 - a value
    ) -> None:
        self.courier = courier
        self.endpoint: Endpoint = courier.endpoint
        self.policy = policy
        self.active: set[ResponseContext] = set()
        self.on_set_up: Measure | None = None
        self.hand_over: Callable[[ServerTransaction, Request, Flow, ToService], None] = _refuse
        self._is_local = is_local
        self._record_route = RecordRoute(advertised, secret)
        self._loops = Loops(secret)
        self._hiding = policy.hiding

    def forward(self, transaction: ServerTransaction, request: Request, came_by: Flow, onward: Forward) -> None:
        """Fork ``request``, or what is to go in its place, to targets by their q, staying in the path (16.6).

        What the sender preloaded into the Route ends here, unless a target takes it up. Raises ``SipError`` when
        the request must not go on.
        """
        way = self.way(onward.request or request, came_by, onward.targets)
        context = ResponseContext(self, transaction, way.passage, onward.companion)
        context.fork(way.groups, way.breadth, onward.patience)

    def way(self, request: Request, came_by: Flow, targets: tuple[Target, ...]) -> Way:
        """Check that ``request`` may go on to ``targets``, and in which order. Raises ``SipError``."""
        hops = hops_left(request)
        mark = self._loops.mark(request, targets[0].route if targets else ())
        check_proxy_required(request)
        breadth = breadth_of(request)
        if not targets:  # 16.5: "an error response, which SHOULD be the 480"
            raise TemporarilyUnavailable
        groups = in_groups(targets)
        if max(map(len, groups)) > breadth:
            raise MaxBreadthExceeded
        return Way(self._passage(request, came_by, hops, mark), groups, breadth)

    def objection(self, request: Request) -> SipError | None:
        """Return the first fault that 16.3 looks for before credentials and targets, None when there is none.

        It is not known yet where the request would go, so only a loop to its Request-URI itself is found.
        """
        try:
            if not is_sos(request.uri):  # the scheme of which is known (16.3 step 2)
                _ = request.target
            hops_left(request)
            self._loops.mark(request)
            check_proxy_required(request, self.policy.extensions)
        except SipError as error:
            return error
        return None

    def forward_within_dialog(
        self, transaction: ServerTransaction, request: Request, companion: Companion | None = None
    ) -> None:
        """Forward a request along the Route that our Record-Route made (16.12). Raises ``SipError``."""
        hops = hops_left(request)
        check_proxy_required(request)
        passage = self._passage(request, transaction.flow, hops)
        copy = passage.copy(request.uri)
        hop = self._follow_route(copy, passage.token)
        ResponseContext(self, transaction, passage, companion).follow(copy, hop)

    def forward_ack(self, request: Request, came_by: Flow) -> None:
        """Pass on, once, the ACK to a 2xx. Raises ``SipError``."""
        passage = self._passage(request, came_by, hops_left(request))
        copy = passage.copy(request.uri)
        hop = self._follow_route(copy, passage.token)
        self.courier.send_ack(copy, hop, prepare=passage.prepare if passage.depends_on_flow else None)

    def _passage(self, request: Request, came_by: Flow, hops: int, mark: str = "") -> Passage:
        token = self._record_route.token(request.call_id)
        return Passage(request, came_by, hops, token, self._record_route, self._hiding, mark)

    def _follow_route(self, copy: Request, token: str) -> Hop:
        """Take our own URIs off the Route, one of which proves the dialog to be ours; return the next hop (16.4)."""
        if self._hiding is not None:
            self._hiding.reveal_target(copy)
        is_proven = False
        if token in copy.uri:
            strict = undo_strict_routing(copy, lambda uri: self._is_ours(uri, token))
            if strict is not None:
                is_proven = True
                self._reveal_route(copy, strict)
        strip_maddr(copy, self._is_local)
        for route in take_own_routes(copy, self._is_local):
            is_proven = is_proven or self._record_route.proves(route, token)
            self._reveal_route(copy, route)
        if not is_proven:
            raise Forbidden("Not a dialog of this proxy")
        return lead_on(copy)

    def _is_ours(self, uri: Uri, token: str) -> bool:
        return self._record_route.proves(uri, token) and self._is_local(uri)

    def _reveal_route(self, copy: Request, ours: Uri) -> None:
        if self._hiding is not None:
            self._hiding.reveal_route(copy, ours)


def _refuse(transaction: ServerTransaction, request: Request, flow: Flow, decision: ToService) -> None:
    """A proxy alone has no services."""
    raise NotFound
