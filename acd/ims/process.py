"""A process that runs CSCFs and no application server: no calls end in it, it only passes them on."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from math import ceil
from typing import TYPE_CHECKING

import structlog

from acd import http
from acd.config import ConfigError
from acd.config.live import follow
from acd.ims.api import registration_routes
from acd.ims.figures import ImsFigures
from acd.ims.hops import build_hops, open_hops
from acd.ims.places import find
from acd.live import read_elements
from acd.metrics import Metrics, Readings
from acd.protection import ban_routes
from acd.routekey import kept_key
from acd.setuptimes import measure_set_up
from acd.sip import load_certificates
from acd.starting import CannotStart
from acd.trunkview import TrunkView
from ims_core.errors import ServiceUnavailable
from ims_core.transport.tls import Tls, TlsError

if TYPE_CHECKING:
    from litestar.handlers import BaseRouteHandler

    from acd.config import Config
    from acd.config.source import Source
    from acd.ims.hops import Hop
    from acd.sip import Listeners

TURN_SECONDS = 0.05

log = structlog.get_logger()


class Cscfs:
    """The CSCFs of a process, as HTTP and signals see them."""

    def __init__(self, config: Config, source: Source, tls: Tls | None) -> None:
        self.config = config
        self.hops: Sequence[Hop] = ()
        self.http: str | None = None
        self.metrics = Metrics({}, self.readings)
        self._source = source
        self._tls = tls
        self._is_open = False
        self._draining = False
        self._reloads: set[asyncio.Task[None]] = set()

    @property
    def places(self) -> dict[str, Listeners]:
        """The listeners of each hop."""
        return {hop.name: hop.listeners for hop in self.hops}

    def ready(self) -> bool:
        """Say whether new requests are taken."""
        return self._is_open and not self._draining

    def healthy(self) -> bool:
        """Say whether the process works at all."""
        return True

    def readings(self) -> Readings:
        """Read every plain number that a scrape shows."""
        loop = asyncio.get_running_loop()
        return Readings(
            **read_elements([(hop.stack, hop.node) for hop in self.hops], loop.time()),
            ready=self.ready(),
            draining=self._draining,
            tasks=len(asyncio.all_tasks(loop)),
            trunks=[TrunkView.of(trunk) for hop in self.hops for trunk in hop.trunks.all.values()],
            emergencies=sum((hop.trunks.emergencies.steps for hop in self.hops), Counter()),
            fallbacks=sum(hop.trunks.fallbacks.counted for hop in self.hops),
        )

    def begin(self) -> None:
        """Take what comes in."""
        for hop in self.hops:
            hop.begin(self.config)
        self._is_open = True

    def reload(self) -> None:
        """Follow the configuration file and the certificates as they are now; mistakes are in the log."""
        if self._tls is not None:
            try:
                self._tls.reload()
            except TlsError as error:
                log.error("certificates.refused", reason=str(error))  # noqa: TRY400 - no defect of ours
        task = asyncio.get_running_loop().create_task(self._reload(), name="reload")
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        try:
            wanted = await asyncio.to_thread(self._source.read)
        except ConfigError as error:
            self.metrics.change_refused()
            for mistake in error.mistakes:
                log.error("config.refused", by="signal", mistake=mistake)  # noqa: TRY400 - no defect of ours
            return
        self.config, changed, needs_restart = follow(self.config, wanted)
        for hop in self.hops:
            hop.follow(self.config)
        log.info("config.installed", by="signal", changed=changed, needs_restart=needs_restart)

    async def drain(self) -> None:
        """Take no new calls but those for emergencies, and wait for ``drain_seconds`` while others are being set up."""
        self._draining = True
        seconds = self.config.server.drain_seconds
        refusal = ServiceUnavailable(headers=(("Retry-After", str(int(seconds) + 10)),))
        for hop in self.hops:
            hop.close(refusal)
        log.info("server.draining", seconds=seconds)
        for _ in range(ceil(seconds / TURN_SECONDS)):
            if not any(hop.node.proxy.active for hop in self.hops):
                break
            await asyncio.sleep(TURN_SECONDS)


@asynccontextmanager
async def start_cscfs(config: Config, source: Source) -> AsyncIterator[Cscfs]:
    """Serve while the context lasts; ``source`` is where ``config`` came from. Raises ``CannotStart``."""
    async with AsyncExitStack() as cleanup:
        try:
            config.storage.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotStart(f"storage.dir: cannot write in {config.storage.path}: {error.strerror}") from None
        tls = load_certificates(config)
        running = Cscfs(config, source, tls)
        opened = await open_hops(config, tls, cleanup)
        found = find(config, None, {name: bound for name, (_, bound) in opened.items()})
        route_key = kept_key(config.storage.route_key_path)
        running.hops = hops = build_hops(lambda: running.config, opened, found, cleanup, route_key=route_key)
        for hop in hops:
            measure_set_up(hop.node, running.metrics, hop.name)
        running.metrics.registry.register(ImsFigures(hops, None))
        running.begin()
        app = http.create_app(running, running.metrics, config.http.token, _routes(hops))
        running.http = await http.begin(app, config.http.listen, cleanup)
        yield running


def _routes(hops: Sequence[Hop]) -> list[BaseRouteHandler]:
    clock = asyncio.get_running_loop().time
    routes: list[BaseRouteHandler] = []
    for hop in hops:
        if hop.serving is not None:
            routes += registration_routes(hop.serving, hop.settle, clock, time.time)
    first = hops[0]
    return [*routes, *ban_routes(first.node.door.guard, clock, time.time)]
