"""One place for a worker process: started, watched, and replaced when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from asyncio.subprocess import Process
from typing import Final

import structlog

from media.api import MediaCounters, MediaUnavailable, Member, MemberState
from media.builtin.client import WorkerClient
from media.builtin.credentials import Credentials
from media.settings import MediaSettings

READY_SECONDS: Final = 20.0
SILENT_SECONDS: Final = 6.0
STOP_SECONDS: Final = 8.0
BACK_OFF_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
STEADY_SECONDS: Final = 30.0
_WATCH_SECONDS: Final = 1.0
_SECOND_LOOK_SECONDS: Final = 0.2
_GAUGES: Final = frozenset(
    {"legs", "playing", "mixed", "recordings", "recordings_paused", "ports_in_use", "ports_total"}
)

# Products of matrices are small in a worker, and each core has one of its own.
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1"}

log = structlog.get_logger()


class Slot:
    """At most one process at a time, replaced with growing pauses; one that is draining is not replaced."""

    def __init__(self, settings: MediaSettings, credentials: Credentials, name: str, ports: range) -> None:
        self.name = name
        self.is_draining = False
        self.worker: WorkerClient | None = None
        self.process: Process | None = None
        self.restarts = 0
        self.buried = MediaCounters()
        self._settings = settings
        self._credentials = credentials
        self._ports = ports
        self._log = log.bind(worker=name)
        self._task: asyncio.Task[None] | None = None
        self._burying: asyncio.Task[None] | None = None
        self._failures = 0

    def start(self) -> None:
        """Begin keeping a worker alive; `first_ready` tells when the first one serves."""
        self.first_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep_alive(), name="media worker slot")

    async def stop(self) -> None:
        """End the worker and the keeping."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._burying is not None:  # which goes on where the keeping ended before it
            await self._burying

    def member(self) -> Member:
        """Tell how it is."""
        worker = self.worker
        state: MemberState = "failed" if worker is not None else "starting"
        if self.is_draining:
            state = "draining"
        elif self.healthy():
            state = "serving"
        legs = len(worker.legs) if worker is not None else 0
        return Member(backend="builtin", name=self.name, state=state, legs=legs, restarts=self.restarts)

    def healthy(self) -> bool:
        """Tell whether the worker serves."""
        return self.worker is not None and self.worker.healthy()

    @property
    def takes_legs(self) -> bool:
        """Whether legs may be opened here."""
        return self.healthy() and not self.is_draining

    def assign(self, ports: range) -> None:
        """Have legs opened on these ports from now on."""
        self._ports = ports
        if self.worker is not None:
            self.worker.assign(ports)

    async def emptied(self) -> None:
        """Wait until the last leg has ended, or the worker."""
        while self.worker is not None and self._task is not None and not self._task.done():
            idle = asyncio.Event()
            self.worker.when_idle(idle.set)
            await asyncio.wait(
                (waiting := asyncio.ensure_future(idle.wait()), self._task), return_when=asyncio.FIRST_COMPLETED
            )
            waiting.cancel()
            if idle.is_set():
                return

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._run_once()
            except (OSError, MediaUnavailable, TimeoutError) as error:
                self._log.error("media_worker.failed", reason=str(error) or type(error).__name__)
                if not self.first_ready.done():
                    self.first_ready.set_exception(MediaUnavailable(f"A media worker does not start: {error}"))
                    return
            if self.is_draining:
                return
            self._failures = 1 if loop.time() - began > STEADY_SECONDS else self._failures + 1
            self.restarts += 1
            pause = BACK_OFF_SECONDS[min(self._failures, len(BACK_OFF_SECONDS)) - 1]
            self._log.warning("media_worker.replaced", pause_seconds=pause, restarts=self.restarts)
            await asyncio.sleep(pause)

    async def _run_once(self) -> None:
        """Run a worker from its start to its end."""
        closed = asyncio.Event()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        worker = WorkerClient(self._settings, self._credentials, self._ports, closed.set)
        try:
            with theirs:
                process = await self._spawn(theirs.fileno())
            ours.setblocking(False)
            await worker.connect(ours)
            async with asyncio.timeout(READY_SECONDS):
                await worker.ready
            self.worker = worker
            self._log.info("media_worker.started", pid=process.pid, ports=f"{self._ports[0]}-{self._ports[-1]}")
            if not self.first_ready.done():
                self.first_ready.set_result(None)
            await self._watch(worker, closed)
        finally:
            worker.disconnect()
            ours.close()
            self._burying = asyncio.create_task(self._bury(worker), name="end of a media worker")
            await asyncio.shield(self._burying)

    async def _spawn(self, descriptor: int) -> Process:
        """Start the process; who is cancelled meanwhile has it none the less, to end it."""
        spawning = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "media.worker.process", str(descriptor)),
                pass_fds=[descriptor],
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, **_ONE_THREAD},
            )
        )
        try:
            self.process = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                self.process = await spawning
            raise
        return self.process

    async def _watch(self, worker: WorkerClient, closed: asyncio.Event) -> None:
        while not closed.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_SECONDS):
                    await closed.wait()
            if worker.silent_seconds > SILENT_SECONDS:
                # Our own loop may have stood still: what the worker said meanwhile is then read first.
                await asyncio.sleep(_SECOND_LOOK_SECONDS)
            if worker.silent_seconds > SILENT_SECONDS:
                self._log.error("media_worker.hung", silent_seconds=round(worker.silent_seconds, 1))
                return

    async def _bury(self, worker: WorkerClient) -> None:
        if self.worker is not None:
            total = dict.fromkeys(MediaCounters.__struct_fields__, 0)
            add_counters(total, self.buried)
            add_counters(total, worker.counters)
            self.buried = MediaCounters(**{name: 0 if name in _GAUGES else n for name, n in total.items()})
        self.worker = None
        process, self.process = self.process, None
        if process is None:
            return
        try:
            async with asyncio.timeout(STOP_SECONDS):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            code = await process.wait()
        self._log.info("media_worker.ended", pid=process.pid, code=code)


def add_counters(total: dict[str, int], counters: MediaCounters) -> None:
    """Add each of the counters to the total of its name."""
    for name in MediaCounters.__struct_fields__:
        total[name] += getattr(counters, name)
