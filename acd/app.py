"""The composition root: a configuration becomes a running server, and a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

import structlog
import uvloop

from acd import facts, http
from acd import log as logs
from acd.assembly import put_together
from acd.changes import change_routes
from acd.control import Control
from acd.engine import Engine
from acd.guide import guide
from acd.ims.api import registration_routes
from acd.ims.figures import ImsFigures
from acd.ims.hops import Hop, build_hops, open_hops
from acd.ims.places import find
from acd.ims.process import start_cscfs
from acd.journal.port import Tee
from acd.journal.queue_log_file import QueueLogFile
from acd.journal.routes import journal_routes
from acd.journal.run import begin as begin_run
from acd.journal.schema import JournalError
from acd.journal.store import SqliteJournal
from acd.kpi.api import kpis
from acd.kpi.live import LiveFigures
from acd.mediaapi import media_routes
from acd.mediaside import Follower, start_media
from acd.outbox import Outbox
from acd.policy import agent_profiles, queue_profiles
from acd.protection import ban_routes
from acd.routekey import kept_key
from acd.setuptimes import measure_set_up
from acd.sip import Listeners, bind, load_certificates, open_stack
from acd.speaking import Speech
from acd.starting import CannotStart
from acd.store import CdrStore, StoreError
from acd.trunkapi import trunk_routes
from acd.uploadapi import upload_routes
from acd.uploader import Uploader
from ims_core.build import IS_COMPILED
from ims_core.flow import format_address
from ims_core.transport.stack import Stack
from ims_core.transport.tls import Tls, TlsError

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

    from acd.config import Config
    from acd.config.source import Source
    from acd.ims.serving import Serving
    from acd.journal.recovery import Left
    from acd.live import LiveFloor

log = structlog.get_logger()

FAILED = 1
TALKS_REMEMBERED = 20_000  # of which a caller's last agent is known after a start
COLLECTOR_THRESHOLDS = (50_000, 20, 20)


class Running(NamedTuple):
    """A server that accepts traffic: its real addresses and its parts."""

    engine: Engine
    control: Control
    listeners: Listeners
    hops: Sequence[Hop]
    http: str | None
    tls: Tls | None

    @property
    def places(self) -> dict[str, Listeners]:
        """The listeners of each SIP element."""
        return {"sip": self.listeners, **{hop.name: hop.listeners for hop in self.hops}}

    async def drain(self) -> None:
        """Take no new calls, and let those under way finish."""
        for hop in self.hops:
            hop.close(self.engine.refusal)
        await self.engine.drain()

    def reload(self) -> None:
        """Follow the configuration file and the certificates as they are now; mistakes are in the log."""
        if self.tls is not None:
            try:
                self.tls.reload()
            except TlsError as error:
                log.error("certificates.refused", reason=str(error))  # noqa: TRY400 - no defect of ours
            else:
                log.info("certificates.read")
        self.control.reload_soon()


def run(config: Config, source: Source) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status. SIGHUP has ``source`` and the certificates read anew."""
    logs.configure(config.log.level, config.log.format)
    _calm_collector()
    try:
        uvloop.run(_serve(config, source))
    except CannotStart as error:
        print(error, file=sys.stderr)
        return FAILED
    return 0


