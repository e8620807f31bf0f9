"""INVITE sessions as a user agent sees them, without I/O (RFC 3261 sections 13 to 15).

A session is one call leg: the INVITE, its dialog, re-INVITEs, INFO and the BYE. ``IncomingCall`` answers,
``OutgoingCall`` asks; both tell what happens by calling ``on_event`` with one of the events below. Unless the owner
ends a call, it ends with exactly one ``Ended`` (or ``Rejected``, for a call of ours that was never answered). After
``hang_up`` or ``reject`` nothing more is told. Session descriptions are opaque bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ims_core.dialog import Dialog
from ims_core.errors import BadRequest, LocalProtocolError, RequestPending, SipError
from ims_core.message import METHODS, Request, Response, error_response, response_to
from ims_core.transactions import TIMEOUT, ClientTransaction, ServerTransaction

if TYPE_CHECKING:
    from ims_core.endpoint import Endpoint
    from ims_core.flow import Flow

SDP: Final = "application/sdp"
ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"

Headers = tuple[tuple[str, str], ...]


class Ringing(NamedTuple):
    """A provisional response came: ``status`` 101 to 199, ``sdp`` for early media."""

    status: int
    sdp: bytes


class Answered(NamedTuple):
    """A call of ours was answered. When the INVITE carried no offer, ``sdp`` is one: ``acknowledge`` must follow."""

    sdp: bytes


class Rejected(NamedTuple):
    """A call of ours failed; ``status`` is 408 when nobody answered and 503 when nobody could be reached."""

    status: int
    reason: str


class Acknowledged(NamedTuple):
    """The ACK for our 2xx came; ``sdp`` is the answer when the 2xx carried the offer.

    After a re-INVITE it is told in that case only.
    """

    sdp: bytes


class Reoffered(NamedTuple):
    """A re-INVITE came; the owner must call ``accept_offer`` or ``refuse_offer``. Empty ``sdp``: we make the offer."""

    sdp: bytes


class InfoReceived(NamedTuple):
    """An INFO came and was answered with 200 (RFC 6086, legacy use)."""

    content_type: str
    body: bytes


class Ended(NamedTuple):
    """The session is over. ``by_peer`` tells who ended it, ``reason`` why, in words for a record."""

    by_peer: bool
    reason: str


SessionEvent = Ringing | Answered | Rejected | Acknowledged | Reoffered | InfoReceived | Ended
EventHandler = Callable[[SessionEvent], None]


class Context(Protocol):
    """What a session needs of the user agent it lives in."""

    endpoint: Endpoint

    def flow_for(self, uri: str, fallback: Flow) -> Flow:
        """Return the flow to reach ``uri`` by."""

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

    def __init__(self, session: Session, transaction: ServerTransaction, response: Response) -> None:
        self._session = session
        self.transaction = transaction
        self.cseq = transaction.request.cseq.number
        self.has_offer = not session_description(transaction.request)
        self._data = response.encode()
        timers = session.context.endpoint.timers
        self._interval = timers.t1
        self.is_open = True
        session.context.endpoint.start_timer(self, _RESEND_2XX, self._interval)
        session.context.endpoint.start_timer(self, _GIVE_UP_ACK, 64 * timers.t1)

    def fire(self, event: str) -> None:
        if not self.is_open:
            return
        if event == _GIVE_UP_ACK:
            self.is_open = False
            self._session.no_ack_came()
            return
        endpoint = self._session.context.endpoint
        endpoint.send(self.transaction.flow, self._data)
        self._interval = min(self._interval * 2, endpoint.timers.t2)
        endpoint.start_timer(self, _RESEND_2XX, self._interval)


class Session:
    """What both kinds of call have in common once a dialog exists."""

    def __init__(self, context: Context, flow: Flow, on_event: EventHandler | None) -> None:
        self.context = context
        self.flow = flow
        self.on_event: EventHandler = on_event or _ignore
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
            return
        if self._unacknowledged is not None and self._unacknowledged.is_open and self.state == ANSWERED:
            # 15: the callee "MUST NOT send a BYE on a confirmed dialog until it has received an ACK for its 2xx"
            self._bye_wanted = headers
            self.on_event = _ignore
            return
        self._send_bye(headers)
        self._finish()

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
                self._reply(transaction, 200, (("Allow", ALLOW),))
            case method:
                self._reply(transaction, 405 if method in METHODS else 501, (("Allow", ALLOW),))

    def receive_ack(self, request: Request) -> None:
        """Take the ACK to our 2xx."""
        pending = self._unacknowledged
        if pending is None or not pending.is_open or pending.cseq != request.cseq.number:
            return
        pending.is_open = False
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
        response = self._dialog_response(transaction.request, 200)
        response.add("Allow", ALLOW)
        for name, value in headers:
            response.add(name, value)
        if sdp:
            response.set_body(sdp, SDP)
        self.context.endpoint.respond(transaction, response)
        self._unacknowledged = _Unacknowledged(self, transaction, response)

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
        flow = self.context.flow_for(self.dialog.next_hop, self.dialog.flow)
        self.context.endpoint.request(bye, flow, None)

    def _abort_reinvite(self) -> None:
        """Give up a re-INVITE that waits for its answer: 15.1.2 says 487 to what is pending at a BYE."""
        transaction, self._reinvite = self._reinvite, None
        if transaction is not None:
            self._reply(transaction, 487)

    def _finish(self) -> None:
        self._abort_reinvite()
        self.state = OVER
        if self._unacknowledged is not None:
            self._unacknowledged.is_open = False
            self._unacknowledged = None
        self.context.closed(self)

    def _reply(self, transaction: ServerTransaction, status: int, headers: Headers = ()) -> None:
        response = response_to(transaction.request, status, to_tag=self.dialog_id[1], headers=headers)
        self.context.endpoint.respond(transaction, response)


class IncomingCall(Session):
    """A call that a peer makes to us. The owner must answer or reject it; 100 has been sent."""

    def __init__(
        self, context: Context, transaction: ServerTransaction, request: Request, flow: Flow, identity: str
    ) -> None:
        super().__init__(context, flow, None)
        self.request = request
        self.identity = identity
        self._invite = transaction
        self.contact = context.contact_for(flow, request.target.user)
        self.dialog = Dialog.as_server(request, context.endpoint.ids.tag(), flow)
        transaction.user = self
        self.dialog_id = (self.dialog.call_id, self.dialog.local_tag)
        context.opened(self)

    @property
    def offer(self) -> bytes:
        """The session description of the INVITE; empty when the offer is ours to make."""
        return session_description(self.request)

    def progress(self, status: int = 180, sdp: bytes = b"") -> None:
        """Send a provisional response, with early media when ``sdp`` is given."""
        if self.state != INVITED:
            return
        response = self._dialog_response(self.request, status)
        if sdp:
            response.set_body(sdp, SDP)
        self.context.endpoint.respond(self._invite, response)

    def answer(self, sdp: bytes) -> None:
        """Send the 200; ``Acknowledged`` or ``Ended`` follows. Raises ``LocalProtocolError`` when it is too late."""
        if self.state != INVITED:
            raise LocalProtocolError(f"cannot answer a call that is {self.state}")
        self.state = ANSWERED
        self._send_2xx(self._invite, sdp, ())

    def reject(self, status: int, reason: str | None = None, headers: Headers = ()) -> None:
        """Send a final failure. Does nothing once the call is answered, cancelled or over."""
        if self.state != INVITED:
            return
        self._finish()
        response = response_to(self.request, status, reason, to_tag=self.dialog_id[1], headers=headers)
        self.context.endpoint.respond(self._invite, response)

    def hang_up(self, headers: Headers = ()) -> None:
        """End the call whatever its state; before the answer that is a 480."""
        if self.state == INVITED:
            self.reject(480, headers=headers)
        else:
            super().hang_up(headers)

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Handle a request within the dialog, which may still be early."""
        if self.state == INVITED and request.method == "BYE":
            # 15: the caller may end an early dialog by BYE; 15.1.2: the INVITE is then answered with 487
            self._reply(transaction, 200)
            self.cancelled(self._invite, request)
            return
        if self.state == INVITED and request.method == "INVITE":
            wait = str(self.context.endpoint.ids.number(11))
            self._reply(transaction, 500, (("Retry-After", wait),))
            return
        super().receive(transaction, request)

    def cancelled(self, transaction: ServerTransaction, request: Request) -> None:
        """Take the CANCEL of the INVITE, or of a re-INVITE."""
        if self.state != INVITED:
            super().cancelled(transaction, request)
            return
        self._finish()
        self._reply(self._invite, 487)
        self.on_event(Ended(by_peer=True, reason=request.get("Reason") or request.method))


