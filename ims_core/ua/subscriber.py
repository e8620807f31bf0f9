"""The subscriber: asks to be told about a resource and keeps being told (RFC 6665 section 4.1).

Subscriber  one wish: sends the SUBSCRIBE, and another one when the notifier says so
Fork        one dialog that a NOTIFY has made; a SUBSCRIBE that was forked may make several (4.4.1)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from ims_core.errors import BadRequest, NoSuchDialog, SipError, UnsupportedMediaType
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.message import Request, Response, response_to
from ims_core.security.credentials import challenged_with
from ims_core.transactions.machines import TIMEOUT as NO_RESPONSE
from ims_core.ua.alarm import Alarm
from ims_core.ua.asking import ask
from ims_core.ua.dialog import Dialog
from ims_core.ua.event_headers import (
    TERMINATED,
    Event,
    SubscriptionState,
    expires_of,
    media_type,
    parse_seconds,
    parse_subscription_state,
    retry_after_of,
)

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.locate.courier import Hop
    from ims_core.security.credentials import Credentials
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.usages import Context, UsageKey


class Notified(NamedTuple):
    """A NOTIFY came. ``source`` is the tag of the notifier that sent it: several may when the SUBSCRIBE was forked."""

    state: SubscriptionState
    content_type: str
    body: bytes
    source: str


class Unsubscribed(NamedTuple):
    """Nothing more will be told: ``reason`` is the notifier's, or the status that refused the SUBSCRIBE.

    ``retry_in`` says after how many seconds it will be asked for again; None: never.
    """

    reason: str
    retry_in: float | None


SubscriberEvent = Notified | Unsubscribed
SubscriberHandler = Callable[[SubscriberEvent], None]


class Wish(NamedTuple):
    """What is to be subscribed to: the URI of the resource, the package, the bodies understood, and for how long.

    ``user`` is who asks, as a name-addr without a tag. ``forks`` lets every notifier that a forked SUBSCRIBE reaches
    tell its state; without it the first one is heard (RFC 6665 section 5.4.9 leaves that to the package).
    """

    target: str
    event: Event
    accept: tuple[str, ...]
    user: str
    expires: int = 3600
    forks: bool = False


_NEVER_AGAIN: Final = frozenset(("rejected", "noresource", "invariant"))  # RFC 6665 section 4.1.3
_AT_ONCE: Final = frozenset(("deactivated", "timeout"))
_RETRY_SECONDS = 60.0  # where the notifier does not say
_MOST_RETRY_SECONDS = 3600.0
_MOST_FORKS = 8
# RFC 5057 section 5.1, RFC 6665 4.1.2.2: responses to a refresh that end the subscription
_ENDS_USAGE: Final = frozenset((404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604))


class Subscriber:
    """One wish to be told, kept up until ``unsubscribe``; ``on_event`` is called with each event.

    ``credentials`` answer who asks for some. ``dress`` adds to a SUBSCRIBE that makes a dialog what it is to carry
    besides.
    """

    def __init__(
        self,
        context: Context,
        hop: Hop,
        wish: Wish,
        on_event: SubscriberHandler,
        *,
        credentials: Credentials | None = None,
        dress: Callable[[Request], None] | None = None,
    ) -> None:
        self.context = context
        self.challenged = challenged_with(credentials, context.endpoint.ids)
        self.wish = wish
        self.dialog_id = ("", "")
        self.key: UsageKey = ("NOTIFY", *wish.event.key)
        self.contact = ""
        self._hop = hop
        self._dress = dress
        self._on_event: SubscriberHandler = on_event
        self.expires = wish.expires  # what is asked for: a 423 raises it
        self._wanted = True
        self._from = ""  # of the last SUBSCRIBE, with its tag; empty before the first
        self._number = 0
        self._transaction: object = None
        self._forks: dict[str, Fork] = {}
        self._timer_n = Alarm(context.endpoint, self._no_notify)
        self._retry = Alarm(context.endpoint, self.start)
        self._granted = wish.expires
        self._futile = 0

    @property
    def is_active(self) -> bool:
        """Whether somebody tells us now."""
        return bool(self._forks)

    def start(self) -> None:
        """Send the SUBSCRIBE, in a dialog to be."""
        ids = self.context.endpoint.ids
        self.dialog_id = (ids.call_id(), ids.tag())
        self._from = ""
        self._number = 0
        self._ask()

    def unsubscribe(self) -> None:
        """Want no more: every notifier is told so, and nothing more is told by ``on_event``."""
        self._wanted = False
        self._on_event = _ignore
        self._retry.clear()
        for fork in list(self._forks.values()):
            fork.unsubscribe()
        if not self._forks and not self._timer_n.remaining:
            self._close()

    # For the user agent -------------------------------------------------------------------------------------

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Take a NOTIFY. Raises ``SipError``: 481 for one that nobody asked for."""
        state = parse_subscription_state(request.require("Subscription-State"))
        fork = self._forks.get(request.from_tag)
        if fork is None:
            fork = self._fork_by(transaction, request)
        else:
            fork.dialog.accept(request)
        fork.dialog.flow = transaction.flow
        kind = media_type(request)
        if request.body and kind not in self.wish.accept:
            raise UnsupportedMediaType(headers=(("Accept", ", ".join(self.wish.accept)),))
        response = response_to(request, 200, to_tag=self.dialog_id[1])
        self.context.endpoint.respond(transaction, response)
        self._on_event(Notified(state, kind, request.body, request.from_tag))
        fork.told(state)

    def receive_response(self, transaction: object, response: Response) -> None:
        """Take the response to the first SUBSCRIBE (4.1.2.1)."""
        if transaction is not self._transaction or response.status < 200:
            return
        self._transaction = None
        if response.status < 300:
            self._granted = granted_by(response, self.expires)
            for fork in self._forks.values():
                fork.expires_within(self._granted)
        elif response.status == 423 and (least := least_of(response)) > self.expires:
            self.expires = least  # RFC 3261 section 21.4.17
            self._ask()
        else:
            self._refused(str(response.status), retry_after_of(response))

    def request_failed(self, transaction: object, cause: str) -> None:
        """Take note that the first SUBSCRIBE was not answered."""
        if transaction is self._transaction:
            self._transaction = None
            self._refused("408" if cause == NO_RESPONSE else "503", None)

    # For the forks ------------------------------------------------------------------------------------------

    def over(self, fork: Fork, reason: str, retry_after: int | None) -> None:
        """One notifier tells no more."""
        if self._forks.pop(fork.dialog.remote_tag, None) is None or self._forks:
            return
        self._lost(reason, retry_after)

    # Inside -------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Send a SUBSCRIBE; a further one in the same dialog to be has the next number (RFC 3261 section 8.1.3.5)."""
        call_id, tag = self.dialog_id
        request = Request("SUBSCRIBE", self.wish.target)
        request.add("Max-Forwards", "70")
        request.add("From", f"{self.wish.user};tag={tag}")
        request.add("To", f"<{self.wish.target}>")
        request.add("Call-ID", call_id)
        request.add("CSeq", f"{self._number + 1} SUBSCRIBE")
        request.add("Event", str(self.wish.event))
        request.add("Accept", ", ".join(self.wish.accept))
        request.add("Expires", str(self.expires))
        if self._dress is not None:
            self._dress(request)
        self.context.usages.add(self)  # 4.1.2.4: a NOTIFY may come before the response
        self._timer_n.set(64 * self.context.endpoint.timers.t1)
        self._granted = self.expires
        try:
            self._transaction = ask(
                self.context.courier, request, self._hop, self.challenged, self, prepare=self._prepare
            )
        except SipError as error:
            self._refused(str(error.status), None)

    def _prepare(self, request: Request, flow: Flow) -> None:
        self.contact = self.context.contact_for(flow, parse_name_addr(self.wish.user).uri.user)
        request.set("Contact", self.contact)
        self._from, self._number = request.require("From"), request.cseq.number

    def _fork_by(self, transaction: ServerTransaction, request: Request) -> Fork:
        """Make the dialog of a NOTIFY that nobody had told before (4.4.1)."""
        many = self.wish.forks and len(self._forks) < _MOST_FORKS
        if not self._from or not self._timer_n.remaining or (self._forks and not many):
            raise NoSuchDialog("No such subscription")
        dialog = Dialog.as_server(request, self.dialog_id[1], transaction.flow)
        dialog.local = self._from
        dialog.local_cseq = self._number
        fork = self._forks[request.from_tag] = Fork(self, dialog, self._granted)
        if not self._wanted:
            fork.unsubscribe()
        return fork

    def _no_notify(self) -> None:
        """Timer N ran out: without a NOTIFY there is no subscription, whatever the response said (4.1.2.4)."""
        if not self._forks:
            self._transaction = None
            self._refused("408", None)

    def _refused(self, status: str, retry_after: int | None) -> None:
        if self._forks:
            return  # a NOTIFY has come: that is what counts
        self._lost(status, retry_after)

    def _lost(self, reason: str, retry_after: int | None) -> None:
        self.context.usages.remove(self)
        self._timer_n.clear()
        if not self._wanted:
            self._close()
            return
        retry_in = self._retry_in(reason, retry_after)
        if retry_in is None:
            self._close()
        else:
            self._retry.set(retry_in)
        self._on_event(Unsubscribed(reason, retry_in))

    def _retry_in(self, reason: str, retry_after: int | None) -> float | None:
        """How long to wait before asking again (4.1.3); ever longer when that leads to nothing."""
        if reason in _NEVER_AGAIN or (reason.isdigit() and reason not in {"408", "480", "481", "500", "503"}):
            return None
        self._futile += 1
        if retry_after is not None:
            return float(retry_after)
        if reason in _AT_ONCE and self._futile == 1:
            return 0.0
        return min(_RETRY_SECONDS * 2.0 ** (self._futile - 1), _MOST_RETRY_SECONDS)

    def worked(self) -> None:
        """A subscription has been refreshed: asking was not in vain."""
        self._futile = 0

    def _close(self) -> None:
        self.context.usages.remove(self)
        self._timer_n.close()
        self._retry.close()


