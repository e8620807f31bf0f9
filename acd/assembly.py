"""How the parts of a running engine are put together, once sockets, media and databases are there."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from acd.engine import Engine
from acd.ims.own import build_application, build_together
from acd.live import LiveFloor
from acd.metrics import Metrics
from acd.policy import build_distributor
from acd.sip import Listeners, Place, build_authenticator, build_node
from acd.trace import SipTrace
from acd.trunks import build_border
from ims_core.flow import Flow, format_address
from ims_core.ids import Ids
from ims_core.registrar.bindings_store import BindingsStore
from ims_core.registrar.location import Domains, Location, LocationEvent

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from acd.config import Config
    from acd.config.ims import HopName
    from acd.ims.places import Found
    from acd.ims.serving import Serving
    from acd.journal.port import Journal
    from acd.journal.store import JournalCounters
    from acd.kpi.live import LiveFigures
    from acd.mediaside import Backend
    from acd.store import CdrStore
    from acd.uploader import Uploader
    from ims_core.transport.stack import Stack

log = structlog.get_logger()


def put_together(
    config: Config,
    cleanup: AsyncExitStack,
    *,
    stack: Stack,
    media: Backend,
    store: CdrStore,
    journal: Journal,
    figures: LiveFigures,
    log_counters: Callable[[], JournalCounters],
    uploader: Uploader | None,
    listeners: Listeners,
    found: Mapping[HopName, Found],
    route_key: bytes,
) -> tuple[Engine, LiveFloor, Serving | None]:
    """Build the engine on its SIP element, and what others see of it; an S-CSCF where that is the same element.

    Raises ``CannotStart``.
    """
    loop = asyncio.get_running_loop()
    ids = Ids(random.Random(secrets.randbits(256)).getrandbits)
    domains = Domains(config.server.domain, [*listeners.values(), *(format_address(local) for _, local in listeners)])
    location = Location()
    bindings = BindingsStore(config.storage.path / "bindings.sqlite", clock=loop.time)
    if config.registrar.survive_restart:
        bindings.restore(location, list(listeners))
    engine: Engine | None = None
    chance = random.Random(secrets.randbits(256)).random
    distributor = build_distributor(config, loop.time(), chance, epoch=time.time() - loop.time())

    def present() -> Config:
        return engine.config if engine else config

    border = build_border(present, ids=ids, domains=domains, clock=loop.time)
    place = Place(present, ids, domains, location, listeners, route_key)
    authenticator = serving = None
    if not config.ims.enabled:
        authenticator = build_authenticator(present)
        node = build_node(place, authenticator, border)
    elif config.ims.has_hops:
        node = build_application(place, found, border)
    else:
        node, serving = build_together(place, found, border, cleanup)
    trace = SipTrace(calls=config.trace.calls, messages=config.trace.messages, utc=_utc) if config.trace.sip else None
    thresholds = {queue.id: queue.service_level_seconds for queue in config.queues.values()}
    engine = Engine(
        config,
        node=node,
        border=border,
        flush=stack.flush,
        media=media,
        distributor=distributor,
        records=store,
        metrics=Metrics(thresholds, lambda: live.readings()),  # noqa: PLW0108 - live is made below
        trace=trace,
        ids=ids,
        unix=time.time,
        journal=journal,
        hop="as" if config.ims.enabled and config.ims.has_hops else "node",
    )
    live = LiveFloor(engine, stack, store, trace, figures, log_counters, authenticator, uploader)

    def on_location(event: LocationEvent) -> None:
        if keeps and not event.binding.fixed:
            bindings.note(event)
        engine.on_location(event)
        if serving is not None:
            serving.registrations.note(event)

    keeps = config.registrar.survive_restart
    node.on_location = on_location
    if keeps:
        bindings.start()
        cleanup.callback(bindings.close)
    node.courier.on_failed = _note_failed_server
    stack.tap = trace.see if trace is not None else None
    return engine, live, serving


def _note_failed_server(flow: Flow, cause: str) -> None:
    log.info("server.failed", server=str(flow), cause=cause)


def _utc() -> datetime:
    return datetime.now(UTC)