def _calm_collector() -> None:
    """Let the cyclic collector run rarely.

    Transactions live for 32 seconds after their work, so there are always many young objects that are no garbage;
    looking at them again and again took a third of the time of a proxied call. Cycles are few: a call and its leg.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


async def _serve(config: Config, source: Source) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            log.warning("server.killed")
            os._exit(FAILED)  # "A second signal ends at once"
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    ims = config.ims
    starting = start_cscfs if ims.enabled and not ims.runs("as") else start
    async with starting(config, source) as running:
        loop.add_signal_handler(signal.SIGHUP, running.reload)
        places = {name: _written(listeners) for name, listeners in running.places.items()}
        log.info(
            "server.ready",
            domain=config.server.domain,
            **places,
            http=running.http,
            pid=os.getpid(),
            compiled=IS_COMPILED,
        )
        if config.log.format == "console" and "sip" in places:
            with suppress(OSError):  # as of the log, the reader may have gone away
                print(f"\n{guide(config, places.get('pcscf', places['sip']), running.http)}\n", flush=True)
        await stop.wait()
        await running.drain()
    log.info("server.stopped")


def _written(listeners: Listeners) -> list[str]:
    return [f"{transport.lower()}:{format_address(local)}" for transport, local in listeners]


@asynccontextmanager
async def start(config: Config, source: Source) -> AsyncIterator[Running]:
    """Serve while the context lasts; ``source`` is where ``config`` came from. Raises ``CannotStart``."""
    async with AsyncExitStack() as cleanup:
        _make_directories(config)
        route_key = kept_key(config.storage.route_key_path)
        store, outbox = await _open_store(config)
        cleanup.push_async_callback(asyncio.to_thread, store.close)
        engine: Engine | None = None
        journal, left = await _begin_run(config, store)

        async def end_run() -> None:
            if engine is None or not engine.calls:  # else the next start is to record the calls that are left
                journal.append(facts.ServerStopped(config.server.domain), time.time())
            await asyncio.to_thread(journal.close)

        cleanup.push_async_callback(end_run)
        uploader = await _begin_upload(config, outbox, store, cleanup) if outbox is not None else None
        speech = Speech(config)
        cleanup.push_async_callback(speech.close)
        await speech.prepare(config)
        media = await start_media(config, cleanup)
        tls = load_certificates(config)
        stack = open_stack(config, tls)
        cleanup.push_async_callback(stack.close)
        listeners = await bind(stack, config, config.sip.listen)
        opened = await open_hops(config, tls, cleanup)
        found = find(config, listeners, {name: bound for name, (_, bound) in opened.items()})
        figures = LiveFigures(config.storage.journal_path, config.server.timezone, time.time)
        engine, floor, serving = put_together(
            config,
            cleanup,
            stack=stack,
            media=media,
            store=store,
            journal=Tee(journal, figures),
            figures=figures,
            log_counters=journal.counters,
            uploader=uploader,
            listeners=listeners,
            found=found,
            route_key=route_key,
        )
        engine.speech = speech
        hops = build_hops(
            lambda: engine.config, opened, found, cleanup, route_key=route_key, beside=engine.trunks.border
        )
        recalling = asyncio.create_task(_recall(figures), name="figures")
        cleanup.push_async_callback(asyncio.wait, [recalling])
        engine.last_agents.restore(await asyncio.to_thread(_last_talks, store))
        cleanup.push_async_callback(engine.profiles.close)
        engine.dispatcher.begin(queue_profiles(config), agent_profiles(config), left.wishes)
        engine.begin()
        review = _reviewer(engine, stack, serving)
        control = Control(
            engine, source, [*(hop.follow for hop in hops), review, Follower(media, config)], speech.prepare
        )
        stack.attach(engine.node)
        engine.node.handle_timer()  # reports the bindings restored
        review(config)
        _begin_hops(hops, engine, floor)
        routes = [
            *http.floor_routes(floor, store),
            *change_routes(control),
            *journal_routes(journal),
            *ban_routes(engine.node.door.guard, engine.loop.time, time.time),
            *trunk_routes(lambda: engine.trunks.all),
            *media_routes(media),
            kpis(figures),
            *(upload_routes(uploader) if uploader is not None else ()),
        ]
        if config.ims.enabled:
            engine.metrics.registry.register(ImsFigures(hops, serving))
            routes += _registration_routes(engine, stack, serving, hops)
        app = http.create_app(floor, engine.metrics, config.http.token, routes)
        served = await http.begin(app, config.http.listen, cleanup)
        floor.open_for_calls = True
        yield Running(engine, control, listeners, hops, served, tls)
        floor.open_for_calls = False


def _registration_routes(
    engine: Engine, stack: Stack, serving: Serving | None, hops: Sequence[Hop]
) -> Sequence[HTTPRouteHandler]:
    """Return the routes of the S-CSCF, if one runs here."""
    if serving is not None:
        return registration_routes(serving, partial(_settle, engine, stack), engine.loop.time, time.time)
    hop = next((hop for hop in hops if hop.serving is not None), None)
    if hop is None or hop.serving is None:
        return ()
    return registration_routes(hop.serving, hop.settle, engine.loop.time, time.time)


def _begin_hops(hops: Sequence[Hop], engine: Engine, floor: LiveFloor) -> None:
    """Have the CSCFs beside the engine take what comes in, and be seen."""
    for hop in hops:
        measure_set_up(hop.node, engine.metrics, hop.name)
        hop.begin(engine.config)
        floor.beside.append((hop.stack, hop.node))


def _reviewer(engine: Engine, stack: Stack, serving: Serving | None) -> Callable[[Config], None]:
    """Return what has the S-CSCF in the engine's own element, if there is one, look at who is registered."""
    settle = partial(_settle, engine, stack)
    return lambda _: None if serving is None else serving.review(settle)


