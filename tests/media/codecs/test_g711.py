"""G.711 against its formulae: every octet and every sample of both laws."""

import bisect
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from media.codecs.g711 import PCMA, PCMU, SILENCE, TRANSCODE, G711Decoder, G711Encoder, decode, encode

EVERY_OCTET = bytes(range(256))
EVERY_SAMPLE = np.arange(-32768, 32768, dtype=np.int16)


def ulaw_value(octet: int) -> int:
    """G.711 table 2a/2b: y = (2 q + 33) 2^s - 33 of 14 bits; bits are transmitted inverted."""
    inverted = octet ^ 0xFF
    segment, interval = inverted >> 4 & 7, inverted & 15
    magnitude = ((2 * interval + 33) << segment) - 33
    return 4 * (-magnitude if inverted & 0x80 else magnitude)


def alaw_value(octet: int) -> int:
    """G.711 table 1a/1b: y = 2 q + 1 in the first segment, (2 q + 33) 2^(s-1) above; even bits inverted."""
    inverted = octet ^ 0x55
    segment, interval = inverted >> 4 & 7, inverted & 15
    magnitude = 2 * interval + 1 if segment == 0 else (2 * interval + 33) << segment - 1
    return 8 * (magnitude if inverted & 0x80 else -magnitude)


def decision_values(law: str) -> list[int]:
    """The upper bounds of the 128 intervals, column 3 of tables 1 and 2: 16 equal intervals a segment.

    In 14 bits for µ-law: 1, 3, 5 … 31, 35 … 8159; in 13 bits for A-law: 2, 4 … 64, 68 … 4096.
    """
    if law == PCMU:
        return [(2 * interval + 34) * 2**segment - 33 for segment in range(8) for interval in range(16)]
    return [
        2 * interval + 2 if segment == 0 else (2 * interval + 34) * 2 ** (segment - 1)
        for segment in range(8)
        for interval in range(16)
    ]


def test_the_decision_values_are_those_printed() -> None:
    assert decision_values(PCMU)[:3] == [1, 3, 5]
    assert decision_values(PCMU)[14:18] == [29, 31, 35, 39]
    assert decision_values(PCMU)[-1] == 8159
    assert decision_values(PCMA)[:3] == [2, 4, 6]
    assert decision_values(PCMA)[31:34] == [64, 68, 72]
    assert decision_values(PCMA)[-1] == 4096


@pytest.mark.rfc("3551-4.5.14")
@pytest.mark.parametrize(("law", "value"), [(PCMU, ulaw_value), (PCMA, alaw_value)])
def test_every_octet_is_expanded_by_the_formula(law: str, value: Callable[[int], int]) -> None:
    expanded = np.frombuffer(decode(EVERY_OCTET, law), np.int16)
    assert expanded.tolist() == [value(octet) for octet in range(256)]


@pytest.mark.rfc("3551-4.5.14")
@pytest.mark.parametrize(("law", "bits"), [(PCMU, 14), (PCMA, 13)])
def test_every_sample_falls_into_the_interval_of_the_table(law: str, bits: int) -> None:
    """All 65,536: what lies on a decision value belongs above it; negative samples mirror positive ones (G.191)."""
    values = decision_values(law)
    octets = encode(EVERY_SAMPLE.tobytes(), law)
    step = 2 ** (16 - bits)
    for sample, octet in zip(EVERY_SAMPLE.tolist(), octets, strict=True):
        magnitude = (sample if sample >= 0 else ~sample) / step
        code = (octet ^ 0xFF if law == PCMU else octet ^ 0x55) & 0x7F
        if law == PCMU:
            magnitude = int(magnitude)  # µ-law knows 14 bits
        assert code == min(127, bisect.bisect_right(values, magnitude)), sample


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_the_sign_bit_tells_the_sign(law: str) -> None:
    octets = np.frombuffer(encode(EVERY_SAMPLE.tobytes(), law), np.uint8)
    assert np.array_equal(octets & 0x80 == 0x80, EVERY_SAMPLE >= 0)


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_no_sample_is_further_from_its_value_than_half_an_interval(law: str) -> None:
    heard = np.frombuffer(decode(encode(EVERY_SAMPLE.tobytes(), law), law), np.int16).astype(int)
    sample = EVERY_SAMPLE.astype(int)
    clipped = np.clip(sample, -32635, 32635)
    error = np.abs(heard - clipped)
    largest = np.maximum(np.abs(clipped) / (32 if law == PCMU else 31), 16 if law == PCMA else 8)
    assert np.all(error <= largest + 8)


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_each_octet_survives_a_round_trip(law: str) -> None:
    linear = decode(EVERY_OCTET, law)
    again = encode(linear, law)
    assert decode(again, law) == linear
    # µ-law has two zeros, of which the positive one is sent.
    changed = [octet for octet in range(256) if again[octet] != octet]
    assert changed == ([0x7F] if law == PCMU else [])


