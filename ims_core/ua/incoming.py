"""A call that a peer makes to us (RFC 3261 sections 13.3 and 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.errors import LocalProtocolError
from ims_core.messages.message import Request, response_to
from ims_core.ua.dialog import Dialog
from ims_core.ua.session import ANSWERED, INVITED, SDP, Context, Headers, Session, session_description
from ims_core.ua.session_events import Ended

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.transactions.machines import ServerTransaction


class IncomingCall(Session):
    """A call that a peer makes to us. The owner must answer or reject it; 100 has been sent."""

    def __init__(
        self, context: Context, transaction: ServerTransaction, request: Request, flow: Flow, identity: str
    ) -> None:
        super().__init__(context, None)
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

    def _finish(self) -> None:
        super()._finish()
        self._invite.user = None  # the transaction outlives the call by 32 seconds