def _settle(engine: Engine, stack: Stack) -> None:
    """Have the engine's node act on what was changed, and send what follows from it."""
    engine.node.settle()
    stack.flush()


async def _begin_run(config: Config, store: CdrStore) -> tuple[SqliteJournal, Left]:
    """Open the event log, after what a former run left in it has been put in order."""
    journal = SqliteJournal(
        config.storage.journal_path,
        commit_seconds=config.journal.commit_seconds,
        sync=config.journal.sync,
        keep_days=config.journal.keep_days,
    )
    begin = partial(
        begin_run,
        node=config.server.domain,
        software=f"ims-acd {version('ims-acd')}",
        now=time.time(),
        queue_log=QueueLogFile(config.storage.queue_log_path) if config.journal.queue_log else None,
    )
    try:
        return journal, await asyncio.to_thread(begin, journal, store)
    except JournalError as error:
        raise CannotStart(f"storage.dir: {error}") from None
    except StoreError as error:
        raise CannotStart(f"storage.cdr: {error}") from None


async def _open_store(config: Config) -> tuple[CdrStore, Outbox | None]:
    """Open the database of the CDRs; where they are sent elsewhere, with what of them is to be sent."""
    outbox = Outbox() if config.cdr_upload.url is not None else None
    store = CdrStore(config.storage.cdr_url, outbox=outbox)
    try:
        await asyncio.to_thread(store.open)
    except StoreError as error:
        raise CannotStart(f"storage.cdr: {error}") from None
    return store, outbox


async def _begin_upload(config: Config, outbox: Outbox, store: CdrStore, cleanup: AsyncExitStack) -> Uploader:
    """Send CDRs from now on, until the last one that ended before the end of the run. Raises ``CannotStart``."""
    try:
        uploader = Uploader(config.cdr_upload, outbox, random.random)
    except OSError as error:
        raise CannotStart(f"cdr_upload.ca: {error.strerror or error}: {config.cdr_upload.ca}") from None

    async def end_upload() -> None:
        await asyncio.to_thread(store.flush)
        await uploader.close()

    uploader.start()
    cleanup.push_async_callback(end_upload)
    return uploader


async def _recall(figures: LiveFigures) -> None:
    """Have the figures of today begin at midnight, while calls are taken already."""
    try:
        figures.resume(await asyncio.to_thread(figures.recall))
    except JournalError as error:
        log.warning("figures.not_recalled", error=str(error))
        figures.resume(None)


def _make_directories(config: Config) -> None:
    for directory in (config.storage.path, config.storage.recordings_path):
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotStart(f"storage.dir: cannot write in {directory}: {error.strerror}") from None


def _last_talks(store: CdrStore) -> dict[str, str]:
    """Return whom callers talked to last; without a database that answers, nobody."""
    try:
        return store.last_talks(TALKS_REMEMBERED)
    except StoreError as error:
        log.warning("cdr.read_failed", error=str(error))
        return {}
