"""A call that we make (RFC 3261 sections 13.2 and 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.errors import BadRequest, RequestPending, SipError
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.message import Request, Response
from ims_core.transactions.machines import TIMEOUT
from ims_core.ua.dialog import Dialog
from ims_core.ua.session import (
    ALLOW,
    CANCELLING,
    CONFIRMED,
    INVITED,
    OVER,
    SDP,
    Context,
    Headers,
    Session,
    session_description,
)
from ims_core.ua.session_events import Answered, EventHandler, Rejected, Ringing, ignore

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_core.flow import Flow
    from ims_core.locate.courier import Hop
    from ims_core.transactions.machines import ClientTransaction, ServerTransaction


class OutgoingCall(Session):
    """A call that we make. ``start`` sends the INVITE; ``Answered`` or ``Rejected`` follows."""

    def __init__(self, context: Context, hop: Hop, on_event: EventHandler) -> None:
        super().__init__(context, on_event)
        self._hop = hop
        self._user = ""
        self._transaction: ClientTransaction | None = None
        self._invite: Request | None = None
        self._acks: dict[str, Callable[[], None]] = {}
        self._bye_headers: Headers = ()

    def start(self, target: str, *, caller: str, callee: str, sdp: bytes, headers: Headers = ()) -> None:
        """Send the INVITE to ``target``; ``caller`` and ``callee`` are name-addrs without tags.

        Raises ``SipError`` when there is no way to the hop.
        """
        ids = self.context.endpoint.ids
        call_id, tag = ids.call_id(), ids.tag()
        self._user = parse_name_addr(caller).uri.user
        lines = [
            "Max-Forwards: 70",
            f"From: {caller};tag={tag}",
            f"To: {callee}",
            f"Call-ID: {call_id}",
            "CSeq: 1 INVITE",
            f"Allow: {ALLOW}",
        ]
        keys = ["max-forwards", "from", "to", "call-id", "cseq", "allow"]
        invite = Request("INVITE", target, keys=keys, lines=lines)
        for name, value in headers:
            invite.add(name, value)
        if sdp:
            invite.set_body(sdp, SDP)
        self.dialog_id = (call_id, tag)
        self._invite = invite
        self._transaction = self.context.courier.request(invite, self._hop, self, prepare=self._prepare)
        self.context.opened(self)

    def hang_up(self, headers: Headers = ()) -> None:
        """End the call whatever its state: CANCEL before the answer, BYE after it. No event follows."""
        if self.state == INVITED and self._transaction is not None:
            self.state = CANCELLING
            self._bye_headers = headers
            self.on_event = ignore
            self.context.courier.cancel(self._transaction)
        elif self.state != CANCELLING:
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

    def _prepare(self, invite: Request, flow: Flow) -> None:
        """Let the callee reach us by the way that the INVITE leaves by."""
        self.contact = self.context.contact_for(flow, self._user)
        invite.add("Contact", self.contact)

    def _fail(self, status: int, reason: str) -> None:
        if self.state in {INVITED, CANCELLING}:
            self._finish()
            self.on_event(Rejected(status, reason))

    def _receive_2xx(self, response: Response) -> None:
        tag = response.to_tag
        if tag in self._acks:  # 13.2.2.4: "the ACK MUST be passed to the client transport every time a 2xx arrives"
            self._acks[tag]()
            return
        if self.dialog is not None and self.dialog.remote_tag == tag:  # its ACK waits for our answer
            return
        assert self._invite is not None
        assert self._transaction is not None
        flow = self._transaction.flow
        try:
            dialog = Dialog.as_client(self._invite, response, flow)
        except SipError:  # no way to the peer: acknowledge to where the INVITE went, then give up
            self._drop(Dialog.as_client(self._invite, _as_if_from(response, self._invite.uri), flow))
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
        self._acks[dialog.remote_tag] = self.context.courier.send_ack(ack, self.context.way_to_peer(dialog))

    def _drop(self, dialog: Dialog) -> None:
        """End by BYE a dialog that is not wanted (13.2.2.4)."""
        self._acknowledge(dialog)
        bye = dialog.request("BYE")
        for name, value in self._bye_headers:
            bye.add(name, value)
        self.context.courier.request(bye, self.context.way_to_peer(dialog), None)


def _as_if_from(response: Response, uri: str) -> Response:
    copy = response.copy()
    copy.remove("Record-Route")
    copy.set("Contact", f"<{uri}>")
    return copy
