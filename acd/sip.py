"""The SIP side of a configuration: its certificates, listeners and limits, and the element behind them."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from acd.policy import is_number
from acd.protection import build_door
from acd.reservation import OPTION
from acd.trunks import Border, build_border
from ims_core.flow import Address, format_address
from ims_core.node import Node
from ims_core.proxy.hiding import TopologyHiding
from ims_core.proxy.proxy import ProxyPolicy
from ims_core.registrar.registrar import Registrar
from ims_core.roles.ims import Ims
from ims_core.roles.pcscf import Pcscf
from ims_core.roles.relay import Relay
from ims_core.roles.scscf import Scscf
from ims_core.security.digest import DigestAuthenticator
from ims_core.transactions.endpoint import Endpoint
from ims_core.transactions.machines import TimerValues
from ims_core.transport.limits import TransportLimits
from ims_core.transport.tls import Tls, TlsError, TlsSettings
from ims_core.ua.instant_message import take_message
from ims_core.ua.session_timer import TimerPolicy

if TYPE_CHECKING:
    from acd.config import Config, Listener
    from ims_core.ids import Ids
    from ims_core.registrar.location import Domains, Location
    from ims_core.transport.stack import Stack

Listeners = dict[tuple[str, Address], str]


class CannotStart(Exception):
    """The server cannot start; the message is one line."""


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
    return DigestAuthenticator(
        config.server.domain,
        lambda user: account.password if (account := present().accounts.get(user)) else None,
        secrets.token_bytes(16),
        nonce_lifetime=config.registrar.nonce_seconds,
        algorithms=config.registrar.algorithms,
        algorithms_of=lambda user: account.algorithms if (account := present().accounts.get(user)) else None,
        qop=config.registrar.qop,
    )


def build_node(
    present: Callable[[], Config],
    *,
    ids: Ids,
    domains: Domains,
    location: Location,
    listeners: Listeners,
    authenticator: DigestAuthenticator | None,
    route_key: bytes,
    border: Border | None = None,
) -> Node:
    """Build the SIP element of a configuration; needs a running event loop for its clock.

    Who may register and which trunks there are is asked of ``present`` each time. ``route_key`` signs the routes of
    dialogs through us and hides what is behind us: those made with another one are not followed.
    """
    config = present()
    clock = asyncio.get_running_loop().time
    known_user = None if authenticator is None else partial(_has_account, present)
    chance = random.Random(secrets.randbits(256)).random
    border = border or build_border(present, ids=ids, domains=domains, clock=clock)
    exchange, emergencies = border.exchange, border.emergencies
    emergencies.advertised = listeners
    door = build_door(present, is_trunk=exchange.trusts, clock=clock, domains=domains, location=location, chance=chance)
    door.is_emergency = emergencies.role.concerns
    registrar = Registrar(
        domains,
        location,
        ids,
        authenticator=authenticator,
        known_user=known_user,
        min_expires=config.registrar.min_expires_seconds,
        max_expires=config.registrar.max_expires_seconds,
        default_expires=config.registrar.default_expires_seconds,
        max_contacts=config.registrar.max_contacts,
        service_route=[f"<{uri};lr>" for uri in config.registrar.service_route],
        flow_timer=config.registrar.flow_timer_seconds,
        unix_time=partial(_unix_time, time.time() - clock()),
    )
    pcscf = Pcscf(
        domains,
        location,
        authenticator=authenticator,
        is_trunk=exchange.is_from_trunk,
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
    relay = None
    if config.sip.relay or config.registrar.service_route:
        relay = Relay(
            is_local=domains.serves, domains=config.sip.relay, elements=map(str, config.registrar.service_route)
        )
    hiding = None
    if config.sip.hide_topology:
        hiding = TopologyHiding(route_key, lambda flow: exchange.trusts(flow.remote[0]))
    policy = ProxyPolicy(config.sip.ring_seconds, config.sip.fork_seconds, hiding=hiding)
    timers = TimerValues(config.sip.t1_seconds, config.sip.t2_seconds, config.sip.t4_seconds)
    node = Node(
        Endpoint(clock=clock, ids=ids, sent_by=listeners, timers=timers),
        location=location,
        router=Ims(registrar, pcscf, scscf, relay, border, emergencies.role, border.fallbacks.along),
        domains=domains,
        advertised=listeners,
        secret=route_key,
        policy=policy,
        door=door,
    )
    node.ua.session_timers = _session_timers(config)
    node.ua.understand(OPTION)
    node.ua.serve("MESSAGE", take_message)
    return node


def _session_timers(config: Config) -> TimerPolicy | None:
    sip = config.sip
    return TimerPolicy(sip.session_expires_seconds, sip.min_session_seconds) if sip.session_expires_seconds else None


def _has_account(present: Callable[[], Config], user: str) -> bool:
    return user in present().accounts


def _unix_time(offset: float, now: float) -> float:
    return now + offset
