"""What is done for one recording: the timeline, the files, the side-car."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from media.recording.output import OutputFile, make_encoder
from media.recording.report import Gap, Recorded
from media.recording.settings import RecordingSettings
from media.recording.sidecar import SideCar, instant, write_side_car
from media.recording.timeline import Stereo, Timeline

if TYPE_CHECKING:
    from media.recording.jobs import Change
    from media.recording.stretch import Stretch

_LEAST_GAP_SECONDS: Final = 0.1  # what parting and meeting anew may take by itself


class Books(Protocol):
    """Where work is counted and faults are told."""

    errors: int
    octets: int

    def complain(self, path: str, text: str) -> None:
        """Have something logged."""


class Work:
    """What is done for a recording; `left_out` packets of it never came here, `earlier` files may hold what it was."""

    def __init__(
        self,
        path: str,
        settings: RecordingSettings,
        books: Books,
        timeline: Timeline,
        *,
        began: float = 0.0,
        earlier: Sequence[str] = (),
    ) -> None:
        self.left_out = 0
        self._earlier = earlier
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

    def hear(self, speaker: int, channel: int, stretch: Stretch) -> None:
        """Take what somebody has said who is heard left (channel 0) or right (1)."""
        if stretch:
            self._timeline.add(speaker, channel, stretch)

    def go_on(self, now: float) -> None:
        """Write what is complete."""
        self._drain(now)

    def turn(self, change: Change, now: float) -> None:
        """Begin a gap, or end it."""
        if change == "pause":
            self._timeline.pause(now)
            self._note()
        elif change == "resume":
            self._timeline.resume(now)
            self._note()
        elif change == "part":
            self._part(now)
        else:
            self._meet(now)

    def _part(self, now: float) -> None:
        """Write everything: nobody is heard any more."""
        self._drain(now, 0)
        self._timeline.forget()
        self._parted_at = self._timeline.seconds

    def _meet(self, now: float) -> None:
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
            paths = *self._written_earlier(), *(file.path for file in self._files if file.exists)
            timeline = self._timeline
            done(Recorded(paths, timeline.seconds, tuple(timeline.gaps), self._lost_seconds()))
        if timeline.undecodable:
            self._complain(f"{timeline.undecodable} packets could not be decoded.")

    def _written_earlier(self) -> Iterator[str]:
        for path in self._earlier:
            for each in (path, self._settings.mixed_path(path)):
                if Path(each).exists():
                    yield each

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
