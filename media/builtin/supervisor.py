"""The built-in media backend: worker processes that are started, watched, and replaced when they die."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import structlog

from media.api import Capability, MediaCounters, MediaError, MediaEvent, MediaLeg, MediaUnavailable, Member, Protection
from media.builtin.capabilities import capabilities
from media.builtin.credentials import Credentials
from media.builtin.leg import WorkerLeg, connect
from media.builtin.ranges import Ranges
from media.builtin.slot import Slot, add_counters
from media.conference import Gains
from media.settings import MediaSettings
from media.worker.rtpsocket import bind_socket

log = structlog.get_logger()


class MediaSupervisor:
    """A `Media` backed by `settings.workers` processes, each with its own part of the port range.

    You must call `start` before `open` and `stop` at the end. A worker that dies or falls silent is replaced, its
    legs are told `Lost`.
    """

    def __init__(self, settings: MediaSettings) -> None:
        self._settings = settings
        self._credentials = Credentials(settings)
        self._names = (str(number) for number in itertools.count())
        self._ranges = Ranges(settings.rtp_ports())
        names = list(itertools.islice(self._names, settings.workers))
        self._ranges.divide(names)
        self._slots = [Slot(settings, self._credentials, name, self._ranges[name]) for name in names]
        self._gone = MediaCounters()  # what those counted that were drained
        self._ending: list[Slot] = []
        self._leaving: set[asyncio.Task[None]] = set()

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
        await asyncio.gather(*self._leaving)

    async def open(
        self,
        leg_id: str,
        on_event: Callable[[MediaEvent], None],
        *,
        offer: str | None = None,
        like: MediaLeg | None = None,
        heeds_preconditions: bool = False,
        protection: Protection = Protection.NONE,
        family: str = "",
    ) -> MediaLeg:
        """Open a leg in the worker of `like`, else in the healthy one with the fewest legs."""
        if like is not None and not isinstance(like, WorkerLeg):
            raise MediaError("like must be a leg of this media backend.")
        workers = [slot.worker for slot in self._slots if slot.takes_legs and slot.worker is not None]
        if not workers:
            raise MediaUnavailable("No media worker is healthy.")
        worker = min(workers, key=lambda each: (like is None or each is not like.worker, len(each.legs)))
        return await worker.open(
            leg_id,
            on_event,
            offer=offer,
            like=like,
            heeds_preconditions=heeds_preconditions,
            protection=protection,
            family=family,
        )

    def connect(self, gains: Gains) -> None:
        """Have legs hear each other exactly so. Raises MediaError."""
        connect(gains)

    def capabilities(self) -> frozenset[Capability]:
        """Tell what the workers can do."""
        return capabilities(self._settings)

    def healthy(self) -> bool:
        """Tell whether at least one worker serves."""
        return any(slot.takes_legs for slot in self._slots)

    def counters(self) -> MediaCounters:
        """Return the sums over all workers, those that died or were drained included."""
        total = dict.fromkeys(MediaCounters.__struct_fields__, 0)
        add_counters(total, self._gone)
        slots = [*self._slots, *self._ending]
        for slot in slots:
            for counters in (slot.buried, slot.worker.counters if slot.worker else None):
                if counters is not None:
                    add_counters(total, counters)
        total["worker_restarts"] += sum(slot.restarts for slot in slots)
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

    # While calls go on --------------------------------------------------------------------------------------------

    def add(self) -> Member:
        """Start another worker, on half the ports of the one that has most of them, or use one that drains again.

        Raises MediaUnavailable when the port range is too small.
        """
        slot = next((slot for slot in self._slots if slot.is_draining and slot.healthy()), None)
        if slot is not None:
            slot.is_draining = False
            return slot.member()
        name = next(self._names)
        giver = self._ranges.add(name)
        self._slot(giver).assign(self._ranges[giver])
        slot = Slot(self._settings, self._credentials, name, self._ranges[name])
        self._slots.append(slot)
        slot.start()
        slot.first_ready.add_done_callback(lambda ready: ready.exception())
        log.info("media_worker.added", worker=name)
        return slot.member()

    def drain(self, name: str) -> Member:
        """Open no more legs in a worker, and end it when its last leg has ended. Raises KeyError, MediaError."""
        slot = self._slot(name)
        if all(other.is_draining for other in self._slots if other is not slot):
            raise MediaError("It is the only worker that is not draining.")
        if not slot.is_draining:
            slot.is_draining = True
            log.info("media_worker.draining", worker=name, legs=slot.member().legs)
            task = asyncio.get_running_loop().create_task(self._leave(slot), name=f"drain worker {name}")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        return slot.member()

    def follow(self, workers: int) -> None:
        """Have so many workers: start some, or drain those with the fewest legs. Raises MediaUnavailable."""
        staying = [slot for slot in self._slots if not slot.is_draining]
        for _ in range(workers - len(staying)):
            self.add()
        leaving = len(staying) - workers
        for slot in sorted(staying, key=lambda slot: slot.member().legs)[: max(0, leaving)]:
            self.drain(slot.name)

    # Inside -------------------------------------------------------------------------------------------------------

    def _slot(self, name: str) -> Slot:
        for slot in self._slots:
            if slot.name == name:
                return slot
        raise KeyError(name)

    async def _leave(self, slot: Slot) -> None:
        await slot.emptied()
        if not slot.is_draining or slot not in self._slots:
            return
        self._slots.remove(slot)
        self._ending.append(slot)
        heir = self._ranges.remove(slot.name)
        self._slot(heir).assign(self._ranges[heir])
        await slot.stop()
        total = dict.fromkeys(MediaCounters.__struct_fields__, 0)
        add_counters(total, self._gone)
        add_counters(total, slot.buried)
        total["worker_restarts"] += slot.restarts
        self._gone = MediaCounters(**total)
        self._ending.remove(slot)
        log.info("media_worker.removed", worker=slot.name)
