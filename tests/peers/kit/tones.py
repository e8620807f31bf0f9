"""Tones: written for a phone to play, found again in what the other side got (Goertzel)."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE = 8000
Samples = npt.NDArray[np.float64]
SILENCE_DB = -120.0


def write_tone(path: Path, hertz: float, seconds: float = 60.0) -> Path:
    """Write a mono WAV of one tone at half of full scale."""
    times = np.arange(int(RATE * seconds)) / RATE
    samples = (16384 * np.sin(2 * np.pi * hertz * times)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def read_wav(path: Path) -> list[Samples]:
    """Return the channels of a 16-bit WAV, full scale as 1; also of one whose length was never written."""
    data = path.read_bytes()
    assert data[:4] == b"RIFF", data[:16]
    format_at, data_at = data.index(b"fmt ") + 8, data.index(b"data") + 8
    channels = int.from_bytes(data[format_at + 2 : format_at + 4], "little")
    assert int.from_bytes(data[format_at + 14 : format_at + 16], "little") == 16
    usable = (len(data) - data_at) // (2 * channels) * 2 * channels
    samples = np.frombuffer(data[data_at : data_at + usable], "<i2").reshape(-1, channels) / 32768
    return [samples[:, channel] for channel in range(channels)]


def level(samples: Samples, hertz: float, rate: int = RATE) -> float:
    """Return how much of the power of ``samples`` is at a frequency, in dB: 0 is all, for a pure tone.

    The Goertzel filter over blocks of 0.1 s, so that the phase may jump between them; -120 for silence.
    """
    size = rate // 10
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    total = float((blocks**2).sum())
    if total < 1e-9 * max(blocks.size, 1):
        return SILENCE_DB
    kernel = np.exp(-2j * np.pi * hertz * np.arange(size) / rate)
    at_tone = float((np.abs(blocks @ kernel) ** 2).sum()) * 2 / size
    return float(10 * np.log10(max(at_tone / total, 1e-12)))


def loudest_part(samples: Samples, hertz: float, seconds: float, rate: int = RATE) -> Samples:
    """Return the part of that length in which the tone is the purest: what comes before and after is no matter."""
    size, step = int(seconds * rate), rate // 10
    starts = range(0, max(len(samples) - size, 0) + 1, step)
    return max((samples[start : start + size] for start in starts), key=lambda part: level(part, hertz, rate))
