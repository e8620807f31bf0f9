"""Who a request is from, as its first hop asserts it to the network (RFC 3325, TS 24.229 section 5.2.6.3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ims_core.errors import SipError
from ims_core.messages.headers import parse_name_addr, quote_string
from ims_core.patterns import Pattern
from ims_core.structs import Value
from ims_core.subscribers.identities import canonical, public_identity

if TYPE_CHECKING:
    from ims_core.messages.message import Message, Request
    from ims_core.messages.uri import Uri

ASSERTED: Final = "P-Asserted-Identity"
PREFERRED: Final = "P-Preferred-Identity"
MOST_IDENTITIES: Final = 64


class IdentitySet(Value):
    """The public identities of one registration, the default one first, as P-Associated-URI tells them (RFC 7315 4.1).

    ``values`` are name-addrs; ``plain`` has the place of each by its canonical form; ``wild`` are the patterns of those
    that stand for many (TS 23.003 section 13.5).
    """

    values: tuple[str, ...]
    plain: dict[str, str]
    wild: tuple[Pattern, ...] = ()

    @property
    def default(self) -> str:
        """What is asserted of who prefers nothing, or what is not his; empty when there is nothing."""
        return self.values[0] if self.values else ""

    def find(self, uri: Uri) -> str:
        """Return what is asserted of who prefers to be ``uri``; empty when it is not among them."""
        key = canonical(uri)
        held = self.plain.get(key, "")
        if held or not any(pattern.matches(key) for pattern in self.wild):
            return held
        return f"<{key}>"


def identity_set(values: Iterable[str]) -> IdentitySet:
    """Make a set of the values of P-Associated-URI; what is no SIP or tel URI is left out."""
    return _identity_set(tuple(values)[:MOST_IDENTITIES])


@lru_cache(maxsize=8192)
def _identity_set(values: tuple[str, ...]) -> IdentitySet:
    told: list[str] = []
    plain: dict[str, str] = {}
    wild: list[Pattern] = []
    for value in values:
        try:
            address = parse_name_addr(value)
            identity = public_identity(address.uri_text)
        except (SipError, ValueError):
            continue
        if identity.wildcard:
            wild.append(Pattern(identity.wildcard))
            continue
        display = f"{quote_string(address.display)} " if address.display else ""
        told.append(f"{display}<{address.uri_text}>")
        plain.setdefault(identity.uri, told[-1])
    return IdentitySet(tuple(told), plain, tuple(wild))


def addresses(message: Message, name: str) -> list[Uri]:
    """Return the URIs of the header field of that name, leaving out what cannot be read."""
    if name.lower() not in message.keys:
        return []
    found = []
    for value in message.values(name):
        try:
            found.append(parse_name_addr(value).uri)
        except SipError:
            continue
    return found


def sender_of(request: Request) -> Uri | None:
    """Return the URI in From; None when it is of a scheme that we do not know, or malformed."""
    try:
        return request.from_.uri
    except SipError:
        return None


def preference(message: Message, identities: IdentitySet) -> str:
    """Return which of its identities the sender prefers to be known by; empty: none of them (RFC 3325 9.2)."""
    for uri in addresses(message, PREFERRED):
        found = identities.find(uri)
        if found:
            return found
    return ""


def assert_identity(message: Message, value: str) -> None:
    """Have a message say that it is from ``value``, a name-addr, and from nobody else; empty: from nobody known.

    RFC 3325 section 5: what the sender prefers is taken off, and what he asserts is not believed.
    """
    if "p-preferred-identity" in message.keys:
        message.remove(PREFERRED)
    if value:
        message.set(ASSERTED, value)
    elif "p-asserted-identity" in message.keys:
        message.remove(ASSERTED)
