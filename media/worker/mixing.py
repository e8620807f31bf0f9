"""The sound of those to whom nobody can be relayed, made anew each 20 ms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from media.codecs import Samples
from media.worker.decoding import Decoding
from media.worker.speech import TICKS_PER_SECOND, Speech

_SMALLEST, _LARGEST = -32768, 32767


class Part(NamedTuple):
    """What one hearer is to hear: each speaker at a gain."""

    speech: Speech
    speakers: Mapping[Decoding, float]


class Mixing:
    """Hearers of one sample rate, and whoever any of them hears: one product of a matrix with 20 ms of samples."""

    __slots__ = ("_gains", "_parts", "_plain", "_rate", "_silence", "_speakers")

    def __init__(self, rate: int, parts: list[Part]) -> None:
        self._rate = rate
        self._parts = parts
        self._speakers = list(dict.fromkeys(speaker for part in parts for speaker in part.speakers))
        rows = [[part.speakers.get(speaker, 0.0) for speaker in self._speakers] for part in parts]
        self._gains: Final[NDArray[np.float32]] = np.array(rows, np.float32)
        self._plain = len(self._speakers) == 1 and bool((self._gains == 1).all())
        self._silence = np.zeros(rate // TICKS_PER_SECOND, np.int16)

    def tick(self, source: object, now: float) -> None:
        """Send each hearer what it hears of what the speakers' `frame`s hold."""
        frames = [speaker.at(self._rate) for speaker in self._speakers]
        heard = [self._silence if frame is None else frame for frame in frames]
        if not heard:
            mixed: Sequence[Samples] = [self._silence] * len(self._parts)
        elif self._plain:
            mixed = heard * len(self._parts)
        else:
            sums = self._gains @ np.array(heard, np.float32)
            mixed = list(np.clip(sums, _SMALLEST, _LARGEST, out=sums).astype(np.int16))
        for (speech, speakers), pcm in zip(self._parts, mixed, strict=True):
            if speech.takes_noise and all(speaker.frame is None or speaker.resting for speaker in speakers):
                speech.rest(source, max((speaker.resting for speaker in speakers), default=b""), now)
            else:
                speech.say(source, pcm, now)


def arrange(parts: Iterable[Part]) -> list[Mixing]:
    """Put together those who hear at the same sample rate."""
    by_rate: dict[int, list[Part]] = {}
    for part in parts:
        by_rate.setdefault(part.speech.sample_rate, []).append(part)
    return [Mixing(rate, alike) for rate, alike in by_rate.items()]
