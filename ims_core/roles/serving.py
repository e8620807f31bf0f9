"""The S-CSCF: whose services a request passes, and where it goes then (TS 24.229 section 5.4.3).

    services of the caller ──► out of the domain, or: services of the callee ──► his contacts
    (originating, 5.4.3.2)                            (terminating, 5.4.3.3)

Each arrow may lead over application servers (``isc``), and begin anew when one sends the request back. What an I-CSCF
would ask an HSS about callees is asked of the subscribers here (5.3.2.1).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from ims_core.errors import Forbidden, NoSuchDialog, NotFound, TemporarilyUnavailable
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.message import Response
from ims_core.profiles.model import SessionCase
from ims_core.proxy.forking import Target
from ims_core.roles.charging import TYPE_1, TYPE_2, charging_vector, write_vector
from ims_core.roles.companions import Answering, along
from ims_core.roles.identity import ASSERTED, addresses
from ims_core.roles.isc import Served, ServiceControl
from ims_core.roles.original_dialog import PREFIX, OriginalDialog, fingerprint
from ims_core.roles.routing import HERE, Decision, Forward, ToService
from ims_core.roles.scscf import secured, target_of
from ims_core.roles.served import SERVED_USER, assert_both_forms, disbelieve, other_form, take_outside
from ims_core.subscribers.identities import canonical

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request
    from ims_core.messages.uri import Uri
    from ims_core.registrar.identities import Identities
    from ims_core.registrar.location import Domains
    from ims_core.subscribers.subscriber import Found

CALLED_PARTY: Final = "P-Called-Party-ID"
ORIGINATING: Final = "orig"
_ORIGINATING_CASES = frozenset(
    (SessionCase.ORIGINATING, SessionCase.ORIGINATING_UNREGISTERED, SessionCase.ORIGINATING_CDIV)
)


class Entry(NamedTuple):
    """How the Route of a request led here: ``beyond`` are its values behind ours, ``token`` says where it was.

    It is a caller's own as ``originating``: "user" by the Service-Route that he was told, "server" by a server's wish.
    """

    token: str = ""
    originating: str = ""
    beyond: tuple[str, ...] = ()


class ServingCscf:
    """Applies the services of our subscribers to requests outside dialogs.

    ``identities`` knows the subscribers and where they are registered; ``services`` sends requests to application
    servers; numbers for which ``is_service`` says so are those of the server ``service``. ``is_trusted`` tells whether
    a request comes from inside the trust domain. ``leaving`` decides about what is for none of our users, sent by or
    diverted for one of them, whose identity it is given; None: it is not for anybody else either. What it forwards as
    it is leaves the trust domain. ``towards_user`` does the part of a P-CSCF in the same process. ``watched`` names the
    service that takes subscriptions to the ``reg`` event package, with the subscriber's URI as identity. ``network`` is
    our name for charging.

    ``sessions`` counts by session case how often the services of a user began.
    """

    def __init__(
        self,
        domains: Domains,
        identities: Identities,
        services: ServiceControl,
        *,
        network: str,
        is_trusted: Callable[[Request, Flow], bool],
        is_service: Callable[[str], bool],
        service: str,
        leaving: Callable[[Request, str], Decision | None] = lambda request, user: None,
        towards_user: Callable[[Request, Forward], Forward] | None = None,
        watched: str = "",
    ) -> None:
        self.services = services
        self.sessions = dict.fromkeys(SessionCase, 0)
        self._domains = domains
        self._identities = identities
        self._subscribers = identities.subscribers
        self._network = network
        self._is_trusted = is_trusted
        self._is_service = is_service
        self._service = service
        self._leaving = leaving
        self._towards_user = towards_user
        self._watched = watched

    # Which session case (5.4.3.1) ---------------------------------------------------------------------------

    def route(self, request: Request, flow: Flow, now: float) -> Decision:
        """Decide about a request as a hop of its own. Raises a ``SipError`` to refuse it.

        5.4.3.2 and 5.4.3.3 speak of requests that are "received either from a functional entity within the same trust
        domain" or carry a valid identifier. Of anybody else this element takes what is for itself, a ping.
        """
        entry = self.entry(request)
        is_trusted = self._is_trusted(request, flow)
        if entry.token:
            return self._resume(request, entry, now, is_trusted=is_trusted)
        if not is_trusted and (entry.originating or not self._is_here(request.target)):
            raise Forbidden
        if entry.originating:
            by_server = entry.originating == "server"
            return self.originating(request, self._sender(request), now, by_server=by_server, beyond=entry.beyond)
        return self.terminating(request, now)

    def entry(self, request: Request) -> Entry:
        """Read what the Route says of a request that is for the S-CSCF. Raises ``BadRequest``."""
        if "route" not in request.keys:
            return Entry()
        token = originating = ""
        values = request.values("Route")
        for position, value in enumerate(values):
            uri = parse_name_addr(value).uri
            if not self._domains.serves(uri):
                return Entry(token, originating, tuple(values[position:]))
            if uri.user.startswith(PREFIX):
                token = token or uri.user
            elif ORIGINATING in uri.params:
                originating = originating or "server"
            elif uri.user == ORIGINATING:
                originating = originating or "user"
        return Entry(token, originating)

    def _sender(self, request: Request) -> str:
        """Return for whose services elements of the trust domain send a request (5.4.3.2 step 1)."""
        for uri in addresses(request, SERVED_USER) or addresses(request, ASSERTED):
            identity = canonical(uri)
            if self._subscribers.by_public(identity) is not None:
                return identity
        raise Forbidden

    # A request by one of our users (5.4.3.2) ----------------------------------------------------------------

    def originating(
        self, request: Request, identity: str, now: float, *, by_server: bool = False, beyond: tuple[str, ...] = ()
    ) -> Decision:
        """Decide about a request by the user of a canonical ``identity``; raises ``Forbidden`` if he is none of ours.

        A server sends requests also for a user who is not registered. ``beyond`` is a Route to take after services.
        """
        found = self._subscribers.by_public(identity)
        if found is None or found.identity.barred:
            raise Forbidden
        case = SessionCase.ORIGINATING
        if not self._identities.is_registered(identity):
            if not by_server:
                raise Forbidden("Not registered")
            case = SessionCase.ORIGINATING_UNREGISTERED
        copy = request.copy()
        assert_both_forms(copy, found.set)
        return self._begin(Served(identity, found, case), request, copy, now, beyond)

    def _leave(self, served: Served, request: Request, now: float, beyond: tuple[str, ...]) -> Decision:
        """Send on what has passed the services of its sender, or of who diverted it."""
        copy = request.copy()
        copy.remove(SERVED_USER)
        vector = charging_vector(copy)
        write_vector(copy, None if vector is None else vector.sent_by(self._network, TYPE_2))
        if beyond:
            return Forward((Target(copy.uri, route=beyond),), copy)
        left = None if self._is_ours(copy.target) else self._leaving(copy, served.identity)
        if left is None:
            return self.terminating(copy, now)
        if isinstance(left, Response) or left.request is not None:
            return left
        if isinstance(left, Forward):
            take_outside(copy)
        return left._replace(request=copy)

    # A request to one of our users (5.4.3.3) ----------------------------------------------------------------

    def terminating(self, request: Request, now: float) -> Decision:
        """Decide about a request for a user or a service number of ours.

        Raises ``Forbidden`` for another domain, ``NotFound`` for nobody, ``TemporarilyUnavailable`` for a user who is
        not registered and whose services take no notice of that.
        """
        target = request.target
        if target.scheme != "tel" and not self._domains.serves(target):
            raise Forbidden("Domain not served")
        if self._is_here(target):
            return ToService(HERE)
        if self._is_service(_number(target)):
            return along(self.services.hand(self._service, request), self._answering(request))
        identity, found = self._find(target)
        if found is None or found.identity.barred:
            raise NotFound
        if self._watched and request.method == "SUBSCRIBE" and _package(request) == "reg":
            return ToService(self._watched, next((uri.text for uri in addresses(request, ASSERTED)), ""), request)
        copy = request.copy()
        if target.scheme == "tel" and (form := other_form(target, found.set)) is not None:
            copy.uri = identity = form
            found = self._subscribers.by_public(form) or found
        is_registered = self._identities.is_registered(identity)
        case = SessionCase.TERMINATING_REGISTERED if is_registered else SessionCase.TERMINATING_UNREGISTERED
        return self._begin(Served(identity, found, case), request, copy, now, ())

    def _deliver(self, served: Served, request: Request) -> Decision:
        """Send on to the contacts of the user what has passed his services."""
        bindings = self._identities.bindings(served.identity)
        if request.target.scheme == "sips":
            bindings = secured(bindings, self._domains.domain)
        if not bindings:
            raise TemporarilyUnavailable
        copy = request.copy()
        copy.remove(SERVED_USER)
        copy.set(CALLED_PARTY, f"<{request.uri}>")  # RFC 7315 4.2: what he was called by, which the contact replaces
        vector = charging_vector(copy)
        write_vector(copy, None if vector is None else vector.sent_by(self._network, TYPE_1))
        forward = Forward(tuple(map(target_of, bindings)), copy)
        if self._towards_user is not None:
            return self._towards_user(copy, forward)
        if not all(binding.path for binding in bindings):  # there is no P-CSCF that would see to it
            take_outside(copy)
            write_vector(copy, None)
        return forward

    # One application server after the other -----------------------------------------------------------------

    def _begin(self, served: Served, request: Request, copy: Request, now: float, beyond: tuple[str, ...]) -> Decision:
        self.sessions[served.case] += 1
        copy.remove(SERVED_USER)
        return along(self._go_on(served, copy, now=now, beyond=beyond), self._answering(request, served))

    def _go_on(self, served: Served, request: Request, *, now: float, beyond: tuple[str, ...]) -> Decision:
        """Send ``request`` to the next server of the user, or on when there is none."""
        criterion = self.services.next_criterion(served, request)
        if criterion is not None:
            go_on = partial(self._go_on, now=now, beyond=beyond)
            return self.services.ask(criterion, served, request, now, go_on)
        if served.case in _ORIGINATING_CASES:
            return self._leave(served, request, now, beyond)
        if served.case is SessionCase.TERMINATING_UNREGISTERED:
            raise TemporarilyUnavailable
        if beyond:
            return Forward((Target(request.uri, route=beyond),), request)
        return self._deliver(served, request)

    def _resume(self, request: Request, entry: Entry, now: float, *, is_trusted: bool) -> Decision:
        """Go on with what an application server sends back; what no server of ours can have is refused.

        Other servers can send back what they were given, and nothing else: where they may not assert who the user is,
        it is taken from what they were given. A server of the callee that has changed the Request-URI has diverted
        the request: it goes where it says now, by the services that its user has for that.
        """
        dialog = self.services.resume(entry.token, now)
        found = None if dialog is None else self._subscribers.by_public(dialog.served)
        if dialog is None or found is None:
            raise NoSuchDialog if is_trusted else Forbidden
        copy = request.copy()
        if not is_trusted:
            vector = charging_vector(copy)
            disbelieve(copy)
            write_vector(copy, None if vector is None else vector.for_others())
            if dialog.case in _ORIGINATING_CASES - {SessionCase.ORIGINATING_CDIV}:
                copy.add(ASSERTED, f"<{dialog.served}>")
                assert_both_forms(copy, found.set)
        beyond = entry.beyond if is_trusted else ()
        served = Served(dialog.served, found, dialog.case, dialog.visited)
        if dialog.case not in _ORIGINATING_CASES and self._is_diverted(copy, dialog, found):
            diverted = Served(dialog.served, found, SessionCase.ORIGINATING_CDIV)
            return self._begin(diverted, request, copy, now, beyond)
        copy.remove(SERVED_USER)
        return along(self._go_on(served, copy, now=now, beyond=beyond), self._answering(request, served))

    def _is_diverted(self, request: Request, dialog: OriginalDialog, found: Found) -> bool:
        """Whether the Request-URI names another user now, and no alias of this one.

        Aliases are of one implicit set and have the same services (TS 23.228 section 4.3.3.4).
        """
        if fingerprint(request.uri) == dialog.target:
            return False
        called = self._find(request.target)[1]
        return called is None or (called.set, called.identity.profile) != (found.set, found.identity.profile)

    def _answering(self, request: Request, served: Served | None = None) -> Answering:
        identities = () if served is None or served.case in _ORIGINATING_CASES else served.found.set
        return Answering(self._network, charging_vector(request), identities)

    # Whom a URI names (5.3.2.1) -----------------------------------------------------------------------------

    def _is_here(self, target: Uri) -> bool:
        return target.scheme != "tel" and not target.user and self._domains.serves(target)

    def _is_ours(self, target: Uri) -> bool:
        if self._is_service(_number(target)) and (target.scheme == "tel" or self._domains.serves(target)):
            return True
        return self._is_here(target) or self._find(target)[1] is not None

    def _find(self, target: Uri) -> tuple[str, Found | None]:
        """Return the identity that a URI names, and whose it is; what is at an address of ours is of our domain."""
        if target.scheme != "tel" and self._domains.serves(target):
            target = replace(target, host=self._domains.domain)
        identity = canonical(target)
        return identity, self._subscribers.by_public(identity)


def _number(target: Uri) -> str:
    return target.user.partition(";")[0]


def _package(request: Request) -> str:
    return (request.get("Event") or "").partition(";")[0].strip()
