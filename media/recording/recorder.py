"""Recordings of calls: packets are gathered beside the audio path, and all work on them is done by another process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from media.recording import jobs
from media.recording.gathering import Gathering
from media.recording.report import Recorded
from media.rtp.stream import EVENTS
from media.rtp.tap import Tap

if TYPE_CHECKING:
    from media.rtp.stream import Format

MOST_PACKETS: Final = 1000
"""Packets that one speaker may bring between two flushes."""
_MOST: Final = MOST_PACKETS
_SILENT: Final = frozenset((EVENTS, "CN"))
_NOTHING: Final = Gathering(None, None)


class Outbox(Protocol):
    """The way to who writes recordings. `left_out` packets did not go it."""

    left_out: int

    def takes(self, octets: int) -> bool:
        """Tell whether there is room for so much audio. If not that is silence in the file."""

    def send(self, job: jobs.Job) -> None:
        """Have a job done, after everything sent before."""

    def finish(self, job: jobs.Finish, done: Callable[[Recorded], None]) -> None:
        """Have the last job done, and `done` called with what has become of the recording."""


class Recording:
    """One recording in the making, as the audio path sees it; left is channel 0, right is channel 1.

    It takes effect with `begin`, again with each process that writes it. `now` is the clock of the packets.
    """

    def __init__(self, number: int, path: str, outbox: Outbox, *, rate: int = 8000) -> None:
        self.number = number
        self.path = path
        self.finished = self.paused = self.apart = False
        self.outbox = outbox
        self._rate = rate
        self._part = self._speakers = self._left_out = 0
        self._heard: list[tuple[Channel, Gathering]] = []

    def begin(self, now: float, began: float) -> None:
        """Have a file begun, at `began` in unix time; it goes on as it was where there was one before."""
        self._part += 1
        self.outbox.send(jobs.Begin(self.number, self.path, self._rate, now, began, self._part))
        if self.paused:
            self._turn("pause", now)
        if self.apart:
            self._turn("part", now)

    def channel(self, number: int) -> Channel:
        """Return a tap for a leg that is heard left (0) or right (1); further ones of a channel are mixed into it."""
        self._speakers += 1
        return Channel(self, self._speakers, number)

    def hear(self, speaker: Channel, gathering: Gathering) -> None:
        """Take into the next flush what is being said."""
        self._heard.append((speaker, gathering))

    def leave_out(self, packets: int) -> None:
        """Count what is silence in place of sound."""
        self._left_out += packets
        self.outbox.left_out += packets

    def flush(self, now: float) -> None:
        """Hand over what came; to be called about once a second."""
        if self.finished or self.apart:
            return
        heard, self._heard = self._heard, []
        octets = packets = 0
        for speaker, gathering in heard:
            speaker.break_off()
            octets += gathering.octets
            packets += gathering.count
        if self.outbox.takes(octets):
            for speaker, gathering in heard:
                self._send(speaker, gathering)
        else:
            self.leave_out(packets)
        self.outbox.send(jobs.GoOn(self.number, now, self._left_out))

    def pause(self, now: float) -> None:
        """Keep nothing that is said from here on; the file goes on with a mark."""
        if not self.paused and not self.finished:
            self.flush(now)
            self.paused = True
            self._turn("pause", now)

    def resume(self, now: float) -> None:
        """Go on recording."""
        if self.paused and not self.finished:
            self.paused = False
            self._turn("resume", now)

    def part(self, now: float) -> None:
        """Nobody is heard any more: the file ends here, unless they meet again."""
        if not self.apart and not self.finished:
            self.flush(now)
            self.apart = True
            self._turn("part", now)

    def meet(self, now: float) -> None:
        """Go on in the same file; the time between is silence."""
        if self.apart and not self.finished:
            self.apart = False
            self._turn("meet", now)

    def finish(self, now: float, done: Callable[[Recorded], None]) -> None:
        """Hand over the rest and have the files closed; `done` is then told."""
        if not self.finished:
            self.flush(now)
            self.finished = True
            self.outbox.finish(jobs.Finish(self.number, now, self._left_out), done)

    def _turn(self, change: jobs.Change, now: float) -> None:
        self.outbox.send(jobs.Turn(self.number, change, now))

    def _send(self, speaker: Channel, gathering: Gathering) -> None:
        coding = gathering.coding
        if coding is None or not gathering.count:
            return
        source, columns = speaker.source_number(gathering.source), gathering.columns()
        self.outbox.send(jobs.Hear(self.number, speaker.speaker, speaker.number, coding, source, columns))


class Channel(Tap):
    """The tap of one leg, which is heard on channel `number` as speaker number `speaker` of the recording."""

    __slots__ = ("_deaf", "_gathering", "_recording", "_source", "_sources", "_taken", "number", "speaker")

    def __init__(self, recording: Recording, speaker: int, number: int) -> None:
        self.speaker = speaker
        self.number = number
        self._recording = recording
        self._gathering = _NOTHING
        self._taken = 0
        self._deaf = False
        self._source: object = None
        self._sources = 0

    def take(  # noqa: PLR0917 - once for every packet: keywords would cost as much as the call
        self, coding: Format, source: object, sequence: int, timestamp: int, payload: bytes, now: float
    ) -> None:
        """Record a packet."""
        gathering = self._gathering
        if coding is not gathering.coding or source is not gathering.source:
            gathering = self._begin(coding, source)
        recording = self._recording
        if self._deaf or not payload or recording.paused or recording.finished:
            return
        if self._taken == _MOST:
            recording.leave_out(1)
            return
        self._taken += 1
        gathering.add(sequence, timestamp, payload, now)

    def break_off(self) -> None:
        """What was heard is taken elsewhere."""
        self._gathering = _NOTHING
        self._taken = 0

    def source_number(self, source: object) -> int:
        """Return another number than before when the source is another one than before."""
        if source is not self._source:
            self._source = source
            self._sources += 1
        return self._sources

    def _begin(self, coding: Format, source: object) -> Gathering:
        self._gathering = gathering = Gathering(coding, source)
        self._deaf = coding.name in _SILENT
        if not self._deaf:
            self._recording.hear(self, gathering)
        return gathering
