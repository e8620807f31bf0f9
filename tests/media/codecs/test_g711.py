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


def numbered(law: str, sign: int) -> list[int]:
    """The octets of one sign by their decoder output value numbers: 0 to 127 of µ-law, 1 to 128 of A-law."""
    return [sign | (~n & 0x7F) if law == PCMU else sign | (n ^ 0x55) for n in range(128)]


def conversions(one: str, other: str, sign: int = 0x80) -> list[int]:
    """What each value of one law becomes, both counted as in G.711's tables."""
    octets, others = numbered(one, sign), numbered(other, sign)
    return [others.index(TRANSCODE[one, other][octet]) + (other == PCMA) for octet in octets]


def test_mu_law_becomes_a_law_by_table_3() -> None:
    pairs = [n // 2 + 1 for n in range(16)]
    expected = [*pairs, *range(9, 26), 27, 29, 31, *range(33, 45), 46, *range(48, 63), *range(64, 81), *range(82, 129)]
    assert conversions(PCMU, PCMA) == conversions(PCMU, PCMA, sign=0) == expected


def test_a_law_becomes_mu_law_by_table_4() -> None:
    doubled = [32, 32, 33, 33, 34, 34, 35, 35]
    expected = [
        *range(1, 16, 2), *range(16, 32), *doubled, *range(36, 48), 48, 48, 49, 49, *range(50, 64), 64,
        *range(64, 80), 80, *range(80, 128),
    ]  # fmt: skip
    assert conversions(PCMA, PCMU) == conversions(PCMA, PCMU, sign=0) == expected


def test_there_and_back_all_but_a_few_values_are_what_they_were() -> None:
    """µ-A-µ changes the least bit of eight of the quietest values, A-µ-A moves eight values by one."""
    a_law, mu_law = conversions(PCMU, PCMA), conversions(PCMA, PCMU)
    assert [n for n in range(128) if mu_law[a_law[n] - 1] != n] == list(range(0, 16, 2))
    assert [mu_law[a_law[n] - 1] for n in range(0, 16, 2)] == list(range(1, 16, 2))
    moved = {n: a_law[mu_law[n - 1]] for n in range(1, 129) if a_law[mu_law[n - 1]] != n}
    assert len(moved) == 8
    assert all(abs(before - after) == 1 for before, after in moved.items())


@pytest.mark.parametrize(("one", "other"), [(PCMU, PCMA), (PCMA, PCMU)])
def test_conversion_keeps_the_level_in_dbm0(one: str, other: str) -> None:
    """A sine at the overload point has 3.17 dBm0 in µ-law and 3.14 dBm0 in A-law."""
    overload = {PCMU: (4 * 8159, 3.17), PCMA: (8 * 4096, 3.14)}
    time = np.arange(8000) / 8000
    errors = []
    for level in np.arange(-30, 3, 0.5):
        full, dbm0 = overload[one]
        sine = full * 10 ** ((level - dbm0) / 20) * np.sin(2 * np.pi * 1004 * time)
        payload = encode(np.rint(sine).astype(np.int16).tobytes(), one).translate(TRANSCODE[one, other])
        heard = np.frombuffer(decode(payload, other), np.int16).astype(float)
        full, dbm0 = overload[other]
        errors.append(20 * np.log10(np.sqrt(2 * np.mean(heard**2)) / full) + dbm0 - level)
    assert np.abs(errors).max() < 0.2
    assert np.abs(np.mean(errors)) < 0.03


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
