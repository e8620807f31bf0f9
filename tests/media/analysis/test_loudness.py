"""Loudness of packets."""

import numpy as np
import pytest

from media.analysis.loudness import LOUD, QUIET, Meter, is_loud
from media.codecs import make_encoder
from media.codecs.g711 import encode
from media.rtp.stream import Format

G711 = [Format(0, "PCMU"), Format(8, "PCMA")]


def tone(level_db: float, samples: int = 160, rate: int = 8000) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    """A tone of 400 Hz so many dB below the greatest."""
    wave = 32767 * 10 ** (level_db / 20) * np.sin(2 * np.pi * 400 * np.arange(samples) / rate)
    return np.round(wave).astype(np.int16)


@pytest.mark.parametrize("coding", G711)
@pytest.mark.parametrize(("level", "loud"), [(-10, True), (-26, True), (-36, True), (-42, False), (-60, False)])
def test_g711_is_told_by_its_octets(coding: Format, level: float, loud: bool) -> None:
    assert Meter().is_loud(coding, encode(tone(level).tobytes(), coding.name)) is loud


@pytest.mark.parametrize("coding", G711)
def test_what_counts_as_loud_is_what_the_samples_are(coding: Format) -> None:
    chance = np.random.default_rng(3)
    for level in (50, 150, 250, 350, 1000):
        samples = chance.normal(0, level, 160).astype(np.int16)
        assert Meter().is_loud(coding, encode(samples.tobytes(), coding.name)) is is_loud(samples)
    assert LOUD > 0
    assert len(QUIET[coding.name]) > 20


@pytest.mark.parametrize("coding", [Format(9, "G722"), Format(96, "opus", 48_000, 2), Format(97, "AMR-WB", 16_000)])
def test_other_codecs_are_decoded_though_packets_between_are_missing(coding: Format) -> None:
    try:
        encoder = make_encoder(coding, 20)
    except Exception as error:  # noqa: BLE001 - what is missing on this machine
        pytest.skip(str(error))
    size = encoder.sample_rate // 50
    meter = Meter()
    heard = []
    for number in range(100):
        samples = tone(-26 if number >= 50 else -70, size, encoder.sample_rate)
        payload = encoder.encode(samples)
        if payload and number % 10 == 9:
            heard.append(meter.is_loud(coding, payload))
    assert heard[0:4] == [False] * 4
    assert heard[-4:] == [True] * 4


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\xff" * 3, bytes(range(200))])
@pytest.mark.parametrize("coding", [*G711, Format(96, "opus", 48_000, 2), Format(97, "AMR-WB", 16_000)])
def test_any_payload_is_judged(coding: Format, payload: bytes) -> None:
    assert Meter().is_loud(coding, payload) in {True, False, None}


def test_an_unknown_codec_is_unknown() -> None:
    assert Meter().is_loud(Format(99, "G729"), b"abc") is None
