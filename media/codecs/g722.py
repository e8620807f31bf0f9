"""G.722 at 64 kbit/s: 16 kHz audio, on an RTP clock of 8 kHz (RFC 3551 4.5.2)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from media.codecs.concealment import Concealer
from media.codecs.interface import CodecError, Samples

try:
    import G722 as library  # noqa: N811
except ImportError:  # built from source where there is no wheel, which needs a compiler
    library = None

AVAILABLE: Final = library is not None
SAMPLE_RATE: Final = 16000
_BIT_RATE: Final = 64000


def _open() -> Any:
    if library is None:
        raise CodecError("G722 needs the library of that name.")
    return library.G722(SAMPLE_RATE, _BIT_RATE)


class G722Decoder:
    """Decodes two samples from each octet."""

    sample_rate = SAMPLE_RATE
    mode_request = None
    repairs = False

    def __init__(self) -> None:
        self._codec = _open()
        self._concealer = Concealer(SAMPLE_RATE)

    def decode(self, payload: bytes) -> Samples:
        """Return the packet's samples."""
        return self._concealer.heard(np.array(self._codec.decode(payload), np.int16))

    def conceal(self, samples: int, following: bytes | None = None) -> Samples:
        """Return the last pitch periods, fading."""
        return self._concealer.conceal(samples)


class G722Encoder:
    """Encodes two samples into each octet."""

    sample_rate = SAMPLE_RATE

    def __init__(self) -> None:
        self._codec = _open()

    def encode(self, pcm: Samples) -> bytes:
        """Return an octet for two samples."""
        return bytes(self._codec.encode(np.ascontiguousarray(pcm)))

    def follow(self, mode_request: int | None) -> None:
        """Do nothing: one bit rate is used in RTP."""

    def ask(self, mode_request: int | None) -> None:
        """Do nothing, likewise."""
