"""What every codec is to its users: samples are mono 16-bit arrays at the codec's own sample rate."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.int16]


class CodecError(Exception):
    """A payload cannot be decoded, or a format has no codec here; the message says why."""


class Decoder(Protocol):
    """Decodes one stream of packets, in their order."""

    @property
    def sample_rate(self) -> int:
        """Samples a second of what is returned."""

    @property
    def repairs(self) -> bool:
        """Whether the packet that follows a missing one helps to conceal it (FEC)."""

    @property
    def mode_request(self) -> int | None:
        """The mode that the peer asked our encoder for last (CMR, RFC 4867 4.3.1), None when it did not."""

    def decode(self, payload: bytes) -> Samples:
        """Return what a packet carries; nothing where it carries none. Raises CodecError, and goes on after that."""

    def conceal(self, samples: int, following: bytes | None = None) -> Samples:
        """Return this many samples in place of what did not come.

        `following` is the packet after the gap where it is there already, for a decoder that `repairs`.
        """


class Encoder(Protocol):
    """Encodes one stream of packets."""

    @property
    def sample_rate(self) -> int:
        """Samples a second of what is to be encoded."""

    def encode(self, pcm: Samples) -> bytes:
        """Return the payload of exactly one packet, whose duration is that given to `make_encoder`.

        Nothing (b"") means that nothing is to be sent for this time (DTX).
        """

    def follow(self, mode_request: int | None) -> None:
        """Use the mode that the peer asks for, as far as the format allows; codecs without modes do nothing."""

    def ask(self, mode_request: int | None) -> None:
        """Ask the peer's encoder for a mode in what is sent from now on; codecs without modes do nothing."""
