"""Comfort noise (RFC 3389): silence told by its level and colour instead of being sent."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media.codecs.interface import CodecError, Samples
from media.codecs.silence import OVERLOAD, SilenceDetector

_RESERVED_INDEX: Final = 255
_MOST_COEFFICIENTS: Final = 32
_RESPONSE_TAPS: Final = 128
_NOISE_SAMPLES: Final = 1 << 16

_REFRESH_PACKETS: Final = 20
_CHANGE_DB: Final = 3.0


class NoiseDecoder:
    """Makes noise of the level and spectrum told last; nothing told is silence."""

    mode_request = None
    repairs = False

    def __init__(self, sample_rate: int, packet_ms: int = 20) -> None:
        self.sample_rate = sample_rate
        self._packet = sample_rate * packet_ms // 1000
        self._level = 0.0
        self._response = np.ones(1, np.float32)
        self._position = 0

    def decode(self, payload: bytes) -> Samples:
        """Take the description and return noise for the time of one packet. Raises CodecError."""
        if not payload:
            raise CodecError("A packet of comfort noise is empty.")
        # 3.1: "The most significant bit of the noise level byte is always 0"; 3.2: index 255 is reserved.
        self._level = OVERLOAD * 10 ** (-(payload[0] & 0x7F) / 20)
        indices = np.frombuffer(payload, np.uint8)[1 : 1 + _MOST_COEFFICIENTS].astype(np.float64)
        if np.any(indices == _RESERVED_INDEX):
            indices = indices[:0]
        self._response = _impulse_response(258 * (indices - 127) / 32768)
        return self.conceal(self._packet)

    def conceal(self, samples: int, following: bytes | None = None) -> Samples:
        """Return more of the noise."""
        wanted = samples + len(self._response) - 1
        white = np.take(_white_noise(), np.arange(self._position, self._position + wanted), mode="wrap")
        self._position = (self._position + samples) % _NOISE_SAMPLES
        coloured = np.convolve(white, self._response, "valid") * self._level
        noise: Samples = np.clip(np.rint(coloured), -32768, 32767).astype(np.int16)
        return noise


class NoiseSender:
    """Decides packet by packet whether a signal is to be sent as speech, and describes it as noise otherwise."""

    __slots__ = ("_detector", "_since", "_told")

    def __init__(self) -> None:
        self._detector = SilenceDetector()
        self._since = 0
        self._told: float | None = None

    def take(self, pcm: Samples) -> bytes | None:
        """Judge the time of one packet.

        None: it is to be sent as speech. Otherwise the comfort noise to be sent in its place, or b"" for nothing.
        """
        if not self._detector.is_silence(pcm):
            self._told = None
            return None
        level = self._detector.level
        self._since += 1
        if self._told is not None and self._since < _REFRESH_PACKETS and abs(level - self._told) < _CHANGE_DB:
            return b""
        self._told = level
        self._since = 0
        return bytes([round(-level)])


@functools.cache
def _white_noise() -> NDArray[np.float32]:
    """Return noise of unit power that is nearly normal, always the same: each sample the sum of four hashed numbers."""
    numbers = np.arange(1, 4 * _NOISE_SAMPLES + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    uniform = (numbers >> np.uint64(11)).astype(np.float64) / 2**53 - 0.5
    noise = uniform.reshape(-1, 4).sum(axis=1)
    return np.asarray(noise / noise.std(), np.float32)


def _impulse_response(reflections: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the answer of the all-pole filter 1/A(z) with these reflection coefficients to a pulse, of unit power."""
    if not len(reflections):
        return np.ones(1, np.float32)
    predictor = np.zeros(0)
    for reflection in reflections:
        predictor = np.append(predictor + reflection * predictor[::-1], reflection)
    response = np.zeros(_RESPONSE_TAPS)
    response[0] = 1.0
    for n in range(1, _RESPONSE_TAPS):
        past = response[max(0, n - len(predictor)) : n][::-1]
        response[n] = -past @ predictor[: len(past)]
    return np.asarray(response / np.sqrt(np.sum(response**2)), np.float32)
