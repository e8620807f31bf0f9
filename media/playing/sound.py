"""Sound files of any kind that libsndfile reads, as mono samples at the rates that are played."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from media.codecs import Samples

SUFFIXES: Final = (".wav", ".opus", ".ogg", ".flac", ".mp3")
LONGEST_SECONDS: Final = 1800
_SMALLEST, _LARGEST = -32768, 32767


class SoundError(Exception):
    """A file cannot be played; the message says which and why."""


def read_sound(path: Path) -> tuple[Samples, int]:
    """Return the samples of a file, its channels mixed into one, and their rate. Raises SoundError."""
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames > LONGEST_SECONDS * file.samplerate:
                raise SoundError(f"{path} is longer than {LONGEST_SECONDS // 60} minutes.")
            sound, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    except (OSError, soundfile.SoundFileError) as error:
        raise SoundError(f"{path} cannot be read: {error}") from error
    return _whole(sound.mean(axis=1) * -float(_SMALLEST)), int(rate)


def resample(sound: Samples, from_rate: int, to_rate: int) -> Samples:
    """Return a whole sound at another rate."""
    if from_rate == to_rate or not len(sound):
        return sound
    return _whole(soxr.resample(sound.astype(np.float32), from_rate, to_rate))


def _whole(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Samples:
    rounded: Samples = np.clip(np.rint(values), _SMALLEST, _LARGEST).astype(np.int16)
    return rounded
