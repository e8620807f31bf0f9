"""Sample rates made equal, tick by tick."""

import numpy as np
import pytest

from media.codecs import Resampler, Samples

PAIRS = [(8000, 16000), (8000, 48000), (16000, 48000), (48000, 16000), (48000, 8000), (16000, 8000)]


def tone(frequency: float, rate: int, seconds: float = 0.5, level: float = 10000.0) -> Samples:
    return np.asarray(level * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate), np.int16)


def convert(pcm: Samples, from_rate: int, to_rate: int, piece: int) -> Samples:
    resampler = Resampler(from_rate, to_rate)
    return np.concatenate([resampler.convert(pcm[i : i + piece]) for i in range(0, len(pcm), piece)])


@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
def test_each_piece_is_answered_by_as_many_samples_as_it_lasts(from_rate: int, to_rate: int) -> None:
    resampler = Resampler(from_rate, to_rate)
    for ms in (20, 10, 60):
        assert len(resampler.convert(np.zeros(from_rate * ms // 1000, np.int16))) == to_rate * ms // 1000


@pytest.mark.parametrize("frequency", [50, 300, 1000, 2000, 3400])
@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
def test_a_tone_keeps_its_level_and_comes_later_by_the_delay_stated(
    from_rate: int, to_rate: int, frequency: int
) -> None:
    heard = convert(tone(frequency, from_rate), from_rate, to_rate, from_rate // 50).astype(np.float64)
    time = np.arange(len(heard)) / to_rate
    delay = Resampler(from_rate, to_rate).delay
    expected = 10000 * np.sin(2 * np.pi * frequency * (time - delay))
    settled = slice(to_rate // 50, None)
    error = np.mean((heard[settled] - expected[settled]) ** 2)
    assert 10 * np.log10(5e7 / error) > 40
    assert delay <= 0.002


@pytest.mark.parametrize(("from_rate", "frequency"), [(16000, 5000), (48000, 5000), (48000, 7000), (48000, 20000)])
def test_what_the_lower_rate_cannot_carry_is_left_out(from_rate: int, frequency: int) -> None:
    heard = convert(tone(frequency, from_rate), from_rate, 8000, from_rate // 50).astype(np.float64)
    assert np.sqrt(np.mean(heard[200:] ** 2)) < 7071 * 10 ** (-55 / 20)


def test_the_seams_between_pieces_do_not_show() -> None:
    pcm = tone(440, 8000)
    assert np.array_equal(convert(pcm, 8000, 48000, 160), convert(pcm, 8000, 48000, len(pcm)))
    wide = tone(440, 48000)
    assert np.array_equal(convert(wide, 48000, 8000, 480), convert(wide, 48000, 8000, len(wide)))


def test_the_loudest_samples_stay_within_bounds() -> None:
    square = np.where(np.arange(800) // 10 % 2, 32767, -32768).astype(np.int16)
    heard = convert(square, 8000, 48000, 160)
    assert heard.max() == 32767
    assert heard.min() == -32768


def test_equal_rates_change_nothing() -> None:
    pcm = tone(440, 8000)
    assert Resampler(8000, 8000).convert(pcm) is pcm
    assert Resampler(8000, 8000).delay == 0


def test_rates_that_are_no_multiples_are_refused() -> None:
    with pytest.raises(ValueError, match="44100 is no multiple of 8000"):
        Resampler(44100, 8000)
