"""Which codecs this machine has, and how they are made for a format that SDP agreed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from media.codecs import amr, g722, opus
from media.codecs.amr import AmrDecoder, AmrEncoder
from media.codecs.comfort_noise import NoiseDecoder
from media.codecs.fmtp import AmrParameters, OpusParameters
from media.codecs.g711 import G711Decoder, G711Encoder
from media.codecs.g722 import G722Decoder, G722Encoder
from media.codecs.interface import CodecError, Decoder, Encoder
from media.codecs.names import AMR, AMR_WB, CN, G722, OPUS, PCMA, PCMU
from media.codecs.opus import OpusDecoder, OpusEncoder

if TYPE_CHECKING:
    from media.rtp.stream import Format

_DECODERS: Final[dict[str, Callable[[Format], Decoder]]] = {
    PCMU: lambda format_: G711Decoder(PCMU),
    PCMA: lambda format_: G711Decoder(PCMA),
    CN: lambda format_: NoiseDecoder(format_.clock_rate),
    G722: lambda format_: G722Decoder(),
    OPUS: lambda format_: OpusDecoder(),
    AMR: lambda format_: AmrDecoder(amr.AMR, AmrParameters.of(format_.parameters)),
    AMR_WB: lambda format_: AmrDecoder(amr.AMR_WB, AmrParameters.of(format_.parameters)),
}
_ENCODERS: Final[dict[str, Callable[[Format, int], Encoder]]] = {
    PCMU: lambda format_, packet_ms: G711Encoder(PCMU),
    PCMA: lambda format_, packet_ms: G711Encoder(PCMA),
    G722: lambda format_, packet_ms: G722Encoder(),
    OPUS: lambda format_, packet_ms: OpusEncoder(OpusParameters.of(format_.parameters), packet_ms),
    AMR: lambda format_, packet_ms: AmrEncoder(amr.AMR, AmrParameters.of(format_.parameters), packet_ms),
    AMR_WB: lambda format_, packet_ms: AmrEncoder(amr.AMR_WB, AmrParameters.of(format_.parameters), packet_ms),
}
_SAMPLE_RATES: Final = {G722: 16000, OPUS: 48000}
_PACKET_MS: Final = {OPUS: opus.PACKET_MS, AMR: amr.PACKET_MS, AMR_WB: amr.PACKET_MS}
_ANY_PACKET_MS: Final = (10, 20, 30, 40, 60)
_MODES: Final = {AMR: amr.AMR.family.modes, AMR_WB: amr.AMR_WB.family.modes}

_MISSING_BOTH: Final = {
    name
    for name, present in {
        G722: g722.AVAILABLE,
        OPUS: opus.LIBRARY is not None,
        AMR: amr.NARROW is not None,
        AMR_WB: amr.WIDE is not None,
    }.items()
    if not present
}
DECODABLE: Final = frozenset(_DECODERS.keys() - _MISSING_BOTH)
"""Encoding names that can be decoded on this machine."""
ENCODABLE: Final = frozenset(_ENCODERS.keys() - _MISSING_BOTH - ({AMR_WB} if amr.WIDE_ENCODER is None else set()))
"""Encoding names that can be encoded on this machine, all of which can be decoded too."""


def make_decoder(format_: Format) -> Decoder:
    """Return a new decoder for one stream of the format. Raises CodecError where it is not among DECODABLE."""
    make = _DECODERS.get(format_.name)
    if make is None:
        raise CodecError(f"{format_.name[:40]} cannot be decoded here.")
    return make(format_)


def make_encoder(format_: Format, packet_ms: int = 20) -> Encoder:
    """Return a new encoder for one stream of packets that last `packet_ms`, as `fitting_packet_ms` told.

    Raises CodecError where the format is not among ENCODABLE, or has no packets of that length.
    """
    make = _ENCODERS.get(format_.name)
    if make is None:
        raise CodecError(f"{format_.name[:40]} cannot be encoded here.")
    return make(format_, packet_ms)


def fitting_packet_ms(format_: Format, wanted: int) -> int:
    """Return the length of packets that the format has and that comes nearest to the one wanted, from below."""
    lengths = _PACKET_MS.get(format_.name, _ANY_PACKET_MS)
    return max((length for length in lengths if length <= wanted), default=lengths[0])


def sample_rate_of(format_: Format) -> int:
    """Return the samples a second of the format's audio, which is not always its RTP clock (RFC 3551 4.5.2)."""
    return _SAMPLE_RATES.get(format_.name, format_.clock_rate)


def same_bitstream(a: Format, b: Format) -> bool:
    """Tell whether payloads of `a` may be sent as they are to a receiver of `b`.

    What Opus has as parameters is advice (RFC 7587 6.1); those of AMR are what a receiver can take (RFC 4867 8.1).
    """
    if a.name != b.name or a.clock_rate != b.clock_rate:
        return False
    modes = _MODES.get(a.name)
    return modes is None or AmrParameters.of(b.parameters).admits(AmrParameters.of(a.parameters), modes)
