"""What turns payloads into samples and back."""

from media.codecs.catalogue import (
    DECODABLE,
    ENCODABLE,
    fitting_packet_ms,
    make_decoder,
    make_encoder,
    same_bitstream,
    sample_rate_of,
)
from media.codecs.interface import CodecError, Decoder, Encoder, Samples
from media.codecs.resampling import Resampler

__all__ = [
    "DECODABLE",
    "ENCODABLE",
    "CodecError",
    "Decoder",
    "Encoder",
    "Resampler",
    "Samples",
    "fitting_packet_ms",
    "make_decoder",
    "make_encoder",
    "same_bitstream",
    "sample_rate_of",
]
