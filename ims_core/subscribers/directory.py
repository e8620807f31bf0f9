"""Subscribers in memory, each identity found in constant time."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from operator import neg
from typing import Generic, TypeVar

from ims_core.patterns import Pattern
from ims_core.subscribers.centre import AuthenticationCentre, HasKeys
from ims_core.subscribers.identities import PublicIdentity, number_of
from ims_core.subscribers.subscriber import Aka, Found, ImplicitSet, Subscriber

T = TypeVar("T")


class Directory(HasKeys):
    """The ``Subscribers`` of a configuration, with the keys in ``centre``.

    Raises ``ValueError`` for what contradicts itself: a private identity or, within a subscriber, a public one that
    comes twice; subscribers that share an identity, but not its whole set (TS 23.228 section 5.2.1a).
    """

    def __init__(self, subscribers: Iterable[Subscriber], centre: AuthenticationCentre) -> None:
        super().__init__(centre)
        self._by_private: dict[str, Subscriber] = {}
        self._by_public: dict[str, Found] = {}
        self._wildcards: Wildcards[Found] = Wildcards()
        other_forms: dict[str, Found] = {}
        for subscriber in subscribers:
            if subscriber.private in self._by_private:
                raise ValueError(f"{subscriber.private} comes twice")
            check(subscriber)
            self._by_private[subscriber.private] = subscriber
            for implicit in subscriber.sets:
                for identity in implicit:
                    self._enter(subscriber, implicit, identity)
                for form, identity in forms(subscriber.private, implicit).items():
                    other_forms.setdefault(form, self._by_public[identity.uri])
        for form, found in other_forms.items():
            self._by_public.setdefault(form, self._by_public[found.identity.uri])

    def _enter(self, subscriber: Subscriber, implicit: ImplicitSet, identity: PublicIdentity) -> None:
        held = self._by_public.get(identity.uri)
        if held is not None and held.set != implicit:
            names = f"{held.subscriber.private} and {subscriber.private}"
            raise ValueError(f"{names} share {identity.uri}, but not the whole set that it is in")
        found = (
            Found(subscriber, implicit, identity, (subscriber.private,))
            if held is None
            else held._replace(privates=(*held.privates, subscriber.private))
        )
        self._by_public[identity.uri] = found
        if identity.wildcard:
            self._wildcards.add(identity, found)

    def __iter__(self) -> Iterator[str]:
        """The private identities."""
        return iter(self._by_private)

    def by_private(self, private: str) -> Subscriber | None:
        """See ``Subscribers``."""
        return self._by_private.get(private)

    def by_public(self, uri: str) -> Found | None:
        """See ``Subscribers``."""
        found = self._by_public.get(uri)
        return found if found is not None else self._wildcards.match(uri)

    def _keys(self, private: str) -> Aka | None:
        subscriber = self._by_private.get(private)
        credentials = None if subscriber is None else subscriber.credentials
        return credentials if isinstance(credentials, Aka) else None


class Wildcards(Generic[T]):
    """What belongs to wildcarded identities, found by the plain text that they begin with, the longest first."""

    def __init__(self) -> None:
        self._by_prefix: dict[str, list[tuple[Pattern, str, T]]] = {}
        self._lengths: list[int] = []

    def add(self, identity: PublicIdentity, value: T) -> None:
        """Enter ``value``, in place of what was there for the same identity."""
        prefix = identity.uri.partition("!")[0]
        if prefix not in self._by_prefix and len(prefix) not in self._lengths:
            insort(self._lengths, len(prefix), key=neg)
        entries = self._by_prefix.setdefault(prefix, [])
        entries[:] = [entry for entry in entries if entry[1] != identity.uri]
        entries.append((Pattern(identity.wildcard), identity.uri, value))

    def match(self, uri: str) -> T | None:
        """Return the value of the identity that ``uri`` matches."""
        for length in self._lengths:
            for pattern, _, value in self._by_prefix.get(uri[:length], ()):
                if pattern.matches(uri):
                    return value
        return None


def check(subscriber: Subscriber) -> None:
    """Raise ``ValueError`` unless a subscriber has identities, each as part of one set, once."""
    if not subscriber.sets or not all(subscriber.sets):
        raise ValueError(f"{subscriber.private} has no public identity")
    seen: set[str] = set()
    for implicit in subscriber.sets:
        for identity in implicit:
            if identity.uri in seen:
                raise ValueError(f"{subscriber.private} has {identity.uri} twice")
            seen.add(identity.uri)


def forms(private: str, implicit: ImplicitSet) -> dict[str, PublicIdentity]:
    """The other forms under which the global numbers of a set are known: its ``tel:`` as ``sip:`` and back.

    As ``sip:`` a number is known at the hosts of the set and at the domain of the private identity.
    """
    hosts = {private.rpartition("@")[2]}
    hosts.update(identity.uri.rpartition("@")[2] for identity in implicit if identity.uri.startswith("sip:"))
    found: dict[str, PublicIdentity] = {}
    for identity in implicit:
        number = number_of(identity.uri)
        if not number:
            continue
        if identity.uri.startswith("sip:"):
            found.setdefault(f"tel:{number}", identity)
        for host in hosts:
            found.setdefault(f"sip:{number}@{host}", identity)
    return found
