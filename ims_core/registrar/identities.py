"""Where the users behind public identities are registered (TS 23.228 section 4.3.3.4, TS 24.229 section 5.4.1).

An implicit registration set has one address-of-record, its default public identity: whatever identity of the set a
REGISTER or a call names, the contacts are found there. Subscribers who share an identity share its whole set (TS 23.228
section 5.2.1a), and so the address-of-record under which each of them has contacts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.errors import ServerTimeout
from ims_core.patterns import Pattern
from ims_core.subscribers.identities import canonical
from ims_core.subscribers.subscriber import default_of

if TYPE_CHECKING:
    from ims_core.messages.uri import Uri
    from ims_core.registrar.location import Binding, Location
    from ims_core.subscribers.identities import PublicIdentity
    from ims_core.subscribers.subscriber import Found, ImplicitSet, Subscribers


class Identities:
    """Finds addresses-of-record and their contacts by any public identity: sip or tel, plain or wildcarded, shared.

    Where text is taken for an identity it is ``canonical``. The set of each user who is registered is kept as it was
    when he registered: who is no subscriber any more is told of by it, and everybody while subscribers cannot be read.
    """

    def __init__(self, subscribers: Subscribers, location: Location) -> None:
        self.subscribers = subscribers
        self.location = location
        self._registered: dict[str, ImplicitSet] = {}

    def find(self, uri: Uri | str) -> Found | None:
        """Who an identity belongs to."""
        return self.subscribers.by_public(uri if isinstance(uri, str) else canonical(uri))

    def aor_of(self, uri: Uri | str) -> str | None:
        """The address-of-record of the set that an identity is in; None: it is in none that can be registered."""
        found = self.find(uri)
        default = None if found is None else default_of(found.set)
        return None if default is None else default.uri

    def bindings(self, uri: Uri | str) -> tuple[Binding, ...]:
        """The contacts under which an identity is reached now."""
        aor = self.aor_of(uri)
        return () if aor is None else self.location.bindings(aor)

    def is_registered(self, uri: Uri | str) -> bool:
        """Whether an identity is registered, itself or with others of its set (TS 23.228 section 5.2.1)."""
        return self.aor_of(uri) in self.location

    def set_of(self, aor: str) -> ImplicitSet:
        """The identities registered under an address-of-record: those of now or, where none are found, of then."""
        try:
            found = self.find(aor)
        except ServerTimeout:
            found = None
        return self._registered.get(aor, ()) if found is None else found.set

    def usable(self, aor: str) -> list[PublicIdentity]:
        """Those of them that are not barred, the default first."""
        usable = [identity for identity in self.set_of(aor) if not identity.barred]
        return sorted(usable, key=lambda identity: identity.uri != aor)

    def keep(self, aor: str, implicit: ImplicitSet | None = None) -> None:
        """Keep the set that is registered under an address-of-record; None: as it is now."""
        self._registered[aor] = self.set_of(aor) if implicit is None else implicit

    def forget(self, aor: str) -> None:
        """Keep no set for who is not registered."""
        self._registered.pop(aor, None)


def member(implicit: ImplicitSet, uri: str) -> PublicIdentity | None:
    """Return the identity of a set that ``uri`` is, or that stands for it."""
    exact = (each for each in implicit if each.uri == uri)
    wild = (each for each in implicit if each.wildcard and Pattern(each.wildcard).matches(uri))
    return next(exact, None) or next(wild, None)
