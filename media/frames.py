"""Messages between processes of this package: msgpack, each behind four octets of length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

MAX_FRAME: Final = 4 * 1024 * 1024
_PREFIX: Final = 4

_encoder = msgspec.msgpack.Encoder()


class ProtocolError(Exception):
    """The other side does not speak this protocol; the connection is of no more use."""


def encode(message: Any) -> bytes:
    """Return the message, any msgspec struct, with its length in front."""
    body = _encoder.encode(message)
    return len(body).to_bytes(_PREFIX, "big") + body


class FrameReader:
    """Cuts received octets into message bodies."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take octets, yield each complete body. Raises ProtocolError on an absurd length."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _PREFIX:
            length = int.from_bytes(buffer[start : start + _PREFIX], "big")
            if length > MAX_FRAME:
                raise ProtocolError(f"A message of {length} octets.")
            end = start + _PREFIX + length
            if end > len(buffer):
                break
            yield bytes(buffer[start + _PREFIX : end])
            start = end
        del buffer[:start]
