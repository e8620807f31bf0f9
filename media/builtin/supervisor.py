"""The built-in media backend: worker processes that are started, watched, and replaced when they die."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable
from typing import Final

import structlog

from media.api import Capability, MediaCounters, MediaError, MediaEvent, MediaLeg, MediaUnavailable, Member, Protection
from media.builtin.capabilities import CAPABILITIES
from media.builtin.client import WorkerClient, WorkerLeg, connect
from media.builtin.credentials import Credentials
from media.conference import Gains
from media.settings import MediaSettings
from media.worker.rtpsocket import bind_socket

READY_SECONDS: Final = 20.0
SILENT_SECONDS: Final = 6.0
STOP_SECONDS: Final = 8.0
BACK_OFF_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
STEADY_SECONDS: Final = 30.0
_WATCH_SECONDS: Final = 1.0
_SECOND_LOOK_SECONDS: Final = 0.2
_GAUGES: Final = frozenset({"legs", "playing", "recordings", "recordings_paused", "ports_in_use", "ports_total"})

log = structlog.get_logger()


class MediaSupervisor:
    """A `Media` backed by `settings.workers` processes, each with its own part of the port range.

    You must call `start` before `open` and `stop` at the end. A worker that dies or falls silent is replaced, its
    legs are told `Lost`.
    """

    def __init__(self, settings: MediaSettings) -> None:
        self._settings = settings
        credentials = Credentials(settings)
        self._slots = [_Slot(settings, credentials, index) for index in range(settings.workers)]

    async def start(self) -> None:
        """Start the workers and wait until all serve. Raises MediaUnavailable."""
        try:
            bind_socket(self._settings.bind, 0).close()
        except OSError as error:
            raise MediaUnavailable(f"RTP cannot be bound to {self._settings.bind}: {error.strerror}.") from error
        for slot in self._slots:
            slot.start()
        try:
            await asyncio.gather(*(slot.first_ready for slot in self._slots))
        except MediaUnavailable:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the workers; open legs are told `Lost`."""
        await asyncio.gather(*(slot.stop() for slot in self._slots))

    async def open(
        self,
        leg_id: str,
        on_event: Callable[[MediaEvent], None],
        *,
        offer: str | None = None,
        like: MediaLeg | None = None,
        heeds_preconditions: bool = False,
        protection: Protection = Protection.NONE,
    ) -> MediaLeg:
        """Open a leg in the worker of `like`, else in the healthy one with the most free ports."""
        if like is not None:
            if not isinstance(like, WorkerLeg):
                raise MediaError("like must be a leg of this media backend.")
            worker: WorkerClient = like.worker
        else:
            workers = [slot.worker for slot in self._slots if slot.worker is not None and slot.worker.healthy()]
            if not workers:
                raise MediaUnavailable("No media worker is healthy.")
            worker = min(workers, key=lambda candidate: len(candidate.legs))
        return await worker.open(
            leg_id,
            on_event,
            offer=offer,
            like=like,
            heeds_preconditions=heeds_preconditions,
            protection=protection,
        )

    def connect(self, gains: Gains) -> None:
        """Have legs hear each other exactly so. Raises MediaError."""
        connect(gains)

    def capabilities(self) -> frozenset[Capability]:
        """Tell what the workers can do."""
        return CAPABILITIES

    def healthy(self) -> bool:
        """Tell whether at least one worker serves."""
        return any(slot.healthy() for slot in self._slots)

    def counters(self) -> MediaCounters:
        """Return the sums over all workers, those that died included."""
        total = dict.fromkeys(MediaCounters.__struct_fields__, 0)
        for slot in self._slots:
            for counters in (slot.buried, slot.worker.counters if slot.worker else None):
                if counters is not None:
                    _add(total, counters)
        total["worker_restarts"] = sum(slot.restarts for slot in self._slots)
        total["workers"] = len(self._slots)
        total["workers_healthy"] = sum(slot.healthy() for slot in self._slots)
        return MediaCounters(**total)

    def members(self) -> list[Member]:
        """Return the workers."""
        return [slot.member() for slot in self._slots]

    def pid_of(self, leg: WorkerLeg) -> int:
        """Return the process id of the worker that serves the leg. Raises MediaError when it is gone."""
        for slot in self._slots:
            if slot.process is not None and slot.worker is leg.worker:
                return slot.process.pid
        raise MediaError("The worker of this leg is gone.")

    def worker_pids(self) -> list[int]:
        """Return the process ids of the workers that run."""
        return [slot.process.pid for slot in self._slots if slot.process is not None]


class _Slot:
    """One place for a worker: at most one process at a time, replaced with growing pauses."""

    def __init__(self, settings: MediaSettings, credentials: Credentials, index: int) -> None:
        self.worker: WorkerClient | None = None
        self.process: Process | None = None
        self.restarts = 0
        self.buried = MediaCounters()
        self._settings = settings
        self._credentials = credentials
        self.name = str(index)
        self._ports = settings.share(index)
        self._log = log.bind(worker=index)
        self._task: asyncio.Task[None] | None = None
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

    def member(self) -> Member:
        """Tell how it is."""
        worker = self.worker
        return Member(
            name=self.name,
            state="serving" if self.healthy() else "starting" if worker is None else "failed",
            legs=len(worker.legs) if worker is not None else 0,
            restarts=self.restarts,
        )

    def healthy(self) -> bool:
        """Tell whether the worker serves."""
        return self.worker is not None and self.worker.healthy()

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
                self.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "media.worker.process", str(theirs.fileno())),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                )
            ours.setblocking(False)
            await worker.connect(ours)
            async with asyncio.timeout(READY_SECONDS):
                await worker.ready
            self.worker = worker
            self._log.info("media_worker.started", pid=self.process.pid, ports=f"{self._ports[0]}-{self._ports[-1]}")
            if not self.first_ready.done():
                self.first_ready.set_result(None)
            await self._watch(worker, closed)
        finally:
            await asyncio.shield(self._bury(worker))
            ours.close()

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
        worker.disconnect()
        if self.worker is not None:
            total = dict.fromkeys(MediaCounters.__struct_fields__, 0)
            _add(total, self.buried)
            _add(total, worker.counters)
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


def _add(total: dict[str, int], counters: MediaCounters) -> None:
    for name in MediaCounters.__struct_fields__:
        total[name] += getattr(counters, name)
