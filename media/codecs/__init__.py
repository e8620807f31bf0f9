"""What turns payloads into samples and back."""

from media.codecs.catalogue import DECODABLE, ENCODABLE, make_decoder, make_encoder, same_bitstream, sample_rate_of
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
    "make_decoder",
    "make_encoder",
    "same_bitstream",
    "sample_rate_of",
]
