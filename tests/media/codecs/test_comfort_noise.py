"""Comfort noise (RFC 3389), made and asked for."""

import numpy as np
import pytest

from media.codecs import CodecError, Samples
from media.codecs.comfort_noise import NoiseDecoder, NoiseSender
from media.codecs.silence import level_dbov
from tests.media.codecs.signals import rms, speech, tone


def noise(level: float, samples: int = 160, seed: int = 1) -> Samples:
    return np.random.default_rng(seed).normal(0, level, samples).astype(np.int16)


@pytest.mark.rfc("3389-3.1")
@pytest.mark.parametrize("level", [0, 6, 30, 48, 60, 78])
def test_the_noise_has_the_level_told(level: int) -> None:
    """ "The noise level is expressed in -dBov": 0 is a square wave of ±32,767."""
    decoder = NoiseDecoder(8000)
    heard = np.concatenate([decoder.decode(bytes([level])) for _ in range(100)])
    expected = 32767 * 10 ** (-level / 20)
    # Near overload the highest peaks are cut off; the lowest levels are rounded to whole steps.
    assert rms(heard) == pytest.approx(expected, rel=0.35 if level < 6 else 0.1)


@pytest.mark.rfc("3389-3.1")
def test_the_highest_bit_of_the_level_is_ignored() -> None:
    assert np.array_equal(NoiseDecoder(8000).decode(bytes([40])), NoiseDecoder(8000).decode(bytes([0x80 | 40])))


@pytest.mark.rfc("3389-3.2")
def test_the_spectrum_changes_the_colour_not_the_level() -> None:
    for indices in ((60,), (200,), (40, 180, 120), (1,) * 10, (254,) * 32, tuple(range(0, 250, 5))):
        decoder = NoiseDecoder(8000)
        heard = np.concatenate([decoder.decode(bytes([40, *indices])) for _ in range(100)])
        assert rms(heard) == pytest.approx(32767 * 10 ** (-40 / 20), rel=0.35)


@pytest.mark.rfc("3389-3.2")
def test_a_reserved_index_leaves_the_noise_white() -> None:
    assert np.array_equal(NoiseDecoder(8000).decode(bytes([40, 255, 9])), NoiseDecoder(8000).decode(bytes([40])))


def test_the_noise_goes_on_without_packets_and_does_not_repeat_at_once() -> None:
    decoder = NoiseDecoder(16000)
    assert len(decoder.decode(bytes([40]))) == 320
    more = decoder.conceal(32000).astype(float)
    assert rms(np.asarray(more[-800:], np.int16)) > 200
    correlation = np.correlate(more[:8000], more[8000:16000], "same") / (more[:8000] @ more[:8000])
    assert np.abs(correlation).max() < 0.2


def test_nothing_told_is_silence_and_an_empty_packet_an_error() -> None:
    decoder = NoiseDecoder(8000)
    assert not decoder.conceal(160).any()
    with pytest.raises(CodecError, match="empty"):
        decoder.decode(b"")


def test_levels_are_measured_in_dbov() -> None:
    assert level_dbov(np.full(160, 32767, np.int16)) == pytest.approx(0, abs=1e-6)
    assert level_dbov(tone(1000, 8000, level=32767)) == pytest.approx(-3.01, abs=0.01)
    assert level_dbov(np.zeros(160, np.int16)) == -127
    assert level_dbov(np.zeros(0, np.int16)) == -127


def test_silence_is_described_once_and_then_now_and_again() -> None:
    sender = NoiseSender()
    for n in range(20):
        assert sender.take(tone(440, 8000, 0.02) + noise(10, seed=n)) is None
    taken = [sender.take(noise(30, seed=n)) for n in range(100)]
    assert taken[:10] == [None] * 10, "the end of a word is not cut off"
    told = [payload for payload in taken[10:] if payload]
    assert taken[10] == told[0]
    assert 4 <= len(told) <= 8
    for payload in told:
        assert payload[0] == pytest.approx(-level_dbov(noise(30, 16000)), abs=2)
    assert taken[10:].count(None) == 0


def test_another_level_of_the_noise_is_told_at_once() -> None:
    sender = NoiseSender()
    for n in range(40):
        sender.take(noise(60, seed=n))
    quieter = [sender.take(noise(20, seed=n)) for n in range(3)]
    assert quieter[0]
    assert quieter[0][0] == pytest.approx(-level_dbov(noise(20, 16000)), abs=2)


def test_speech_is_sent_from_its_first_packet() -> None:
    sender = NoiseSender()
    for n in range(40):
        sender.take(noise(20, seed=n))
    assert sender.take(tone(300, 8000, 0.02, level=1000)) is None
    assert sender.take(noise(20)) is None


@pytest.mark.parametrize("level", [2000, 20000])
def test_a_steady_tone_is_no_silence(level: float) -> None:
    sender = NoiseSender()
    assert all(sender.take(tone(425, 8000, 0.02, level=level)) is None for _ in range(500))


@pytest.mark.peer("espeak-ng")
def test_little_of_speech_is_taken_for_silence() -> None:
    said = speech(8000)
    sender = NoiseSender()
    kept = lost = 0.0
    for start in range(0, len(said), 160):
        pcm = said[start : start + 160] + noise(8, seed=start)
        energy = float(np.sum(np.square(pcm, dtype=np.float64)))
        if sender.take(pcm) is None:
            kept += energy
        else:
            lost += energy
    assert lost < 0.001 * kept
