"""Recordings of calls: packets are gathered beside the audio path, and all work on them is done in a thread."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from media.recording.report import Recorded
from media.recording.settings import RecordingSettings
from media.recording.stretch import Stretch
from media.recording.timeline import Timeline
from media.recording.work import Work
from media.rtp.stream import EVENTS

if TYPE_CHECKING:
    from media.rtp.stream import Format

MOST_PACKETS: Final = 1000
"""Packets that one speaker may bring between two flushes."""
_SILENT: Final = frozenset((EVENTS, "CN"))
_NOTHING: Final = Stretch(None, None)


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
        self._worker: threading.Thread | None = None

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
        if self._worker is None:
            self._worker = threading.Thread(target=self._run, name="recordings", daemon=True)
            self._worker.start()
        self._jobs.put((job, octets))

    def close(self, timeout: float = 5.0) -> None:
        """Finish what waits, within `timeout` seconds."""
        if self._worker is not None:
            self._jobs.put(None)
            self._worker.join(timeout)
            self._worker = None

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
        self.writer = writer
        self._heard: list[tuple[Channel, Stretch]] = []
        self._work = Work(path, settings or RecordingSettings(), writer, Timeline(now, rate), began)

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return self._work.exists

    def channel(self, number: int) -> Channel:
        """Return a tap for a leg that is heard left (0) or right (1); further ones of a channel are mixed into it."""
        return Channel(self, number)

    def hear(self, speaker: Channel, stretch: Stretch) -> None:
        """Take into the next flush what is being said."""
        self._heard.append((speaker, stretch))

    def flush(self, now: float) -> None:
        """Hand over what came to the thread; to be called about once a second."""
        if self.finished or self.apart:
            return
        heard, self._heard = self._heard, []
        octets = packets = 0
        for speaker, stretch in heard:
            speaker.break_off()
            octets += stretch.octets
            packets += len(stretch)
        if not self.writer.offer(functools.partial(self._work.go_on, heard, now), octets + 1):
            self.writer.left_out += packets
            self._work.left_out += packets

    def pause(self, now: float) -> None:
        """Keep nothing that is said from here on; the file goes on with a mark."""
        if not self.paused and not self.finished:
            self.flush(now)
            self.paused = True
            self.writer.call(functools.partial(self._work.pause, now))

    def resume(self, now: float) -> None:
        """Go on recording."""
        if self.paused and not self.finished:
            self.paused = False
            self.writer.call(functools.partial(self._work.resume, now))

    def part(self, now: float) -> None:
        """Nobody is heard any more: the file ends here, unless they meet again."""
        if not self.apart and not self.finished:
            self.flush(now)
            self.apart = True
            self.writer.call(functools.partial(self._work.part, now))

    def meet(self, now: float) -> None:
        """Go on in the same file; the time between is silence."""
        if self.apart and not self.finished:
            self.apart = False
            self.writer.call(functools.partial(self._work.meet, now))

    def finish(self, now: float, done: Callable[[Recorded], None] = lambda recorded: None) -> None:
        """Hand over the rest and have the files closed; `done` is then called in the thread."""
        if not self.finished:
            self.flush(now)
            self.finished = True
            self.writer.call(functools.partial(self._work.finish, now, done))


class Channel:
    """The tap of one leg."""

    __slots__ = ("_deaf", "_recording", "_room", "_stretch", "number")

    def __init__(self, recording: Recording, number: int) -> None:
        self.number = number
        self._recording = recording
        self._stretch = _NOTHING
        self._room = MOST_PACKETS
        self._deaf = False

    def take(  # noqa: PLR0917 - once for every packet: keywords would cost as much as the call
        self, coding: Format, source: object, sequence: int, timestamp: int, payload: bytes, now: float, /
    ) -> None:
        """Record a packet."""
        stretch = self._stretch
        if coding is not stretch.coding or source is not stretch.source:
            stretch = self._begin(coding, source)
        recording = self._recording
        if self._deaf or not payload or recording.paused or recording.finished:
            return
        if not self._room:
            recording.writer.left_out += 1
            return
        self._room -= 1
        stretch.sequences.append(sequence)
        stretch.timestamps.append(timestamp)
        stretch.payloads.append(payload)
        stretch.arrivals.append(now)

    def break_off(self) -> None:
        """What was heard is taken elsewhere."""
        self._stretch = _NOTHING
        self._room = MOST_PACKETS

    def _begin(self, coding: Format, source: object) -> Stretch:
        self._stretch = stretch = Stretch(coding, source)
        self._deaf = coding.name in _SILENT
        if not self._deaf:
            self._recording.hear(self, stretch)
        return stretch
