"""Which codecs this machine has, and how they are made for a format that SDP agreed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from media.codecs.comfort_noise import NoiseDecoder
from media.codecs.g711 import G711Decoder, G711Encoder
from media.codecs.interface import CodecError, Decoder, Encoder
from media.codecs.names import CN, PCMA, PCMU

if TYPE_CHECKING:
    from media.rtp.stream import Format

_DECODERS: Final[dict[str, Callable[[Format], Decoder]]] = {
    PCMU: lambda format_: G711Decoder(PCMU),
    PCMA: lambda format_: G711Decoder(PCMA),
    CN: lambda format_: NoiseDecoder(format_.clock_rate),
}
_ENCODERS: Final[dict[str, Callable[[Format, int], Encoder]]] = {
    PCMU: lambda format_, packet_ms: G711Encoder(PCMU),
    PCMA: lambda format_, packet_ms: G711Encoder(PCMA),
}
_SAMPLE_RATES: Final = {"G722": 16000, "opus": 48000, "AMR": 8000, "AMR-WB": 16000}

DECODABLE: Final = frozenset(_DECODERS)
"""Encoding names that can be decoded on this machine."""
ENCODABLE: Final = frozenset(_ENCODERS)
"""Encoding names that can be encoded on this machine."""


def make_decoder(format_: Format) -> Decoder:
    """Return a new decoder for one stream of the format. Raises CodecError where it is not among DECODABLE."""
    make = _DECODERS.get(format_.name)
    if make is None:
        raise CodecError(f"{format_.name} cannot be decoded here.")
    return make(format_)


def make_encoder(format_: Format, packet_ms: int = 20) -> Encoder:
    """Return a new encoder for one stream of packets that last `packet_ms`. Raises CodecError likewise."""
    make = _ENCODERS.get(format_.name)
    if make is None:
        raise CodecError(f"{format_.name} cannot be encoded here.")
    return make(format_, packet_ms)


def sample_rate_of(format_: Format) -> int:
    """Return the samples a second of the format's audio, which is not always its RTP clock (RFC 3551 4.5.2)."""
    return _SAMPLE_RATES.get(format_.name, format_.clock_rate)


def same_bitstream(a: Format, b: Format) -> bool:
    """Tell whether payloads of `a` may be sent as they are to a receiver of `b`."""
    return a.name == b.name and a.clock_rate == b.clock_rate and a.channels == b.channels
