"""Requests that make no dialog: MESSAGE (RFC 3428) and OPTIONS (RFC 3261 section 11), sent and received."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ims_core.errors import RequestEntityTooLarge, SipError, UnsupportedMediaType
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.message import Request, Response
from ims_core.security.credentials import challenged_with
from ims_core.transactions.machines import TIMEOUT
from ims_core.ua.asking import ask
from ims_core.ua.event_headers import media_type

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.locate.courier import Courier, Hop
    from ims_core.security.credentials import Credentials
    from ims_core.transactions.endpoint import Endpoint
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.useragent import UserAgent

LARGEST_MESSAGE: Final = 1300
"""Bytes of a whole MESSAGE request: RFC 3428 section 8 lets no larger one be sent outside a session."""


class Outcome(NamedTuple):
    """How a request ended: its final status, 408 when nobody answered and 503 when nobody could be reached.

    ``seconds`` is how long that took; ``response`` is None when there was none.
    """

    status: int
    reason: str
    seconds: float
    response: Response | None

    @property
    def is_success(self) -> bool:
        """Whether it was taken."""
        return 200 <= self.status < 300


OutcomeHandler = Callable[[Outcome], None]


class Context(Protocol):
    """What is needed of the user agent."""

    endpoint: Endpoint
    courier: Courier
    accept: list[str]

    def contact_for(self, flow: Flow, user: str) -> str:
        """Return the Contact value that reaches us through ``flow``'s listener."""


class _Standalone:
    """One request that is part of nothing."""

    def __init__(self, context: Context, on_outcome: OutcomeHandler, credentials: Credentials | None) -> None:
        self._context = context
        self._challenged = challenged_with(credentials, context.endpoint.ids)
        self._on_outcome: OutcomeHandler | None = on_outcome
        self._sent_at = context.endpoint.clock()

    def send(self, request: Request, hop: Hop) -> None:
        try:
            ask(self._context.courier, request, hop, self._challenged, self, prepare=self._prepare)
        except SipError as error:
            self._end(503, error.reason, None)

    def receive_response(self, _: object, response: Response) -> None:
        if response.status >= 200:
            self._end(response.status, response.reason, response)

    def request_failed(self, _: object, cause: str) -> None:
        self._end(*((408, "No answer") if cause == TIMEOUT else (503, "Cannot be reached")), None)

    def _prepare(self, request: Request, flow: Flow) -> None:
        if request.method == "OPTIONS":  # RFC 3428 section 4: "MUST NOT insert Contact header fields into MESSAGE"
            request.set("Contact", self._context.contact_for(flow, parse_name_addr(request.require("From")).uri.user))

    def _end(self, status: int, reason: str, response: Response | None) -> None:
        on_outcome, self._on_outcome = self._on_outcome, None
        if on_outcome is not None:
            on_outcome(Outcome(status, reason, self._context.endpoint.clock() - self._sent_at, response))


def _new_request(context: Context, method: str, target: str, user: str, to: str) -> Request:
    ids = context.endpoint.ids
    request = Request(method, target)
    request.add("Max-Forwards", "70")
    request.add("From", f"{user};tag={ids.tag()}")
    request.add("To", to or f"<{target}>")
    request.add("Call-ID", ids.call_id())
    request.add("CSeq", f"1 {method}")
    return request


def ping(
    context: Context,
    hop: Hop,
    target: str,
    user: str,
    on_outcome: OutcomeHandler,
    *,
    credentials: Credentials | None = None,
) -> None:
    """Send OPTIONS to ``target`` by ``hop``; ``on_outcome`` is called once. ``user`` is a name-addr without a tag.

    Any answer shows that somebody is there: what else it says is the caller's to judge. ``credentials`` answer who
    asks for some.
    """
    request = _new_request(context, "OPTIONS", target, user, "")
    request.add("Accept", ", ".join(context.accept))
    _Standalone(context, on_outcome, credentials).send(request, hop)


def send_message(
    context: Context,
    hop: Hop,
    target: str,
    body: bytes,
    on_outcome: OutcomeHandler,
    *,
    user: str,
    to: str = "",
    content_type: str = "text/plain;charset=utf-8",
    headers: Iterable[tuple[str, str]] = (),
    credentials: Credentials | None = None,
) -> None:
    """Send a MESSAGE from ``user`` (a name-addr without a tag) to ``target``; ``on_outcome`` is called once.

    A 202 says that somebody keeps it for later. ``credentials`` answer who asks for some. Raises
    ``RequestEntityTooLarge`` beyond ``LARGEST_MESSAGE``: what is larger belongs into a session.
    """
    request = _new_request(context, "MESSAGE", target, user, to)
    for name, value in headers:
        request.add(name, value)
    request.set_body(body, content_type)
    if len(request.encode()) + _VIA > LARGEST_MESSAGE:
        raise RequestEntityTooLarge
    _Standalone(context, on_outcome, credentials).send(request, hop)


_VIA = 100  # what the top Via adds


class TextReceived(NamedTuple):
    """A MESSAGE came from ``identity``, as the element it came in by knows the sender; empty for anybody."""

    identity: str
    request: Request
    content_type: str
    body: bytes


def serve_messages(
    ua: UserAgent, on_message: Callable[[TextReceived], int], *, accept: Iterable[str] = ("text/plain",)
) -> None:
    """Have ``ua`` take MESSAGE outside dialogs, with bodies of the types in ``accept``.

    ``on_message`` returns the status to answer with: 200 once it has been delivered, 202 when it is kept for later
    (RFC 3428 section 7); or raises ``SipError``.
    """
    types = tuple(accept)

    def take(transaction: ServerTransaction, request: Request, _: Flow, identity: str) -> None:
        kind = media_type(request) or "text/plain"
        if kind not in types:
            raise UnsupportedMediaType(headers=(("Accept", ", ".join(types)),))
        # section 7: a response to MESSAGE has neither a body nor a Contact, and it makes no dialog
        status = on_message(TextReceived(identity, request, kind, request.body))
        ua.endpoint.reply(transaction, status)

    ua.accept += [kind for kind in types if kind not in ua.accept]
    ua.serve_outside("MESSAGE", take)
