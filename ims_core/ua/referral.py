"""A peer refers us to somebody (RFC 3515, with RFC 6665 as RFC 7647 reads it, and RFC 4488).

The owner decides about each ``Referral``. If it accepts, it does what was asked for and says how far it has come; the
peer is told by NOTIFY.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ims_core.errors import REASONS, Forbidden
from ims_core.messages.message import error_response, response_to
from ims_core.ua.dialog import Dialog
from ims_core.ua.event_headers import Event
from ims_core.ua.notifier import granted
from ims_core.ua.packages import Lifetimes
from ims_core.ua.refer_to import refer_to_of
from ims_core.ua.session_events import Answered, Rejected, Ringing
from ims_core.ua.sipfrag import SIPFRAG, encode_status
from ims_core.ua.subscription import NO_RESOURCE, Subscription, Terms
from ims_core.ua.usages import REFER_PACKAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_core.errors import SipError
    from ims_core.flow import Flow
    from ims_core.messages.message import Request
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.session import Session
    from ims_core.ua.session_events import SessionEvent
    from ims_core.ua.usages import Context
    from ims_core.ua.useragent import UserAgent

NO_REFER_SUB: Final = "norefersub"
"""The option tag of RFC 4488."""


class Referral:
    """One REFER. The owner must ``accept`` or ``refuse`` it; after ``accept`` it reports, last by ``finish``.

    ``session`` is the call that it came in, None for one outside any dialog; ``identity`` who sent that one.
    """

    name = REFER_PACKAGE
    content_type = f"{SIPFRAG};version=2.0"
    lifetimes = Lifetimes(default=180, least=1, most=600)

    def __init__(
        self, context: Context, transaction: ServerTransaction, *, session: Session | None = None, identity: str = ""
    ) -> None:
        self.context = context
        self.request: Request = transaction.request
        self.session = session
        self.identity = identity
        self.refer_to = refer_to_of(self.request)
        self._wants_no_reports = (self.request.get("Refer-Sub") or "").strip().lower() == "false"
        self._transaction: ServerTransaction | None = transaction
        self._dialog = _dialog_of(context, transaction, session)
        self._subscription: Subscription | None = None
        self._state = (100, "Trying")

    @property
    def referred_by(self) -> str | None:
        """The Referred-By value, to be carried on in the request that follows (RFC 3892 section 2.2)."""
        return self.request.get("Referred-By")

    @property
    def follow_headers(self) -> tuple[tuple[str, str], ...]:
        """The header fields that the request that follows must carry: those of Refer-To, and Referred-By."""
        return self.refer_to.headers + ((("Referred-By", self.referred_by),) if self.referred_by else ())

    def accept(self, status: int = 200) -> None:
        """Answer with ``status`` and begin to report: NOTIFY with 100 Trying. 202 is what RFC 3515 had."""
        transaction, self._transaction = self._transaction, None
        if transaction is None:
            return
        dialog = self._dialog
        if self.session is not None:
            contact = self.session.contact
            event = Event(REFER_PACKAGE, str(self.request.cseq.number), {})
        else:
            contact = self.context.contact_for(transaction.flow, self.request.target.user)
            event = Event(REFER_PACKAGE, "", {})
        response = response_to(self.request, status, to_tag=dialog.local_tag)
        for route in self.request.whole_values("Record-Route"):
            response.add("Record-Route", route)
        response.add("Contact", contact)
        if self._wants_no_reports:
            response.add("Refer-Sub", "false")
        self.context.endpoint.respond(transaction, response)
        if not self._wants_no_reports:
            terms = Terms(event, str(self.request.cseq.number), self.identity, 0.0, contact)
            self._subscription = Subscription(self, self, dialog, terms)
            self._subscription.last(self.lifetimes.default)
            self._subscription.notify()

    def refuse(self, error: SipError) -> None:
        """Answer with an error."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            response = error_response(self.request, error, to_tag=self._dialog.local_tag)
            self.context.endpoint.respond(transaction, response)

    def progress(self, status: int, reason: str) -> None:
        """Report a provisional response of the request that follows."""
        self._state = (status, reason)
        if self._subscription is not None:
            self._subscription.notify()

    def finish(self, status: int, reason: str) -> None:
        """Report the final response, and no more (RFC 3515 section 2.4.5)."""
        self._state = (status, reason)
        if self._subscription is not None:
            self._subscription.end(NO_RESOURCE)

    def report(self, event: SessionEvent) -> None:
        """Report what the call that follows tells its owner: pass it each of its events."""
        match event:
            case Ringing(status):
                self.progress(status, REASONS.get(status, "Progress"))
            case Answered():
                self.finish(200, "OK")
            case Rejected(status, reason):
                self.finish(status, reason)

    # For the subscription: this is its source and its owner ----------------------------------------------------

    def state(self, resource: str, version: int, changes: list[object] | None) -> bytes:
        """The status line that was reported last."""
        return encode_status(*self._state)

    def refresh(self, subscription: Subscription, transaction: ServerTransaction, request: Request) -> int:
        """Answer a SUBSCRIBE that wants to hear longer, or nothing more."""
        seconds = granted(request, self.lifetimes)
        response = response_to(request, 200, to_tag=subscription.dialog.local_tag)
        response.add("Contact", subscription.terms.contact)
        response.add("Expires", str(seconds))
        self.context.endpoint.respond(transaction, response)
        return seconds

    def ended(self, subscription: Subscription) -> None:
        """Nobody wants reports any more."""
        self._subscription = None


def _dialog_of(context: Context, transaction: ServerTransaction, session: Session | None) -> Dialog:
    """The dialog of the call that a REFER came in, or one of its own. Raises ``SipError`` where there can be none."""
    if session is None:
        return Dialog.as_server(transaction.request, context.endpoint.ids.tag(), transaction.flow)
    if session.dialog is None:  # it came in an early dialog of a call of ours
        raise Forbidden("Not before the call is answered")
    return session.dialog


def serve_referrals(ua: UserAgent, on_refer: Callable[[Referral], None]) -> None:
    """Have ``ua`` take REFER, within calls and outside them: each ``Referral`` is handed to ``on_refer``."""

    def within(session: Session, transaction: ServerTransaction, _: Request) -> None:
        on_refer(Referral(ua, transaction, session=session))

    def outside(transaction: ServerTransaction, _: Request, __: Flow, identity: str) -> None:
        on_refer(Referral(ua, transaction, identity=identity))

    ua.serve("REFER", within, NO_REFER_SUB)
    ua.serve_outside("REFER", outside)
    serve_shared_dialogs(ua)


def serve_shared_dialogs(ua: UserAgent) -> None:
    """Have ``ua`` take the SUBSCRIBE and NOTIFY of a REFER that shares the dialog of a call (RFC 5057)."""

    def hand_on(_: Session, transaction: ServerTransaction, request: Request) -> None:
        ua.usages.receive(transaction, request)

    ua.serve("SUBSCRIBE", hand_on)
    ua.serve("NOTIFY", hand_on)