class OutgoingCall(Session):
    """A call that we make. ``start`` sends the INVITE; ``Answered`` or ``Rejected`` follows."""

    def __init__(self, context: Context, flow: Flow, on_event: EventHandler) -> None:
        super().__init__(context, flow, on_event)
        self._transaction: ClientTransaction | None = None
        self._invite: Request | None = None
        self._acks: dict[str, tuple[Flow, bytes]] = {}
        self._bye_headers: Headers = ()

    def start(self, target: str, *, caller: str, callee: str, sdp: bytes, headers: Headers = ()) -> None:
        """Send the INVITE to ``target`` through ``flow``; ``caller`` and ``callee`` are name-addrs without tags."""
        ids = self.context.endpoint.ids
        invite = Request("INVITE", target)
        call_id, tag = ids.call_id(), ids.tag()
        invite.add("Max-Forwards", "70")
        invite.add("From", f"{caller};tag={tag}")
        invite.add("To", callee)
        invite.add("Call-ID", call_id)
        invite.add("CSeq", "1 INVITE")
        self.contact = self.context.contact_for(self.flow, invite.from_.uri.user)
        invite.add("Contact", self.contact)
        invite.add("Allow", ALLOW)
        for name, value in headers:
            invite.add(name, value)
        if sdp:
            invite.set_body(sdp, SDP)
        self.dialog_id = (call_id, tag)
        self._invite = invite
        self.context.opened(self)
        self._transaction = self.context.endpoint.request(invite, self.flow, self)

    def hang_up(self, headers: Headers = ()) -> None:
        """End the call whatever its state: CANCEL before the answer, BYE after it. No event follows."""
        if self.state == INVITED and self._transaction is not None:
            self.state = CANCELLING
            self._bye_headers = headers
            self.on_event = _ignore
            self.context.endpoint.cancel(self._transaction)
        elif self.state not in {OVER, CANCELLING}:
            self.acknowledge()
            super().hang_up(headers)

    def acknowledge(self, sdp: bytes = b"") -> None:
        """Send the ACK, with our answer to the offer in the 200; does nothing when it has been sent already."""
        if self.dialog is not None and self.state != OVER and self.dialog.remote_tag not in self._acks:
            self._acknowledge(self.dialog, sdp)

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Handle a request within the dialog; before our INVITE is answered there is nothing to ask for."""
        if self.dialog is None:
            raise RequestPending if request.method == "INVITE" else BadRequest("No confirmed dialog")
        super().receive(transaction, request)

    def receive_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Take a response to our INVITE."""
        if transaction is not self._transaction:
            return
        if response.status < 200:
            if self.state == INVITED and response.status > 100:
                self.on_event(Ringing(response.status, session_description(response)))
        elif response.status < 300:
            try:
                self._receive_2xx(response)
            except SipError:  # not even an ACK can be made of it
                self._fail(500, "Malformed answer")
        else:
            self._fail(response.status, response.reason)

    def request_failed(self, transaction: ClientTransaction, cause: str) -> None:
        """Take note that the INVITE got no final response (8.1.3.1)."""
        if transaction is self._transaction:
            self._fail(*((408, "No answer") if cause == TIMEOUT else (503, "Cannot be reached")))

    def _fail(self, status: int, reason: str) -> None:
        if self.state in {INVITED, CANCELLING}:
            self._finish()
            self.on_event(Rejected(status, reason))

    def _receive_2xx(self, response: Response) -> None:
        tag = response.to.tag
        if tag in self._acks:  # 13.2.2.4: "the ACK MUST be passed to the client transport every time a 2xx arrives"
            self.context.endpoint.send(*self._acks[tag])
            return
        if self.dialog is not None and self.dialog.remote_tag == tag:  # its ACK waits for our answer
            return
        assert self._invite is not None
        try:
            dialog = Dialog.as_client(self._invite, response, self.flow)
        except SipError:  # no way to the peer: acknowledge to where the INVITE went, then give up
            self._drop(Dialog.as_client(self._invite, _as_if_from(response, self._invite.uri), self.flow))
            self._fail(500, "Answer without usable Contact")
            return
        if self.state == INVITED:
            self.state = CONFIRMED
            self.dialog = dialog
            if self._invite.body:
                self._acknowledge(dialog)
            self.on_event(Answered(session_description(response)))
            return
        self._drop(dialog)  # answered although cancelled, or a second fork answered
        if self.state == CANCELLING:
            self._finish()

    def _acknowledge(self, dialog: Dialog, sdp: bytes = b"") -> None:
        ack = dialog.request("ACK", cseq=dialog.local_cseq)
        if sdp:
            ack.set_body(sdp, SDP)
        flow = self.context.flow_for(dialog.next_hop, dialog.flow)
        self._acks[dialog.remote_tag] = (flow, self.context.endpoint.send_ack(ack, flow))

    def _drop(self, dialog: Dialog) -> None:
        """End by BYE a dialog that is not wanted (13.2.2.4)."""
        self._acknowledge(dialog)
        bye = dialog.request("BYE")
        for name, value in self._bye_headers:
            bye.add(name, value)
        self.context.endpoint.request(bye, self.context.flow_for(dialog.next_hop, dialog.flow), None)


def session_description(message: Request | Response) -> bytes:
    """Return the body when it is a session description, else nothing."""
    if not message.body:
        return b""
    content_type = (message.get("Content-Type") or "").partition(";")[0].strip().lower()
    return message.body if content_type == SDP else b""


def _as_if_from(response: Response, uri: str) -> Response:
    copy = response.copy()
    copy.remove("Record-Route")
    copy.set("Contact", f"<{uri}>")
    return copy


def _ignore(_: SessionEvent) -> None:
    """Nobody is listening (any more)."""
