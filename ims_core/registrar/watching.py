"""Watching registrations: the ``reg`` event package at an S-CSCF (TS 24.229 section 5.4.2.1, RFC 3680)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from math import ceil, inf
from typing import TYPE_CHECKING

from ims_core.errors import BadRequest, Forbidden, SipError, TemporarilyUnavailable
from ims_core.messages.headers import TOKEN, parse_name_addr, quote_string
from ims_core.messages.uri import parse_uri
from ims_core.profiles.model import Registration
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
    from ims_core.registrar.location import Binding
    from ims_core.registrar.registrations import RegistrationChange, Registrations
    from ims_core.subscribers.identities import PublicIdentity
    from ims_core.ua.notifier import Notifier
    from ims_core.ua.useragent import UserAgent

_OF_CONTACT = frozenset(("q", "expires"))  # parameters that have an attribute of their own
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
        location = self._identities.location
        registered = [aor for aor in self._identities.aors_of(request.target) if aor in location]
        if not registered:
            raise TemporarilyUnavailable  # 0: "a URI for which currently no binding exists"
        try:
            sender = parse_uri(identity)
        except SipError:
            raise Forbidden from None
        found = self._identities.subscribers.by_public(canonical(sender))
        if found is None:
            open_to_him = [aor for aor in registered if any(_is_at(sender, uri) for uri in self._elements(aor))]
        else:
            own = () if found.identity.barred else self._identities.aors_of(sender)
            open_to_him = [aor for aor in registered if aor in own]
        if not open_to_him:
            raise Forbidden
        return Admission(open_to_him[0], canonical(sender))

    def _elements(self, aor: str) -> Iterator[str]:
        """The URIs of the proxies on the way to a user's contacts, and of his application servers."""
        for binding in self._identities.location.bindings(aor):
            yield from (parse_name_addr(hop).uri_text for hop in binding.path)
        for name in {identity.profile for identity in self._identities.identities_of(aor)}:
            profile = self._profile_of(name)
            if profile is not None:
                yield from (criterion.server.uri for criterion in profile.criteria)

    # What is told (5.4.2.1.2) -------------------------------------------------------------------------------

    def _tell(self, change: RegistrationChange) -> None:
        for aor in self._concerned(change.aor):
            if not self.package.is_watched(aor):
                continue
            if change.kind is Registration.DE and aor == change.aor:
                gone = [each for each in change.contacts if each.is_over]
                self.package.ended(aor, tuple(self._registrations_of(aor, self._contacts, {aor: gone})))
            else:
                changed = self._registrations_of(aor, lambda _: (), {change.aor: change.contacts})
                self.package.changed(aor, tuple(each for each in changed if each.contacts))

    def _concerned(self, aor: str) -> list[str]:
        """The addresses-of-record whose watchers see contacts of ``aor``: others share an identity with it."""
        identities = self._identities.identities_of(aor)
        return list(dict.fromkeys((aor, *(each for one in identities for each in self._identities.aors_of(one.uri)))))

    def _all_of(self, aor: str) -> Iterable[RegistrationState]:
        return self._registrations_of(aor, self._contacts, {})

    def _contacts(self, aor: str) -> list[ContactChange]:
        story_of = self._registrations.story_of
        return [ContactChange(binding, story_of(binding)) for binding in self._identities.location.bindings(aor)]

    def _registrations_of(
        self,
        aor: str,
        contacts_of: Callable[[str], Iterable[ContactChange]],
        more: Mapping[str, Iterable[ContactChange]],
    ) -> Iterator[RegistrationState]:
        """Describe the identities registered under ``aor``, each with all of the contacts that serve it."""
        for identity in self._identities.identities_of(aor):
            address = _representative(identity)
            if not address:
                continue
            name = blake2b(identity.uri.encode(), digest_size=6).hexdigest()
            aors = self._identities.aors_of(identity.uri)
            held = [each for one in aors for each in (*contacts_of(one), *more.get(one, ()))]
            yield RegistrationState(
                name,
                address,
                ACTIVE if any(one in self._identities.location for one in aors) else TERMINATED,
                tuple(self._describe(each, identity, f"{name}-{each.binding.number}") for each in held),
                identity.uri if identity.wildcard else "",
            )

    def _describe(self, change: ContactChange, identity: PublicIdentity, name: str) -> ContactState:
        binding, (event, registered, since) = change.binding, change.story
        if event is ContactEvent.REGISTERED and registered != identity.uri:
            event = ContactEvent.CREATED
        now = self._clock()
        display, params = _written(binding)
        return ContactState(
            name,
            binding.contact,
            TERMINATED if change.is_over else ACTIVE,
            event,
            expires=None if change.is_over or binding.expires_at == inf else max(0, ceil(binding.expires_at - now)),
            retry_after=change.retry_after,
            duration=int(now - since),
            q=binding.q,
            call_id=binding.call_id,
            cseq=binding.cseq or None,
            display=display,
            params=params,
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
    return sender.address == element.address and sender.user in {"", element.user}


def _representative(identity: PublicIdentity) -> str:
    """An identity that a wildcarded one stands for: its document names one of them (TS 24.229 section 5.4.2.1.2)."""
    if not identity.wildcard:
        return identity.uri
    before, _, rest = identity.uri.partition("!")
    after = rest.rpartition("!")[2]
    candidates = (f"{before}{sample}{after}" for sample in _SAMPLES)
    return next((each for each in candidates if re.fullmatch(identity.wildcard, each)), "")


def _written(binding: Binding) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The display name and the parameters that a contact came with, as far as they are known."""
    try:
        contact = parse_name_addr(binding.written) if binding.written else None
    except BadRequest:
        contact = None
    if contact is not None:
        params = {name: value for name, value in contact.params.items() if name not in _OF_CONTACT}
        return contact.display, tuple((name, _as_written(value)) for name, value in params.items())
    params = {"+sip.instance": binding.instance, "reg-id": str(binding.reg_id or "")}
    return "", tuple((name, _as_written(value)) for name, value in params.items() if value)


def _as_written(value: str) -> str:
    return value if TOKEN.issuperset(value) else quote_string(value)
