"""A WAV file in the making: 16-bit linear samples behind a header that may be corrected at any time."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from media.codecs import Samples

_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_SIZES: Final = (4, 40)  # where the sizes of RIFF and of its data are
_LARGEST_SIZE: Final = 0xFFFFFFFF
HEADER_OCTETS: Final = _HEADER.size
UNKNOWN: Final = -1


def wav_header(data_octets: int, channels: int, rate: int) -> bytes:
    """Return the header of a 16-bit WAV file with that much audio; `UNKNOWN`: as much as there is."""
    largest = _LARGEST_SIZE - _HEADER.size
    data = min(data_octets, largest) if data_octets != UNKNOWN else largest
    frame = 2 * channels
    form = (b"fmt ", 16, 1, channels, rate, rate * frame, frame, 16)
    return _HEADER.pack(b"RIFF", data + _HEADER.size - 8, b"WAVE", *form, b"data", data)


def with_sizes(head: bytes, octets: int) -> bytes:
    """Return the header of a WAV file of that many octets in all; anything else that files begin with stays."""
    if len(head) < _HEADER.size or head[:4] != b"RIFF":
        return head
    sized = bytearray(head)
    for place, size in zip(_SIZES, (octets - 8, octets - _HEADER.size), strict=True):
        sized[place : place + 4] = min(size, _LARGEST_SIZE).to_bytes(4, "little")
    return bytes(sized)


class WavEncoder:
    """Samples to the octets of a file. `patch` is the header for what was encoded up to now."""

    def __init__(self, channels: int, rate: int) -> None:
        self._channels = channels
        self._rate = rate
        self._octets = 0

    def begin(self) -> bytes:
        """Return a header for audio of any length."""
        return wav_header(UNKNOWN, self._channels, self._rate)

    def encode(self, samples: Samples) -> bytes:
        """Return the octets for these samples, interleaved."""
        data = samples.astype(np.dtype("<i2"), copy=False).tobytes()
        self._octets += len(data)
        return data

    def end(self) -> bytes:
        """Return what completes the file."""
        return b""

    def patch(self) -> bytes:
        """Return what the file should begin with now."""
        return wav_header(self._octets, self._channels, self._rate)
