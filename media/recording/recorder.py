"""Recordings of calls: packets are gathered beside the audio path, and all work on them is done in a thread."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from media.recording.report import Recorded
from media.recording.settings import RecordingSettings
from media.recording.timeline import Timeline
from media.recording.work import Row, Work

if TYPE_CHECKING:
    from media.rtp.stream import Format

MOST_PACKETS: Final = 2000
"""Packets that one recording takes between two flushes."""


class RecordingWriter:
    """Works on recordings in a thread, so that neither decoders nor a slow disk delay audio.

    At most `limit` octets of packets wait; what exceeds it is left out, which is silence in the file. `complain` is
    called in the thread, with a path and one sentence.
    """

    def __init__(
        self, limit: int = 64 * 1024 * 1024, complain: Callable[[str, str], None] = lambda path, text: None
    ) -> None:
        self.errors = 0
        self.octets = 0
        self.left_out = 0
        self.complain = complain
        self._limit = limit
        self._waiting = 0
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], int] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def offer(self, job: Callable[[], None], octets: int) -> bool:
        """Have the job done, unless too much waits already."""
        if self._waiting + octets > self._limit:
            self.errors += 1
            return False
        self._waiting += octets
        self.call(job, octets)
        return True

    def call(self, job: Callable[[], None], octets: int = 0) -> None:
        """Run `job` in the thread, after everything handed over before."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
            self._thread.start()
        self._jobs.put((job, octets))

    def close(self, timeout: float = 5.0) -> None:
        """Finish what waits, within `timeout` seconds."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout)
            self._thread = None

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, octets = item
            try:
                job()
            except Exception as error:  # noqa: BLE001 - one recording's fault must not end the others
                self.errors += 1
                self.complain("", f"A recording failed: {error!r}.")
            finally:
                self._waiting -= octets


class Recording:
    """One recording in the making, as the audio path sees it; left is channel 0, right is channel 1.

    `now` is the clock of the packets, `began` the unix time of the start.
    """

    def __init__(
        self,
        path: str,
        writer: RecordingWriter,
        now: float,
        *,
        settings: RecordingSettings | None = None,
        rate: int = 8000,
        began: float = 0.0,
    ) -> None:
        self.path = path
        self.finished = self.paused = self.apart = False
        self._writer = writer
        self._rows: list[Row] = []
        self._octets = 0
        self._work = Work(path, settings or RecordingSettings(), writer, Timeline(now, rate), began)

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return self._work.exists

    def channel(self, number: int) -> Channel:
        """Return a tap for a leg that is heard left (0) or right (1); further ones of a channel are mixed into it."""
        return Channel(self, number)

    def take(self, row: Row) -> None:
        """Keep a packet for the next flush."""
        if self.paused or self.finished or len(self._rows) >= MOST_PACKETS:
            self._writer.left_out += not (self.paused or self.finished)
            return
        self._rows.append(row)
        self._octets += len(row[5])

    def flush(self, now: float) -> None:
        """Hand over what came to the thread; to be called about once a second."""
        if self.finished or self.apart:
            return
        rows, self._rows = self._rows, []
        octets, self._octets = self._octets, 0
        if not self._writer.offer(functools.partial(self._work.go_on, rows, now), octets + 1):
            self._writer.left_out += len(rows)
            self._work.left_out += len(rows)

    def pause(self, now: float) -> None:
        """Keep nothing that is said from here on; the file goes on with a mark."""
        if not self.paused and not self.finished:
            self.flush(now)
            self.paused = True
            self._writer.call(functools.partial(self._work.pause, now))

    def resume(self, now: float) -> None:
        """Go on recording."""
        if self.paused and not self.finished:
            self.paused = False
            self._writer.call(functools.partial(self._work.resume, now))

    def part(self, now: float) -> None:
        """Nobody is heard any more: the file ends here, unless they meet again."""
        if not self.apart and not self.finished:
            self.flush(now)
            self.apart = True
            self._writer.call(functools.partial(self._work.part, now))

    def meet(self, now: float) -> None:
        """Go on in the same file; the time between is silence."""
        if self.apart and not self.finished:
            self.apart = False
            self._writer.call(functools.partial(self._work.meet, now))

    def finish(self, now: float, done: Callable[[Recorded], None] = lambda recorded: None) -> None:
        """Hand over the rest and have the files closed; `done` is then called in the thread."""
        if not self.finished:
            self.flush(now)
            self.finished = True
            self._writer.call(functools.partial(self._work.finish, now, done))


class Channel:
    """The tap of one leg."""

    __slots__ = ("_recording", "number")

    def __init__(self, recording: Recording, number: int) -> None:
        self.number = number
        self._recording = recording

    def take(  # noqa: PLR0917 - once for every packet: keywords would cost as much as the call
        self, coding: Format, source: object, sequence: int, timestamp: int, payload: bytes, now: float, /
    ) -> None:
        """Record a packet."""
        if payload:
            self._recording.take((self, coding, source, sequence, timestamp, payload, now))
