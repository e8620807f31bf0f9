"""Sample rates made equal, a piece at a time, with a short and constant delay.

A streaming resampler for calls must give out each tick what it was given: soxr's gathers up to 130 ms before it gives
anything, at any quality that filters. Telephony's rates are whole multiples of each other, for which a polyphase
filter is one small product of matrices.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media.codecs.interface import Samples

TAPS: Final = 32
"""The filter's length in samples of the lower rate; half of it is the delay."""
_KAISER_BETA: Final = 6.0
_SMALLEST, _LARGEST = -32768, 32767


class Resampler:
    """Converts one stream of mono samples between rates of which one is a whole multiple of the other.

    Each piece is answered by as many samples as it lasts; `delay` is in seconds. The band is kept up to 0.43 of the
    lower rate, images and aliases are 60 dB down from 0.57 of it on. Raises ValueError for other rates.
    """

    __slots__ = ("_factor", "_filter", "_history", "_rises", "delay")

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._rises = to_rate > from_rate
        lower, higher = sorted((from_rate, to_rate))
        if lower <= 0 or higher % lower:
            raise ValueError(f"{higher} is no multiple of {lower} samples a second.")
        self._factor = factor = higher // lower
        self._filter = _upward_filter(factor) if self._rises else _downward_filter(factor)
        middle = (TAPS * factor - 1) / 2
        self.delay = (middle if self._rises else middle - (factor - 1)) / higher if factor > 1 else 0.0
        self._history = np.zeros(TAPS - 1 if self._rises else TAPS * factor - factor, np.float32)

    def convert(self, pcm: Samples) -> Samples:
        """Return the samples of the same time; when reducing, whole multiples of the factor must be given."""
        if self._factor == 1 or not len(pcm):
            return pcm
        signal = np.concatenate((self._history, pcm), dtype=np.float32)
        self._history = signal[-len(self._history) :]
        windows = np.lib.stride_tricks.sliding_window_view(signal, len(self._filter))
        converted = (windows if self._rises else windows[:: self._factor]) @ self._filter
        rounded: Samples = np.clip(np.rint(converted.ravel()), _SMALLEST, _LARGEST).astype(np.int16)
        return rounded


def _prototype(factor: int) -> NDArray[np.float64]:
    """Return a windowed sinc that cuts at half of the lower rate, with unit gain at the higher rate."""
    length = TAPS * factor
    time = (np.arange(length) - (length - 1) / 2) / factor
    return np.asarray(np.sinc(time) * np.kaiser(length, _KAISER_BETA) / factor)


@functools.lru_cache(maxsize=16)
def _upward_filter(factor: int) -> NDArray[np.float32]:
    """Return a column of taps for each of the samples that one becomes, each of unit gain."""
    phases = _prototype(factor).reshape(TAPS, factor)[::-1]
    return np.ascontiguousarray(phases / phases.sum(axis=0), dtype=np.float32)


@functools.lru_cache(maxsize=16)
def _downward_filter(factor: int) -> NDArray[np.float32]:
    taps = _prototype(factor)
    return np.asarray(taps / taps.sum(), dtype=np.float32)
