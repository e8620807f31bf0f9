"""Concealment in the manner of G.711 Appendix I: the level after a loss, the pitch, the seams; and shortening."""

import numpy as np
import pytest

from media.codecs import Samples
from media.codecs.concealment import Concealer
from media.codecs.shortening import shortened
from tests.media.codecs.signals import frequency_of, rms, speech, tone

RATES = [8000, 16000]


def lossy(pcm: Samples, rate: int, lost: set[int]) -> Samples:
    """What is heard when these 20 ms pieces did not come."""
    concealer, size = Concealer(rate), rate // 50
    return np.concatenate(
        [
            concealer.conceal(size) if n in lost else concealer.heard(pcm[n * size : (n + 1) * size])
            for n in range(len(pcm) // size)
        ]
    )


def largest_step(pcm: Samples) -> int:
    return int(np.abs(np.diff(pcm.astype(int))).max())


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frequency", [100, 133, 200, 437, 1000])
def test_the_level_falls_by_a_fifth_each_10_ms_to_silence_at_60(rate: int, frequency: int) -> None:
    """G.711 Appendix I 2.5: full for 10 ms, then "a rate of 20 % per 10 ms"; "After 60 ms the output is 0"."""
    pcm = tone(frequency, rate, 0.5)
    concealer = Concealer(rate)
    concealer.heard(pcm[: 15 * rate // 50])
    missing = concealer.conceal(rate // 5)
    ten = rate // 100
    middle = [rms(missing[n * ten : (n + 1) * ten]) / (8000 / np.sqrt(2)) for n in range(8)]
    assert middle == pytest.approx([1.0, 0.9, 0.7, 0.5, 0.3, 0.12, 0, 0], abs=0.12)
    assert not missing[6 * ten :].any()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frequency", [80, 100, 133, 150, 200, 380])
def test_the_pitch_goes_on(rate: int, frequency: int) -> None:
    """Voiced speech has many harmonics of its pitch."""
    time = np.arange(rate) / rate
    voice = sum(np.sin(2 * np.pi * frequency * k * time + k) / k for k in range(1, 8)) * 4000
    pcm = np.asarray(voice, np.int16)
    heard = lossy(pcm, rate, {25})
    size = rate // 50
    lost = heard[25 * size : 26 * size].astype(float)
    said = pcm[25 * size : 26 * size].astype(float)
    assert float(lost @ said / np.sqrt((lost @ lost) * (said @ said))) > 0.9


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frequency", [90, 150, 333, 1000])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 6])
def test_neither_beginning_nor_end_of_a_loss_clicks(rate: int, frequency: int, length: int) -> None:
    pcm = tone(frequency, rate, 1.0)
    for first in range(20, 26):
        heard = lossy(pcm, rate, set(range(first, first + length)))
        assert largest_step(heard) < 1.6 * largest_step(pcm) + 200


@pytest.mark.peer("espeak-ng")
@pytest.mark.parametrize("rate", RATES)
def test_speech_with_losses_has_no_steps_of_its_own(rate: int) -> None:
    said = speech(rate)
    lost = set(range(7, len(said) * 50 // rate, 9))
    heard = lossy(said, rate, lost)
    assert len(heard) == len(said)
    assert largest_step(heard) < 1.25 * largest_step(said)
    missing = np.concatenate([heard[n * rate // 50 : (n + 1) * rate // 50] for n in sorted(lost)])
    spoken = np.concatenate([said[n * rate // 50 : (n + 1) * rate // 50] for n in sorted(lost)])
    assert 0.6 < rms(missing) / rms(spoken) < 1.6


def test_what_comes_afterwards_is_what_was_said_within_10_ms() -> None:
    pcm = tone(300, 8000)
    heard = lossy(pcm, 8000, {10, 11, 12})
    assert np.array_equal(heard[: 10 * 160], pcm[: 10 * 160])
    assert np.array_equal(heard[13 * 160 + 80 :], pcm[13 * 160 + 80 :])
    assert not np.array_equal(heard[13 * 160 : 13 * 160 + 40], pcm[13 * 160 : 13 * 160 + 40])


def test_two_losses_in_turn_are_alike() -> None:
    pcm = tone(250, 8000)
    heard = lossy(pcm, 8000, {10, 30})
    assert rms(heard[1600:1760]) == pytest.approx(rms(heard[4800:4960]), rel=0.05)


@pytest.mark.parametrize("pieces", [(160, 160, 160), (80,) * 6, (480,), (1, 159, 40, 280)])
def test_the_length_of_the_pieces_does_not_show(pieces: tuple[int, ...]) -> None:
    concealer, whole = Concealer(8000), Concealer(8000)
    for one in (concealer, whole):
        one.heard(tone(170, 8000, 0.2))
    parts = np.concatenate([concealer.conceal(piece) for piece in pieces])
    assert np.array_equal(parts, whole.conceal(480))


def test_silence_and_nothing_stay_silent() -> None:
    concealer = Concealer(8000)
    assert not concealer.conceal(480).any()
    concealer.heard(np.zeros(800, np.int16))
    assert not concealer.conceal(480).any()
    assert np.array_equal(concealer.heard(tone(300, 8000, 0.02)), tone(300, 8000, 0.02))


def test_the_loudest_signal_is_kept_within_bounds() -> None:
    rng = np.random.default_rng(1)
    concealer = Concealer(8000)
    for _ in range(20):
        concealer.heard(np.where(rng.random(160) < 0.5, -32768, 32767).astype(np.int16))
        assert concealer.conceal(320).dtype == np.int16


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("frequency", [150, 200, 350])
def test_a_period_is_left_out_unheard(rate: int, frequency: int) -> None:
    pcm = tone(frequency, rate, 0.02)
    shorter = shortened(pcm, rate, 1000)
    removed = len(pcm) - len(shorter)
    assert removed > 0
    assert removed % 6 == 0
    assert (
        removed % (rate / frequency) == pytest.approx(0, abs=6) or removed % (rate / frequency) > rate / frequency - 6
    )
    assert largest_step(shorter) < 1.4 * largest_step(pcm) + 200
    assert rms(shorter) == pytest.approx(rms(pcm), rel=0.15)


def test_no_more_is_left_out_than_asked_for_and_nothing_of_what_resembles_nothing() -> None:
    pcm = tone(200, 8000, 0.02)
    assert len(shortened(pcm, 8000, 10)) == 160
    assert len(shortened(np.zeros(160, np.int16), 8000, 30)) == 130
    noise = np.random.default_rng(1).normal(0, 5000, 160).astype(np.int16)
    assert len(shortened(noise, 8000, 1000)) == 160
    assert len(shortened(pcm[:30], 8000, 1000)) == 30


def test_the_pitch_found_is_the_true_one() -> None:
    pcm = tone(100, 8000, 1.0)
    concealer = Concealer(8000)
    concealer.heard(pcm)
    assert frequency_of(concealer.conceal(400), 8000) == pytest.approx(100, abs=12)
