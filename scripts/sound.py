"""Sound as float arrays in -1..1, and its way into the WAV files that the media worker plays."""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 8000
Sound = NDArray[np.float64]

# A telephone passes 300-3400 Hz; below, only the edge towards hum is cut, so that voices stay full.
LOW_HZ, HIGH_HZ = 150.0, 3400.0
PEAK_DBFS = -3.0


def read_wav(path: Path) -> tuple[Sound, int]:
    """The first channel of a 16-bit WAV file, and its rate in Hz."""
    with wave.open(str(path), "rb") as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return frames[:: file.getnchannels()] / 32768.0, file.getframerate()


def write_wav(path: Path, sound: Sound) -> None:
    """Write 8 kHz mono 16-bit PCM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(sound * 32767.0).astype("<i2").tobytes())


def to_telephone(sound: Sound, rate: int) -> Sound:
    """Resample to 8 kHz and keep the telephone band, both in one pass through the spectrum."""
    # The spectrum treats the sound as a loop; silence behind it keeps its end from ringing into its start.
    padded = np.concatenate([sound, np.zeros(rate // 10 + (-len(sound)) % rate)])
    spectrum = np.fft.rfft(padded)
    hertz = np.arange(len(spectrum)) * rate / len(padded)
    spectrum *= np.clip((hertz - LOW_HZ / 2) / (LOW_HZ / 2), 0, 1) * np.clip((HIGH_HZ + 200 - hertz) / 200, 0, 1)
    length = round(len(padded) * RATE / rate)
    resampled = np.fft.irfft(spectrum[: length // 2 + 1], length) * (length / len(padded))
    return np.asarray(resampled[: round(len(sound) * RATE / rate)])


def trim(sound: Sound, lead: float = 0.02, tail: float = 0.08) -> Sound:
    """Cut the silence around a sound, but for `lead` and `tail` seconds that fade in and out."""
    loud = np.flatnonzero(np.abs(sound) > np.abs(sound).max() * 10 ** (-40 / 20))
    before, after = int(lead * RATE), int(tail * RATE)
    padded = np.pad(sound, (before, after))
    cut = padded[loud[0] : loud[-1] + 1 + before + after].copy()
    cut[:before] *= np.linspace(0, 1, before)
    cut[-after:] *= np.linspace(1, 0, after)
    return cut


def set_level(sound: Sound, dbfs: float) -> Sound:
    """Bring the part that sounds (not the pauses) to `dbfs`, with no peak above `PEAK_DBFS`."""
    frame = RATE // 50
    frames = sound[: len(sound) // frame * frame].reshape(-1, frame)
    power = np.mean(frames**2, axis=1)
    active = power[power > power.max() * 10 ** (-30 / 10)]
    gain = 10 ** (dbfs / 20) / np.sqrt(active.mean())
    return np.asarray(sound * min(gain, 10 ** (PEAK_DBFS / 20) / np.abs(sound).max()))
