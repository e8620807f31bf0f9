"""INVITE sessions as a user agent sees them, without I/O (RFC 3261 sections 13 to 15).

A session is one call leg: the INVITE, its dialog, re-INVITEs, INFO and the BYE. ``IncomingCall`` answers,
``OutgoingCall`` asks; both tell what happens by calling ``on_event`` with one of the events below. Unless the owner
ends a call, it ends with exactly one ``Ended`` (or ``Rejected``, for a call of ours that was never answered). After
``hang_up`` or ``reject`` nothing more is told. Session descriptions are opaque bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from ims_core.errors import RequestPending, SipError
from ims_core.messages.message import METHODS, Request, Response, error_response, response_to
from ims_core.transactions.machines import ClientTransaction, ServerTransaction
from ims_core.ua.dialog import Dialog
from ims_core.ua.session_events import Acknowledged, Ended, EventHandler, InfoReceived, Reoffered, ignore

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.locate.courier import Courier, Hop
    from ims_core.transactions.endpoint import Endpoint

SDP: Final = "application/sdp"
ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"

Headers = tuple[tuple[str, str], ...]
SessionHandler = Callable[["Session", ServerTransaction, Request], None]
"""Serves a request within a session: must answer the transaction, or raise ``SipError`` for it to be answered with."""


class Context(Protocol):
    """What a session needs of the user agent it lives in."""

    endpoint: Endpoint
    courier: Courier
    allow: str
    supported: str

    def handler(self, method: str) -> SessionHandler | None:
        """Return who serves requests of ``method`` within sessions, beyond what sessions know themselves."""

    def way_to_peer(self, dialog: Dialog) -> Hop:
        """Return where requests within ``dialog`` are to be sent."""

    def contact_for(self, flow: Flow, user: str) -> str:
        """Return the Contact value that reaches us through ``flow``'s listener."""

    def opened(self, session: Session) -> None:
        """Register the session under its dialog id."""

    def closed(self, session: Session) -> None:
        """Forget the session."""


# Where a session stands
INVITED: Final = "invited"  # an INVITE is unanswered
CANCELLING: Final = "cancelling"  # our INVITE is to be cancelled
ANSWERED: Final = "answered"  # we sent a 2xx and wait for its ACK
CONFIRMED: Final = "confirmed"
OVER: Final = "over"

_RESEND_2XX: Final = "resend 2xx"
_GIVE_UP_ACK: Final = "no ACK"


class _Unacknowledged:
    """A 2xx to an INVITE, repeated until its ACK comes (13.3.1.4)."""

    def __init__(self, session: Session, flow: Flow, request: Request, response: Response) -> None:
        self._session: Session | None = session
        self._flow = flow
        self.cseq = request.cseq.number
        self.has_offer = not session_description(request)
        self._data = response.encode()
        timers = session.context.endpoint.timers
        self._interval = timers.t1
        session.context.endpoint.start_timer(self, _RESEND_2XX, self._interval)
        session.context.endpoint.start_timer(self, _GIVE_UP_ACK, 64 * timers.t1)

    @property
    def is_open(self) -> bool:
        """Whether the ACK is still to come."""
        return self._session is not None

    def close(self) -> None:
        """Wait no longer; the timers that are left know nothing of the session any more."""
        self._session = None
        self._data = b""

    def fire(self, event: str) -> None:
        session = self._session
        if session is None:
            return
        if event == _GIVE_UP_ACK:
            self.close()
            session.no_ack_came()
            return
        endpoint = session.context.endpoint
        endpoint.send(self._flow, self._data)
        self._interval = min(self._interval * 2, endpoint.timers.t2)
        endpoint.start_timer(self, _RESEND_2XX, self._interval)


