"""Watching registrations: the ``reg`` event package at an S-CSCF (TS 24.229 section 5.4.2.1, RFC 3680)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from math import inf
from typing import TYPE_CHECKING

from ims_core.errors import Forbidden, SipError, TemporarilyUnavailable
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.uri import parse_uri
from ims_core.patterns import Pattern
from ims_core.profiles.model import Registration
from ims_core.registrar.contacts import as_written, features, seconds_left
from ims_core.registrar.registrations import ContactChange, ContactEvent
from ims_core.subscribers.identities import canonical
from ims_core.ua.notifier import serve_events
from ims_core.ua.packages import Admission
from ims_core.ua.reg_info import ACTIVE, TERMINATED, ContactState, RegistrationState
from ims_core.ua.reg_package import RegPackage

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.messages.uri import Uri
    from ims_core.profiles.model import ServiceProfile
    from ims_core.registrar.registrations import RegistrationChange, Registrations
    from ims_core.subscribers.identities import PublicIdentity
    from ims_core.ua.notifier import Notifier
    from ims_core.ua.useragent import UserAgent

_SAMPLES = ("", "0", "a", *("0" * length for length in range(2, 16)))  # to stand for an expression


class Watching:
    """Tells who watches a user of all identities of his implicit set.

    A subscription is the user's own, that of the P-CSCF in the path of one of his contacts, or that of an application
    server in his service profile, which ``profile_of`` has by its name (5.4.2.1.1).
    """

    def __init__(
        self,
        registrations: Registrations,
        clock: Callable[[], float],
        profile_of: Callable[[str], ServiceProfile | None],
    ) -> None:
        self._registrations = registrations
        self._identities = registrations.identities
        self._clock = clock
        self._profile_of = profile_of
        self.package = RegPackage(registrations_of=self._all_of, admit_watcher=self._admit)
        registrations.listeners.append(self._tell)

    # Who may watch (5.4.2.1.1) ------------------------------------------------------------------------------

    def _admit(self, request: Request, identity: str) -> Admission:
        aor = self._identities.aor_of(request.target)
        if aor is None or aor not in self._identities.location:
            raise TemporarilyUnavailable  # 0: "a URI for which currently no binding exists"
        try:
            sender = parse_uri(identity)
        except SipError:
            raise Forbidden from None
        found = self._identities.find(sender)
        if found is None:
            may_watch = any(_is_at(sender, uri) for uri in self._elements(aor))
        else:
            may_watch = not found.identity.barred and self._identities.aor_of(sender) == aor
        if not may_watch:
            raise Forbidden
        # an element watches many users, and is counted for each
        return Admission(aor, canonical(sender) if found is not None else f"{canonical(sender)} for {aor}")

    def _elements(self, aor: str) -> Iterator[str]:
        """The URIs of the proxies on the way to a user's contacts, and of his application servers."""
        for binding in self._identities.location.bindings(aor):
            yield from (parse_name_addr(hop).uri_text for hop in binding.path)
        for name in {identity.profile for identity in self._identities.usable(aor)}:
            profile = self._profile_of(name)
            if profile is not None:
                yield from (criterion.server.uri for criterion in profile.criteria)

    # What is told (5.4.2.1.2) -------------------------------------------------------------------------------

    def _tell(self, change: RegistrationChange) -> None:
        aor = change.aor
        if not self.package.is_watched(aor):
            return
        if change.kind is Registration.DE:
            self.package.ended(aor, self._describe(aor, TERMINATED, [each for each in change.contacts if each.is_over]))
        else:
            self.package.changed(aor, self._describe(aor, ACTIVE, change.contacts))

    def _all_of(self, aor: str) -> tuple[RegistrationState, ...]:
        story_of, bindings = self._registrations.story_of, self._identities.location.bindings(aor)
        contacts = [ContactChange(binding, story_of(binding)) for binding in bindings]
        return self._describe(aor, ACTIVE if contacts else TERMINATED, contacts)

    def _describe(self, aor: str, state: str, contacts: Iterable[ContactChange]) -> tuple[RegistrationState, ...]:
        """Describe all identities registered under ``aor``, each with these of their contacts."""
        told = []
        for identity in self._identities.usable(aor):
            address = _representative(identity)
            if address:
                name = blake2b(identity.uri.encode(), digest_size=6).hexdigest()
                held = tuple(self._contact(each, identity, f"{name}-{each.binding.number}") for each in contacts)
                told.append(RegistrationState(name, address, state, held, identity.uri if identity.wildcard else ""))
        return tuple(told)

    def _contact(self, change: ContactChange, identity: PublicIdentity, name: str) -> ContactState:
        binding, (event, registered, since) = change.binding, change.story
        if event is ContactEvent.REGISTERED and registered != identity.uri:
            event = ContactEvent.CREATED
        now = self._clock()
        flow = (("+sip.instance", binding.instance), ("reg-id", str(binding.reg_id or "")))
        return ContactState(
            name,
            binding.contact,
            TERMINATED if change.is_over else ACTIVE,
            event,
            expires=_seconds_left(change, now),
            retry_after=change.retry_after,
            duration=int(now - since),
            q=binding.q,
            call_id=binding.call_id,
            cseq=binding.cseq or None,
            display=parse_name_addr(binding.written).display if binding.written else "",
            params=(*((name, as_written(value)) for name, value in flow if value), *features(binding)),
        )


def serve_watching(
    ua: UserAgent,
    registrations: Registrations,
    *,
    profile_of: Callable[[str], ServiceProfile | None] = lambda name: None,
) -> Notifier:
    """Have ``ua`` take subscriptions to the ``reg`` package, and tell them of ``registrations``; see ``Watching``.

    Who owns it must hand a SUBSCRIBE on with the sender's asserted URI as its identity.
    """
    package = Watching(registrations, ua.endpoint.clock, profile_of).package
    package.notifier = notifier = serve_events(ua, [package])
    return notifier


def _is_at(sender: Uri, uri: str) -> bool:
    """Whether ``sender`` names the element of ``uri``, whatever that calls itself there."""
    try:
        element = parse_uri(uri)
    except SipError:
        return False
    return (
        sender.host == element.host
        and (sender.port is None or sender.address == element.address)
        and sender.user in {"", element.user}
    )


def _seconds_left(change: ContactChange, now: float) -> int | None:
    """How long a contact still lasts: 0 when it is gone, which Kamailio's P-CSCF wants to read to believe it."""
    if change.is_over:
        return 0
    end = change.binding.expires_at
    return None if end == inf else max(0, seconds_left(end, now))


def _representative(identity: PublicIdentity) -> str:
    """An identity that a wildcarded one stands for: its document names one of them (TS 24.229 section 5.4.2.1.2)."""
    if not identity.wildcard:
        return identity.uri
    before, _, rest = identity.uri.partition("!")
    after = rest.rpartition("!")[2]
    candidates = (f"{before}{sample}{after}" for sample in _SAMPLES)
    return next(filter(Pattern(identity.wildcard).matches, candidates), "")
