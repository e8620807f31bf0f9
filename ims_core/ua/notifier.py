"""The notifier: answers SUBSCRIBE requests and tells subscribers what changes (RFC 6665 section 4.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from ims_core.errors import BadEvent, Forbidden, IntervalTooBrief, NotAcceptable
from ims_core.messages.message import response_to
from ims_core.ua.dialog import Dialog
from ims_core.ua.event_headers import ACTIVE, PENDING, Event, accepts, expires_of, parse_event
from ims_core.ua.subscription import TIMEOUT, Subscription, Terms

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.packages import EventPackage, Lifetimes
    from ims_core.ua.usages import Context
    from ims_core.ua.useragent import UserAgent

Key = TypeVar("Key")
_AN_HOUR = 3600


class Notifier:
    """Serves event packages. ``per_subscriber`` bounds the subscriptions of one subscriber.

    Whoever owns it must have authenticated the sender of a SUBSCRIBE, or leave that to ``EventPackage.admit``: no
    subscription exists before both have agreed.
    """

    def __init__(self, context: Context, packages: Iterable[EventPackage], *, per_subscriber: int = 64) -> None:
        self.context = context
        self._packages = {package.name: package for package in packages}
        self._per_subscriber = per_subscriber
        self._by_subscriber: dict[str, set[Subscription]] = {}
        self._by_resource: dict[tuple[str, str], set[Subscription]] = {}
        self._all: set[Subscription] = set()

    def __len__(self) -> int:
        return len(self._all)

    @property
    def allow_events(self) -> str:
        """The packages served, as the value of Allow-Events."""
        return ", ".join(self._packages)

    def changed(self, package: str, resource: str, change: object = None) -> None:
        """Tell the subscribers of ``resource``: the whole state, or of ``change``.

        Those who are not approved do not even hear that there was one.
        """
        for subscription in list(self._by_resource.get((package, resource), ())):
            if subscription.state == ACTIVE:
                subscription.notify(change)

    def subscriptions(self, package: str, resource: str) -> list[Subscription]:
        """Return who is subscribed to ``resource``."""
        return list(self._by_resource.get((package, resource), ()))

    def end(self, reason: str, retry_after: int | None = None) -> None:
        """End every subscription: DEACTIVATED has the subscribers come back at once, PROBATION later."""
        for subscription in list(self._all):
            subscription.end(reason, retry_after)

    def receive(self, transaction: ServerTransaction, request: Request, flow: Flow, identity: str) -> None:
        """Take a SUBSCRIBE outside any dialog: 200, then a NOTIFY. Raises ``SipError`` to refuse it."""
        event, package = self._package_of(request)
        seconds = granted(request, package.lifetimes)
        if not accepts(request, package.content_type):
            raise NotAcceptable(headers=(("Accept", package.content_type),))
        admission = package.admit(request, identity)
        if len(self._by_subscriber.get(admission.subscriber, ())) >= self._per_subscriber:
            raise Forbidden("Too many subscriptions")
        terms = Terms(
            event,
            admission.resource,
            admission.subscriber,
            _least_interval(event, package),
            self.context.contact_for(flow, request.target.user),
        )
        dialog = Dialog.as_server(request, self.context.endpoint.ids.tag(), flow)
        subscription = Subscription(self, package, dialog, terms, state=PENDING if admission.pending else ACTIVE)
        self._keep(subscription)
        self._accept(subscription, transaction, request, seconds)
        if seconds:
            subscription.last(seconds)
            subscription.notify()
        else:  # a poll (4.4.3): one NOTIFY and that is all
            subscription.end(TIMEOUT)

    # For the subscriptions (``subscription.Owner``) ---------------------------------------------------------

    def refresh(self, subscription: Subscription, transaction: ServerTransaction, request: Request) -> int:
        """Answer a SUBSCRIBE within the dialog; return the seconds granted."""
        seconds = granted(request, self._packages[subscription.source.name].lifetimes)
        self._accept(subscription, transaction, request, seconds)
        return seconds

    def ended(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        self._all.discard(subscription)
        _discard(self._by_subscriber, subscription.terms.subscriber, subscription)
        _discard(self._by_resource, (subscription.source.name, subscription.resource), subscription)

    # Inside -------------------------------------------------------------------------------------------------

    def _package_of(self, request: Request) -> tuple[Event, EventPackage]:
        value = request.get("Event")
        event = None if value is None else parse_event(value)
        package = None if event is None else self._packages.get(event.package)
        if event is None or package is None:
            raise BadEvent(headers=(("Allow-Events", self.allow_events),))
        return event, package

    def _keep(self, subscription: Subscription) -> None:
        self._all.add(subscription)
        self._by_subscriber.setdefault(subscription.terms.subscriber, set()).add(subscription)
        self._by_resource.setdefault((subscription.source.name, subscription.resource), set()).add(subscription)

    def _accept(
        self, subscription: Subscription, transaction: ServerTransaction, request: Request, seconds: int
    ) -> None:
        response = response_to(request, 200, to_tag=subscription.dialog.local_tag)
        for route in request.whole_values("Record-Route"):
            response.add("Record-Route", route)
        response.add("Contact", subscription.terms.contact)
        response.add("Expires", str(seconds))
        self.context.endpoint.respond(transaction, response)


def serve_events(ua: UserAgent, packages: Iterable[EventPackage], *, per_subscriber: int = 64) -> Notifier:
    """Have ``ua`` take subscriptions to ``packages`` and name them in Allow-Events."""
    notifier = Notifier(ua, packages, per_subscriber=per_subscriber)
    ua.serve_outside("SUBSCRIBE", notifier.receive)
    ua.allow_events.append(notifier.allow_events)
    return notifier


def granted(request: Request, lifetimes: Lifetimes) -> int:
    """Return how long a SUBSCRIBE may last, 0 to end or poll. Raises ``IntervalTooBrief`` (RFC 6665 4.2.1.1)."""
    wanted = expires_of(request)
    if wanted is None:
        return lifetimes.default
    if 0 < wanted < lifetimes.least and wanted < _AN_HOUR:  # an hour and more must not be called too brief
        raise IntervalTooBrief(headers=(("Min-Expires", str(lifetimes.least)),))
    return min(wanted, lifetimes.most)


def _least_interval(event: Event, package: EventPackage) -> float:
    """Heed the ``max-rate`` that the subscriber asks for, in NOTIFYs a second (RFC 6446 section 5)."""
    try:
        rate = float(event.params.get("max-rate", ""))
    except ValueError:
        return package.least_interval
    return max(package.least_interval, 1 / rate) if 1e-4 < rate < 1e4 else package.least_interval


def _discard(found: dict[Key, set[Subscription]], key: Key, subscription: Subscription) -> None:
    held = found[key]
    held.discard(subscription)
    if not held:
        del found[key]
