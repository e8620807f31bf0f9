"""The S-CSCF of a configuration: where its subscribers are registered, and which servers see their requests."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from acd.policy import is_number
from acd.sip import build_registrar
from ims_core.errors import ServerTimeout
from ims_core.registrar.identities import Identities
from ims_core.registrar.ims import ImsEnrolment, says_protected
from ims_core.registrar.registrations import Registrations
from ims_core.registrar.third_party import ThirdParties
from ims_core.registrar.watching import serve_watching
from ims_core.roles.icscf import Icscf
from ims_core.roles.isc import ServiceControl
from ims_core.roles.original_dialog import OriginalDialogs
from ims_core.roles.serving import ServingCscf
from ims_core.security.aka import AkaAuthenticator
from ims_core.security.digest import DigestAuthenticator
from ims_core.subscribers.subscriber import Aka, Password

if TYPE_CHECKING:
    from acd.config import Config
    from acd.ims.subscribed import Subscribed
    from acd.sip import Place
    from ims_core.flow import Flow
    from ims_core.messages.message import Request
    from ims_core.node import Node
    from ims_core.profiles.model import ServiceProfile
    from ims_core.proxy.forward import Forward
    from ims_core.registrar.location import Binding
    from ims_core.registrar.registrations import RegistrationChange
    from ims_core.registrar.third_party import Told
    from ims_core.roles.neighbours import Neighbours
    from ims_core.roles.routing import Decision
    from ims_core.security.door import Door
    from ims_core.subscribers.subscriber import Subscribers

WATCHED = "reg"
Judging = DigestAuthenticator | AkaAuthenticator

log = structlog.get_logger()


class Serving:
    """The parts of an S-CSCF at ``uri``, in its ``place``.

    ``server`` is the URI of our application server; ``in_process`` names the service that it is where it is in this
    process. ``is_protected`` is that of ``ImsEnrolment``, unless the P-CSCF says it.
    """

    def __init__(
        self,
        place: Place,
        subscribers: Subscribed,
        uri: str,
        *,
        neighbours: Neighbours,
        server: str,
        in_process: Mapping[str, str] = {},
        is_protected: Callable[[Request, Flow, Iterable[Binding]], bool] | None = None,
        leaving: Callable[[Request, str], Decision | None] = lambda request, user: None,
        towards_user: Callable[[Request, Forward], Forward] | None = None,
    ) -> None:
        present = self._present = place.present
        config = present()
        self.uri = uri
        self.subscribers = subscribers
        self._in_process = in_process
        domain = config.server.domain
        trusts = self._trusts = neighbours.knows
        self.identities = Identities(subscribers, place.location)
        self.registrations = Registrations(self.identities, place.clock)
        self.registrations.listeners.append(_log_registration)
        self.authenticators: dict[type[Aka | Password], Judging] = {
            Password: _digest(config, subscribers),
            Aka: AkaAuthenticator(
                domain,
                subscribers,
                secrets.token_bytes(16),
                nonce_lifetime=config.registrar.nonce_seconds,
                gets_keys=neighbours.is_at,
            ),
        }
        self.enrolment = ImsEnrolment(
            place.domains,
            self.registrations,
            self.authenticators,
            is_protected=is_protected or (lambda request, flow, _: trusts(request, flow) and says_protected(request)),
        )
        scheme, _, host = uri.partition(":")
        self.registrar = build_registrar(place, [f"{scheme}:orig@{host}"], enrolment=self.enrolment)
        self.services = ServiceControl(
            self.profile_of,
            OriginalDialogs(uri, place.route_key, unix_time=place.unix_time()),
            network=domain,
            in_process=in_process,
            trusts=neighbours.has,
            patience=config.ims.answer_seconds,
            is_ours=place.domains.serves,
        )
        self.scscf = ServingCscf(
            place.domains,
            self.identities,
            self.services,
            network=domain,
            is_trusted=trusts,
            is_service=lambda dialled: is_number(present(), dialled),
            service=server,
            leaving=leaving,
            towards_user=towards_user,
            watched=WATCHED,
        )

    @property
    def router(self) -> Icscf:
        """What decides about requests where this is a hop of its own."""
        return Icscf(self.registrar, self.scscf, self._trusts)

    def profile_of(self, name: str) -> ServiceProfile | None:
        """Return a service profile of the configuration of now."""
        return self._present().profiles.get(name)

    def review(self, settle: Callable[[], None]) -> None:
        """Take who is no subscriber any more off the network (TS 24.229 section 5.4.1.5), and who is another one.

        ``settle`` has the node act on what has changed, here and before. While the database cannot be read all stay.
        """
        settle()
        location = self.identities.location
        held = [binding for binding in location if not binding.fixed]
        with suppress(ServerTimeout):
            for binding, reason in self.subscribers.misfits(held):
                if reason is None:
                    self.registrations.doubt(binding.private)
                else:
                    location.remove(binding, reason)
        settle()

    def follow(self, node: Node, door: Door) -> None:
        """Have users registered with application servers and their registrations watched, by the ``node`` of this."""
        if door.guard is not None:
            self.registrar.on_verdict = door.guard.judged
        self.third_parties = ThirdParties(
            node.ua, self.registrations, self.uri, self.profile_of, is_here=self._in_process.__contains__
        )
        self.third_parties.on_told = _log_server
        self.notifier = serve_watching(node.ua, self.registrations, profile_of=self.profile_of)
        node.services[WATCHED] = lambda call: call.reject(405)


def _digest(config: Config, subscribers: Subscribers) -> DigestAuthenticator:
    domain = config.server.domain

    def account_of(user: str) -> Password | None:
        found = subscribers.by_private(f"{user}@{domain}") or subscribers.by_private(user)
        credentials = None if found is None else found.credentials
        return credentials if isinstance(credentials, Password) else None

    return DigestAuthenticator(
        domain,
        account_of,
        secrets.token_bytes(16),
        nonce_lifetime=config.registrar.nonce_seconds,
        algorithms=config.registrar.algorithms,
        qop=config.registrar.qop,
    )


def _log_registration(change: RegistrationChange) -> None:
    log.info(
        "registration.changed",
        identity=change.aor,
        kind=change.kind.name.lower(),
        contacts=[f"{each.binding.contact} {each.story.event}" for each in change.contacts],
    )


def _log_server(told: Told) -> None:
    if told.status >= 300:
        log.warning("registration.not_told", server=told.server.uri, identity=told.identity, status=told.status)
