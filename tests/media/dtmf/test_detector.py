"""Keys heard in audio, at the limits of the AT&T column of ITU-T Q.24, and keys not heard in speech and noise."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from media.codecs.g711 import PCMU, decode, encode
from media.dtmf.detector import BLOCK, Detector
from media.dtmf.tones import COLUMNS, KEYS, ROWS, amplitude, frequencies, tone

Wave = npt.NDArray[np.float64]
REPETITIONS = 4  # of each key, at another place and with other phases each time


def press(  # noqa: PLR0917
    low: float, high: float, ms: float, low_dbm0: float = -10, high_dbm0: float = -10, phases: Sequence[float] = (0, 0)
) -> Wave:
    turns = 2 * np.pi / 8000 * np.arange(int(ms * 8))
    wave: Wave = amplitude(low_dbm0) * np.sin(low * turns + phases[0])
    wave += amplitude(high_dbm0) * np.sin(high * turns + phases[1])
    return wave


def silence(ms: float) -> Wave:
    return np.zeros(int(ms * 8))


def hear(waves: Sequence[Wave], noise_dbm0: float | None = None) -> list[str]:
    """Return what is heard of each wave, sent as G.711 through channels beside each other."""
    random = np.random.default_rng(7)
    length = max(map(len, waves))
    sent = np.zeros((len(waves), length + BLOCK - length % BLOCK))
    for row, wave in zip(sent, waves, strict=True):
        row[: len(wave)] = wave
    if noise_dbm0 is not None:
        sent += random.normal(0, amplitude(noise_dbm0) / np.sqrt(2), sent.shape)
    linear = np.clip(sent, -32_768, 32_767).astype("<i2")
    received = np.frombuffer(decode(encode(linear.tobytes(), PCMU), PCMU), "<i2").reshape(linear.shape)
    detector = Detector()
    channels = [detector.add() for _ in waves]
    heard = dict.fromkeys(channels, "")
    for begin in range(0, sent.shape[1], BLOCK):
        for channel, digit, held_ms in detector.feed(channels, received[:, begin : begin + BLOCK]):
            heard[channel] += digit if held_ms is None else ""
    return [heard[channel] for channel in channels]


def hear_all(make: Callable[[int, int, Sequence[float]], Wave], noise_dbm0: float | None = None) -> list[str]:
    """Hear every key several times as `make(low, high, phases)` sends it; return what is heard, key by key."""
    random = np.random.default_rng(8)
    waves = [
        np.concatenate(
            (silence(random.uniform(20, 60)), make(*frequencies(key), random.uniform(0, 6.28, 2).tolist()), silence(90))
        )
        for key in KEYS
        for _ in range(REPETITIONS)
    ]
    return hear(waves, noise_dbm0)


def each(times: int) -> list[str]:
    return [key * times for key in KEYS for _ in range(REPETITIONS)]


def test_keys_are_where_they_are_on_a_telephone() -> None:
    assert frequencies("1") == (697, 1209)
    assert frequencies("#") == (941, 1477)
    assert frequencies("D") == (941, 1633)


@pytest.mark.parametrize("ms", [40, 60, 1000])
def test_a_tone_of_40_ms_is_a_press_and_so_is_a_longer_one(ms: int) -> None:
    assert hear_all(lambda low, high, phases: press(low, high, ms, phases=phases)) == each(1)


def test_a_tone_of_23_ms_is_none() -> None:
    assert hear_all(lambda low, high, phases: press(low, high, 23, phases=phases)) == each(0)


@pytest.mark.parametrize("low_off", [-0.015, 0.015])
@pytest.mark.parametrize("high_off", [-0.015, 0.015])
@pytest.mark.parametrize("levels", [(-10, -10), (-25, -21), (-6, -14), (-17, -25)])
def test_frequencies_may_be_a_hundredth_and_a_half_off_at_any_twist(
    low_off: float, high_off: float, levels: tuple[int, int]
) -> None:
    def make(low: int, high: int, phases: Sequence[float]) -> Wave:
        return press(low * (1 + low_off), high * (1 + high_off), 40, *levels, phases=phases)

    assert hear_all(make) == each(1)


@pytest.mark.parametrize(("low_off", "high_off"), [(0.035, 0), (-0.035, 0), (0, 0.035), (0, -0.035)])
def test_frequencies_must_not_be_three_hundredths_and_a_half_off(low_off: float, high_off: float) -> None:
    def make(low: int, high: int, phases: Sequence[float]) -> Wave:
        return press(low * (1 + low_off), high * (1 + high_off), 200, phases=phases)

    assert hear_all(make) == each(0)


@pytest.mark.parametrize("levels", [(0, 0), (-25, -25), (-4, 0), (-25, -21), (0, -8), (-17, -25)])
def test_levels_and_twist_within_the_limits(levels: tuple[int, int]) -> None:
    assert hear_all(lambda low, high, phases: press(low, high, 40, *levels, phases=phases)) == each(1)


@pytest.mark.parametrize("levels", [(-55, -55), (-20, -10), (-8, -20)])
def test_levels_and_twist_beyond_them(levels: tuple[int, int]) -> None:
    assert hear_all(lambda low, high, phases: press(low, high, 200, *levels, phases=phases)) == each(0)


def test_a_pause_of_40_ms_parts_two_presses() -> None:
    def make(low: int, high: int, phases: Sequence[float]) -> Wave:
        return np.concatenate((press(low, high, 53, phases=phases), silence(40), press(low, high, 53)))

    assert hear_all(make) == each(2)


def test_an_interruption_of_10_ms_does_not() -> None:
    def make(low: int, high: int, phases: Sequence[float]) -> Wave:
        return np.concatenate((press(low, high, 50, phases=phases), silence(10), press(low, high, 50)))

    assert hear_all(make) == each(1)


def test_93_ms_a_digit_is_not_too_fast() -> None:
    """The shortest signalling velocity, with the shortest pause."""
    number = "".join(KEYS)
    wave = np.concatenate([np.concatenate((press(*frequencies(key), 53), silence(40))) for key in number])
    assert hear([np.concatenate((wave, silence(60)))]) == [number]


@pytest.mark.parametrize("delay_ms", [1, 5, 11, 20])
def test_an_echo_does_not_matter(delay_ms: int) -> None:
    def make(low: int, high: int, phases: Sequence[float]) -> Wave:
        sent = press(low, high, 50, phases=phases)
        echo = np.concatenate((silence(delay_ms), sent)) * 10 ** (-10 / 20)
        echo[: len(sent)] += sent
        return echo

    assert hear_all(make) == each(1)


def test_noise_15_db_below_does_not_matter() -> None:
    assert hear_all(lambda low, high, phases: press(low, high, 50, phases=phases), noise_dbm0=-22.0) == each(1)


def test_how_long_a_key_was_held() -> None:
    detector = Detector()
    channel = detector.add()
    sent = np.concatenate((tone("7", 0, 8 * 120), np.zeros(8 * 80, np.int16)))
    heard = [h for n in range(0, len(sent), BLOCK) for h in detector.feed([channel], sent[np.newaxis, n : n + BLOCK])]
    assert [(digit, held_ms) for _, digit, held_ms in heard] == [("7", None), ("7", pytest.approx(120, abs=10))]


def test_a_press_is_suspected_before_more_than_20_ms_of_it_are_over() -> None:
    """The block in which a tone begins may be taken for speech; the one after it is known to be suspect."""
    detector = Detector()
    channel = detector.add()
    for begin in range(0, BLOCK, 8):
        detector.reset(channel)
        sent = np.concatenate((np.zeros(begin, np.int16), tone("4", 0, 2 * BLOCK - begin)))
        detector.feed([channel], sent[np.newaxis, :BLOCK])
        detector.feed([channel], sent[np.newaxis, BLOCK:])
        assert detector.suspects[channel]


def test_channels_are_apart_and_used_again() -> None:
    detector = Detector()
    channels = [detector.add() for _ in range(40)]
    assert len(set(channels)) == 40
    sent = np.zeros((40, 4 * BLOCK), np.int16)
    sent[::2] = tone("1", 0, 4 * BLOCK)
    heard = [h for n in range(0, 4 * BLOCK, BLOCK) for h in detector.feed(channels, sent[:, n : n + BLOCK])]
    assert sorted(h.channel for h in heard) == sorted(channels[::2])
    detector.remove(channels[0])
    assert detector.add() == channels[0]
    quiet = np.zeros((1, BLOCK), np.int16)
    assert all(detector.feed([channels[0]], quiet) == [] for _ in range(6))


def test_one_frequency_alone_and_a_chord_are_no_keys() -> None:
    alone = [press(f, f, 300) for f in ROWS + COLUMNS]
    chords = [press(f, 2 * f, 300) + press(3 * f, 4 * f, 300, -14, -16) for f in range(200, 1000, 7)]
    assert set(hear(alone + chords)) == {""}


def test_noise_is_no_key() -> None:
    """100 minutes of it, at the level of speech."""
    random = np.random.default_rng(9)
    detector = Detector()
    channels = [detector.add() for _ in range(100)]
    for _ in range(60 * 50):
        block = random.normal(0, 2500, (100, BLOCK)).astype(np.int16)
        assert detector.feed(channels, block) == []


TEXT = Path(__file__).parents[3] / "ARCHITECTURE.md"
VOICES = [
    ("en", 50, 160),
    ("en+f3", 70, 150),
    ("en+m3", 30, 180),
    ("cmn", 50, 160),
    ("de", 60, 170),
    ("en+f2", 85, 200),
]
PITCHES = [2 ** (step / 12) for step in (-6, -3, 0, 3)]


def speak(voice: str, pitch: int, speed: int) -> Wave:
    """Return some minutes of speech at 8 kHz, at about -15 dBm0."""
    said = subprocess.run(
        ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout"],
        input=TEXT.read_bytes()[:3000],
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    rate, samples = int.from_bytes(said[24:28], "little"), np.frombuffer(said[44 : len(said) // 2 * 2], "<i2")
    places = np.arange(-64, 65) * 8000 / rate
    filtered: Wave = np.convolve(samples, np.sinc(places) * np.hamming(len(places)) * 8000 / rate, "same")
    resampled: Wave = np.interp(np.arange(0, len(filtered) - 1, rate / 8000), np.arange(len(filtered)), filtered)
    resampled *= amplitude(-15) / np.sqrt(2) / resampled.std()
    return resampled


@pytest.mark.peer("espeak-ng")
def test_speech_is_no_key() -> None:
    """Talk-off: 90 minutes and more, of six voices at four pitches.

    AT&T allows one false key in 1,500 calls on a tape of real speech. A synthetic voice is harder than that: it holds
    one pitch for long, and shifting it moves its formants as no person can.
    """
    waves = []
    for voice in VOICES:
        spoken = speak(*voice)
        places = np.arange(len(spoken))
        waves += [np.interp(np.arange(0, len(spoken) - 1, pitch), places, spoken) for pitch in PITCHES]
    assert sum(map(len, waves)) > 90 * 60 * 8000
    assert sum(len(keys) for keys in hear(waves)) <= 2
