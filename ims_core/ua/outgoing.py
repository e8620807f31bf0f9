"""A call that we make (RFC 3261 sections 13.2 and 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ims_core.errors import BadRequest, RequestPending, SipError
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.message import Request, Response
from ims_core.messages.uri import is_sips
from ims_core.security.credentials import share_credentials
from ims_core.setup import SetUp
from ims_core.transactions.machines import TIMEOUT
from ims_core.ua.description import SDP, describe, session_description
from ims_core.ua.dialog import Dialog
from ims_core.ua.early import MOST_FORKS, Fork, is_reliable
from ims_core.ua.offers import AGREED, OUR_TURN, PEERS_TURN
from ims_core.ua.reliable import without_reliable
from ims_core.ua.session import CANCELLING, CONFIRMED, INVITED, OVER, Session
from ims_core.ua.session_events import Answered, EventHandler, Rejected, Ringing, ignore
from ims_core.ua.session_timer import SessionTimer, TimerPolicy, proposal, raised

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_core.flow import Flow
    from ims_core.locate.courier import Hop, Outbound
    from ims_core.security.credentials import Credentials
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.context import Context, Headers

_MOST_RAISES: Final = 3  # of the session interval, when peers find it too small


class OutgoingCall(Session):
    """A call that we make. ``start`` sends the INVITE; ``Answered`` or ``Rejected`` follows.

    ``forks`` has the early dialogs by To tag, the one heard last at the end. ``credentials`` answer who asks for some.
    ``features`` are parameters of our Contact (RFC 3840), as ";+sip.src".
    """

    owns_call_id = True

    def __init__(
        self, context: Context, hop: Hop, on_event: EventHandler, credentials: Credentials | None = None
    ) -> None:
        super().__init__(context, on_event)
        if credentials is not None:
            self.answer_by(credentials)
        self._hop = hop
        self._user = ""
        self._transaction: Outbound | None = None
        self._invite: Request | None = None
        self._acks: dict[str, Callable[[], None]] = {}
        self._bye_headers: Headers = ()
        self._policy: TimerPolicy | None = None
        self._raises = 0
        self.features = ""
        self.forks: dict[str, Fork] = {}

    def start(
        self, target: str, *, caller: str, callee: str, sdp: bytes, headers: Headers = (), reliable: bool = True
    ) -> None:
        """Send the INVITE to ``target``; ``caller`` and ``callee`` are name-addrs without tags.

        Unless ``reliable``, the callee is not told that we take reliable provisional responses (RFC 3262). Raises
        ``SipError`` when there is no way to the hop.
        """
        context = self.context
        ids = context.endpoint.ids
        call_id, tag = ids.call_id(), ids.tag()
        self._user = parse_name_addr(caller).uri.user
        lines = [
            "Max-Forwards: 70",
            f"From: {caller};tag={tag}",
            f"To: {callee}",
            f"Call-ID: {call_id}",
            "CSeq: 1 INVITE",
            f"Allow: {context.allow}",
        ]
        keys = ["max-forwards", "from", "to", "call-id", "cseq", "allow"]
        supported = context.offered if reliable else without_reliable(context.offered)
        if supported:
            keys.append("supported")
            lines.append(f"Supported: {supported}")
        invite = Request("INVITE", target, keys=keys, lines=lines)
        self._policy = context.session_timers
        if self._policy is not None:
            headers = (*headers, *proposal(self._policy))
        for name, value in headers:
            invite.add(name, value)
        if sdp:
            describe(invite, sdp, self.enclosed, ids)
        self.dialog_id = (call_id, tag)
        self._invite = invite
        self.local_sdp = sdp
        if context.on_set_up is not None:
            self.set_up = SetUp("caller", call_id, context.endpoint.clock(), context.on_set_up)
        self._transaction = context.courier.request(invite, self._hop, self, prepare=self._prepare)
        context.opened(self)

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
        """Answer the offer in a reliable provisional response by PRACK, that in a 2xx by ACK; nothing is sent twice."""
        if self.dialog is None:
            fork = next((fork for fork in self.forks.values() if fork.owes_answer), None)
            if fork is not None and self.state == INVITED:
                fork.local_sdp = sdp
                fork.prack(self.context, self.challenged, sdp)
        elif self.state != OVER and self.dialog.remote_tag not in self._acks:
            self.local_sdp = sdp
            self.dialog.turn = AGREED
            self._acknowledge(self.dialog, sdp)
            self.go_on()
        else:
            super().acknowledge(sdp)

    def is_of(self, remote_tag: str) -> bool:
        """Whether the peer with this tag has a dialog with us here, be it an early one."""
        return super().is_of(remote_tag) or (self.dialog is None and self._early(remote_tag) is not None)

    def agreed(self, dialog: Dialog, local: bytes, remote: bytes) -> None:
        """Take note of the descriptions that hold in a dialog, be it an early one."""
        if self.dialog is None and (fork := self.forks.get(dialog.remote_tag)) is not None:
            fork.local_sdp, fork.remote_sdp = local or fork.local_sdp, remote or fork.remote_sdp
        else:
            super().agreed(dialog, local, remote)

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Handle a request within the dialog, or within an early one, where neither INVITE nor BYE are the callee's."""
        if self.dialog is not None:
            super().receive(transaction, request)
            return
        fork = self._early(request.from_tag)
        if request.method == "INVITE":
            raise RequestPending
        if fork is None or request.method == "BYE":
            raise BadRequest("No confirmed dialog")
        fork.dialog.accept(request)
        self._serve(transaction, request, fork.dialog)

    def receive_response(self, transaction: Outbound, response: Response) -> None:
        """Take a response to our INVITE."""
        if transaction is not self._transaction and self.state != OVER:
            return
        try:
            if response.status < 200:
                if self.state == INVITED and response.status > 100:
                    self._receive_provisional(response)
            elif response.status < 300:
                self._receive_2xx(response, transaction.flow)
            elif not self._try_again(response):
                self._fail(response.status, response.reason)
        except SipError:  # of a provisional response that makes no dialog nothing comes; of a 2xx not even an ACK
            if response.status >= 200:
                self._fail(500, "Malformed answer")

    def request_failed(self, transaction: Outbound, cause: str) -> None:
        """Take note that the INVITE got no final response (8.1.3.1)."""
        if transaction is self._transaction:
            self._fail(*((408, "No answer") if cause == TIMEOUT else (503, "Cannot be reached")))

    def _finish(self, cause: str, code: int | None = None) -> None:
        super()._finish(cause, code)
        self._transaction = None  # it knows us, for the ACK of each 2xx that is yet to come

    def _prepare(self, invite: Request, flow: Flow) -> None:
        """Let the callee reach us by the way that the INVITE leaves by."""
        self.contact = self.context.contact_for(flow, self._user, secure=is_sips(invite.uri)) + self.features
        invite.add("Contact", self.contact)

    def _fail(self, status: int, reason: str) -> None:
        if self.state in {INVITED, CANCELLING}:
            self._finish("cancelled" if self.state == CANCELLING else "rejected", status)
            self.on_event(Rejected(status, reason))

    def _try_again(self, response: Response) -> bool:
        """Call again as the response wants it: same Call-ID and From, the next CSeq (8.1.3.5); False when we cannot."""
        if self._invite is None or self.state != INVITED:
            return False
        match response.status:
            case 422:
                return self._try_longer_interval(self._invite, response)
            case 401 | 407:
                return self._try_with_credentials(self._invite, response)
            case _:
                return False

    def _try_longer_interval(self, refused: Request, response: Response) -> bool:
        """Take the session interval that a 422 wants (RFC 4028 section 7.4)."""
        policy = raised(self._policy, response) if self._policy is not None else None
        if policy is None or self._raises == _MOST_RAISES:
            return False
        self._raises += 1
        self._policy = policy
        invite = self._anew(refused)
        for name, value in proposal(policy):
            invite.set(name, value)
        self._send_again(invite, self._hop)
        return True

    def _try_with_credentials(self, refused: Request, response: Response) -> bool:
        """Answer a challenge where it came from (22.2, 22.3)."""
        assert self._transaction is not None
        invite = self._anew(refused)
        if self.challenged is None or not self.challenged.answer(invite, response):
            return False
        self._send_again(invite, self._transaction.flow)
        return True

    def _anew(self, refused: Request) -> Request:
        invite = refused.copy()
        for name in ("Via", "Contact"):
            invite.remove(name)
        invite.set("CSeq", f"{invite.cseq.number + 1} INVITE")
        return invite

    def _send_again(self, invite: Request, hop: Hop) -> None:
        self._invite = invite
        self.forks = {}
        self._transaction = self.context.courier.request(invite, hop, self, prepare=self._prepare)

    def _receive_provisional(self, response: Response) -> None:
        assert self._invite is not None
        assert self._transaction is not None
        tag, status = response.to_tag, response.status
        fork = self.forks.pop(tag, None)
        if fork is None:
            fork = Fork(self._invite, response, self._transaction.flow, self.local_sdp)
        fork.response = response
        if len(self.forks) < MOST_FORKS:
            self.forks[tag] = fork
        fork.has_failed = status == 199
        if self.set_up is not None and status != 199:
            self.set_up.take(status, self.context.endpoint.clock())
        self.context.changed(self)
        reliable = is_reliable(response)
        if reliable and not fork.take_reliable(response):
            return
        if status != 199:
            self.on_event(Ringing(status, session_description(response), reliable))
        if reliable and not fork.owes_answer and self.state != OVER:
            fork.prack(self.context, self.challenged)

    def _receive_2xx(self, response: Response, flow: Flow) -> None:
        tag = response.to_tag
        if tag in self._acks:  # 13.2.2.4: "the ACK MUST be passed to the client transport every time a 2xx arrives"
            self._acks[tag]()
            return
        if self.dialog is not None and self.dialog.remote_tag == tag:  # its ACK waits for our answer
            return
        if len(self._acks) >= MOST_FORKS:  # no network of proxies makes so many, but a callee may make them up
            return
        assert self._invite is not None
        try:
            dialog = Dialog.as_client(self._invite, response, flow)
        except SipError:  # no way to the peer: acknowledge to where the INVITE went, then give up
            self._drop(Dialog.as_client(self._invite, _as_if_from(response, self._invite.uri), flow))
            self._fail(500, "Answer without usable Contact")
            return
        fork = self.forks.get(tag)
        if fork is not None and fork.early_dialog is not None:
            fork.early_dialog.confirm(dialog)
            dialog = fork.early_dialog
        else:
            dialog.turn = PEERS_TURN
        if self.state == INVITED:
            self._confirm(dialog, fork, response)
            return
        self._drop(dialog)  # answered although cancelled, or a second fork answered
        if self.state == CANCELLING:
            self._finish("cancelled")

    def _confirm(self, dialog: Dialog, fork: Fork | None, response: Response) -> None:
        assert self._invite is not None
        self.state = CONFIRMED
        self.dialog = dialog
        if self.set_up is not None:
            self.set_up.take(response.status, self.context.endpoint.clock())
        sdp = session_description(response)
        if dialog.turn == PEERS_TURN:
            self.remote_sdp = sdp
            dialog.turn = AGREED if self._invite.body else OUR_TURN
        elif fork is not None:  # a reliable response has said it already
            self.local_sdp, self.remote_sdp = fork.local_sdp, fork.remote_sdp
            sdp = fork.remote_sdp
        if self._asked is not None and self._asked.dialog is not dialog:
            self._abort_asked()
        if self.changes is not None:
            self.changes.keep_to(dialog)
        if self.timer is None and self._policy is not None:
            self.timer = SessionTimer(self, self._policy)
        self.take_terms(response)
        if dialog.turn != OUR_TURN or self._asked is not None:
            self._acknowledge(dialog)
        self.context.changed(self)
        self.on_event(Answered(sdp))
        self.go_on()

    def _early(self, tag: str) -> Fork | None:
        """Return the early dialog with this callee, unless a 199 ended it (RFC 6228)."""
        fork = self.forks.get(tag)
        return fork if fork is not None and not fork.has_failed else None

    def _dialog_to_update(self) -> Dialog | None:
        if self.dialog is not None:
            return self.dialog
        return next((fork.dialog for fork in reversed(self.forks.values()) if not fork.has_failed), None)

    def _acknowledge(self, dialog: Dialog, sdp: bytes = b"") -> None:
        assert self._invite is not None
        ack = dialog.request("ACK", cseq=self._invite.cseq.number)
        share_credentials(self._invite, ack)
        if sdp:
            ack.set_body(sdp, SDP)
        self._acks[dialog.remote_tag] = self.context.courier.send_ack(ack, self.context.way_to_peer(dialog))

    def _drop(self, dialog: Dialog) -> None:
        """End by BYE a dialog that is not wanted (13.2.2.4)."""
        self._acknowledge(dialog)
        self._send_bye(dialog, self._bye_headers)


def _as_if_from(response: Response, uri: str) -> Response:
    copy = response.copy()
    copy.remove("Record-Route")
    copy.set("Contact", f"<{uri}>")
    return copy
