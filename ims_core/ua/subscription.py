"""One subscription as its notifier keeps it (RFC 6665 section 4.2).

However fast the state changes, one NOTIFY is under way at a time and no two are closer than the package allows: what
changes meanwhile is told together in the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ims_core.errors import NoSuchDialog, SipError
from ims_core.locate.courier import fits
from ims_core.ua.alarm import Alarm
from ims_core.ua.event_headers import (
    ACTIVE,
    PENDING,
    TERMINATED,
    Event,
    SubscriptionState,
    expires_of,
    retry_after_of,
)

if TYPE_CHECKING:
    from ims_core.locate.courier import Outbound
    from ims_core.messages.message import Request, Response
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.dialog import Dialog
    from ims_core.ua.packages import StateSource
    from ims_core.ua.usages import Context, UsageKey

# Why a notifier ends a subscription (RFC 6665 section 4.1.3)
DEACTIVATED: Final = "deactivated"
PROBATION: Final = "probation"
REJECTED: Final = "rejected"
TIMEOUT: Final = "timeout"
GIVE_UP: Final = "giveup"
NO_RESOURCE: Final = "noresource"

_MOST_CHANGES = 64  # kept for a partial NOTIFY; beyond them the whole state is told
_MOST_RETRY_SECONDS = 60
_MOST_REFUSALS = 5  # in a row, each with a Retry-After
_HEAD_START = 0.125  # seconds for a response before what may overtake it


class Terms(NamedTuple):
    """What was agreed on in the SUBSCRIBE, or what the REFER implies."""

    event: Event
    resource: str
    subscriber: str
    least_interval: float  # seconds between two NOTIFYs
    contact: str


class Owner(Protocol):
    """Who answers for a subscription: the notifier, or what a REFER asks for."""

    context: Context

    def refresh(self, subscription: Subscription, transaction: ServerTransaction, request: Request) -> int:
        """Answer a SUBSCRIBE within the dialog; return the seconds granted, 0 to end. Raises ``SipError``."""

    def ended(self, subscription: Subscription) -> None:
        """Take note that nothing more will be told to the subscriber."""


class Subscription:
    """A peer's wish to be told about one resource. ``state`` is ACTIVE, PENDING or TERMINATED."""

    def __init__(self, owner: Owner, source: StateSource, dialog: Dialog, terms: Terms, *, state: str = ACTIVE) -> None:
        self.source = source
        self.dialog = dialog
        self.terms = terms
        self.state = state
        self.dialog_id = (dialog.call_id, dialog.local_tag)
        self.key: UsageKey = ("SUBSCRIBE", *terms.event.key)
        self._owner = owner
        self._context = owner.context
        self._expiry = Alarm(self._context.endpoint, self._expire)
        self._pause = Alarm(self._context.endpoint, self._resume)
        self._version = 0
        self._pending_changes: list[object] | None = []
        self._due = False
        self._under_way: Outbound | None = None
        self._held: Request | None = None
        self._last_sent = float("-inf")
        self._refusals = 0
        self._end: SubscriptionState | None = None
        self._context.usages.add(self)

    @property
    def resource(self) -> str:
        """What is subscribed to, by the name that its package gave it."""
        return self.terms.resource

    # For the owner ------------------------------------------------------------------------------------------

    def notify(self, change: object = None) -> None:
        """Tell the subscriber: the whole state, or of ``change`` if the package can tell changes."""
        if self._end is not None or self.state == TERMINATED:
            return
        if change is None or self._pending_changes is None or len(self._pending_changes) >= _MOST_CHANGES:
            self._pending_changes = None
        else:
            self._pending_changes.append(change)
        self._due = True
        self._send_due()

    def last(self, seconds: int) -> None:
        """Let it expire ``seconds`` from now."""
        self._expiry.set(seconds)

    def approve(self) -> None:
        """Decide that a pending subscription may see the state."""
        if self.state == PENDING:
            self.state = ACTIVE
            self.notify()

    def end(self, reason: str, retry_after: int | None = None, *, change: object = None) -> None:
        """End it with a last NOTIFY; ``retry_after``, in seconds, goes with PROBATION and GIVE_UP.

        It tells of ``change`` after what changed before; without one, of the whole state.
        """
        if self._end is not None or self.state == TERMINATED:
            return
        self._end = SubscriptionState(TERMINATED, reason, retry_after=retry_after)
        self._expiry.clear()
        self._pending_changes = None if change is None else [*(self._pending_changes or ()), change]
        self._due = True
        self._send_due()

    # For the user agent -------------------------------------------------------------------------------------

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a SUBSCRIBE that refreshes or ends it (RFC 6665 section 4.2.1.1)."""
        if request.from_tag != self.dialog.remote_tag or self._end is not None:
            raise NoSuchDialog
        expires_of(request)
        self.dialog.accept(request)
        self.dialog.flow = transaction.flow
        seconds = self._owner.refresh(self, transaction, request)  # the response goes first
        if seconds:
            self.last(seconds)
            self.notify()
        else:
            self.end(TIMEOUT)

    def receive_response(self, transaction: Outbound, response: Response) -> None:
        """Take the response to a NOTIFY (RFC 6665 section 4.2.2)."""
        if transaction is not self._under_way or response.status < 200:
            return
        self._under_way = None
        if response.status < 300:
            self.dialog.refresh(response)
            self._refusals = 0
            self._after_success()
            return
        retry_after = retry_after_of(response)
        self._refusals += 1
        if retry_after is None or response.status == 481 or self._refusals > _MOST_REFUSALS:
            self._close()
        else:  # the failure is declared temporary
            self._pending_changes, self._due = None, True
            self._pause.set(max(1, min(retry_after, _MOST_RETRY_SECONDS)))

    def request_failed(self, transaction: Outbound, _: str) -> None:
        """Take note that a NOTIFY was not answered: the subscriber is gone."""
        if transaction is self._under_way:
            self._close()

    # Inside -------------------------------------------------------------------------------------------------

    def _after_success(self) -> None:
        if self._end is not None and not self._due:
            self._close()
        else:
            self._send_due()

    def _expire(self) -> None:
        self.end(TIMEOUT)

    def _resume(self) -> None:
        held, self._held = self._held, None
        if held is None:
            self._send_due()
        else:
            self._send(held)

    def _send_due(self) -> None:
        if not self._due or self._under_way is not None or self._held is not None or self.state == TERMINATED:
            return
        wait = self._last_sent + self.terms.least_interval - self._context.endpoint.clock()
        if self._end is None and (wait > 0 or self._pause.remaining):
            if not self._pause.remaining:
                self._pause.set(wait)
            return
        self._pause.clear()
        self._due = False
        is_first, self._last_sent = self._last_sent < 0, self._context.endpoint.clock()
        changes, self._pending_changes = self._pending_changes, []
        request = self._notify_request(changes)
        if is_first and self._may_overtake(request):
            self._held = request
            self._pause.set(_HEAD_START)
        else:
            self._send(request)

    def _may_overtake(self, request: Request) -> bool:
        """Whether a NOTIFY may go by a connection, where the response to the SUBSCRIBE has gone in a datagram."""
        return not self.dialog.flow.reliable and not fits(request)

    def _send(self, request: Request) -> None:
        try:
            self._under_way = self._context.courier.request(request, self._context.way_to_peer(self.dialog), self)
        except SipError:  # there is no way to the subscriber
            self._close()

    def _notify_request(self, changes: list[object] | None) -> Request:
        request = self.dialog.request("NOTIFY")
        request.add("Event", str(self.terms.event))
        request.add("Contact", self.terms.contact)
        state = self._end or SubscriptionState(self.state, expires=round(self._expiry.remaining))
        request.add("Subscription-State", str(state))
        if self.state == ACTIVE and state.reason not in {REJECTED, DEACTIVATED, PROBATION}:
            body = self.source.state(self.resource, self._version, changes)
            self._version += 1
            if body:
                request.set_body(body, self.source.content_type)
        return request

    def _close(self) -> None:
        if self.state == TERMINATED:
            return
        self.state = TERMINATED
        self._under_way = self._held = None
        self._expiry.close()
        self._pause.close()
        self._context.usages.remove(self)
        self._owner.ended(self)
