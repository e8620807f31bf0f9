"""INVITE sessions as a user agent sees them, without I/O (RFC 3261 sections 12 to 15).

A session is one call leg: the INVITE, its dialog, what changes it (re-INVITE, UPDATE), what is said within it (INFO,
MESSAGE) and the BYE. ``IncomingCall`` answers, ``OutgoingCall`` asks; both tell what happens by calling ``on_event``
with one of ``session_events``. Unless the owner ends a call, it ends with exactly one ``Ended`` (or ``Rejected``, for a
call of ours that was never answered). After ``hang_up`` or ``reject`` nothing more is told.

    offers           whose turn it is to offer or to answer
    repetition       a 2xx that is repeated until its ACK comes, and what is like it
    reliable         provisional responses that are repeated until their PRACK comes
    early            the early dialogs of an INVITE of ours
    change           a re-INVITE or UPDATE of ours
    reoffer          one of the peer's
    session_timer    refreshes, and the end of a session that has none
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from ims_core.errors import LocalProtocolError, SipError
from ims_core.messages.message import METHODS, Request, Response, response_to
from ims_core.security.credentials import challenged_with
from ims_core.transactions.machines import ServerTransaction
from ims_core.ua.asking import ask_peer
from ims_core.ua.change import Change, Changes
from ims_core.ua.description import SDP, session_description
from ims_core.ua.dialog import Dialog, establishing
from ims_core.ua.offers import AGREED, PEERS_TURN
from ims_core.ua.reoffer import Reoffer, check_change
from ims_core.ua.repetition import Unacknowledged
from ims_core.ua.session_events import (
    Acknowledged,
    Ended,
    EventHandler,
    InfoReceived,
    MethodRefused,
    Reoffered,
    ignore,
)
from ims_core.ua.session_timer import SessionTimer

if TYPE_CHECKING:
    from ims_core.locate.courier import Outbound
    from ims_core.messages.multipart import Enclosed
    from ims_core.security.credentials import Challenged, Credentials
    from ims_core.setup import SetUp
    from ims_core.ua.context import Context, Headers, TransactionUser

# Where a session stands
INVITED: Final = "invited"  # an INVITE is unanswered
CANCELLING: Final = "cancelling"  # our INVITE is to be cancelled
ANSWERED: Final = "answered"  # we sent a 2xx and wait for its ACK
CONFIRMED: Final = "confirmed"
OVER: Final = "over"


class Session:
    """What both kinds of call have in common once a dialog exists.

    ``local_sdp`` and ``remote_sdp`` are the descriptions that hold, as far as they were exchanged. ``required`` names
    the option that the peer must know to read ours, if there is one: it goes where they go, as Require. ``enclosed``
    goes beside each offer of ours that begins or changes the session, as it is at that time.
    """

    owns_call_id: ClassVar[bool]

    def __init__(self, context: Context, on_event: EventHandler | None) -> None:
        self.context = context
        self.on_event: EventHandler = on_event or ignore
        self.state = INVITED
        self.dialog: Dialog | None = None
        self.dialog_id: tuple[str, str] = ("", "")
        self.contact = ""
        self.local_sdp = self.remote_sdp = b""
        self.required = ""
        self.enclosed: tuple[Enclosed, ...] = ()
        self._unacknowledged: Unacknowledged | None = None
        self._asked: Reoffer | None = None
        self.changes: Changes | None = None
        self.timer: SessionTimer | None = None
        self.challenged: Challenged | None = None  # what the peer's side asks credentials for, and ours
        self._bye_wanted: Headers | None = None
        self.set_up: SetUp | None = None  # where somebody measures

    @property
    def is_established(self) -> bool:
        """Whether the call was answered and is not over."""
        return self.state in {ANSWERED, CONFIRMED}

    # For the owner ------------------------------------------------------------------------------------------

    def answer_by(self, credentials: Credentials) -> None:
        """Have requests of ours answer by these who asks for some."""
        self.challenged = challenged_with(credentials, self.context.endpoint.ids)

    def hang_up(self, headers: Headers = ()) -> None:
        """End the session; ``headers`` go into the BYE (say, Reason)."""
        if self.state == OVER or self.dialog is None:
            self.on_event = ignore  # transactions outlive the session: they must not keep its owner alive
            return
        if self._unacknowledged is not None and self.state == ANSWERED:
            # 15: the callee "MUST NOT send a BYE on a confirmed dialog until it has received an ACK for its 2xx"
            self._bye_wanted = headers
            self.on_event = ignore
            return
        self.on_event = ignore
        self._drop_changes()
        self._send_bye(self.dialog, headers)
        self._finish("local-bye")

    def accept_offer(self, sdp: bytes) -> None:
        """Answer a ``Reoffered`` with 200."""
        asked = self._take_asked()
        if asked is None:
            return
        self.agreed(asked.dialog, sdp, asked.sdp)
        if asked.by_invite:
            has_offer = not asked.sdp
            if has_offer:
                asked.dialog.turn = PEERS_TURN
            self._send_2xx(asked.transaction, sdp, self._timed(asked.transaction.request), has_offer=has_offer)
            return
        self._answer_update(asked.transaction, sdp)
        self.go_on()

    def refuse_offer(self, error: SipError) -> None:
        """Answer a ``Reoffered`` with an error; the session goes on as it was (14.2)."""
        asked = self._take_asked()
        if asked is not None:
            self.context.endpoint.refuse(asked.transaction, error)
            self.go_on()

    def reinvite(self, sdp: bytes = b"", headers: Headers = ()) -> None:
        """Offer ``sdp`` by re-INVITE, or ask for the peer's offer; ``Reanswered`` or ``OfferRefused`` follows.

        It is sent as soon as nothing else is under way, and again after a glare. Raises ``LocalProtocolError`` before
        the call is answered, when it is over, and while another change of the owner's is pending.
        """
        if not self.is_established or self.dialog is None:
            raise LocalProtocolError(f"cannot change a call that is {self.state}")
        self._change(self.dialog, "INVITE", sdp, headers)

    def update(self, sdp: bytes = b"", headers: Headers = ()) -> None:
        """Do the same by UPDATE, also before the answer (RFC 3311); without ``sdp`` it tells that we are still there.

        In an early dialog an offer waits until the one before it was answered reliably.
        """
        dialog = self._dialog_to_update()
        if self.state in {OVER, CANCELLING} or dialog is None:
            raise LocalProtocolError(f"cannot update a call that is {self.state}")
        self._change(dialog, "UPDATE", sdp, headers)

    def acknowledge(self, sdp: bytes = b"") -> None:
        """Answer the offer that a 2xx brought; does nothing when there is none."""
        if self.changes is not None:
            self.changes.acknowledge(sdp)

    def send(
        self,
        method: str,
        headers: Headers = (),
        *,
        body: bytes = b"",
        content_type: str = "",
        user: TransactionUser | None = None,
    ) -> None:
        """Send a request within the dialog, say MESSAGE or INFO; its response is told to ``user``.

        Raises ``LocalProtocolError`` without a dialog, ``SipError`` when there is no way to the peer.
        """
        if self.dialog is None or self.state == OVER:
            raise LocalProtocolError(f"no dialog in a call that is {self.state}")
        request = self.dialog.request(method)
        for name, value in headers:
            request.add(name, value)
        if body:
            request.set_body(body, content_type)
        ask_peer(self.context, self.dialog, request, self.challenged, user)

    # For the user agent -------------------------------------------------------------------------------------

    def is_of(self, remote_tag: str) -> bool:
        """Whether the peer with this tag has a dialog with us here."""
        return self.dialog is not None and self.dialog.remote_tag == remote_tag

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Handle a request within the dialog. Raises ``SipError`` for the user agent to answer with."""
        assert self.dialog is not None
        self.dialog.accept(request)
        self._serve(transaction, request, self.dialog)

    def receive_ack(self, request: Request) -> None:
        """Take the ACK to our 2xx."""
        pending = self._unacknowledged
        if pending is None or pending.cseq != request.cseq.number:
            return
        pending.close()
        self._unacknowledged = None
        is_first = self.state == ANSWERED
        self.state = CONFIRMED
        sdp = session_description(request)
        if pending.has_offer and self.dialog is not None:
            self.dialog.turn = AGREED
            self.agreed(self.dialog, b"", sdp)
        if self._bye_wanted is not None:
            self.hang_up(self._bye_wanted)
        elif is_first or pending.has_offer:
            self.on_event(Acknowledged(sdp))
        self.go_on()

    def cancelled(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a CANCEL: 9.2 answers what it cancels with 487."""
        if self._asked is not None and transaction is self._asked.transaction:
            self._abort_asked()
            self.go_on()

    def receive_response(self, transaction: Outbound, response: Response) -> None:
        """Take a response to our INVITE."""

    def request_failed(self, transaction: Outbound, cause: str) -> None:
        """Take note that our INVITE got no response."""

    # For changes of ours and the timer ------------------------------------------------------------------------

    def agreed(self, dialog: Dialog, local: bytes, remote: bytes) -> None:
        """Take note of the descriptions that hold in ``dialog``; empty ones have not changed."""
        self.local_sdp, self.remote_sdp = local or self.local_sdp, remote or self.remote_sdp

    def take_terms(self, response: Response) -> None:
        """Start the session timer as a 2xx to our INVITE or UPDATE settles it; a call that rings has none."""
        if not self.is_established:
            return
        if self.timer is None:
            policy = self.context.session_timers
            if policy is None or "session-expires" not in response.keys:
                return
            self.timer = SessionTimer(self, policy)
        self.timer.take(response)

    @property
    def may_update(self) -> bool:
        """Whether an offer by UPDATE would be sent at once (RFC 3311 section 5.1)."""
        dialog = self._dialog_to_update()
        return self.state not in {OVER, CANCELLING} and dialog is not None and dialog.turn == AGREED

    def may_send(self, change: Change) -> bool:
        """Whether a change of ours may be sent now (RFC 3261 14.1, RFC 3311 5.1)."""
        if change.method == "INVITE":
            is_quiet = self.state == CONFIRMED and self._asked is None and self._unacknowledged is None
            return is_quiet and change.dialog.turn == AGREED
        return not change.sdp or change.dialog.turn == AGREED

    def go_on(self) -> None:
        """Do what waited for another exchange to end."""
        if self.changes is not None:
            self.changes.go_on()

    def refresh(self) -> None:
        """Show the peer that we are still there (RFC 4028 section 10); any change under way does it as well."""
        if self.timer is None or self.dialog is None or self.changes:
            return
        method, sdp = ("UPDATE", b"") if self.timer.by_update else ("INVITE", self.local_sdp)
        self._change(self.dialog, method, sdp, (), is_refresh=True)

    def lose(self, why: str) -> None:
        """End a session that is of no more use."""
        if self.state == OVER:
            return
        assert self.dialog is not None
        self._drop_changes()
        reason = (("Reason", f'SIP;cause=408;text="{why}"'),)
        self._send_bye(self.dialog, reason if self._bye_wanted is None else self._bye_wanted)
        self._finish("timeout")
        self.on_event(Ended(by_peer=False, reason=why))

    # Requests of the peer -----------------------------------------------------------------------------------

    def _serve(self, transaction: ServerTransaction, request: Request, dialog: Dialog) -> None:
        match request.method:
            case "BYE":
                self._reply(transaction, 200)
                self._drop_changes()
                self._finish("remote-bye")
                self.on_event(Ended(by_peer=True, reason=request.get("Reason") or "BYE"))
            case "INVITE" | "UPDATE":
                self._receive_change(transaction, request, dialog)
            case "INFO" if "info-package" in request.keys:
                # RFC 6086 4.2.2: no package is wanted here, which an empty Recv-Info says
                self._reply(transaction, 469, (("Recv-Info", ""),))
            case "INFO" if request.body and not self._takes(request):
                # 8.2.3: "If there are any bodies whose type [is] not understood … 415 (Unsupported Media Type)"
                self._reply(transaction, 415, (("Accept", ", ".join(self.context.info_bodies)),))
                self.on_event(MethodRefused("INFO", 415))
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
                    self.on_event(MethodRefused(method, status))
                else:
                    handle(self, transaction, request)

    def _takes(self, request: Request) -> bool:
        """Tell whether the body of an INFO is of a type that our user reads."""
        bodies = self.context.info_bodies
        return not bodies or (request.get("Content-Type") or "").partition(";")[0].strip().lower() in bodies

    def _receive_change(self, transaction: ServerTransaction, request: Request, dialog: Dialog) -> None:
        is_pending = self._unacknowledged is not None or (self.changes is not None and self.changes.is_sent)
        check_change(request, dialog, self._asked, self.context, is_pending=is_pending)
        if request.method == "INVITE" or session_description(request):
            self._ask(Reoffer(transaction, dialog))
        else:
            self._answer_update(transaction, b"")

    def _ask(self, asked: Reoffer) -> None:
        """Have the owner answer an offer, or make one."""
        self._asked = asked
        asked.open()
        asked.transaction.user = self
        self.on_event(Reoffered(asked.sdp))
        if self._asked is asked and asked.by_invite:
            self._reply(asked.transaction, 100)  # 17.2.1: the answer may not come "within 200 ms"

    def _timed(self, request: Request) -> Headers:
        """Start the session timer as a request settles it that we answer with 2xx; return what the 2xx says of it."""
        if self.timer is None:
            policy = self.context.session_timers
            if policy is None or not self.is_established:
                return ()
            self.timer = SessionTimer(self, policy)
        return self.timer.answer(request)

    # Inside -------------------------------------------------------------------------------------------------

    def _dialog_to_update(self) -> Dialog | None:
        return self.dialog

    def _change(self, dialog: Dialog, method: str, sdp: bytes, headers: Headers, *, is_refresh: bool = False) -> None:
        if self.changes is None:
            self.changes = Changes(self)
        self.changes.begin(Change(self, dialog, method, sdp, headers, is_refresh=is_refresh))

    def _drop_changes(self) -> None:
        if self.changes is not None:
            self.changes.drop()
            self.changes = None

    def _send_2xx(self, transaction: ServerTransaction, sdp: bytes, headers: Headers, *, has_offer: bool) -> None:
        """Send the 2xx to an INVITE, until its ACK comes."""
        endpoint, cseq = self.context.endpoint, transaction.request.cseq.number
        self._accept(transaction, sdp, headers)
        self._unacknowledged = Unacknowledged(
            endpoint, transaction.flow, transaction.data, cseq, has_offer, partial(self.lose, "No ACK")
        )

    def _answer_update(self, transaction: ServerTransaction, sdp: bytes) -> None:
        """Send the 2xx to an UPDATE or PRACK."""
        request = transaction.request
        self._accept(transaction, sdp, self._timed(request) if request.method == "UPDATE" else ())

    def _accept(self, transaction: ServerTransaction, sdp: bytes, headers: Headers) -> None:
        response = establishing(transaction.request, 200, self.dialog_id[1], self.contact)
        response.add("Allow", self.context.allow)
        response.add("Supported", self.context.supported)
        for name, value in headers:
            response.add(name, value)
        if sdp and self.required:
            response.add("Require", self.required)
        if sdp:
            response.set_body(sdp, SDP)
        self.context.endpoint.respond(transaction, response)

    def _send_bye(self, dialog: Dialog, headers: Headers) -> None:
        bye = dialog.request("BYE")
        for name, value in headers:
            bye.add(name, value)
        ask_peer(self.context, dialog, bye, self.challenged)

    def _take_asked(self) -> Reoffer | None:
        """Have nothing wait for the owner's answer any more, and return what did."""
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.close()
        return asked

    def _abort_asked(self) -> None:
        """Give up a request that waits for its answer: 15.1.2 says 487 to what is pending at a BYE."""
        asked = self._take_asked()
        if asked is not None:
            self._reply(asked.transaction, 487)

    def _finish(self, cause: str, code: int | None = None) -> None:
        self._abort_asked()
        self._drop_changes()
        if self.timer is not None:
            self.timer.close()
            self.timer = None  # what knows the session: without a cycle it is freed at once
        self.state = OVER
        if self._unacknowledged is not None:
            self._unacknowledged.close()
            self._unacknowledged = None
        self.context.closed(self, cause, code)

    def _reply(self, transaction: ServerTransaction, status: int, headers: Headers = ()) -> None:
        response = response_to(transaction.request, status, to_tag=self.dialog_id[1], headers=headers)
        self.context.endpoint.respond(transaction, response)