class Fork:
    """The dialog with one notifier."""

    __slots__ = ("_ends", "_expires", "_expiry", "_refresh", "_subscriber", "_timer_n", "_transaction", "dialog")

    def __init__(self, subscriber: Subscriber, dialog: Dialog, expires: int) -> None:
        self.dialog = dialog
        self._subscriber = subscriber
        self._expires = expires
        self._ends = False
        self._transaction: object = None
        endpoint = subscriber.context.endpoint
        self._refresh = Alarm(endpoint, self._ask_for_more)
        self._expiry = Alarm(endpoint, self._expired)
        self._timer_n = Alarm(endpoint, self._not_answered)

    def expires_within(self, seconds: int) -> None:
        """Take note of how long the subscription lasts, and refresh it before that."""
        self._expires = seconds
        self._expiry.set(seconds)
        if not self._ends:
            self._refresh.set(max(seconds / 2, seconds - 32.0) if seconds < 600 else seconds * 0.9)

    def told(self, state: SubscriptionState) -> None:
        """Act on the Subscription-State of a NOTIFY (4.1.3)."""
        self._timer_n.clear()
        if state.state == TERMINATED:
            self._over(state.reason, state.retry_after)
        elif state.expires is not None:
            self.expires_within(min(state.expires, self._expires))
        elif not self._expiry.remaining:
            self.expires_within(self._expires)

    def unsubscribe(self) -> None:
        """Ask for the end; a last NOTIFY may still come (4.1.2.3)."""
        self._ends = True
        self._refresh.clear()
        self._subscribe(0)

    def receive_response(self, transaction: object, response: Response) -> None:
        """Take the response to a refresh (4.1.2.2)."""
        if transaction is not self._transaction or response.status < 200:
            return
        self._transaction = None
        if response.status < 300:
            self.dialog.refresh(response)
            if not self._ends:
                self.expires_within(granted_by(response, self._subscriber.expires))
                self._subscriber.worked()
        elif self._ends or response.status in _ENDS_USAGE:
            self._over(str(response.status), retry_after_of(response))
        elif response.status == 423 and (least := least_of(response)) > self._subscriber.expires:
            self._subscriber.expires = least
            self._subscribe(least)
        else:  # "the original subscription is still considered valid for the duration of its expiration time"
            self._timer_n.clear()

    def request_failed(self, transaction: object, _: str) -> None:
        """Take note that a refresh was not answered."""
        if transaction is self._transaction:
            self._over("408", None)

    def _ask_for_more(self) -> None:
        self._subscribe(self._subscriber.expires)

    def _expired(self) -> None:
        self._over("timeout", None)

    def _not_answered(self) -> None:
        self._over("408", None)

    def _subscribe(self, expires: int) -> None:
        if self._transaction is not None and expires:
            return
        context = self._subscriber.context
        request = self.dialog.request("SUBSCRIBE")
        request.add("Contact", self._subscriber.contact)
        request.add("Event", str(self._subscriber.wish.event))
        request.add("Accept", ", ".join(self._subscriber.wish.accept))
        request.add("Expires", str(expires))
        self._timer_n.set(64 * context.endpoint.timers.t1)
        try:
            way, challenged = context.way_to_peer(self.dialog), self._subscriber.challenged
            self._transaction = ask(context.courier, request, way, challenged, self, dialog=self.dialog)
        except SipError:
            self._over("503", None)

    def _over(self, reason: str, retry_after: int | None) -> None:
        for alarm in (self._refresh, self._expiry, self._timer_n):
            alarm.close()
        self._transaction = None
        self._subscriber.over(self, reason, retry_after)


def granted_by(response: Response, wanted: int) -> int:
    """How long a 2xx lets the subscription last; not longer than asked (RFC 6665 section 4.2.1.1)."""
    try:
        granted = expires_of(response)
    except BadRequest:
        granted = None
    return wanted if granted is None else min(granted, wanted)


def least_of(response: Response) -> int:
    """The Min-Expires of a 423; 0 when it cannot be read."""
    try:
        return parse_seconds(response.require("Min-Expires"), "Min-Expires")
    except BadRequest:
        return 0


def _ignore(_: SubscriberEvent) -> None:
    """Nobody wants to know any more."""
