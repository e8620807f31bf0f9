"""G.711 µ-law (PCMU) and A-law (PCMA), RFC 3551 4.5.14: companded octets at 8,000 a second."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np

from media.codecs.concealment import Concealer
from media.codecs.interface import Samples
from media.codecs.names import PCMA, PCMU

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import audioop

__all__ = ["PCMA", "PCMU", "SAMPLE_RATE", "SILENCE", "TRANSCODE", "G711Decoder", "G711Encoder", "decode", "encode"]

SAMPLE_RATE: Final = 8000
SILENCE: Final = {PCMU: 0xFF, PCMA: 0xD5}

_EVERY_OCTET = bytes(range(256))
TRANSCODE: Final[dict[tuple[str, str], bytes]] = {
    (PCMU, PCMA): audioop.lin2alaw(audioop.ulaw2lin(_EVERY_OCTET, 2), 2),
    (PCMA, PCMU): audioop.lin2ulaw(audioop.alaw2lin(_EVERY_OCTET, 2), 2),
}
"""Tables for `bytes.translate`: from the first law to the second."""


def encode(linear: bytes, codec: str) -> bytes:
    """Compand 16-bit linear samples (native byte order)."""
    return audioop.lin2ulaw(linear, 2) if codec == PCMU else audioop.lin2alaw(linear, 2)


def decode(payload: bytes, codec: str) -> bytes:
    """Expand companded octets to 16-bit linear samples (native byte order)."""
    return audioop.ulaw2lin(payload, 2) if codec == PCMU else audioop.alaw2lin(payload, 2)


class G711Decoder:
    """Expands one of the laws."""

    sample_rate = SAMPLE_RATE
    mode_request = None

    def __init__(self, law: str) -> None:
        self._law = law
        self._concealer = Concealer(SAMPLE_RATE)

    def decode(self, payload: bytes) -> Samples:
        """Return a sample for each octet."""
        return self._concealer.heard(np.frombuffer(decode(payload, self._law), np.int16))

    def conceal(self, samples: int, following: bytes | None = None) -> Samples:
        """Return the last pitch periods, fading."""
        return self._concealer.conceal(samples)


class G711Encoder:
    """Compands by one of the laws."""

    sample_rate = SAMPLE_RATE

    def __init__(self, law: str) -> None:
        self._law = law

    def encode(self, pcm: Samples) -> bytes:
        """Return an octet for each sample."""
        return encode(pcm.tobytes(), self._law)

    def follow(self, mode_request: int | None) -> None:
        """Do nothing: there is one mode."""
