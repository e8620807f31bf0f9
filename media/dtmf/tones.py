"""The tones of a telephone's keys (ITU-T Q.23), at any sample rate."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

SAMPLE_RATE: Final = 8000
ROWS: Final = (697, 770, 852, 941)
COLUMNS: Final = (1209, 1336, 1477, 1633)
KEYS: Final = "123A456B789C*0#D"
"""Row by row."""
LOW_DBM0: Final = -10.0
HIGH_DBM0: Final = -8.0
"""Lines lose more of high frequencies, so they are sent louder."""
_LARGEST_DBM0: Final = 3.14  # a sine as large as PCM holds (ITU-T G.711, A-law)
_LARGEST: Final = 32_768


def amplitude(dbm0: float) -> float:
    """Return the amplitude of a sine of that level, in units of 16-bit samples."""
    return float(_LARGEST * 10 ** ((dbm0 - _LARGEST_DBM0) / 20))


def mean_square(dbm0: float) -> float:
    """Return the mean square of a sine of that level."""
    return amplitude(dbm0) ** 2 / 2


def frequencies(digit: str) -> tuple[int, int]:
    """Return the two frequencies of a key, low and high, in Hz."""
    place = KEYS.index(digit)
    return ROWS[place // 4], COLUMNS[place % 4]


def tone(digit: str, begin: int, count: int, rate: int = SAMPLE_RATE) -> npt.NDArray[np.int16]:
    """Return `count` samples of a key's tone from sample `begin` on: pieces in succession make one tone."""
    low, high = frequencies(digit)
    turns = 2 * math.pi / rate * np.arange(begin, begin + count)
    wave: npt.NDArray[np.float64] = amplitude(LOW_DBM0) * np.sin(low * turns) + amplitude(HIGH_DBM0) * np.sin(
        high * turns
    )
    return wave.astype(np.int16)
