"""G.711 µ-law (PCMU) and A-law (PCMA), RFC 3551 4.5.14: companded octets at 8,000 a second.

Samples have 16 bits here, of which G.711 knows the upper 14 (µ-law) or 13 (A-law). A negative sample is companded as
its one's complement with the sign bit, as by ITU-T's tool library (G.191), so that the two halves mirror each other.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from media.codecs.concealment import Concealer
from media.codecs.interface import Samples
from media.codecs.names import PCMA, PCMU

__all__ = ["PCMA", "PCMU", "SAMPLE_RATE", "SILENCE", "TRANSCODE", "G711Decoder", "G711Encoder", "decode", "encode"]

SAMPLE_RATE: Final = 8000
SILENCE: Final = {PCMU: 0xFF, PCMA: 0xD5}

_ULAW_BIAS: Final = 33
_ULAW_GREATEST: Final = 8158 + _ULAW_BIAS
_ALAW_INVERTED: Final = 0x55
_SIGN: Final = 0x80

_Octets = NDArray[np.uint8]


def _expanded_ulaw() -> Samples:
    """Table 2: segment s and interval q stand for (2q + 33) 2^s - 33, in steps of 4; all bits are sent inverted."""
    code = ~np.arange(256, dtype=np.uint8)
    segment, interval = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    value = ((2 * interval + _ULAW_BIAS << segment) - _ULAW_BIAS) * 4
    return np.where(code & _SIGN, -value, value).astype(np.int16)


def _expanded_alaw() -> Samples:
    """Table 1: 2q + 1 in the lowest segment, (2q + 33) 2^(s-1) above, in steps of 8; even bits are sent inverted."""
    code = np.arange(256, dtype=np.uint8) ^ _ALAW_INVERTED
    segment, interval = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    value = np.where(segment == 0, 2 * interval + 1, 2 * interval + 33 << np.maximum(segment - 1, 0)) * 8
    return np.where(code & _SIGN, value, -value).astype(np.int16)


def _magnitudes() -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Return the sign and the magnitude of each sample, by its bits as an unsigned number."""
    sample = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32)
    return sample < 0, np.where(sample < 0, ~sample, sample)


def _companded_ulaw() -> _Octets:
    negative, magnitude = _magnitudes()
    value = np.minimum((magnitude >> 2) + _ULAW_BIAS, _ULAW_GREATEST)
    segment = np.frexp(value)[1] - 6
    code = segment << 4 | value >> segment + 1 & 15
    octets: _Octets = (~np.where(negative, code | _SIGN, code)).astype(np.uint8)
    return octets


def _companded_alaw() -> _Octets:
    negative, magnitude = _magnitudes()
    value = magnitude >> 4
    segment = np.maximum(np.frexp(value)[1] - 4, 0)
    code = segment << 4 | np.where(segment == 0, value, value >> np.maximum(segment - 1, 0)) & 15
    octets: _Octets = (np.where(negative, code, code | _SIGN) ^ _ALAW_INVERTED).astype(np.uint8)
    return octets


_EXPANDED: Final = {PCMU: _expanded_ulaw(), PCMA: _expanded_alaw()}
_COMPANDED: Final = {PCMU: _companded_ulaw(), PCMA: _companded_alaw()}


def encode(linear: bytes, codec: str) -> bytes:
    """Compand 16-bit linear samples (native byte order)."""
    return _COMPANDED[codec].take(np.frombuffer(linear, np.uint16)).tobytes()


def decode(payload: bytes, codec: str) -> bytes:
    """Expand companded octets to 16-bit linear samples (native byte order)."""
    return _EXPANDED[codec].take(np.frombuffer(payload, np.uint8)).tobytes()


def _translated(one: str, other: str) -> bytes:
    """Return the octet of the other law whose value has the nearest level, for each octet (tables 3 and 4).

    The same number is not the same level: a sine at the overload point has 3.17 dBm0 in µ-law, 3.14 dBm0 in A-law.
    """
    values = {law: np.abs(_EXPANDED[law][_NUMBERED[law]].astype(np.float64)) * _LEVEL[law] for law in (one, other)}
    nearest = np.argmin(np.abs(values[other] - values[one][:, np.newaxis]), axis=1)
    translated = np.empty(256, np.uint8)
    for sign in (0, _SIGN):
        translated[_NUMBERED[one] & ~_SIGN | sign] = _NUMBERED[other][nearest] & ~_SIGN | sign
    return translated.tobytes()


_NUMBERED: Final = {PCMU: 0xFF - np.arange(128), PCMA: (np.arange(128) | _SIGN) ^ _ALAW_INVERTED}
"""The octets of positive values, from the least to the greatest."""
_LEVEL: Final = {PCMU: 10 ** (3.17 / 20) / (4 * 8159), PCMA: 10 ** (3.14 / 20) / (8 * 4096)}

TRANSCODE: Final = {(PCMU, PCMA): _translated(PCMU, PCMA), (PCMA, PCMU): _translated(PCMA, PCMU)}
"""Tables for `bytes.translate`: from the first law to the second."""


class G711Decoder:
    """Expands one of the laws."""

    sample_rate = SAMPLE_RATE
    mode_request = None
    repairs = False

    def __init__(self, law: str) -> None:
        self._expanded = _EXPANDED[law]
        self._concealer = Concealer(SAMPLE_RATE)

    def decode(self, payload: bytes) -> Samples:
        """Return a sample for each octet."""
        return self._concealer.heard(self._expanded.take(np.frombuffer(payload, np.uint8)))

    def conceal(self, samples: int, following: bytes | None = None) -> Samples:
        """Return the last pitch periods, fading."""
        return self._concealer.conceal(samples)


class G711Encoder:
    """Compands by one of the laws."""

    sample_rate = SAMPLE_RATE

    def __init__(self, law: str) -> None:
        self._companded = _COMPANDED[law]

    def encode(self, pcm: Samples) -> bytes:
        """Return an octet for each sample."""
        return self._companded.take(pcm.view(np.uint16)).tobytes()

    def follow(self, mode_request: int | None) -> None:
        """Do nothing: there is one mode."""

    def ask(self, mode_request: int | None) -> None:
        """Do nothing, likewise."""
