"""The stateful proxy core: forward a request, choose among the answers (RFC 3261 section 16)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

from ims_core.errors import BadExtension, BadRequest, Forbidden, TooManyHops
from ims_core.messages.headers import parse_name_addr, split_values
from ims_core.messages.message import Request, Response, response_to
from ims_core.transactions.machines import TIMEOUT

if TYPE_CHECKING:
    from ims_core.flow import Address, Flow
    from ims_core.locate.courier import Courier, Hop, Prepare
    from ims_core.messages.uri import Uri
    from ims_core.transactions.endpoint import Endpoint
    from ims_core.transactions.machines import ClientTransaction, ServerTransaction

TIMER_C: Final = "timer C"
TRYING_DUE: Final = "trying due"
MAX_FORWARDS: Final = 70


class Target(NamedTuple):
    """One place to forward a request to: the new Request-URI, the way there if it is known, a route set (Path)."""

    uri: str
    flow: Flow | None = None
    route: Sequence[str] = ()


class Proxy:
    """Forwards requests and relays what comes back.

    ``courier`` takes requests on; ``is_local`` tells whether a URI names this element; ``advertised`` maps each
    listener to the ``host:port`` put into Record-Route. ``secret`` signs the Record-Route, so that only dialogs set
    up through this proxy are relayed by it later. ``ring_seconds`` is Timer C, which 16.6 wants above 3 minutes.
    """

    def __init__(
        self,
        courier: Courier,
        *,
        is_local: Callable[[Uri], bool],
        advertised: Mapping[tuple[str, Address], str],
        secret: bytes,
        ring_seconds: float = 181.0,
    ) -> None:
        self.courier = courier
        self.endpoint: Endpoint = courier.endpoint
        self.ring_seconds = ring_seconds
        self._is_local = is_local
        self._advertised = advertised
        self._secret = secret
        self.active: set[Forwarding] = set()

    def forward(
        self, transaction: ServerTransaction, request: Request, came_by: Flow, targets: Sequence[Target]
    ) -> None:
        """Fork ``request`` to all ``targets`` at once, staying in the path of the dialog (16.6).

        A Route that the sender preloaded names the way to this element, at most: it ends here. Raises ``SipError``
        when a target cannot be reached or the request must not go on.
        """
        hops_left = _hops_left(request)
        hops = [target.flow or self.courier.way(_first_hop(target)) for target in targets]
        forwarding = Forwarding(self, transaction)
        self.active.add(forwarding)
        prepare = None
        if request.method in _DIALOG_FORMING:
            prepare = partial(self._record_route, token=self._token(request.call_id), came_by=came_by)
        for target, hop in zip(targets, hops, strict=True):
            copy = self._copy(request, hops_left, target.uri)
            copy.remove("Route")
            for route in reversed(target.route):
                copy.prepend("Route", route)
            forwarding.send(copy, hop, prepare)

    def forward_within_dialog(self, transaction: ServerTransaction, request: Request) -> None:
        """Forward a request along the Route that our Record-Route made (16.12). Raises ``SipError``."""
        hops = _hops_left(request)
        copy = self._copy(request, hops, request.uri)
        hop = self._follow_route(copy, self._token(request.call_id))
        forwarding = Forwarding(self, transaction)
        self.active.add(forwarding)
        forwarding.send(copy, hop)

    def forward_ack(self, request: Request) -> None:
        """Pass on, once, the ACK to a 2xx. Raises ``SipError``."""
        copy = self._copy(request, _hops_left(request), request.uri)
        self.courier.send_ack(copy, self._follow_route(copy, self._token(request.call_id)))

    def _copy(self, request: Request, hops: int, uri: str) -> Request:
        copy = request.copy()
        copy.uri = uri
        copy.set("Max-Forwards", str(hops))
        return copy

    def _record_route(self, request: Request, leaves_by: Flow, *, token: str, came_by: Flow) -> None:
        """Stay in the path; when the transport changes, with one URI for each side (RFC 5658 section 3.3)."""
        sides = [came_by] if (came_by[:2] == leaves_by[:2]) else [came_by, leaves_by]
        for side in sides:
            parameter = "" if side.transport == "UDP" else f";transport={side.transport.lower()}"
            host = self._advertised[side.transport, side.local]
            request.prepend("Record-Route", f"<sip:{token}@{host}{parameter};lr>")

    def _follow_route(self, request: Request, token: str) -> Hop:
        """Take our own URIs off the Route, which carry ``token``, and return the way to what comes next (16.12)."""
        found = None
        while (route := next_route(request)) is not None and self._is_local(route):
            found = route.user
            request.pop_value("Route")
        if found is None or not hmac.compare_digest(found.encode(), token.encode()):
            raise Forbidden("Not a dialog of this proxy")
        return self.courier.way(route.text if route else request.uri)

    def _token(self, call_id: str) -> str:
        return blake2b(call_id.encode("utf-8", "surrogateescape"), digest_size=8, key=self._secret).hexdigest()


class Forwarding:
    """The response context of one forwarded request (16.7): its branches and the best answer so far."""

    __slots__ = ("_alarm", "_best", "_branches", "_challenges", "_proxy", "_rings_until", "transaction")

    def __init__(self, proxy: Proxy, transaction: ServerTransaction) -> None:
        self._proxy = proxy
        self.transaction = transaction
        self._branches: dict[ClientTransaction, int] = {}  # branch -> its final status, 0 while there is none
        self._best: Response | None = None
        self._challenges: list[Response] = []
        self._alarm: _Alarm | None = None
        self._rings_until = 0.0
        transaction.user = self

    def send(self, request: Request, hop: Hop, prepare: Prepare | None = None) -> None:
        """Send one branch."""
        branch = self._proxy.courier.request(request, hop, self, prepare=prepare)
        self._branches[branch] = 0
        if self._alarm is None:
            self._alarm = _Alarm(self)
            endpoint = self._proxy.endpoint
            if request.method == "INVITE":
                self._restart_timer_c()
                endpoint.start_timer(self._alarm, TIMER_C, self._proxy.ring_seconds)
            else:  # when the sender's timer E has grown from T1 to T2
                endpoint.start_timer(self._alarm, TRYING_DUE, endpoint.timers.t2 - endpoint.timers.t1)

    def wake(self, alarm: _Alarm, event: str) -> None:
        """Act on a timer that has run out."""
        endpoint = self._proxy.endpoint
        if event == TRYING_DUE:
            # RFC 4320 4.1: "MUST respond to a non-INVITE request with a Status-Code of 100 if it has not otherwise"
            if not self.transaction.is_answered:
                endpoint.reply(self.transaction, 100)
            return
        left = self._rings_until - endpoint.clock()
        if left > 0:  # a provisional response has put timer C off
            endpoint.start_timer(alarm, TIMER_C, ceil(left))
        else:  # the callee rings without end, and 16.8 cancels
            self.cancel()

    def _restart_timer_c(self) -> None:
        self._rings_until = self._proxy.endpoint.clock() + self._proxy.ring_seconds

    def cancel(self) -> None:
        """CANCEL the branches that have no final response."""
        for branch, status in self._branches.items():
            if not status:
                self._proxy.courier.cancel(branch)

    def cancelled(self, transaction: ServerTransaction, request: Request) -> None:
        """Cancel every branch: the sender gave the INVITE up (16.10)."""
        self.cancel()

    def request_failed(self, branch: ClientTransaction, cause: str) -> None:
        """Take a branch without response for a 408, or for a 503 when it could not be sent (16.8, 16.9)."""
        self.receive_response(branch, self._own_response(408 if cause == TIMEOUT else 503))

    def receive_response(self, branch: ClientTransaction, response: Response) -> None:
        """Take one response through the steps of 16.7."""
        status = response.status
        is_invite = branch.request.method == "INVITE"
        if status < 200:
            if status > 100 and is_invite:  # RFC 4320 4.1: none but 100 to anything else
                self._restart_timer_c()
                if not self.transaction.is_answered:
                    self._pass_back(response)
            return
        self._branches[branch] = status
        if status < 300:
            # step 5: a 2xx to an INVITE is always forwarded at once, also after another one
            if is_invite or not self.transaction.is_answered:
                self._pass_back(response)
            self.cancel()
        else:
            if self._best is None or _rank(status) < _rank(self._best.status):
                self._best = response
            if status in _CHALLENGES:
                self._challenges.append(response)
            if status >= 600:
                self.cancel()
        if all(self._branches.values()):
            self._conclude(is_invite=is_invite)

    def _own_response(self, status: int) -> Response:
        """Make a response of this proxy; its Via stands for the one that ``_pass_back`` takes off."""
        response = response_to(self.transaction.request, status, to_tag=self._proxy.endpoint.ids.tag())
        response.prepend("Via", "SIP/2.0/UDP proxy.invalid")
        return response

    def _conclude(self, *, is_invite: bool) -> None:
        self._proxy.active.discard(self)
        if self._alarm is not None:
            self._alarm.forwarding = None
        best = self._best
        if self.transaction.is_answered or best is None:
            return
        if best.status == 408 and not is_invite:
            self._proxy.endpoint.abandon(self.transaction)  # RFC 4320 4.2: no 408, its sender times out as well
            return
        if best.status == 503:
            best = self._own_response(500)  # step 6: a 503 says nothing about this proxy
        elif best.status in _CHALLENGES and len(self._challenges) > 1:
            best = self._with_all_challenges(best)
        self._pass_back(best)

    def _with_all_challenges(self, best: Response) -> Response:
        """Let the sender answer all branches that ask for credentials (16.7 step 7)."""
        best = best.copy()
        for other in self._challenges:
            if other is not self._best:
                for name in ("WWW-Authenticate", "Proxy-Authenticate"):
                    for value in other.whole_values(name):
                        best.add(name, value)
        return best

    def _pass_back(self, response: Response) -> None:
        copy = response.copy()
        copy.pop_value("Via")
        self._proxy.endpoint.respond(self.transaction, copy)


class _Alarm:
    """What a timer of a forwarding holds on to: nothing any more when the forwarding has ended before it."""

    __slots__ = ("forwarding",)

    def __init__(self, forwarding: Forwarding) -> None:
        self.forwarding: Forwarding | None = forwarding

    def fire(self, event: str) -> None:
        """Pass the event on while it matters."""
        if self.forwarding is not None:
            self.forwarding.wake(self, event)


def next_route(request: Request) -> Uri | None:
    """Return the URI of the topmost Route, None when there is none. Raises ``BadRequest``."""
    value = request.get("Route")
    return parse_name_addr(split_values(value)[0]).uri if value else None


def _first_hop(target: Target) -> str:
    return parse_name_addr(target.route[0]).uri_text if target.route else target.uri


def _hops_left(request: Request) -> int:
    """Check what 16.3 asks for before a request goes on; return its new Max-Forwards. Raises ``SipError``."""
    if "proxy-require" in request.keys:
        raise BadExtension(headers=(("Unsupported", ", ".join(request.values("Proxy-Require"))),))
    value = request.get("Max-Forwards")
    if value is None:
        return MAX_FORWARDS
    if not (value.isascii() and value.isdigit() and len(value) <= 3):
        raise BadRequest("Malformed Max-Forwards")
    if int(value) == 0:
        raise TooManyHops
    return min(int(value), 255) - 1


def _rank(status: int) -> tuple[int, int]:
    """Order final responses, best first (16.7 step 6): 6xx, then the lowest class, within 4xx what helps a retry."""
    if status >= 600:
        return 0, status
    preferred = {401: 0, 407: 0, 415: 1, 420: 1, 484: 1}
    return status // 100, preferred.get(status, 2 if status != 408 else 3)


_CHALLENGES = frozenset((401, 407))
_DIALOG_FORMING = frozenset(("INVITE", "SUBSCRIBE", "REFER", "NOTIFY"))
