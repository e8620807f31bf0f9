"""What is done for one recording in the thread: the timeline, the files, the side-car."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from media.recording.output import OutputFile, make_encoder
from media.recording.report import Gap, Recorded
from media.recording.settings import RecordingSettings
from media.recording.sidecar import SideCar, instant, write_side_car
from media.recording.timeline import Stereo, Timeline

if TYPE_CHECKING:
    from media.recording.stretch import Stretch

_LEAST_GAP_SECONDS: Final = 0.1  # what parting and meeting anew may take by itself


class Speaker(Protocol):
    """Who is heard; one object for each leg in its turn."""

    @property
    def number(self) -> int:
        """The channel: 0 is left."""


class Books(Protocol):
    """Where work is counted and faults are told."""

    errors: int
    octets: int
    complain: Callable[[str, str], None]


class Work:
    """What is done in the thread: the timeline, the files, the side-car."""

    def __init__(self, path: str, settings: RecordingSettings, books: Books, timeline: Timeline, began: float) -> None:
        self.left_out = 0
        self._path = path
        self._settings = settings
        self._books = books
        self._timeline = timeline
        self._began = began
        self._files: list[OutputFile] = []
        self._octets = 0
        self._parted_at: float | None = None
        self._told: set[str] = set()
        self._is_noted = False

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return any(file.exists for file in self._files)

    def go_on(self, heard: Iterable[tuple[Speaker, Stretch]], now: float) -> None:
        """Take what speakers have said, and write what is complete."""
        for speaker, stretch in heard:
            if stretch:
                self._timeline.add(speaker, speaker.number, stretch)
        self._drain(now)

    def pause(self, now: float) -> None:
        """Begin a gap."""
        self._timeline.pause(now)
        self._note()

    def resume(self, now: float) -> None:
        """End it."""
        self._timeline.resume(now)
        self._note()

    def part(self, now: float) -> None:
        """Write everything: nobody is heard any more."""
        self._drain(now, 0)
        self._timeline.forget()
        self._parted_at = self._timeline.seconds

    def meet(self, now: float) -> None:
        """Go on, with silence for the time since."""
        self._drain(now, 0)
        if self._parted_at is not None and self._timeline.seconds - self._parted_at >= _LEAST_GAP_SECONDS:
            self._timeline.gaps.append(Gap(self._parted_at, self._timeline.seconds, "apart"))
            self._note()
        self._parted_at = None

    def finish(self, now: float, done: Callable[[Recorded], None]) -> None:
        """Write everything, close the files and tell `done` of them, whatever fails."""
        try:
            if self._parted_at is None:
                self._drain(now, 0)
        finally:
            self._timeline.end_gap()
            ended = [self._try(file.end) for file in self._files]
            self._count()
            self._note(complete=all(ended))
            paths = tuple(file.path for file in self._files if file.exists)
            timeline = self._timeline
            done(Recorded(paths, timeline.seconds, tuple(timeline.gaps), self._lost_seconds()))
        if timeline.undecodable:
            self._complain(f"{timeline.undecodable} packets could not be decoded.")

    def _drain(self, now: float, hold_back: float | None = None) -> None:
        pieces = self._timeline.drain(now) if hold_back is None else self._timeline.drain(now, hold_back)
        for piece in pieces:
            if not self._files:
                self._create()
            for file, samples in zip(
                self._files, (piece, _mix(piece)) if len(self._files) > 1 else (piece,), strict=True
            ):
                self._try(functools.partial(file.write, samples))
        if self._files and not self._is_noted:
            self._note()
        self._count()

    def _create(self) -> None:
        settings, rate = self._settings, self._timeline.rate
        paths = [(self._path, 2)]
        if settings.mixed:
            paths.append((settings.mixed_path(self._path), 1))
        for path, channels in paths:
            encoder = make_encoder(settings.format, channels, rate)
            self._files.append(OutputFile(path, encoder, channels, rate, settings.key))

    def _count(self) -> None:
        octets = sum(file.octets for file in self._files)
        self._books.octets += octets - self._octets
        self._octets = octets

    def _lost_seconds(self) -> float:
        return max((file.lost for file in self._files), default=0) / self._timeline.rate

    def _note(self, *, complete: bool = False) -> None:
        """Write the side-car, if there is something to write it about."""
        timeline, settings = self._timeline, self._settings
        if not self.exists:
            return
        self._is_noted = True
        side_car = SideCar(
            format=settings.format,
            rate=timeline.rate,
            began=instant(self._began),
            files=tuple(Path(file.path).name for file in self._files if file.exists),
            seconds=timeline.seconds,
            complete=complete,
            gaps=tuple(timeline.gaps),
            lost_seconds=self._lost_seconds(),
            left_out=self.left_out,
            concealed=timeline.concealed,
            undecodable=timeline.undecodable,
            key=settings.key.id if settings.key is not None else None,
        )
        self._try(functools.partial(write_side_car, self._path, side_car))

    def _try(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except OSError as error:
            self._books.errors += 1
            self._complain(error.strerror or repr(error))
            return False
        return True

    def _complain(self, text: str) -> None:
        """Tell once of each kind of trouble."""
        if text not in self._told:
            self._told.add(text)
            self._books.complain(self._path, text)


def _mix(stereo: Stereo) -> Stereo:
    """Return both channels in one."""
    both = stereo[:, :1].astype(np.int32) + stereo[:, 1:]
    mixed: Stereo = np.clip(both, -32768, 32767).astype(np.int16)
    return mixed
