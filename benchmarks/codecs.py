"""What 20 ms of sound cost: each codec encoded, decoded and concealed, resampled, taken through a jitter buffer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

import numpy as np

from benchmarks.message import microseconds
from benchmarks.report import Single
from benchmarks.sampling import Scale
from media.codecs import DECODABLE, ENCODABLE, Resampler, Samples, make_decoder, make_encoder
from media.codecs.names import AMR, AMR_WB, G722, OPUS, PCMA, PCMU
from media.rtp.jitter import JitterBuffer
from media.rtp.stream import Format

UNIT = "µs of CPU per 20 ms"
SECONDS = 0.3
FORMATS = (
    Format(0, PCMU),
    Format(8, PCMA),
    Format(9, G722),
    Format(96, OPUS, 48_000, 2, "useinbandfec=1"),
    Format(97, AMR),
    Format(98, AMR_WB, 16_000),
)


def _voice(rate: int) -> list[Samples]:
    """Return a second of something between a vowel and noise, in pieces of 20 ms."""
    time = np.arange(rate) / rate
    vowel = sum(np.sin(2 * np.pi * 140 * k * time * (1 + 0.02 * np.sin(9 * time))) / k for k in range(1, 20))
    noise = np.random.default_rng(1).normal(0, 0.2, rate)
    louder = 1 + np.sin(2 * np.pi * 3 * time)
    return np.split(np.asarray((vowel + noise) * louder * 2500, np.int16), 50)


def _of_codec(format_: Format, seconds: float) -> Iterator[tuple[str, float]]:
    encoder, decoder = make_encoder(format_), make_decoder(format_)
    said = _voice(encoder.sample_rate)
    pcm, packets = cycle(said), cycle([encoder.encode(piece) for piece in said])
    size = len(said[0])
    yield "encoded", microseconds(lambda: encoder.encode(next(pcm)), seconds)
    yield "decoded", microseconds(lambda: decoder.decode(next(packets)), seconds)

    def lose_one_in_two() -> None:
        decoder.decode(next(packets))
        decoder.conceal(size)

    both, alone = microseconds(lose_one_in_two, seconds), microseconds(lambda: decoder.decode(next(packets)), seconds)
    yield "concealed after a packet, the next one faded in", both - alone


def _buffered() -> Callable[[], object]:
    buffer = JitterBuffer[bytes](8000)
    number = 0

    def pass_through() -> None:
        nonlocal number
        number += 1
        now = number * 0.02 + number % 7 * 0.003
        buffer.put(number & 0xFFFF, number * 160 & 0xFFFFFFFF, b"", now)
        buffer.get(now + 0.04)

    return pass_through


def figures(scale: Scale) -> list[Single]:
    """Measure all of them in this process."""
    seconds = scale.seconds(SECONDS)
    found = [
        Single(f"{format_.name.lower()}_{work.partition(' ')[0]}", f"{format_.name} {work}", UNIT, cost)
        for format_ in FORMATS
        if format_.name in ENCODABLE & DECODABLE
        for work, cost in _of_codec(format_, seconds)
    ]
    for rate, other in ((8000, 16000), (8000, 48000), (48000, 8000)):
        resampler, pieces = Resampler(rate, other), cycle(_voice(rate))

        def convert(resampler: Resampler = resampler, pieces: Iterator[Samples] = pieces) -> None:
            resampler.convert(next(pieces))

        title = f"{rate:,} samples a second made {other:,}"
        found.append(Single(f"resampled_{rate}_{other}", title, UNIT, microseconds(convert, seconds)))
    found.append(
        Single("jitter_buffer", "jitter buffer, a packet in and out", UNIT, microseconds(_buffered(), seconds))
    )
    return found
