"""We refer a peer to somebody, and hear how it goes (RFC 3515)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ims_core.errors import LocalProtocolError, NoSuchDialog, SipError, UnsupportedMediaType
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.message import Request, Response, response_to
from ims_core.security.credentials import challenged_with
from ims_core.transactions.machines import TIMEOUT as NO_RESPONSE
from ims_core.ua.alarm import Alarm
from ims_core.ua.asking import ask
from ims_core.ua.dialog import Dialog
from ims_core.ua.event_headers import TERMINATED, media_type, parse_subscription_state
from ims_core.ua.referral import NO_REFER_SUB
from ims_core.ua.replaces import replaces_of
from ims_core.ua.sipfrag import SIPFRAG, parse_status
from ims_core.ua.usages import REFER_PACKAGE

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.locate.courier import Hop
    from ims_core.security.credentials import Credentials
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.session import Session
    from ims_core.ua.usages import Context, UsageKey


class ReferAccepted(NamedTuple):
    """The peer will try. Without ``reports`` nothing more is told (RFC 4488)."""

    reports: bool


class ReferRefused(NamedTuple):
    """The peer will not try; ``status`` is 408 when it did not answer and 503 when it could not be reached."""

    status: int
    reason: str


class ReferProgress(NamedTuple):
    """The peer tries and has got this far: a provisional status."""

    status: int
    reason: str


class ReferFinished(NamedTuple):
    """The peer has tried: a final status; 0 when it stopped reporting before there was one."""

    status: int
    reason: str


ReferEvent = ReferAccepted | ReferRefused | ReferProgress | ReferFinished
ReferHandler = Callable[[ReferEvent], None]


def refer_to_session(session: Session) -> str:
    """The Refer-To value that has somebody take the place of us in ``session``: an attended transfer (RFC 5589)."""
    if session.dialog is None:
        raise LocalProtocolError("only a call with a dialog can be replaced")
    target = session.dialog.remote_target.partition("?")[0]
    return f"<{target}?{replaces_of(session).as_uri_header}>"


class Referring:
    """One REFER of ours. ``within`` or ``outside`` sends it; ``on_event`` is called with what comes of it.

    The last event is ``ReferRefused``, ``ReferFinished`` or ``ReferAccepted`` without reports. ``credentials`` answer
    who asks for some; within a call those of the call do.
    """

    def __init__(self, context: Context, on_event: ReferHandler, *, credentials: Credentials | None = None) -> None:
        self.dialog_id = ("", "")
        self.key: UsageKey = ("", "", "")
        self._context = context
        self._challenged = challenged_with(credentials, context.endpoint.ids)
        self._on_event = on_event
        self._request: Request | None = None
        self._dialog: Dialog | None = None
        self._transaction: object = None
        self._status = (0, "")
        self._is_over = False
        self._alarm = Alarm(context.endpoint, self._lost)

    def within(self, session: Session, refer_to: str, *, referred_by: str = "", reports: bool = True) -> None:
        """Refer the peer of a call to ``refer_to``, a name-addr. Raises ``LocalProtocolError`` without a dialog."""
        if session.dialog is None:
            raise LocalProtocolError("a call without a dialog cannot be transferred")
        self._dialog = session.dialog
        self._challenged = session.challenged or self._challenged
        request = session.dialog.request("REFER")
        request.add("Contact", session.contact)
        self._send(request, self._context.way_to_peer(session.dialog), refer_to, referred_by, reports=reports)

    def outside(
        self, hop: Hop, target: str, user: str, refer_to: str, *, referred_by: str = "", reports: bool = True
    ) -> None:
        """Refer whoever is at ``target``, outside any call; ``user`` is who asks, a name-addr without a tag."""
        ids = self._context.endpoint.ids
        request = Request("REFER", target)
        request.add("Max-Forwards", "70")
        request.add("From", f"{user};tag={ids.tag()}")
        request.add("To", f"<{target}>")
        request.add("Call-ID", ids.call_id())
        request.add("CSeq", "1 REFER")
        self._send(request, hop, refer_to, referred_by, reports=reports)

    # For the user agent -------------------------------------------------------------------------------------

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a NOTIFY with how far the peer has come. Raises ``SipError``."""
        state = parse_subscription_state(request.require("Subscription-State"))
        if self._dialog is None:  # it may come before the 2xx (RFC 3515 section 2.4.4)
            self._dialog = Dialog.as_server(request, self.dialog_id[1], transaction.flow)
            assert self._request is not None
            self._dialog.local = self._request.require("From")
            self._dialog.local_cseq = self._request.cseq.number
        elif request.from_tag != self._dialog.remote_tag:
            raise NoSuchDialog
        else:
            self._dialog.accept(request)
        if media_type(request) != SIPFRAG:
            raise UnsupportedMediaType(headers=(("Accept", SIPFRAG),))
        status = parse_status(request.body)
        response = response_to(request, 200, to_tag=self.dialog_id[1])
        self._context.endpoint.respond(transaction, response)
        is_news, self._status = status != self._status, status
        if state.state == TERMINATED:
            self._finish(ReferFinished(*status) if status.status >= 200 else ReferFinished(0, state.reason))
        elif status.status >= 200:  # the subscription ends with the next NOTIFY, or before long
            self._alarm.set(64 * self._context.endpoint.timers.t1)
            on_event, self._on_event = self._on_event, _ignore
            on_event(ReferFinished(*status))
        else:
            if state.expires is not None:
                self._alarm.set(state.expires)
            if is_news:
                self._on_event(ReferProgress(*status))

    def receive_response(self, transaction: object, response: Response) -> None:
        """Take the response to the REFER."""
        if transaction is not self._transaction or response.status < 200:
            return
        self._transaction = None
        if response.status >= 300:
            self._finish(ReferRefused(response.status, response.reason))
            return
        reports = (response.get("Refer-Sub") or "").strip().lower() != "false"
        if not reports:
            self._finish(ReferAccepted(reports=False))
        elif self._status == (0, ""):  # else a NOTIFY has told as much
            self._on_event(ReferAccepted(reports=True))

    def request_failed(self, transaction: object, cause: str) -> None:
        """Take note that the REFER was not answered."""
        if transaction is self._transaction:
            self._finish(ReferRefused(408, "No answer") if cause == NO_RESPONSE else ReferRefused(503, "Unreachable"))

    # Inside -------------------------------------------------------------------------------------------------

    def _send(self, request: Request, hop: Hop, refer_to: str, referred_by: str, *, reports: bool) -> None:
        request.add("Refer-To", refer_to)
        if referred_by:
            request.add("Referred-By", referred_by)
        if not reports:
            request.add("Refer-Sub", "false")
        request.add("Supported", NO_REFER_SUB)
        self._expect_reports(request)
        self._alarm.set(64 * self._context.endpoint.timers.t1)
        try:
            self._transaction = ask(
                self._context.courier,
                request,
                hop,
                self._challenged,
                self,
                prepare=self._prepare,
                dialog=self._dialog,
            )
        except SipError as error:
            self._finish(ReferRefused(error.status, error.reason))

    def _expect_reports(self, request: Request) -> None:
        """Have NOTIFYs found by the number of the REFER, which grows with each challenge (RFC 3515 section 2.4.6)."""
        if self._is_over:
            return
        self._context.usages.remove(self)
        self._request = request
        self.dialog_id = (request.call_id, request.from_tag)
        self.key = ("NOTIFY", REFER_PACKAGE, str(request.cseq.number))
        self._context.usages.add(self)

    def _prepare(self, request: Request, flow: Flow) -> None:
        self._expect_reports(request)
        if self._dialog is None:
            user = parse_name_addr(request.require("From")).uri.user
            request.set("Contact", self._context.contact_for(flow, user))

    def _lost(self) -> None:
        """The peer reports no more: the subscription of the REFER has expired, or never began."""
        self._finish(ReferFinished(0, "No report") if self._transaction is None else ReferRefused(408, "No answer"))

    def _finish(self, event: ReferEvent) -> None:
        self._is_over = True
        self._context.usages.remove(self)
        self._alarm.close()
        self._transaction = None
        on_event, self._on_event = self._on_event, _ignore
        on_event(event)


def _ignore(_: ReferEvent) -> None:
    """The last event has been told."""
