"""What the phones of the demonstration say: soft notes, each phone at a pitch of its own."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

RATE = 8000
NOTE_SECONDS = 0.4
AMPLITUDE = 6000


def write(path: Path, hertz: int, seconds: int = 60) -> None:
    """Write notes and pauses in turn as an 8 kHz, mono, 16-bit WAV file."""
    samples = int(RATE * NOTE_SECONDS)
    note = AMPLITUDE * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE) * np.hanning(samples) ** 0.25
    phrase = np.concatenate((note, np.zeros(samples))).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(phrase * round(seconds / (2 * NOTE_SECONDS)))
