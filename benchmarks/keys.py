"""What it costs to listen for keys in the audio of many legs at a time."""

from __future__ import annotations

from itertools import cycle

import numpy as np

from benchmarks.message import microseconds
from benchmarks.report import Single
from benchmarks.sampling import Scale
from media.dtmf.detector import BLOCK, Detector
from media.dtmf.tones import KEYS, tone

UNIT = "µs of CPU per 20 ms of all"
SECONDS = 1.0
CHANNELS = (1, 100, 1000)
PRESSED = 20  # one of so many channels has a tone on it
BLOCKS = 25


def _audio(channels: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int16]]]:
    """Return half a second of noise on each channel, with a key on some."""
    sound = np.random.default_rng(1).normal(0, 1500, (channels, BLOCKS * BLOCK))
    for channel in range(0, channels, PRESSED):
        sound[channel] = tone(KEYS[channel // PRESSED % len(KEYS)], 0, BLOCKS * BLOCK)
    return np.split(sound.astype(np.int16), BLOCKS, axis=1)


def figures(scale: Scale) -> list[Single]:
    """Measure it in this process."""
    found = []
    for count in CHANNELS:
        detector, blocks = Detector(), cycle(_audio(count))
        channels = [detector.add() for _ in range(count)]
        cost = microseconds(lambda: detector.feed(channels, next(blocks)), scale.seconds(SECONDS))  # noqa: B023
        title = f"keys listened for on {count:,} channel{'s' * (count > 1)}"
        found.append(Single(f"keys_{count}", title, UNIT, cost))
    return found
