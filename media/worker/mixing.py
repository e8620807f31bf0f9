"""The sound of those to whom nobody can be relayed, made anew each 20 ms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from media.codecs import Samples
from media.worker.decoding import TICKS_PER_SECOND, Decoding
from media.worker.speech import Speech

_SMALLEST, _LARGEST = -32768, 32767


class Part(NamedTuple):
    """What one hearer is to hear: each speaker at a gain."""

    speech: Speech
    speakers: Mapping[Decoding, float]


class Mixing:
    """Hearers of one sample rate, and whoever any of them hears: one product of a matrix with 20 ms of samples."""

    __slots__ = ("_alike", "_gains", "_rate", "_silence", "_speakers", "_speeches")

    def __init__(self, rate: int, parts: list[Part]) -> None:
        self._rate = rate
        self._speeches = [part.speech for part in parts]
        self._speakers = list(dict.fromkeys(speaker for part in parts for speaker in part.speakers))
        rows = [[part.speakers.get(speaker, 0.0) for speaker in self._speakers] for part in parts]
        self._gains: Final[NDArray[np.float32]] = np.array(rows, np.float32)
        self._alike = len(self._speakers) == 1 and bool((self._gains == 1).all())
        self._silence = np.zeros(rate // TICKS_PER_SECOND, np.int16)

    def tick(self, source: object, now: float) -> None:
        """Say to each hearer the 20 ms of the speakers that it hears, no louder than can be."""
        said = [speaker.at(self._rate) for speaker in self._speakers]
        mixed: Sequence[Samples]
        if not said:
            mixed = [self._silence] * len(self._speeches)
        elif self._alike:
            mixed = said * len(self._speeches)
        else:
            sums = self._gains @ np.array(said, np.float32)
            mixed = list(np.clip(sums, _SMALLEST, _LARGEST, out=sums).astype(np.int16))
        for speech, pcm in zip(self._speeches, mixed, strict=True):
            speech.say(source, pcm, now)


def arrange(parts: Iterable[Part]) -> list[Mixing]:
    """Put together those who hear at the same sample rate."""
    by_rate: dict[int, list[Part]] = {}
    for part in parts:
        by_rate.setdefault(part.speech.sample_rate, []).append(part)
    return [Mixing(rate, alike) for rate, alike in by_rate.items()]
