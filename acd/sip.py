"""The SIP side of a configuration: its certificates, listeners and limits, and the element behind them."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import astuple

from acd.digits import INFO_BODIES
from acd.policy import is_number
from acd.protection import build_door
from acd.reservation import OPTION
from acd.starting import CannotStart
from acd.trunks import Border, build_border
from ims_core.flow import Address, format_address
from ims_core.node import Node
from ims_core.proxy.hiding import TopologyHiding
from ims_core.proxy.proxy import ProxyPolicy
from ims_core.registrar.registrar import Registrar
from ims_core.roles.asserting import Asserting
from ims_core.roles.ims import Ims
from ims_core.roles.pcscf import Pcscf
from ims_core.roles.relay import Relay
from ims_core.roles.scscf import Scscf
from ims_core.security.digest import Account, DigestAuthenticator
from ims_core.transactions.endpoint import Endpoint
from ims_core.transactions.machines import TimerValues
from ims_core.transport.limits import TransportLimits
from ims_core.transport.stack import Stack
from ims_core.transport.tls import Tls, TlsError, TlsSettings
from ims_core.transport.websocket import WebSocketSettings
from ims_core.ua.instant_message import take_message
from ims_core.ua.session_timer import TimerPolicy

if TYPE_CHECKING:
    from acd.config import Config, Listener
    from ims_core.ids import Ids
    from ims_core.registrar.enrolment import Enrolment
    from ims_core.registrar.location import Domains, Location
    from ims_core.roles.neighbours import Neighbours
    from ims_core.roles.routing import Router
    from ims_core.security.door import Door

Listeners = dict[tuple[str, Address], str]


def transport_limits(config: Config) -> TransportLimits:
    """What peers may take, as the configuration has it."""
    is_guarded = config.protection.enabled
    return TransportLimits(
        receive_buffer=config.sip.receive_buffer_bytes,
        max_message=config.sip.max_message_bytes,
        connections=config.limits.tcp_connections,
        connections_per_source=config.protection.connections_per_source if is_guarded else 0,
        stranger_seconds=config.protection.stranger_seconds if is_guarded else 0.0,
        stall_seconds=config.limits.tcp_stall_seconds,
        handshake_seconds=config.limits.handshake_seconds,
        unsent_bytes=config.limits.unsent_bytes,
        keepalive_seconds=config.sip.keepalive_seconds,
    )


def load_certificates(config: Config) -> Tls | None:
    """Read the certificates, if there are any. Raises ``CannotStart``."""
    files = config.sip.tls
    if files is None:
        return None
    settings = TlsSettings(
        files.certificate, files.key or "", files.ca or "", files.client_certificates, files.verify_peers
    )
    try:
        return Tls(settings)
    except TlsError as error:
        raise CannotStart(f"sip.tls: {error}") from None


def open_stack(config: Config, tls: Tls | None) -> Stack:
    """Return what will hold the sockets of an element."""
    return Stack(
        transport_limits(config),
        tls=tls,
        websocket=WebSocketSettings(*astuple(config.sip.websocket)),
        nameservers=[(server.host, server.port) for server in config.sip.nameservers] or None,
    )


async def bind(stack: Stack, config: Config, wanted: Sequence[Listener], key: str = "sip.listen") -> Listeners:
    """Open the SIP listeners of a ``key``; returns each with the ``host:port`` that peers are told.

    Raises ``CannotStart``.
    """
    listeners: Listeners = {}
    for listener in wanted:
        try:
            local = await stack.bind(listener.transport.upper(), listener.host, listener.port)
        except OSError as error:
            raise CannotStart(f"{key}: cannot listen on {listener}: {os.strerror(error.errno or 0)}") from None
        told = config.sip.advertise
        if told is not None and told.version in {None, listener.version}:
            address = told.host, told.port or local[1]
        else:
            address = local
        listeners[listener.transport.upper(), local] = format_address(address)
    return listeners


def build_authenticator(present: Callable[[], Config]) -> DigestAuthenticator | None:
    """Build who asks for passwords, if anybody; the accounts are looked up in ``present`` each time."""
    config = present()
    if config.sip.authentication == "off":
        return None

    def account_of(user: str) -> Account | None:
        return present().accounts.get(user)

    return DigestAuthenticator(
        config.server.domain,
        account_of,
        secrets.token_bytes(16),
        nonce_lifetime=config.registrar.nonce_seconds,
        algorithms=config.registrar.algorithms,
        qop=config.registrar.qop,
    )


class Place(NamedTuple):
    """Where an element stands: the configuration of now, its names, its listeners as peers are told them.

    ``location`` is its own. ``route_key`` signs the routes of dialogs through it and hides what is behind it: those
    made with another one are not followed.
    """

    present: Callable[[], Config]
    ids: Ids
    domains: Domains
    location: Location
    listeners: Listeners
    route_key: bytes

    @property
    def clock(self) -> Callable[[], float]:
        """The clock of the running event loop."""
        return asyncio.get_running_loop().time

    def unix_time(self) -> Callable[[float], float]:
        """Return what makes seconds since 1970 of the time on that clock."""
        return partial(_unix_time, time.time() - self.clock())


def build_node(place: Place, authenticator: DigestAuthenticator | None, border: Border | None = None) -> Node:
    """Build the SIP element of a configuration without IMS core; needs a running event loop for its clock.

    Who may register and which trunks there are is asked of the configuration of now each time.
    """
    present, _, domains, location, *_ = place
    config = present()
    known_user = None if authenticator is None else partial(_has_account, present)
    border = border or build_border(present, ids=place.ids, domains=domains, clock=place.clock)
    door = door_of(place, border)
    registrar = build_registrar(
        place, config.registrar.service_route, authenticator=authenticator, known_user=known_user
    )
    pcscf = Pcscf(
        domains,
        location,
        authenticator=authenticator,
        is_trunk=border.exchange.is_from_trunk,
    )
    if door.guard is not None:
        registrar.on_verdict = pcscf.on_verdict = door.guard.judged
    scscf = Scscf(
        domains,
        location,
        is_service=lambda dialled: is_number(present(), dialled),
        service="acd",
        known_user=known_user,
    )
    asserting = None
    if authenticator is not None:  # else nobody has proved anything
        asserting = Asserting(domains.domain, is_trusted=lambda _, flow: border.exchange.trusts(flow.remote[0]))
    router = Ims(
        registrar,
        pcscf,
        scscf,
        relay=build_relay(place),
        border=border,
        emergency=border.emergencies.role,
        fallback=border.fallbacks.along,
        asserting=asserting,
    )
    node = assemble(place, router, door, border)
    if asserting is not None:
        node.within = asserting.within
    return node


def build_registrar(
    place: Place,
    service_route: Iterable[str],
    *,
    authenticator: DigestAuthenticator | None = None,
    known_user: Callable[[str], bool] | None = None,
    enrolment: Enrolment | None = None,
) -> Registrar:
    """Build a registrar with the times and numbers of the configuration."""
    wanted = place.present().registrar
    return Registrar(
        place.domains,
        place.location,
        place.ids,
        authenticator=authenticator,
        known_user=known_user,
        enrolment=enrolment,
        min_expires=wanted.min_expires_seconds,
        max_expires=wanted.max_expires_seconds,
        default_expires=wanted.default_expires_seconds,
        max_contacts=wanted.max_contacts,
        service_route=[f"<{uri};lr>" for uri in service_route],
        flow_timer=wanted.flow_timer_seconds,
        unix_time=place.unix_time(),
    )


def build_relay(place: Place) -> Relay | None:
    """Build what leads users to other domains and elements, if they may go there."""
    config = place.present()
    if not config.sip.relay and not config.registrar.service_route:
        return None
    elements = map(str, config.registrar.service_route)
    return Relay(is_local=place.domains.serves, domains=config.sip.relay, elements=elements)


def door_of(place: Place, border: Border, peers: Neighbours | None = None) -> Door:
    """Build the door of an element, which emergency calls pass in any case, and all that ``peers`` next to it send."""
    border.emergencies.advertised = place.listeners
    chance = random.Random(secrets.randbits(256)).random
    door = build_door(
        place.present,
        is_trunk=border.exchange.trusts,
        clock=place.clock,
        domains=place.domains,
        location=place.location,
        chance=chance,
    )
    door.is_emergency = border.emergencies.role.concerns
    if door.guard is not None:
        door.guard.peers = peers
    return door


def assemble(place: Place, router: Router, door: Door, border: Border) -> Node:
    """Put an element together; it is a host of its own, and ``border`` tells from whom it hides what is behind it."""
    config = place.present()
    exchange = border.exchange
    hiding = None
    if config.sip.hide_topology:
        hiding = TopologyHiding(place.route_key, lambda flow: exchange.trusts(flow.remote[0]))
    policy = ProxyPolicy(config.sip.ring_seconds, config.sip.fork_seconds, hiding=hiding)
    timers = TimerValues(config.sip.t1_seconds, config.sip.t2_seconds, config.sip.t4_seconds)
    node = Node(
        Endpoint(clock=place.clock, ids=place.ids, sent_by=place.listeners, timers=timers),
        location=place.location,
        router=router,
        domains=place.domains,
        advertised=place.listeners,
        secret=place.route_key,
        policy=policy,
        door=door,
    )
    node.ua.session_timers = _session_timers(config)
    node.ua.understand(OPTION)
    node.ua.info_bodies = INFO_BODIES
    node.ua.serve("MESSAGE", take_message)
    border.emergencies.proxies.append(node.proxy)
    return node


def _session_timers(config: Config) -> TimerPolicy | None:
    sip = config.sip
    return TimerPolicy(sip.session_expires_seconds, sip.min_session_seconds) if sip.session_expires_seconds else None


def _has_account(present: Callable[[], Config], user: str) -> bool:
    return user in present().accounts


def _unix_time(offset: float, now: float) -> float:
    return now + offset
