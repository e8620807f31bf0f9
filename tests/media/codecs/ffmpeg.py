"""FFmpeg's own codecs, by PyAV: implementations that are not those of the product (but for the encoder of AMR)."""

from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from media.codecs import Samples


def encode(
    codec: str,
    pcm: Samples,
    *,
    rate: int,
    samples: int,
    bit_rate: int | None = None,
    options: dict[str, str] | None = None,
) -> list[bytes]:
    """Payloads of so many samples each, in FFmpeg's framing."""
    context = AudioCodecContext.create(codec, "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout, context.format = rate, "mono", "s16"
    context.time_base = Fraction(1, rate)
    context.options = options or {}
    if bit_rate is not None:
        context.bit_rate = bit_rate
    payloads: list[bytes] = []
    for start in range(0, len(pcm) - samples + 1, samples):
        frame = av.AudioFrame.from_ndarray(pcm[start : start + samples].reshape(1, -1), "s16", "mono")
        frame.sample_rate = rate
        payloads.extend(bytes(packet) for packet in context.encode(frame))
    return payloads


def decode(codec: str, payloads: Iterable[bytes], rate: int, channels: int = 1) -> Samples:
    """The first channel's samples."""
    context = AudioCodecContext.create(codec, "r")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout = rate, "mono" if channels == 1 else "stereo"
    heard = []
    for payload in payloads:
        for frame in context.decode(av.Packet(payload)):
            samples = frame.to_ndarray()
            if samples.dtype != np.int16:
                samples = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
            heard.append(samples[0])
    return np.concatenate(heard)
