"""Speech made shorter by one pitch period, so that a jitter buffer that is too deep can be read down unheard."""

from __future__ import annotations

from typing import Final

import numpy as np

from media.codecs.interface import Samples

_SHORTEST_MS: Final = 2.5
_LONGEST_MS: Final = 10.0
_COMPARED_MS: Final = 5.0
_LIKE: Final = 0.7
_SILENT_LEVEL: Final = 200.0
_MULTIPLE: Final = 6
"""What is left out is a multiple of this, so that what stays can be resampled by any whole factor."""


def shortened(pcm: Samples, sample_rate: int, most: float) -> Samples:
    """Leave out one period of at most `most` samples where the signal resembles itself or is silent."""
    ms = sample_rate / 1000
    compared = int(_COMPARED_MS * ms)
    longest = int(min(_LONGEST_MS * ms, most, len(pcm) - compared))
    shortest = int(_SHORTEST_MS * ms)
    if longest < shortest:
        return pcm
    signal = pcm.astype(np.float32)
    first = signal[:compared]
    if np.abs(signal).max() <= _SILENT_LEVEL:
        period = longest
    else:
        windows = np.lib.stride_tricks.sliding_window_view(signal[shortest : longest + compared], compared)
        energy = np.sqrt(np.sum(np.square(windows), axis=1) * np.sum(np.square(first)))
        likeness = (windows @ first) / np.maximum(energy, 1.0)
        best = int(np.argmax(likeness))
        if likeness[best] < _LIKE:
            return pcm
        period = shortest + best
    period -= period % _MULTIPLE
    rising = np.arange(1, compared + 1, dtype=np.float32) / (compared + 1)
    blended = first * (1 - rising) + signal[period : period + compared] * rising
    return np.concatenate((np.rint(blended).astype(np.int16), pcm[period + compared :]))
