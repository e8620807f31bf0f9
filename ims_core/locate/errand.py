"""A request that may need several attempts, each a transaction of its own (RFC 3263 section 4.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

from ims_core.flow import Flow
from ims_core.messages.message import Request, Response
from ims_core.transactions.machines import TIMEOUT, TRANSPORT, ClientTransaction, InviteClient

if TYPE_CHECKING:
    from ims_core.transactions.endpoint import Endpoint, Headers

CANCELLED: Final = "cancelled"  # before anything was sent
UNRESOLVED: Final = "unresolved"  # the name of the next hop has no server that we can reach
UNAVAILABLE: Final = "unavailable"  # it has, but all have asked to be left alone (RFC 3261 section 21.5.4)

# why another way was tried: a response, one of the causes of a failed transaction, or that the peer has no TCP
NO_TCP: Final = "no_tcp"
FAILOVERS: Final = ("503", TIMEOUT, TRANSPORT, NO_TCP)

_SILENT: Final = "silent"

Prepare = Callable[[Request, Flow], None]
"""Writes into a request what depends on the flow it leaves by: Contact, Record-Route."""


class Dispatch(Protocol):
    """What an errand needs of the courier that it is run by."""

    endpoint: Endpoint
    patience: float

    def tcp_first(self, request: Request, flow: Flow, prepare: Prepare | None) -> Flow | None:
        """Return the flow by TCP that a request too large for ``flow`` is to try first, else None."""

    def fell_back(self) -> None:
        """Take note that it went by UDP after all."""

    def served(self, flow: Flow) -> None:
        """Take note that the server at ``flow`` lives."""

    def failed(self, flow: Flow, cause: str | Response, *, has_next: bool) -> None:
        """Take note that the server at ``flow`` did not serve, and whether the next one is tried."""


class Errand:
    """Tries server after server until one serves; to its user it is what a client transaction is.

    ``user`` is told of each response except a 503 that leads on to the next server, and otherwise of one failure: why
    the last server did not serve, or one of the causes above. ``flow`` is the way of the attempt that was told of last.
    A 2xx to an INVITE that had been given up is told as well, because it makes a dialog. ``impatient``: the last server
    is given up like those before it when it stays silent.
    """

    __slots__ = (
        "_attempt", "_courier", "_flows", "_headers", "_heard", "_impatient", "_is_cancelled", "_is_over", "_mark",
        "_prepare", "_udp", "flow", "request", "user",
    )  # fmt: skip

    def __init__(
        self,
        courier: Dispatch,
        request: Request,
        user: Any,
        *,
        prepare: Prepare | None,
        mark: str,
        flow: Flow,
        impatient: bool = False,
    ) -> None:
        self.request = request
        self.user = user
        self.flow = flow
        self._courier = courier
        self._prepare = prepare
        self._mark = mark
        self._impatient = impatient
        self._flows: deque[Flow] = deque()
        self._attempt: ClientTransaction | None = None
        self._udp: Flow | None = None  # what is left when the attempt by TCP that the size demands fails
        self._heard = self._is_cancelled = self._is_over = False

    def run(self, flows: Iterable[Flow], cause: str = UNRESOLVED) -> None:
        """Try these, best first; ``cause`` tells why there are none."""
        if self._is_over:
            return
        self._flows.extend(flows)
        if self._flows:
            self._try_next()
        else:
            self._fail(cause)

    def cancel(self, headers: Headers = ()) -> None:
        """CANCEL what is under way; no further server is tried."""
        self._is_cancelled = True
        if self._attempt is not None:
            self._courier.endpoint.cancel(self._attempt, headers)
        elif not self._is_over:
            self._fail(CANCELLED)

    # What the attempts tell ---------------------------------------------------------------------------------

    def receive_response(self, attempt: ClientTransaction, response: Response) -> None:
        """Pass a response on, or go on to the next server."""
        status = response.status
        if attempt is not self._attempt or self._is_over:
            if 200 <= status < 300 and self.request.method == "INVITE":
                self._tell(attempt, response)
            return
        self._heard = True
        self._udp = None
        if status == 503:
            leads_on = bool(self._flows) and not self._is_cancelled
            self._courier.failed(attempt.flow, response, has_next=leads_on)
            if leads_on:
                self._try_next()
                return
        else:
            self._courier.served(attempt.flow)
        self._is_over = status >= 200
        self._tell(attempt, response)

    def request_failed(self, attempt: ClientTransaction, cause: str) -> None:
        """Go on to the next server, or tell that there was none that served."""
        if attempt is not self._attempt or self._is_over:
            return
        udp, self._udp = self._udp, None
        if udp is not None and cause == TRANSPORT and not self._is_cancelled:
            # RFC 3261 18.1.1: where the peer has no TCP, "the element SHOULD retry the request, using UDP"
            self._courier.fell_back()
            self._send(udp)
            return
        # 4.3: a timeout counts as failure "without ever having received any response, provisional or final"
        leads_on = bool(self._flows) and not self._is_cancelled and (cause == TRANSPORT or not self._heard)
        self._courier.failed(attempt.flow, cause, has_next=leads_on)
        if leads_on:
            self._try_next()
        else:
            self._is_over = True
            self.flow = attempt.flow
            self.fire(cause)

    def silent(self, attempt: ClientTransaction) -> None:
        """Ask the next server when an INVITE has not been answered by so much as a 100 for so long."""
        if attempt is not self._attempt or self._heard or self._is_over or self._is_cancelled:
            return
        leads_on = bool(self._flows)
        self._courier.failed(attempt.flow, TIMEOUT, has_next=leads_on)
        self._courier.endpoint.cancel(attempt)  # as soon as it says something
        if leads_on:
            self._try_next()
        else:
            self._is_over = True
            self.flow = attempt.flow
            self.fire(TIMEOUT)

    def fire(self, cause: str) -> None:
        """Tell the user of a failure that came while it was still talking to the courier."""
        if self.user is not None:
            self.user.request_failed(self, cause)

    # Inside -------------------------------------------------------------------------------------------------

    def _try_next(self) -> None:
        flow = self._flows.popleft()
        tcp = self._courier.tcp_first(self.request, flow, self._prepare)
        self._udp = flow if tcp is not None else None
        self._send(tcp or flow)

    def _send(self, flow: Flow) -> None:
        courier = self._courier
        request = self.request.copy()
        if self._prepare is not None:
            self._prepare(request, flow)
        self._heard = False
        self._attempt = courier.endpoint.request(request, flow, self, self._mark)
        if (self._flows or self._impatient) and isinstance(self._attempt, InviteClient):
            courier.endpoint.start_timer(_Patience(self, self._attempt), _SILENT, courier.patience)

    def _tell(self, attempt: ClientTransaction, response: Response) -> None:
        if self.user is not None:
            self.flow = attempt.flow
            self.user.receive_response(self, response)

    def _fail(self, cause: str) -> None:
        self._is_over = True
        self._courier.endpoint.start_timer(self, cause, 0.0)


class _Patience:
    """What a timer of an errand holds on to."""

    __slots__ = ("_attempt", "_errand")

    def __init__(self, errand: Errand, attempt: ClientTransaction) -> None:
        self._errand = errand
        self._attempt = attempt

    def fire(self, _: str) -> None:
        """Pass the word on."""
        self._errand.silent(self._attempt)
