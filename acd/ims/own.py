"""The engine's own element where there is an IMS core: an application server behind it, or all of it in one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acd.ims.edge import first_hop, leads_to_handset, put_first, registered_here
from acd.ims.places import neighbours
from acd.ims.serving import Serving
from acd.ims.subscribed import open_subscribers
from acd.policy import is_number
from acd.sip import assemble, build_relay, door_of
from ims_core.flow import format_address
from ims_core.messages.uri import parse_uri
from ims_core.registrar.ims import came_as_registered
from ims_core.registrar.location import Domains
from ims_core.roles.application import ApplicationServer
from ims_core.roles.together import Together

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AsyncExitStack

    from acd.config.ims import HopName
    from acd.ims.places import Found
    from acd.sip import Place
    from acd.trunks import Border
    from ims_core.messages.message import Request
    from ims_core.node import Node
    from ims_core.proxy.forward import Forward
    from ims_core.roles.routing import Decision

SERVICE = "acd"


def build_application(place: Place, found: Mapping[HopName, Found], border: Border) -> Node:
    """Build the application server, a hop of its own behind the S-CSCF."""
    present = place.present
    config = present()
    here = [*place.listeners.values(), *(format_address(local) for _, local in place.listeners)]
    domains = Domains(f"as.{config.server.domain}", here)
    place = place._replace(domains=domains)
    scscf = found["scscf"]
    around = neighbours(config, [scscf])
    router = ApplicationServer(
        domains,
        place.location,
        place.ids,
        home=Domains(config.server.domain),
        is_trusted=around.knows,
        is_service=lambda dialled: is_number(present(), dialled),
        service=SERVICE,
        scscf=scscf.uri,
        border=border,
    )
    return assemble(place, router, door_of(place, border, around), border)


def build_together(
    place: Place, found: Mapping[HopName, Found], border: Border, cleanup: AsyncExitStack
) -> tuple[Node, Serving]:
    """Build all roles in one element. Raises ``CannotStart``."""
    uri = found["as"].uri
    around = neighbours(place.present(), ())
    relay = build_relay(place)

    def leave(request: Request, user: str) -> Decision | None:
        if relay is not None and (target := relay.target(request)) is not None:
            return border.fallbacks.leaving(request, target)
        return border.leaving(request, parse_uri(user).user)

    def to_handset(request: Request, forward: Forward) -> Forward:
        return hop.towards_user(request, forward)

    serving = Serving(
        place,
        open_subscribers(place.present, cleanup, place.unix_time()),
        uri,
        neighbours=around,
        server=uri,
        in_process=dict.fromkeys(_own_uris(place), SERVICE),
        is_protected=lambda _, flow, held: came_as_registered(flow, held),
        leaving=leave,
        towards_user=to_handset,
    )
    hop = first_hop(
        place,
        registered_here(place, serving.identities),
        uri,
        trusts=around.knows,
        leads_to_handset=leads_to_handset(place),
    )
    router = Together(place.domains, serving.registrar, hop, serving.scscf, border, border.emergencies.role)
    door = door_of(place, border, around)
    node = assemble(place, router, door, border)
    put_first(hop, node)
    serving.follow(node, door)
    return node, serving


def _own_uris(place: Place) -> set[str]:
    """By which URIs a service profile may name the application server that is this process."""
    hosts = {*place.listeners.values(), *(format_address(local) for _, local in place.listeners), place.domains.domain}
    return {f"sip:{host}" for host in hosts}