class Session:
    """What both kinds of call have in common once a dialog exists."""

    def __init__(self, context: Context, on_event: EventHandler | None) -> None:
        self.context = context
        self.on_event: EventHandler = on_event or ignore
        self.state = INVITED
        self.dialog: Dialog | None = None
        self.dialog_id: tuple[str, str] = ("", "")
        self.contact = ""
        self._unacknowledged: _Unacknowledged | None = None
        self._reinvite: ServerTransaction | None = None
        self._bye_wanted: Headers | None = None

    # For the owner ------------------------------------------------------------------------------------------

    def hang_up(self, headers: Headers = ()) -> None:
        """End the session; ``headers`` go into the BYE (say, Reason)."""
        if self.state == OVER or self.dialog is None:
            self.on_event = ignore  # transactions outlive the session: they must not keep its owner alive
            return
        if self._unacknowledged is not None and self._unacknowledged.is_open and self.state == ANSWERED:
            # 15: the callee "MUST NOT send a BYE on a confirmed dialog until it has received an ACK for its 2xx"
            self._bye_wanted = headers
            self.on_event = ignore
            return
        self._send_bye(headers)
        self._finish()
        self.on_event = ignore

    def accept_offer(self, sdp: bytes) -> None:
        """Answer a ``Reoffered`` with 200."""
        transaction, self._reinvite = self._reinvite, None
        if transaction is not None and self.state != OVER:
            self._send_2xx(transaction, sdp, ())

    def refuse_offer(self, error: SipError) -> None:
        """Answer a ``Reoffered`` with an error; the session goes on as it was (14.2)."""
        transaction, self._reinvite = self._reinvite, None
        if transaction is not None:
            endpoint = self.context.endpoint
            endpoint.respond(transaction, error_response(transaction.request, error, to_tag=""))

    # For the user agent -------------------------------------------------------------------------------------

    def is_of(self, remote_tag: str) -> bool:
        """Whether the peer with this tag has a dialog with us here."""
        return self.dialog is not None and self.dialog.remote_tag == remote_tag

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Handle a request within the dialog. Raises ``SipError`` for the user agent to answer with."""
        assert self.dialog is not None
        self.dialog.accept(request)
        match request.method:
            case "BYE":
                self._reply(transaction, 200)
                self._abort_reinvite()
                self._finish()
                self.on_event(Ended(by_peer=True, reason=request.get("Reason") or "BYE"))
            case "INVITE":
                self._receive_reinvite(transaction, request)
            case "INFO":
                self._reply(transaction, 200)
                self.on_event(InfoReceived(request.get("Content-Type") or "", request.body))
            case "OPTIONS":
                self._reply(transaction, 200, (("Allow", self.context.allow), ("Supported", self.context.supported)))
            case method:
                handle = self.context.handler(method)
                if handle is None:
                    status = 405 if method in METHODS else 501
                    self._reply(transaction, status, (("Allow", self.context.allow),))
                else:
                    handle(self, transaction, request)

    def receive_ack(self, request: Request) -> None:
        """Take the ACK to our 2xx."""
        pending = self._unacknowledged
        if pending is None or not pending.is_open or pending.cseq != request.cseq.number:
            return
        pending.close()
        self._unacknowledged = None
        is_first = self.state == ANSWERED
        self.state = CONFIRMED
        if self._bye_wanted is not None:
            self.hang_up(self._bye_wanted)
        elif is_first or pending.has_offer:
            self.on_event(Acknowledged(session_description(request)))

    def cancelled(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a CANCEL: 9.2 answers what it cancels with 487."""
        if transaction is self._reinvite:
            self._abort_reinvite()

    def receive_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Take a response to a request of ours; those to a BYE change nothing any more."""

    def request_failed(self, transaction: ClientTransaction, cause: str) -> None:
        """Take note that a request of ours got no response."""

    def no_ack_came(self) -> None:
        """End the session whose 2xx was never acknowledged: 13.3.1.4 asks for a BYE."""
        if self.state == OVER:
            return
        self._send_bye(self._bye_wanted or (("Reason", 'SIP;cause=408;text="ACK timeout"'),))
        self._finish()
        self.on_event(Ended(by_peer=False, reason="No ACK"))

    # Inside -------------------------------------------------------------------------------------------------

    def _receive_reinvite(self, transaction: ServerTransaction, request: Request) -> None:
        if self._reinvite is not None:
            # 14.2: a second INVITE before the first is answered gets a 500 with a Retry-After of 0 to 10 seconds
            wait = str(self.context.endpoint.ids.number(11))
            self._reply(transaction, 500, (("Retry-After", wait),))
            return
        if self._unacknowledged is not None and self._unacknowledged.is_open:
            raise RequestPending
        self._reinvite = transaction
        transaction.user = self
        self.on_event(Reoffered(session_description(request)))

    def _send_2xx(self, transaction: ServerTransaction, sdp: bytes, headers: Headers) -> None:
        request = transaction.request
        response = self._dialog_response(request, 200)
        response.add("Allow", self.context.allow)
        for name, value in headers:
            response.add(name, value)
        if sdp:
            response.set_body(sdp, SDP)
        self.context.endpoint.respond(transaction, response)
        self._unacknowledged = _Unacknowledged(self, transaction.flow, request, response)

    def _dialog_response(self, request: Request, status: int) -> Response:
        """Make a response that establishes or refreshes the dialog (12.1.1)."""
        response = response_to(request, status, to_tag=self.dialog_id[1])
        for key, line in zip(request.keys, request.lines, strict=True):
            if key == "record-route":
                response.keys.append(key)
                response.lines.append(line)
        response.add("Contact", self.contact)
        return response

    def _send_bye(self, headers: Headers) -> None:
        assert self.dialog is not None
        bye = self.dialog.request("BYE")
        for name, value in headers:
            bye.add(name, value)
        self.context.courier.request(bye, self.context.way_to_peer(self.dialog), None)

    def _abort_reinvite(self) -> None:
        """Give up a re-INVITE that waits for its answer: 15.1.2 says 487 to what is pending at a BYE."""
        transaction, self._reinvite = self._reinvite, None
        if transaction is not None:
            self._reply(transaction, 487)

    def _finish(self) -> None:
        self._abort_reinvite()
        self.state = OVER
        if self._unacknowledged is not None:
            self._unacknowledged.close()
            self._unacknowledged = None
        self.context.closed(self)

    def _reply(self, transaction: ServerTransaction, status: int, headers: Headers = ()) -> None:
        response = response_to(transaction.request, status, to_tag=self.dialog_id[1], headers=headers)
        self.context.endpoint.respond(transaction, response)


def session_description(message: Request | Response) -> bytes:
    """Return the body when it is a session description, else nothing."""
    if not message.body:
        return b""
    content_type = (message.get("Content-Type") or "").partition(";")[0].strip().lower()
    return message.body if content_type == SDP else b""
