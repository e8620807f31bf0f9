"""The ``reg`` event package: who watches a user is told where that user is registered (RFC 3680)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from ims_core.ua.packages import Admission, Lifetimes
from ims_core.ua.reg_info import REGINFO, ContactState, RegistrationState, write_reg_info
from ims_core.ua.subscription import NO_RESOURCE

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.ua.notifier import Notifier

REG: Final = "reg"


class _News(NamedTuple):
    """What is to be told: ``full`` of all registrations, otherwise of those that changed."""

    registrations: tuple[RegistrationState, ...]
    full: bool


class RegPackage:
    """Tells of the registrations that a resource, which is an address-of-record, stands for; give it its ``notifier``.

    ``registrations_of`` describes them as they are. ``admit_watcher`` decides about a SUBSCRIBE: it returns the
    resource and who asks, or raises ``SipError``.
    """

    name = REG
    content_type = REGINFO
    lifetimes = Lifetimes(default=3761, least=60, most=600_000)  # 4.4; phones ask for 600000 (TS 24.229 5.1.1.3)
    least_interval = 5.0  # 4.10

    def __init__(
        self,
        *,
        registrations_of: Callable[[str], Iterable[RegistrationState]],
        admit_watcher: Callable[[Request, str], Admission],
    ) -> None:
        self.admit = admit_watcher
        self.notifier: Notifier | None = None
        self._registrations_of = registrations_of

    def is_watched(self, resource: str) -> bool:
        """Whether anybody is to be told of ``resource``."""
        return self.notifier is not None and bool(self.notifier.subscriptions(REG, resource))

    def changed(self, resource: str, registrations: tuple[RegistrationState, ...]) -> None:
        """Tell of registrations that changed, each with the contacts that did."""
        if self.notifier is not None:
            self.notifier.changed(REG, resource, _News(registrations, full=False))

    def ended(self, resource: str, registrations: tuple[RegistrationState, ...]) -> None:
        """Tell, as the last thing, how all registrations ended (TS 24.229 section 5.4.2.1.2).

        The subscriptions end for want of a resource, whatever the reason: that the state may be seen no longer, or that
        it is had elsewhere, as "rejected" and "deactivated" would say (RFC 6665 section 4.1.3), is not so. What a phone
        is to do is said by the event of its contact.
        """
        if self.notifier is not None:
            for subscription in self.notifier.subscriptions(REG, resource):
                subscription.end(NO_RESOURCE, change=_News(registrations, full=True))

    # For the notifier (``packages.EventPackage``) -----------------------------------------------------------

    def state(self, resource: str, version: int, changes: list[object] | None) -> bytes:
        """Write the document: all registrations, or the last state of those that changed."""
        if changes is None:
            return write_reg_info(version, self._registrations_of(resource), full=True)
        news = [change for change in changes if isinstance(change, _News)]
        return write_reg_info(version, _together(news), full=any(each.full for each in news))


def _together(news: Iterable[_News]) -> Iterable[RegistrationState]:
    """Say the last of each registration and of each contact."""
    latest: dict[str, RegistrationState] = {}
    contacts: dict[str, dict[str, ContactState]] = {}
    for each in news:
        for registration in each.registrations:
            latest[registration.id] = registration
            contacts.setdefault(registration.id, {}).update((contact.id, contact) for contact in registration.contacts)
    return [held._replace(contacts=tuple(contacts[name].values())) for name, held in latest.items()]
