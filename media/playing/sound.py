"""Sound files of any kind that libsndfile reads, as mono samples at the rates that are played."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from media.codecs import Samples

LONGEST_SECONDS: Final = 1800
SPEECH_RATE: Final = 16_000
SPEECH_DBFS: Final = -20.0
PEAK_DBFS: Final = -3.0
_FRAME: Final = SPEECH_RATE // 50
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
    return _whole(np.nan_to_num(sound).mean(axis=1) * -float(_SMALLEST)), int(rate)


def resample(sound: Samples, from_rate: int, to_rate: int) -> Samples:
    """Return a whole sound at another rate."""
    if from_rate == to_rate or not len(sound):
        return sound
    return _whole(soxr.resample(sound.astype(np.float32), from_rate, to_rate))


def tidy(speech: Samples, rate: int) -> tuple[Samples, int]:
    """Return speech without the silence around it, as loud as the shipped prompts, and its rate.

    Raises SoundError when there is nothing to be heard.
    """
    sound = resample(speech, rate, SPEECH_RATE).astype(np.float32)
    loudest = float(np.abs(sound).max(initial=0))
    if loudest < 1:
        raise SoundError("There is nothing to be heard.")
    loud = np.flatnonzero(np.abs(sound) > loudest / 100)
    sound = sound[max(0, loud[0] - SPEECH_RATE // 50) : loud[-1] + SPEECH_RATE // 12]
    whole_frames = np.pad(sound, (0, -len(sound) % _FRAME)).reshape(-1, _FRAME)
    power = (whole_frames**2).mean(axis=1)
    active = float(power[power > power.max() / 1000].mean())
    gain = min(_amplitude(SPEECH_DBFS) / active**0.5, _amplitude(PEAK_DBFS) / loudest)
    return _whole(sound * np.float32(gain)), SPEECH_RATE


def write_sound(path: Path, sound: Samples, rate: int) -> None:
    """Write a WAV file. Raises SoundError."""
    try:
        soundfile.write(path, sound, rate, format="WAV", subtype="PCM_16")
    except (OSError, soundfile.SoundFileError) as error:
        raise SoundError(f"{path} cannot be written: {error}") from error


def _amplitude(dbfs: float) -> float:
    return -_SMALLEST * 10 ** (dbfs / 20)


def _whole(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Samples:
    rounded: Samples = np.clip(np.rint(values), _SMALLEST, _LARGEST).astype(np.int16)
    return rounded
