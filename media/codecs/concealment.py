"""Packet-loss concealment on decoded samples, in the manner of ITU-T G.711 Appendix I.

What is missing is replaced by the last pitch period, after 10 ms by the last two and after 20 ms by the last three of
them, falling by a fifth each 10 ms after the first, to silence at 60 ms; what comes afterwards is faded in. Unlike the
appendix nothing is delayed by 3.75 ms for it: the step where the repetition begins is levelled out instead.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from media.codecs.interface import Samples

FULL_LEVEL_MS: Final = 10
SILENT_MS: Final = 60
_SEGMENT_MS: Final = 10
_SHORTEST_PITCH_MS: Final = 5.0
_LONGEST_PITCH_MS: Final = 15.0
_COMPARED_MS: Final = 20
_FADE_IN_MS_EACH_SEGMENT: Final = 4
_LONGEST_FADE_IN_MS: Final = 10
_MOST_PERIODS: Final = 3
_LOWEST, _HIGHEST = -32768, 32767
_SILENCE_LEVEL: Final = 1.0

_Signal = NDArray[np.float32]


class Concealer:
    """Follows one decoded signal. Each decoded piece passes through `heard`; `conceal` makes what did not come."""

    __slots__ = ("_history", "_lost", "_ms", "_period", "_remembered", "_template")

    def __init__(self, sample_rate: int) -> None:
        self._ms = sample_rate // 1000
        longest = int(_LONGEST_PITCH_MS * self._ms)
        self._remembered = _MOST_PERIODS * longest + longest // 4
        self._history: _Signal = np.zeros(self._remembered, np.float32)
        self._template = self._history
        self._period = 0
        self._lost = 0

    def heard(self, pcm: Samples) -> Samples:
        """Return the decoded samples, faded in where something was missing before them."""
        if self._lost:
            pcm = self._fade_in(pcm)
            self._lost = 0
        self._remember(pcm)
        return pcm

    def conceal(self, samples: int) -> Samples:
        """Return so many samples in the place of missing ones."""
        if not self._lost:
            self._template = self._history.copy()
            self._period = self._find_period()
        made = _rounded(self._extend(samples))
        self._lost += samples
        self._remember(made)
        return made

    def _remember(self, pcm: Samples) -> None:
        self._history = np.concatenate((self._history, pcm), dtype=np.float32)[-self._remembered :]

    def _find_period(self) -> int:
        """Return the lag at which the last 20 ms resemble most what was before them; 0 for silence."""
        compared = _COMPARED_MS * self._ms
        shortest, longest = int(_SHORTEST_PITCH_MS * self._ms), int(_LONGEST_PITCH_MS * self._ms)
        latest = self._history[-compared:]
        if np.abs(latest).max() <= _SILENCE_LEVEL:
            return 0
        earlier = self._history[-compared - longest : -shortest]
        windows = np.lib.stride_tricks.sliding_window_view(earlier, compared)
        squares = np.concatenate((np.zeros(1), np.cumsum(np.square(earlier, dtype=np.float64))))
        energy = squares[compared:] - squares[:-compared]
        likeness = (windows @ latest) / np.sqrt(np.maximum(energy, 1.0))
        return longest - int(np.argmax(likeness))

    def _extend(self, samples: int) -> _Signal:
        """Return what comes after the last concealed sample, with its level."""
        end = SILENT_MS * self._ms
        if not self._period or self._lost >= end:
            return np.zeros(samples, np.float32)
        pieces = []
        position, wanted = self._lost, self._lost + samples
        while position < min(wanted, end):
            segment = position // (_SEGMENT_MS * self._ms)
            stop = min(wanted, end, (segment + 1) * _SEGMENT_MS * self._ms)
            pieces.append(self._repeat(position, stop, segment))
            position = stop
        pieces.append(np.zeros(wanted - position, np.float32))
        extension = np.concatenate(pieces)
        time = np.arange(self._lost, wanted, dtype=np.float32) / self._ms
        level = np.clip((SILENT_MS - time) / (SILENT_MS - FULL_LEVEL_MS), 0, 1)
        return np.asarray(extension * level, np.float32)

    def _repeat(self, start: int, stop: int, segment: int) -> _Signal:
        """Return the repetition from `start` to `stop`, which lie in one segment of 10 ms since the beginning."""
        time = np.arange(start, stop)
        repeated = self._loop(min(segment + 1, _MOST_PERIODS), time)
        quarter = self._period // 4
        since = time - segment * _SEGMENT_MS * self._ms
        fading = np.clip(1 - since / quarter, 0, 1)
        if segment == 0:
            # Where the repetition differs from what would follow, the difference fades away.
            repeated = repeated + fading * (self._template[-1] - self._template[-1 - self._period])
        elif segment < _MOST_PERIODS:
            repeated = repeated + fading * (self._loop(segment, time) - repeated)
        return np.asarray(repeated, np.float32)

    def _loop(self, periods: int, time: NDArray[np.int64]) -> _Signal:
        """Return the last periods over and over, the end of each turn blended into the beginning of the next."""
        length, quarter = periods * self._period, self._period // 4
        turn = self._template[-length:].copy()
        rising = np.arange(1, quarter + 1, dtype=np.float32) / (quarter + 1)
        turn[-quarter:] += rising * (self._template[-length - quarter : -length] - turn[-quarter:])
        return turn[time % length]

    def _fade_in(self, pcm: Samples) -> Samples:
        if not self._period:
            return pcm
        segments = self._lost // (_SEGMENT_MS * self._ms)
        longest = min(len(pcm), _LONGEST_FADE_IN_MS * self._ms)
        length = min(longest, self._period // 4 + segments * _FADE_IN_MS_EACH_SEGMENT * self._ms)
        rising = np.arange(1, length + 1, dtype=np.float32) / (length + 1)
        faded = self._extend(length) * (1 - rising) + pcm[:length] * rising
        return np.concatenate((_rounded(np.asarray(faded, np.float32)), pcm[length:]))


def _rounded(signal: _Signal) -> Samples:
    rounded: Samples = np.clip(np.rint(signal), _LOWEST, _HIGHEST).astype(np.int16)
    return rounded
