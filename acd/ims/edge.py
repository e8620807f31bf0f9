"""The P-CSCF of a configuration: the first hop of handsets, alone or before an S-CSCF in the same process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import structlog

from ims_core.errors import SipError
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.uri import parse_uri
from ims_core.roles.first_hop import FirstHop
from ims_core.roles.flow_token import FlowTokens
from ims_core.roles.handsets import Handsets, Registered
from ims_core.roles.home_watch import HomeWatch
from ims_core.roles.icid import Icids
from ims_core.roles.pcscf_hop import PcscfHop
from ims_core.roles.secagree import SecurityAgreement

if TYPE_CHECKING:
    from acd.config import Config
    from acd.sip import Place
    from acd.trunks import Border
    from ims_core.flow import Flow
    from ims_core.messages.message import Request
    from ims_core.messages.uri import Uri
    from ims_core.node import Node
    from ims_core.registrar.identities import Identities
    from ims_core.registrar.location import Binding, Removal
    from ims_core.roles.handsets import Known
    from ims_core.roles.neighbours import Neighbours

log = structlog.get_logger()


def pcscf_hop(place: Place, uri: str, home: str, *, neighbours: Neighbours, border: Border) -> PcscfHop:
    """Build the P-CSCF at ``uri``, a hop of its own, before the CSCF at ``home``."""
    config = place.present()
    handsets = Handsets(place.location)
    return PcscfHop(
        first_hop(place, handsets, uri, trusts=neighbours.knows, leads_to_handset=leads_to_handset(place)),
        handsets,
        tokens=FlowTokens(place.route_key, place.listeners),
        domains=place.domains,
        uri=uri,
        home=home,
        network=config.ims.visited_network or config.server.domain,
        emergency=border.emergencies.role,
        fallback=border.fallbacks.to_core,
    )


def first_hop(
    place: Place,
    known: Known,
    uri: str,
    *,
    trusts: Callable[[Request, Flow], bool],
    leads_to_handset: Callable[[Request], bool] = lambda _: False,
) -> FirstHop:
    """Build what polices handsets at ``uri``."""
    config = place.present()
    host = parse_uri(uri).host
    return FirstHop(
        known,
        icids=Icids(place.route_key, host=host, network=config.server.domain, number=place.ids.call_id),
        trusts=trusts,
        agreement=_agreement(config, host),
        leads_to_handset=leads_to_handset,
        keep_seconds=config.registrar.flow_timer_seconds,
    )


def home_watch(config: Config, edge: PcscfHop, node: Node, uri: str, home: str) -> HomeWatch | None:
    """Return what has the P-CSCF at ``uri`` follow at ``home`` who is registered, if that is wanted."""
    if not config.ims.pcscf.watches:
        return None
    watch = HomeWatch(node.ua, edge.handsets, uri=uri, home=home, vector=edge.first_hop.icids.fresh)

    def taken_off(binding: Binding, reason: Removal) -> None:
        log.info("handset.taken_off", identity=binding.aor, contact=binding.contact, reason=reason.value)

    def malformed(identity: str, reason: str) -> None:
        log.warning("registration.not_understood", identity=identity, reason=reason)

    def trouble(identity: str, reason: str, retry_in: float | None) -> None:
        log.warning("registration.not_watched", identity=identity, reason=reason, retry_in=retry_in)

    watch.on_taken_off, watch.on_malformed, watch.on_trouble = taken_off, malformed, trouble
    return watch


def put_first(hop: FirstHop, node: Node) -> None:
    """Have ``node`` be the first hop of handsets within dialogs as well, and understand what only that does."""
    node.within = hop.within
    node.proxy.policy = node.proxy.policy._replace(extensions=hop.extensions)


def registered_here(place: Place, identities: Identities) -> Registered:
    """Return the handsets that the registrar of this process knows."""

    def aors_of(uri: Uri) -> Iterable[str]:
        aor = identities.aor_of(uri)
        return () if aor is None else (aor,)

    def identities_of(aor: str) -> Iterable[str]:
        return [f"<{identity.uri}>" for identity in identities.usable(aor)]

    return Registered(place.location, aors_of=aors_of, identities_of=identities_of)


def leads_to_handset(place: Place) -> Callable[[Request], bool]:
    """Return what tells whether a request within a dialog goes from here straight to a registered contact."""

    def leads(request: Request) -> bool:
        try:
            routes = [parse_name_addr(value).uri for value in request.values("Route")]
            target = next((uri for uri in routes if not place.domains.serves(uri)), None) or request.target
        except SipError:
            return False
        return place.location.binding_at(target) is not None

    return leads


def _agreement(config: Config, host: str) -> SecurityAgreement:
    wanted = config.ims.security
    agreement = SecurityAgreement(wanted.mechanisms, required=wanted.required, host=host)

    def refused(flow: Flow, names: list[str]) -> None:
        log.info("security.not_agreed", source=str(flow), wanted=names)

    agreement.on_refused = refused
    return agreement
