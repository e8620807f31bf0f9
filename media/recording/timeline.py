"""Two channels on one clock: what several speakers said, without shift, drift or loss of length, and what was left out.

Nothing here does I/O or looks at a clock: packets bear the time of their arrival.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media.codecs import Samples
from media.recording.report import Gap
from media.recording.stretch import Stretch
from media.recording.track import HOLD_BACK_SECONDS, TICKS, Track

Stereo = NDArray[np.int16]
"""Rows of (left, right)."""

REORDER_SECONDS: Final = 0.25
"""How long a packet waits for those that were sent before it."""
_PIECE_TICKS: Final = 2 * TICKS
_STEP_SECONDS: Final = 1.5  # longer than it is from one flush to the next, with which a track's window has to do
_SMALLEST, _LARGEST = -32768, 32767

MARK_HERTZ: Final = 400
MARK_SECONDS: Final = 0.2
MARK_PERIOD_SECONDS: Final = 2
_MARK_AMPLITUDE: Final = 328  # -40 dBFS


class Timeline:
    """Channels 0 (left) and 1 (right) from a common start, at `rate` samples a second.

    What was not received is silence. While it is paused the file goes on with a quiet tone every two seconds, so that
    nobody takes the gap for a silent talker, and one can tell where in the file something was left out.
    """

    def __init__(self, started: float, rate: int) -> None:
        self.rate = rate
        self.gaps: list[Gap] = []
        self._started = started
        self._base = 0  # ticks taken out
        self._drained_at = started
        self._tracks: dict[object, tuple[int, Track]] = {}
        self._paused_at: int | None = None
        self._marked: list[tuple[int, int]] = []  # ticks
        self._concealed = self._undecodable = 0

    @property
    def seconds(self) -> float:
        """How much was taken out."""
        return self._base / TICKS

    @property
    def concealed(self) -> int:
        """Losses that a decoder has made good."""
        return self._concealed + sum(track.concealed for _, track in self._tracks.values())

    @property
    def undecodable(self) -> int:
        """Packets that no decoder could read."""
        return self._undecodable + sum(track.undecodable for _, track in self._tracks.values())

    def add(self, speaker: object, channel: int, stretch: Stretch) -> None:
        """Take what a speaker has said, who is heard on this channel."""
        track = self._tracks.get(speaker)
        if track is None:
            track = self._tracks[speaker] = channel, Track(self._started, self._base)
        track[1].add(stretch)

    def forget(self) -> None:
        """All speakers have left, and what they said was taken out."""
        self._concealed, self._undecodable = self.concealed, self.undecodable
        self._tracks.clear()

    def pause(self, now: float) -> None:
        """From here on there is a gap. What is said meanwhile must not be added."""
        if self._paused_at is None:
            self._paused_at = self._ticks(now)

    def resume(self, now: float) -> None:
        """The gap ends."""
        if self._paused_at is not None:
            begin, end = self._paused_at, self._ticks(now)
            self._paused_at = None
            self._marked.append((begin, end))
            self.gaps.append(Gap(begin / TICKS, end / TICKS, "paused"))

    def end_gap(self) -> None:
        """The recording is over: a gap ends where it does."""
        self.resume(self._started + self.seconds)

    def drain(self, now: float, hold_back: float = HOLD_BACK_SECONDS) -> Iterator[Stereo]:
        """Yield the audio from where the last drain ended to `hold_back` seconds before now, in pieces."""
        while self._drained_at + _STEP_SECONDS < now:  # it may have been long ago: tracks remember some seconds only
            self._drained_at += _STEP_SECONDS
            yield from self._settle(self._drained_at - REORDER_SECONDS, self._drained_at - HOLD_BACK_SECONDS)
        self._drained_at = now
        yield from self._settle(now - min(hold_back, REORDER_SECONDS), now - hold_back)

    def _settle(self, placed: float, taken: float) -> Iterator[Stereo]:
        for _, track in self._tracks.values():
            track.settle(placed)
        while (ticks := min(self._ticks(taken) - self._base, _PIECE_TICKS)) > 0:
            yield self._take(ticks)

    def _ticks(self, now: float) -> int:
        return round((now - self._started) * TICKS)

    def _take(self, ticks: int) -> Stereo:
        stereo = np.empty((ticks * self.rate // TICKS, 2), np.int16)
        silent = {0, 1}
        for channel, track in self._tracks.values():
            samples = track.take(ticks, self.rate)
            if channel not in silent:
                both = stereo[:, channel].astype(np.int32) + samples
                samples = np.clip(both, _SMALLEST, _LARGEST).astype(np.int16)
            stereo[:, channel] = samples
            silent.discard(channel)
        for channel in silent:
            stereo[:, channel] = 0
        self._mark(stereo, ticks)
        self._base += ticks
        return stereo

    def _mark(self, stereo: Stereo, ticks: int) -> None:
        base, end = self._base, self._base + ticks
        self._marked = [gap for gap in self._marked if gap[1] > base]
        now = [(self._paused_at, end)] if self._paused_at is not None else []
        for first, last in (*self._marked, *now):
            begin, stop = max(first, base), min(last, end)
            if begin < stop:
                scale = self.rate // TICKS
                tone = mark((begin - first) * scale, (stop - begin) * scale, self.rate)
                stereo[(begin - base) * scale : (stop - base) * scale] = tone[:, np.newaxis]


def mark(first: int, count: int, rate: int) -> Samples:
    """Return samples of what a gap sounds like, `first` samples after its begin."""
    place = (first + np.arange(count)) % (MARK_PERIOD_SECONDS * rate)
    tone = _MARK_AMPLITUDE * np.sin(2 * np.pi * MARK_HERTZ / rate * place)
    return np.where(place < MARK_SECONDS * rate, tone, 0).astype(np.int16)
