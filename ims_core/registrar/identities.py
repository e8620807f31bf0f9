"""Where the users behind public identities are registered (TS 23.228 section 4.3.3.4, TS 24.229 section 5.4.1).

An implicit registration set has one address-of-record, its default public identity: whatever identity of the set a
REGISTER or a call names, the contacts are found there. A shared identity is in the sets of several subscribers, each
with an address-of-record of its own, unless their default identity is the shared one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ims_core.subscribers.identities import PublicIdentity, canonical
from ims_core.subscribers.subscriber import default_of

if TYPE_CHECKING:
    from ims_core.messages.uri import Uri
    from ims_core.registrar.location import Binding, Location
    from ims_core.subscribers.subscriber import Found, ImplicitSet, Subscriber, Subscribers


class Identities:
    """Finds addresses-of-record and their contacts by any public identity: sip or tel, plain or wildcarded, shared.

    Where text is taken for an identity it is ``canonical``.
    """

    def __init__(self, subscribers: Subscribers, location: Location) -> None:
        self.subscribers = subscribers
        self.location = location

    def aor_of(self, uri: Uri) -> str | None:
        """The address-of-record of the set that ``uri`` is in, of the first if it is shared; None: it is in none."""
        return next(iter(self.aors_of(uri)), None)

    def aors_of(self, uri: Uri | str) -> tuple[str, ...]:
        """The addresses-of-record of all the sets that an identity is in."""
        found = self.subscribers.by_public(uri if isinstance(uri, str) else canonical(uri))
        if found is None:
            return ()
        defaults = (default_of(implicit) for implicit in self._sets_with(found))
        return tuple(dict.fromkeys(default.uri for default in defaults if default is not None))

    def bindings(self, uri: Uri | str) -> tuple[Binding, ...]:
        """The contacts under which an identity is reached now."""
        return tuple(binding for aor in self.aors_of(uri) for binding in self.location.bindings(aor))

    def is_registered(self, uri: Uri | str) -> bool:
        """Whether an identity is registered, itself or with others of its set (TS 23.228 section 5.2.1)."""
        return any(aor in self.location for aor in self.aors_of(uri))

    def sets_of(self, aor: str) -> list[tuple[Subscriber, ImplicitSet]]:
        """The sets registered under an address-of-record, each with its subscriber: more than one if it is shared."""
        found = self.subscribers.by_public(aor)
        return [
            (subscriber, implicit)
            for subscriber in (() if found is None else self._subscribers(found))
            for implicit in subscriber.sets
            if (default := default_of(implicit)) is not None and default.uri == aor
        ]

    def identities_of(self, aor: str) -> list[PublicIdentity]:
        """The identities that are registered under an address-of-record, but for those barred; its own comes first."""
        held = {each.uri: each for _, implicit in self.sets_of(aor) for each in implicit if not each.barred}
        return sorted(held.values(), key=lambda identity: identity.uri != aor)

    def set_with(self, subscriber: Subscriber, found: Found) -> ImplicitSet | None:
        """The set of ``subscriber`` that an identity is in; None: it is not his."""
        if found.subscriber.private == subscriber.private:
            return found.set
        return next((implicit for implicit in subscriber.sets if _holds(implicit, found.identity)), None)

    def _sets_with(self, found: Found) -> Iterator[ImplicitSet]:
        for subscriber in self._subscribers(found):
            implicit = self.set_with(subscriber, found)
            if implicit is not None:
                yield implicit

    def _subscribers(self, found: Found) -> Iterator[Subscriber]:
        yield found.subscriber
        for private in found.privates[1:]:
            subscriber = self.subscribers.by_private(private)
            if subscriber is not None:
                yield subscriber


def _holds(implicit: ImplicitSet, identity: PublicIdentity) -> bool:
    return any(each.uri == identity.uri for each in implicit)
