"""The prompts that are shipped: all there, audible, and in the Mandarin that was meant."""

import re
import shutil
import subprocess
import sys
import tomllib
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
PROMPTS = ROOT / "media" / "prompts"
TEXTS = tomllib.loads((PROMPTS / "texts.toml").read_text(encoding="utf-8"))
SPOKEN = sorted(f"{lang}/{name}" for lang, table in TEXTS.items() for name in table["texts"])
MUSIC = "music/hold"
TONES = ("tones/call", "tones/reminder", "tones/silence")

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def load(path: Path) -> NDArray[np.float64]:
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32768.0


def frames(sound: NDArray[np.float64], length: int = 160) -> NDArray[np.float64]:
    return sound[: len(sound) // length * length].reshape(-1, length)


def dbfs(power: float | np.floating) -> float:
    return float(10 * np.log10(power))


def phonemes(voice: str, text: str) -> str:
    command = ["espeak-ng", "-v", voice, "-q", "-x", text]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def test_the_files_are_those_of_the_table_the_music_and_the_tones() -> None:
    found = sorted(path.relative_to(PROMPTS).with_suffix("").as_posix() for path in PROMPTS.rglob("*.wav"))
    assert found == sorted([*SPOKEN, MUSIC, *TONES])
    assert sum(path.stat().st_size for path in PROMPTS.rglob("*.wav")) < 4_000_000


def test_both_languages_have_the_same_announcements() -> None:
    announcements = [{name for name in TEXTS[lang]["texts"] if "/" not in name} for lang in ("en", "zh")]
    assert announcements[0] == announcements[1]


@pytest.mark.parametrize("name", SPOKEN)
def test_a_spoken_prompt_is_audible_level_and_trimmed(name: str) -> None:
    sound = load(PROMPTS / f"{name}.wav")
    power = np.mean(frames(sound) ** 2, axis=1)
    active = power[power > power.max() / 1000]
    assert -23.5 < dbfs(active.mean()) < -19.5
    assert np.abs(sound).max() < 0.75  # no clipping, -3 dBFS at most
    assert abs(sound.mean()) < 0.002
    loud = np.flatnonzero(np.abs(sound) > np.abs(sound).max() / 90)
    assert loud[0] < 0.06 * 8000, "silence before the first sound"
    assert len(sound) - loud[-1] < 0.15 * 8000, "silence after the last sound"
    assert 0.2 <= len(sound) / 8000 <= 9
    # Single words are one stretch of sound, sentences have the length their words need.
    words = len(TEXTS[name[:2]]["texts"][name[3:]].split())
    assert 0.1 < len(sound) / 8000 / words < 0.95


def test_prompts_do_not_repeat_one_recording() -> None:
    recordings = {(PROMPTS / f"{name}.wav").read_bytes() for name in SPOKEN}
    assert len(recordings) == len(SPOKEN)


def test_the_music_is_level_in_the_telephone_band_and_long_enough() -> None:
    sound = load(PROMPTS / f"{MUSIC}.wav")
    assert 20 <= len(sound) / 8000 <= 30
    assert dbfs(np.mean(sound**2)) == pytest.approx(-23, abs=0.5)
    assert np.abs(sound).max() < 0.75
    assert len(sound) % 160 == 0  # whole 20 ms packets, so that the loop closes between two of them
    seconds = np.mean(frames(sound, 8000) ** 2, axis=1)
    assert dbfs(seconds.max()) - dbfs(seconds.min()) < 10, "no pause and no outburst"
    spectrum = np.abs(np.fft.rfft(sound)) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / 8000)
    assert spectrum[(hertz > 190) & (hertz < 3400)].sum() / spectrum.sum() > 0.99


def test_the_tone_before_a_call_is_short_and_as_loud_as_music() -> None:
    tone, _, silence = (load(PROMPTS / f"{name}.wav") for name in TONES)
    assert 0.2 <= len(tone) / 8000 <= 0.4
    assert len(tone) % 160 == len(silence) % 160 == 0
    assert dbfs(np.mean(tone**2)) == pytest.approx(-23, abs=0.5)
    assert not silence.any()


def test_the_reminder_is_two_short_notes_that_cover_little_of_a_voice() -> None:
    tone = load(PROMPTS / "tones/reminder.wav")
    assert len(tone) / 8000 <= 0.4
    power = np.mean(frames(tone) ** 2, axis=1)
    assert np.count_nonzero(np.diff(power > power.max() / 100)) == 2, "a pause between the two"
    assert dbfs(power[power > power.max() / 100].mean()) == pytest.approx(-23, abs=1.5)


def test_the_music_loops_without_a_click() -> None:
    sound = load(PROMPTS / f"{MUSIC}.wav")
    # A click is a jump that the sound around it does not explain: the second difference finds it.
    joined = np.concatenate([sound[-400:], sound[:400]])
    bend = np.abs(np.diff(joined, 2))
    at_the_seam = bend[395:405].max()
    assert at_the_seam <= np.abs(np.diff(sound, 2)).max()
    assert at_the_seam < 3 * np.percentile(bend, 95) + 1e-3
    assert np.mean(sound[-160:] ** 2) > 1e-6, "the end is silent: a pause, not a loop"


@needs_espeak
@pytest.mark.parametrize("name", sorted(TEXTS["zh"]["texts"]))
def test_mandarin_is_spoken_with_tones_and_not_as_english(name: str) -> None:
    text = TEXTS["zh"]["texts"][name]
    tones = [int(digit) for digit in re.findall(r"[a-z]+([1-5])", text)]
    assert tones, "pinyin carries tone digits"

    heard = phonemes(TEXTS["zh"]["voice"], text)
    assert "(en)" not in heard
    syllables = [syllable for syllable in re.split(r"_[|:]*|\s+", heard) if syllable]
    assert len(syllables) == len(tones)
    # espeak-ng writes a tone as its pitch curve: 55 high, 35 rising, 21 or 214 dipping, 51 falling.
    curves = {1: {"55"}, 2: {"35"}, 3: {"21", "214", "35"}, 4: {"51"}, 5: {"11", "22", "33", "44"}}
    for tone, syllable in zip(tones, syllables, strict=True):
        curve = re.search(r"\d+", syllable)
        assert curve is not None, syllable
        assert curve.group() in curves[tone], f"{syllable} for tone {tone}"


@needs_espeak
def test_the_voice_named_cmn_would_read_the_tone_digits_in_english() -> None:
    text = TEXTS["zh"]["texts"]["welcome"]
    heard, four = (re.sub("['_:]", "", phonemes(*spoken)) for spoken in (("cmn", text), ("en", "four")))
    assert "(en)" in heard
    assert four.strip() in heard
    assert four.strip() not in phonemes(TEXTS["zh"]["voice"], text)


@needs_espeak
@pytest.mark.parametrize("name", ["en/digits/7", "en/menu", "zh/agent"])
def test_the_shipped_prompt_says_the_text_of_the_table(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/make_prompts.py"), "--into", str(tmp_path), name]
    subprocess.run(command, check=True, timeout=60)
    shipped, made = load(PROMPTS / f"{name}.wav"), load(tmp_path / f"{name}.wav")
    assert abs(len(shipped) - len(made)) < 80
    length = min(len(shipped), len(made))
    assert np.corrcoef(shipped[:length], made[:length])[0, 1] > 0.9


def test_a_prompt_that_the_table_does_not_have_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/make_prompts.py"), "--into", str(tmp_path), "en/none"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "make_prompts: texts.toml has no en/none\n")
