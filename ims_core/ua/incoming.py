"""A call that a peer makes to us (RFC 3261 sections 13.3 and 15, RFC 3262 section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.errors import BadRequest, LocalProtocolError, NoSuchDialog, SipError
from ims_core.messages.extensions import names_option
from ims_core.messages.message import Request, error_response, response_to
from ims_core.messages.uri import is_sips, is_sos
from ims_core.setup import SetUp
from ims_core.ua.description import SDP, session_description
from ims_core.ua.dialog import Dialog, establishing
from ims_core.ua.offers import AGREED, OUR_TURN, PEERS_TURN, Overlapping, check_turn
from ims_core.ua.reliable import ReliableResponses
from ims_core.ua.reoffer import Reoffer
from ims_core.ua.session import ANSWERED, INVITED, Session
from ims_core.ua.session_events import EarlyAnswered, Ended

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.context import Context, Headers


class IncomingCall(Session):
    """A call that a peer makes to us. The owner must answer or reject it; 100 has been sent."""

    owns_call_id = False

    def __init__(
        self, context: Context, transaction: ServerTransaction, request: Request, flow: Flow, identity: str
    ) -> None:
        super().__init__(context, None)
        self.request = request
        self.identity = identity
        self._invite = transaction
        self._reliable: ReliableResponses | None = None
        self.has_described = False  # in a reliable response: the 2xx will say nothing more
        self._answer: bytes | None = None  # that waits for a PRACK
        user = "sos" if is_sos(request.uri) else request.target.user
        self.contact = context.contact_for(flow, user, secure=is_sips(request.uri))
        self.dialog = Dialog.as_server(request, context.endpoint.ids.tag(), flow)
        self.dialog.turn = OUR_TURN
        transaction.user = self
        if context.on_set_up is not None:
            self.set_up = SetUp("callee", request.call_id, context.endpoint.clock(), context.on_set_up)
        self.dialog_id = (self.dialog.call_id, self.dialog.local_tag)
        context.opened(self)

    @property
    def offer(self) -> bytes:
        """The session description of the INVITE; empty when the offer is ours to make."""
        return session_description(self.request)

    @property
    def takes_reliable(self) -> bool:
        """Whether the caller acknowledges provisional responses, so that one may carry our offer (RFC 3262)."""
        return self._requires_reliable or names_option(self.request, "Supported", "100rel")

    @property
    def names_preconditions(self) -> bool:
        """Whether the caller says by an option tag that his offer may have preconditions (RFC 3312 section 11)."""
        return any(names_option(self.request, header, "precondition") for header in ("Require", "Supported"))

    def progress(self, status: int = 180, sdp: bytes = b"") -> None:
        """Send a provisional response, with early media when ``sdp`` is given.

        It is sent reliably where the caller requires that, and where there is ``sdp`` and he supports it. ``sdp`` is
        left out where it has no place: once a reliable response described the session, and unreliably when the offer
        is ours. A caller who requires reliable responses to an INVITE without offer gets none before that with ours.
        """
        if self.state != INVITED or self._answer is not None:
            return
        if self.has_described:
            sdp = b""
        if self._requires_reliable or (sdp and self.takes_reliable):
            if sdp or self.offer or self.has_described:
                self._send_reliably(status, sdp)
                self._told(status)
            return
        response = establishing(self.request, status, self.dialog_id[1], self.contact)
        if sdp and self.offer:
            response.set_body(sdp, SDP)
        self.context.endpoint.respond(self._invite, response)
        self._told(status)

    def answer(self, sdp: bytes) -> None:
        """Send the 200; ``Acknowledged`` or ``Ended`` follows. Raises ``LocalProtocolError`` when it is too late.

        It is held back while the caller has not acknowledged a description (RFC 3262 section 3); the one that he got
        reliably stands, and ``sdp`` is not sent.
        """
        if self.state != INVITED or self._answer is not None:
            raise LocalProtocolError(f"cannot answer a call that is {self.state}")
        self._answer = sdp
        self.go_on()

    def reject(self, status: int, reason: str | None = None, headers: Headers = ()) -> None:
        """Send a final failure. Does nothing once the call is answered, cancelled or over."""
        if self.state != INVITED:
            return
        self._finish("rejected", status)
        response = response_to(self.request, status, reason, to_tag=self.dialog_id[1], headers=headers)
        self.context.endpoint.respond(self._invite, response)

    def refuse(self, error: SipError) -> None:
        """Send a final failure that tells the caller about ``error``. Does nothing where ``reject`` does nothing."""
        if self.state == INVITED:
            self._finish("rejected", error.status)
            response = error_response(self.request, error, to_tag=self.dialog_id[1])
            self.context.endpoint.respond(self._invite, response)

    def hang_up(self, headers: Headers = ()) -> None:
        """End the call whatever its state; before the answer that is a 480."""
        if self.state == INVITED:
            self.reject(480, headers=headers)
        else:
            super().hang_up(headers)

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Handle a request within the dialog, which may still be early."""
        if request.method == "PRACK":
            self._receive_prack(transaction, request)
        elif self.state != INVITED:
            super().receive(transaction, request)
        elif request.method == "BYE":
            # 15: the caller may end an early dialog by BYE; 15.1.2: the INVITE is then answered with 487
            self._reply(transaction, 200)
            self.cancelled(self._invite, request)
        elif request.method == "INVITE":
            raise Overlapping(self.context.endpoint.ids)
        else:
            super().receive(transaction, request)

    def cancelled(self, transaction: ServerTransaction, request: Request) -> None:
        """Take the CANCEL of the INVITE, or of a re-INVITE."""
        if self.state != INVITED:
            super().cancelled(transaction, request)
            return
        self._finish("cancelled" if request.method == "CANCEL" else "remote-bye")
        self._reply(self._invite, 487)
        self.on_event(Ended(by_peer=True, reason=request.get("Reason") or request.method))

    def go_on(self) -> None:
        """Send the 200 that waited for a PRACK."""
        if self._answer is not None and self.state == INVITED and self._may_answer():
            self._send_answer(self._answer)
        super().go_on()

    # Inside -------------------------------------------------------------------------------------------------

    @property
    def _requires_reliable(self) -> bool:
        return names_option(self.request, "Require", "100rel")

    def _may_answer(self) -> bool:
        if self._reliable is None:
            return True
        is_settled = self.dialog is not None and self.dialog.turn == AGREED
        return not self._reliable.hold_2xx and (is_settled or not self.has_described)

    def _send_answer(self, sdp: bytes) -> None:
        assert self.dialog is not None
        self.state = ANSWERED
        if self._reliable is not None:
            self._reliable.finish()
        offer = self.offer
        has_offer = False
        if self.has_described:
            sdp = b""
        else:
            self.local_sdp, self.remote_sdp = sdp, offer
            has_offer = not offer
            self.dialog.turn = PEERS_TURN if has_offer else AGREED
        self._send_2xx(self._invite, sdp, self._timed(self.request), has_offer=has_offer)
        self._told(200)

    def _told(self, status: int) -> None:
        """The caller has been told so much."""
        if self.set_up is not None:
            self.set_up.take(status, self.context.endpoint.clock())
        self.context.changed(self)

    def _send_reliably(self, status: int, sdp: bytes) -> None:
        assert self.dialog is not None
        if self._reliable is None:
            self._reliable = ReliableResponses(self.context.endpoint, self._invite, self._no_prack)
        response = establishing(self.request, status, self.dialog_id[1], self.contact)
        response.add("Allow", self.context.allow)
        if sdp:
            response.set_body(sdp, SDP)
            self.has_described = True
            self.local_sdp, self.remote_sdp = sdp, self.offer
            if not self.offer:
                self.dialog.turn = PEERS_TURN
        self._reliable.send(response, self.required if sdp else "")

    def _receive_prack(self, transaction: ServerTransaction, request: Request) -> None:
        assert self.dialog is not None
        dialog, reliable = self.dialog, self._reliable
        dialog.accept(request)
        if reliable is None:
            raise NoSuchDialog("No such response to acknowledge")
        is_described = reliable.match(request)
        sdp = session_description(request)
        if is_described and dialog.turn == PEERS_TURN and not sdp:
            raise BadRequest("PRACK without the answer")
        if is_described and dialog.turn == PEERS_TURN:
            self.remote_sdp = sdp
            self._taken(reliable)
            self._reply(transaction, 200)
            self.on_event(EarlyAnswered(sdp))
        elif sdp:
            check_turn(AGREED if is_described else dialog.turn, self.context.endpoint.ids)
            self._taken(reliable)
            self._ask(Reoffer(transaction, dialog))
        else:
            if is_described:
                self._taken(reliable)
            else:
                reliable.acknowledged()
            self._reply(transaction, 200)
        self.go_on()

    def _taken(self, reliable: ReliableResponses) -> None:
        """The caller has our description, and we his."""
        assert self.dialog is not None
        self.dialog.turn = AGREED
        reliable.acknowledged()

    def _no_prack(self) -> None:
        """Give up: RFC 3262 section 3 "SHOULD reject the original request with a 5xx response"."""
        self._finish("timeout")
        self._reply(self._invite, 504)
        self.on_event(Ended(by_peer=False, reason="No PRACK"))

    def _finish(self, cause: str, code: int | None = None) -> None:
        super()._finish(cause, code)
        if self._reliable is not None:
            self._reliable.finish()
            self._reliable = None
        self._invite.user = None  # the transaction outlives the call by 32 seconds