def test_the_laws_are_those_of_a_second_implementation() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop")
    every = EVERY_SAMPLE.tobytes()
    assert decode(EVERY_OCTET, PCMU) == audioop.ulaw2lin(EVERY_OCTET, 2)
    assert decode(EVERY_OCTET, PCMA) == audioop.alaw2lin(EVERY_OCTET, 2)
    assert encode(every, PCMA) == audioop.lin2alaw(every, 2)
    ours, theirs = encode(every, PCMU), audioop.lin2ulaw(every, 2)
    differing = [i for i in range(65536) if ours[i] != theirs[i]]
    # audioop rounds negative samples down before it takes their magnitude: three of four on each decision value.
    assert all(EVERY_SAMPLE[i] < 0 and abs(ours[i] - theirs[i]) <= 1 for i in differing)
    assert len(differing) == 4 * 127


def test_silence_is_silent() -> None:
    for law, octet in SILENCE.items():
        assert all(abs(sample) <= 8 for sample in np.frombuffer(decode(bytes([octet]), law), np.int16))
        assert encode(bytes(2), law) == bytes([octet])


@pytest.mark.parametrize(("one", "other"), [(PCMU, PCMA), (PCMA, PCMU)])
def test_octets_are_translated_as_if_decoded_and_encoded(one: str, other: str) -> None:
    translated = EVERY_OCTET.translate(TRANSCODE[one, other])
    assert translated == encode(decode(EVERY_OCTET, one), other)
    # There and back, a value moves by no more than an interval of the coarser law.
    back = np.frombuffer(decode(translated.translate(TRANSCODE[other, one]), one), np.int16).astype(int)
    value = np.frombuffer(decode(EVERY_OCTET, one), np.int16).astype(int)
    assert np.all(np.abs(back - value) <= np.maximum(np.abs(value) / 16, 16))


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_the_codec_compands_as_the_functions_do(law: str) -> None:
    linear = EVERY_SAMPLE[::7]
    payload = G711Encoder(law).encode(linear)
    assert payload == encode(linear.tobytes(), law)
    assert G711Decoder(law).decode(payload).tobytes() == decode(payload, law)


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_the_signal_to_noise_ratio_of_speech_levels_is_that_of_g_712(law: str) -> None:
    """A sine between -30 and -3 dBm0 is to have at least 33 dB (G.712, mask for a sine)."""
    time = np.arange(8000) / 8000
    for level in (-30, -20, -10, -3):
        full_scale = 32635 / 10 ** (3.14 / 20)
        signal = full_scale * 10 ** (level / 20) * np.sin(2 * np.pi * 1020 * time)
        pcm = signal.astype(np.int16)
        heard = np.frombuffer(decode(encode(pcm.tobytes(), law), law), np.int16).astype(float)
        noise = np.mean((heard - pcm) ** 2)
        assert 10 * np.log10(np.mean(signal**2) / noise) >= 33
