"""The registrar of an S-CSCF: subscribers with implicit registration sets (TS 24.229 sections 5.4.1.1 and 5.4.1.2).

A REGISTER names a public identity in To and a private one as the username of its credentials. It is for the whole
implicit set that the public identity is in; the contacts are bound to the default identity of that set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from ims_core.errors import BadRequest, Forbidden, NotFound, UnsupportedScheme
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.uri import parse_uri
from ims_core.registrar.contacts import contact_uri, registration_id
from ims_core.registrar.enrolment import Registrant
from ims_core.security.params import digest_of
from ims_core.subscribers.identities import canonical
from ims_core.subscribers.subscriber import default_of

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request, Response
    from ims_core.registrar.enrolment import Authenticator
    from ims_core.registrar.location import Binding, Domains
    from ims_core.registrar.registrations import Registrations
    from ims_core.subscribers.subscriber import Aka, Found, ImplicitSet, Password, Subscriber

# Not "ip-assoc-yes": a datagram may bear any address, and who wants to deregister others need not see an answer.
PROTECTED: Final = frozenset(("yes", "tls-yes", "tls-connected", "auth-done"))


class ImsEnrolment:
    """Says who may register what, and what the 200 tells; ``registrations`` hears what was accepted.

    ``authenticators`` has one for each kind of credentials: a subscriber with keys of AKA gets no other challenge.
    ``is_protected`` tells whether a REGISTER came by a way on which only the subscriber himself can have sent it: then
    a re-registration needs no challenge. Any other one does (5.4.1.2.2). It is asked with what he has registered; a
    P-CSCF that is trusted says it of its security associations (``says_protected``). ``refused`` counts by "unknown",
    which is nobody's identity or another domain, and "forbidden", an identity of somebody else.
    """

    def __init__(
        self,
        domains: Domains,
        registrations: Registrations,
        authenticators: Mapping[type[Aka | Password], Authenticator],
        *,
        is_protected: Callable[[Request, Flow, Iterable[Binding]], bool] = lambda request, flow, held: False,
    ) -> None:
        self._domains = domains
        self._registrations = registrations
        self._identities = registrations.identities
        self._subscribers = registrations.identities.subscribers
        self._authenticators = authenticators
        self._realms = frozenset(authenticator.realm for authenticator in authenticators.values())
        self._is_protected = is_protected
        self.refused: Counter[str] = Counter()

    def identify(self, request: Request, flow: Flow) -> Registrant:
        """Say who a REGISTER is from. Raises ``Forbidden`` for an identity of nobody or not his.

        That comes before any challenge, so it tells who is no subscriber: whatever the HSS says no to, the I-CSCF
        answers with 403 (5.3.1.3), and asks first. Raises ``NotFound`` for another domain (RFC 3261 section 10.3).
        A barred identity, as the one that a phone without ISIM makes of its IMSI, brings in the others of its set (TS
        23.003 section 13.4B); where all of them are barred there is nothing to register (TS 29.228 section 6.1.1).
        """
        try:
            identity = canonical(request.to.uri)
        except UnsupportedScheme:
            raise BadRequest("Unsupported scheme in To") from None
        if not self._domains.serves(parse_uri(request.uri)):
            self.refused["unknown"] += 1
            raise NotFound
        found = self._subscribers.by_public(identity)
        if found is None:
            self.refused["unknown"] += 1
            raise Forbidden
        subscriber = self._sender(request, identity, found)
        default = default_of(found.set)
        if subscriber is None or subscriber.private not in found.privates or default is None:
            self.refused["forbidden"] += 1
            raise Forbidden
        private, aor = subscriber.private, default.uri
        authenticator = self._authenticators[type(subscriber.credentials)]
        held = [binding for binding in self._identities.location.bindings(aor) if binding.private == private]
        is_proven = bool(held) and self._is_protected(request, flow, held) and self._is_known(request, aor, private)
        return Registrant(
            aor,
            None if is_proven else authenticator,
            private.removesuffix(f"@{authenticator.realm}"),
            private,
            identity if found.identity.wildcard else found.identity.uri,
            found.set,
            (("P-Associated-URI", associated(found.set)),),
        )

    def registered(self, registrant: Registrant, request: Request, response: Response) -> None:
        """Take note that a REGISTER was accepted."""
        self._registrations.accepted(registrant, request, response)

    def _sender(self, request: Request, identity: str, found: Found) -> Subscriber | None:
        """Who says that he sends the request; without credentials, the public identity tells (5.4.1.1, 3)."""
        for text in request.whole_values("Authorization"):
            params = digest_of(text)
            if params is not None and params.get("realm") in self._realms and (username := params.get("username")):
                by_private = self._subscribers.by_private
                return by_private(username) or by_private(f"{username}@{params['realm']}")
        derived = identity.partition(":")[2]
        return self._subscribers.by_private(derived) if derived in found.privates else found.subscriber

    def _is_known(self, request: Request, aor: str, private: str) -> bool:
        """Whether a REGISTER is about nothing but contacts that this subscriber has registered."""
        if self._registrations.doubts(private):
            return False
        location = self._identities.location
        for text in request.values("Contact"):
            if text == "*":
                continue
            contact = parse_name_addr(text)
            instance = contact.params.get("+sip.instance", "")
            if location.match(aor, contact_uri(contact), instance, registration_id(contact), private) is None:
                return False
        return True


def associated(implicit: ImplicitSet) -> str:
    """Return the P-Associated-URI: the identities that may be used, the default first (RFC 7315 section 4.1).

    It lists *distinct* identities (TS 24.229 section 5.4.1.2.2F): those that a wildcarded one stands for are known to
    whoever has them.
    """
    default = default_of(implicit)
    usable = [each for each in implicit if not each.barred and not each.wildcard]
    return ", ".join(f"<{each.uri}>" for each in sorted(usable, key=lambda each: each is not default))


def came_as_registered(flow: Flow, held: Iterable[Binding]) -> bool:
    """Whether a REGISTER came by a connection with TLS by which its sender registered one of these contacts.

    Who registered by another connection has proved only who he is himself.
    """
    return flow.secure and any(binding.flow == flow for binding in held)


def says_protected(request: Request) -> bool:
    """Whether the P-CSCF says that it got a REGISTER by a protected way (TS 24.229 sections 5.2.2 and 7.2A.2).

    Whoever asks must trust the sender, since anybody can write so. It says it of one user, so of one credentials only.
    """
    credentials = [digest_of(text) or {} for text in request.whole_values("Authorization")]
    return len(credentials) == 1 and credentials[0].get("integrity-protected", "") in PROTECTED
