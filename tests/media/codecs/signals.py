"""Signals to try codecs with, and what is measured on them."""

import functools
import io
import math
import subprocess
import wave
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from media.codecs import Samples


def tone(frequency: float, rate: int, seconds: float = 1.0, level: float = 8000.0) -> Samples:
    """A sine; `level` is its amplitude."""
    return np.asarray(level * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate), np.int16)


@functools.cache
def speech(rate: int, within: int | None = None) -> Samples:
    """Some seconds of espeak-ng's voice, of whole 20 ms; of the band that the rate `within` carries."""
    text = "The quick brown fox jumps over the lazy dog, and seven wizards boil a kettle."
    spoken = subprocess.run(
        ["espeak-ng", "-v", "en", "-s", "160", "--stdout", text], check=True, capture_output=True, timeout=60
    ).stdout
    with wave.open(io.BytesIO(spoken)) as file:
        voice = np.frombuffer(file.readframes(1 << 24), np.int16).astype(np.float64)
        narrow = soxr.resample(voice, file.getframerate(), within or rate)
    narrow = narrow[: len(narrow) // ((within or rate) // 50) * ((within or rate) // 50)]
    resampled = soxr.resample(narrow, within, rate) if within not in {None, rate} else narrow
    pcm = np.asarray(np.rint(resampled * (12000 / np.abs(resampled).max())), np.int16)
    pcm.setflags(write=False)
    return pcm


def rms(pcm: Samples) -> float:
    """The level."""
    return float(np.sqrt(np.mean(np.square(pcm, dtype=np.float64))))


def decibels(ratio: float) -> float:
    """A ratio of levels."""
    return 20 * float(np.log10(max(ratio, 1e-9)))


def frequency_of(pcm: Samples, rate: int) -> float:
    """The strongest frequency, to a fraction of a bin."""
    windowed = pcm * np.hanning(len(pcm))
    spectrum = np.log(np.abs(np.fft.rfft(windowed)) + 1e-9)
    peak = int(np.argmax(spectrum[1:-1])) + 1
    left, middle, right = spectrum[peak - 1 : peak + 2]
    return float((peak + 0.5 * (left - right) / (left - 2 * middle + right)) * rate / len(pcm))


class Comparison(NamedTuple):
    """What became of a signal: by how much later and louder it came, how much of it is noise; whether it sounds alike.

    `likeness` is the correlation of both spectrograms between 200 and 3,400 Hz, 1 for equal ones: codecs that model
    speech keep its spectrum rather than its wave.
    """

    delay_ms: float
    gain_db: float
    snr_db: float
    likeness: float


def compare(sent: Samples, heard: Samples, rate: int, longest_ms: float = 60.0) -> Comparison:
    """Measure, by the lag at which both resemble each other most."""
    length = min(len(sent), len(heard))
    x, y = sent[:length].astype(np.float64), heard[:length].astype(np.float64)
    size = 2 * length
    correlation = np.fft.irfft(np.conj(np.fft.rfft(x, size)) * np.fft.rfft(y, size), size)
    lag = int(np.argmax(correlation[: int(longest_ms * rate / 1000)]))
    x, y = x[: length - lag], y[lag:]
    power = float(np.mean(x * x))
    gain = float(np.mean(x * y)) / power
    noise = float(np.mean((y - gain * x) ** 2))
    return Comparison(
        1000 * lag / rate,
        10 * math.log10(float(np.mean(y * y)) / power),
        10 * math.log10(max(gain**2 * power, 1e-9) / max(noise, 1e-9)),
        float(np.corrcoef(_spectrogram(x, rate), _spectrogram(y, rate))[0, 1]),
    )


def _spectrogram(signal: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    size = rate // 50
    frames = signal[: len(signal) // size * size].reshape(-1, size) * np.hanning(size)
    return np.asarray(np.abs(np.fft.rfft(frames, axis=1))[:, 4:68]).ravel()
