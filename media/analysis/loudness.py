"""Whether a packet holds speech, told by how much of it is loud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from media.codecs import CodecError, Decoder, make_decoder
from media.codecs.g711 import decode
from media.codecs.names import PCMA, PCMU

if TYPE_CHECKING:
    from media.codecs import Samples
    from media.rtp.stream import Format

LOUD: Final = 328
"""The least magnitude of a loud sample: -40 dB of the greatest. Speech lies around -26 dB, noise below -50."""
SHARE: Final = 8
"""More than one of so many samples must be loud."""


def _quiet(codec: str) -> bytes:
    samples = np.frombuffer(decode(bytes(range(256)), codec), np.int16)
    return bytes(int(octet) for octet in np.flatnonzero(np.abs(samples.astype(np.int32)) < LOUD))


QUIET: Final = {codec: _quiet(codec) for codec in (PCMU, PCMA)}
"""The octets of G.711 that stand for quiet samples."""


def is_loud(samples: Samples) -> bool:
    """Tell whether linear samples are loud."""
    return bool(np.count_nonzero(np.abs(samples.astype(np.int32)) >= LOUD) * SHARE > len(samples))


class Meter:
    """Tells of single packets of one stream whether they are loud; those of other codecs than G.711 are decoded.

    A decoder that misses packets is no good to listen to, but its level is right within a packet.
    """

    __slots__ = ("_decoder", "_format")

    def __init__(self) -> None:
        self._format: Format | None = None
        self._decoder: Decoder | None = None

    def is_loud(self, coding: Format, payload: bytes) -> bool | None:
        """Tell whether there is speech in a packet, None where it cannot be decoded."""
        quiet = QUIET.get(coding.name)
        if quiet is not None:
            return len(payload.translate(None, quiet)) * SHARE > len(payload)  # what is left are loud ones
        if coding is not self._format:
            self._format = coding
            try:
                self._decoder = make_decoder(coding)
            except CodecError:
                self._decoder = None
        if self._decoder is None:
            return None
        try:
            return is_loud(self._decoder.decode(payload))
        except CodecError:
            return False
