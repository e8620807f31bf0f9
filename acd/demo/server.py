"""The engine as the demonstration sees it: a process that it starts, and an HTTP interface that it asks."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
from msgspec import structs

from acd.cdr import Cdr
from acd.core.floor import QueueSnapshot
from acd.demo.processes import DemoError, end, free_port, is_free, start
from acd.http import AgentView, CallView, Items

if TYPE_CHECKING:
    from acd.config import Config

T = TypeVar("T")

READY_SECONDS = 20.0
STOP_SECONDS = 25.0
ASK_SECONDS = 3.0


class FloorNow(NamedTuple):
    """The floor at one instant."""

    queues: Sequence[QueueSnapshot]
    agents: Sequence[AgentView]
    calls: Sequence[CallView]


class Ready(msgspec.Struct):
    """What the line ``server.ready`` of the engine's log says."""

    event: str = ""
    sip: list[str] = []
    http: str | None = None


def listen_elsewhere(config: Config) -> tuple[list[str], list[str]]:
    """Return settings that move the engine off ports that are taken, and a sentence about each move."""
    settings: list[str] = []
    told: list[str] = []
    moved: dict[tuple[str, int], int] = {}
    for listener in config.sip.listen:
        place = (listener.host, listener.port)
        if listener.port and place not in moved and not is_free(listener.transport, *place):
            moved[place] = free_port(listener.host)
            told.append(f"port {listener.port} is taken: SIP is served on port {moved[place]} instead")
    if moved:
        listeners = [
            f'"{structs.replace(listener, port=moved.get((listener.host, listener.port), listener.port))}"'
            for listener in config.sip.listen
        ]
        settings.append(f"sip.listen=[{', '.join(listeners)}]")
    web = config.http.listen
    if web is None:
        raise DemoError("the demonstration needs the HTTP interface: http.listen must not be empty")
    if web.port and not is_free("tcp", web.host, web.port):
        port = free_port(web.host)
        settings.append(f"http.listen={structs.replace(web, port=port)}")
        told.append(f"port {web.port} is taken: HTTP is served on port {port} instead")
    return settings, told


class EngineProcess:
    """`ims-acd serve` in a process of its own; its log goes into ``log``."""

    def __init__(self, log: Path, token: str | None) -> None:
        self.log = log
        self.sip: dict[str, str] = {}
        self.http = ""
        self._token = token
        self._process: asyncio.subprocess.Process | None = None
        self._copying: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())  # nobody may wait any more

    async def start(self, config: str, settings: Sequence[str]) -> None:
        """Start it and wait for ``server.ready``. Raises ``DemoError``."""
        options = [part for setting in settings for part in ("--set", setting)]
        command = [sys.executable, "-m", "acd.cli", "serve", "--config", config, *options]
        self._process = await start(command, output=asyncio.subprocess.PIPE)
        self._copying = asyncio.create_task(self._copy_log(self._process))
        try:
            async with asyncio.timeout(READY_SECONDS):
                ready = await self._ready
        except TimeoutError:
            raise DemoError(f"the engine was not ready within {READY_SECONDS:.0f} s", self.log) from None
        self.sip = dict(listener.split(":", 1) for listener in ready.sip)
        self.http = ready.http or ""

    async def stop(self) -> int:
        """End it by SIGTERM and return its exit status."""
        if self._process is None:
            return 0
        status = await end(self._process, STOP_SECONDS)
        if self._copying is not None:
            await self._copying
        return status

    async def floor(self) -> FloorNow:
        """Return who waits, who talks and who is free. Raises ``DemoError``."""
        queues = await self._items("/api/v1/queues", QueueSnapshot)
        agents = await self._items("/api/v1/agents", AgentView)
        return FloorNow(queues, agents, await self._items("/api/v1/calls", CallView))

    async def cdrs(self) -> Sequence[Cdr]:
        """Return the records of the latest calls, the latest first. Raises ``DemoError``."""
        return await self._items("/api/v1/cdrs?limit=100", Cdr)

    async def ladder(self, call: str) -> str:
        """Return the SIP ladder of a call. Raises ``DemoError``."""
        return (await self._get(f"/api/v1/calls/{call}/ladder")).decode()

    async def _items(self, path: str, kind: type[T]) -> Sequence[T]:
        items: Items[T] = msgspec.json.decode(await self._get(path), type=Items[kind])  # type: ignore[valid-type]
        return items.items

    async def _get(self, path: str) -> bytes:
        try:
            return await asyncio.to_thread(self._ask, f"http://{self.http}{path}")
        except (OSError, urllib.error.URLError) as error:
            status = await self._status_soon()
            wrong = f"does not answer GET {path}: {error}" if status is None else f"has ended with status {status}"
            raise DemoError(f"the engine {wrong}", self.log) from None

    async def _status_soon(self) -> int | None:
        """Return its exit status when it has ended or is just ending, else None."""
        assert self._process is not None
        try:
            async with asyncio.timeout(1.0):
                return await self._process.wait()
        except TimeoutError:
            return None

    def _ask(self, url: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=ASK_SECONDS) as response:  # noqa: S310 - http only
            body: bytes = response.read()
        return body

    async def _copy_log(self, process: asyncio.subprocess.Process) -> None:
        """Copy what the engine prints into its log file, watching for the line that says it is ready."""
        assert process.stdout is not None
        with self.log.open("wb") as file:
            async for line in process.stdout:
                file.write(line)
                file.flush()
                if not self._ready.done() and b'"server.ready"' in line:
                    with contextlib.suppress(msgspec.DecodeError):
                        self._ready.set_result(msgspec.json.decode(line, type=Ready))
        status = await process.wait()
        if not self._ready.done():
            self._ready.set_exception(DemoError(f"the engine ended with status {status} before it was ready", self.log))
