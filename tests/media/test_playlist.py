"""Prompts and playlists: read and companded once, cut into frames without gaps."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from media.codecs import Samples
from media.codecs.g711 import PCMA, PCMU, decode, encode
from media.playing import prompts as prompts_module
from media.playing import sound
from media.playing.prompts import Playlist, Prompt, PromptCache, PromptError

from .conftest import write_wav


def prompt(*octets: int) -> Prompt:
    """Return a prompt that is these octets by the law of PCMU."""
    return Prompt(np.frombuffer(decode(bytes(octets), PCMU), np.int16))


def tone(rate: int, seconds: float = 0.5, hertz: float = 400.0) -> Samples:
    return np.asarray(8000 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate), np.int16)


def heard(playlist: Playlist, rate: int, count: int = 1000) -> Samples:
    out: list[Samples] = []
    while len(out) < count and (frame := playlist.next_samples(rate)) is not None:
        assert len(frame) == rate // 50
        out.append(frame)
    return np.concatenate(out)


def loudest_bend(pcm: Samples) -> float:
    """Return the largest second difference: where two pieces do not join, it is large."""
    return float(np.abs(np.diff(pcm.astype(np.int32), 2)).max())


def frames(playlist: Playlist, count: int = 100) -> list[bytes]:
    out: list[bytes] = []
    while len(out) < count and (frame := playlist.next_frame(PCMU)) is not None:
        out.append(frame)
    return out


def test_a_prompt_is_companded_by_both_laws(prompt_directory: Path) -> None:
    found = PromptCache([prompt_directory]).get("tone")
    linear = (8000).to_bytes(2, "little") * 800
    assert [found.companded(law) for law in (PCMU, PCMA)] == [encode(linear, law) for law in (PCMU, PCMA)]
    assert (found.length, found.pcm(8000).tobytes()) == (800, linear)


def test_a_prompt_is_read_once(prompt_directory: Path) -> None:
    cache = PromptCache([prompt_directory])
    first = cache.get("en/odd")
    (prompt_directory / "en" / "odd.wav").unlink()
    assert cache.get("en/odd") is first


def test_the_first_directory_that_has_a_prompt_wins(prompt_directory: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "own" / "tone.wav", [1] * 5)
    cache = PromptCache([tmp_path / "own", prompt_directory])
    assert cache.get("tone").length == 5
    assert cache.get("long").length == 40_000


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../tone", "en/../tone", "tone.wav", "none", "en", "a" * 999, "t\0"]
)
def test_a_name_that_is_no_prompt_is_refused(prompt_directory: Path, name: str) -> None:
    with pytest.raises(PromptError):
        PromptCache([prompt_directory]).get(name)


def test_files_that_cannot_be_played_are_told_and_leave_the_others(prompt_directory: Path) -> None:
    (prompt_directory / "noise.wav").write_bytes(b"noise")
    (prompt_directory / "empty.opus").touch()
    (prompt_directory / "read.me").touch()
    cache = PromptCache([prompt_directory])
    mistakes = cache.preload()
    assert [Path(mistake.split(" ")[0]).stem for mistake in mistakes] == ["empty", "noise"]
    assert len(cache) == 3


def test_a_file_that_would_fill_the_memory_is_refused(prompt_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "LONGEST_SECONDS", 4)
    with pytest.raises(PromptError, match=r"long.wav is longer than"):
        PromptCache([prompt_directory]).get("long")


@pytest.mark.parametrize("suffix", ["wav", "opus", "ogg", "flac"])
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16_000, 2), (48_000, 2)])
def test_a_file_of_any_kind_is_one_channel_at_the_rates_that_are_played(
    tmp_path: Path, suffix: str, rate: int, channels: int
) -> None:
    samples = np.stack([tone(rate)] * channels, axis=1)
    kind = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
    soundfile.write(tmp_path / f"a.{suffix}", samples, rate, **kind)
    found = PromptCache([tmp_path], [8000, 16_000, 48_000]).get("a")
    assert found.length == pytest.approx(4000, abs=80)
    for wanted in (8000, 16_000, 48_000):
        pcm = found.pcm(wanted).astype(np.float64)
        assert len(pcm) == found.length * wanted // 8000
        spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
        assert np.argmax(spectrum) * wanted / len(pcm) == pytest.approx(400, abs=3)
        assert np.sqrt(np.mean(pcm[wanted // 10 : wanted * 4 // 10] ** 2)) == pytest.approx(8000 / 2**0.5, rel=0.04)


def test_the_channels_of_a_file_are_mixed(tmp_path: Path) -> None:
    write_wav(tmp_path / "two.wav", [1000, 3000] * 100, channels=2)
    assert set(PromptCache([tmp_path]).get("two").pcm(8000).tolist()) == {2000}


def test_samples_that_are_fractions_are_scaled_and_cut(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "float.wav", np.array([0.5, -0.5, 2.0, -2.0]), 8000, subtype="FLOAT")
    assert PromptCache([tmp_path]).get("float").pcm(8000).tolist() == [16_384, -16_384, 32_767, -32_768]


def test_what_comes_late_is_kept_as_long_as_it_is_played(
    prompt_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts_module, "LATE_SECONDS", 6)
    cache = PromptCache([prompt_directory])
    assert cache.preload() == []
    for number in range(4):
        write_wav(prompt_directory / f"late{number}.wav", [number] * 16_000)
        cache.get(f"late{number}")
        cache.get("late0")
    assert [f"late{number}" in cache for number in range(4)] == [True, False, True, True]
    assert {"tone", "long", "en/odd"} <= {name for name in ("tone", "long", "en/odd") if name in cache}


def test_prompts_follow_each_other_within_a_frame_and_the_last_is_padded() -> None:
    playlist = Playlist([prompt(*[1] * 200), prompt(*[2] * 50), prompt(), prompt(*[3] * 100)])
    assert frames(playlist) == [b"\1" * 160, b"\1" * 40 + b"\2" * 50 + b"\3" * 70, b"\3" * 30 + b"\xff" * 130]
    assert playlist.heard_ms == 350 * 1000 // 8000


def test_a_loop_has_no_gap() -> None:
    octets = [index % 127 for index in range(333)]
    heard = b"".join(frames(Playlist([prompt(*octets)], loop=True), count=20))
    assert heard == (bytes(octets) * 10)[: 20 * 160]


def test_a_prompt_shorter_than_a_frame_loops_within_it() -> None:
    assert frames(Playlist([prompt(1, 2, 3)], loop=True), count=1) == [(b"\1\2\3" * 54)[:160]]


@pytest.mark.parametrize("prompts", [[], [prompt()], [prompt(), prompt()]])
@pytest.mark.parametrize("loop", [False, True])
def test_nothing_to_play_ends_at_once(prompts: list[Prompt], loop: bool) -> None:
    assert Playlist(prompts, loop=loop).next_frame(PCMU) is None


def test_the_law_may_change_while_playing() -> None:
    playlist = Playlist([prompt(*[1] * 480)])
    assert playlist.next_frame(PCMU) == b"\1" * 160
    assert playlist.next_frame(PCMA) == encode(decode(b"\1" * 160, PCMU), PCMA)
    samples = playlist.next_samples(16_000)
    assert samples is not None
    assert len(samples) == 320
    assert playlist.next_frame(PCMU) is None
    assert playlist.heard_ms == 60


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_a_loop_is_seamless_at_every_rate(rate: int) -> None:
    playlist = Playlist([Prompt(tone(48_000, 0.25), 48_000, [8000, 16_000, 48_000])], loop=True)  # 100 whole periods
    pcm = heard(playlist, rate, 50)
    middle = pcm[rate // 100 : rate // 5]
    assert loudest_bend(pcm) <= 1.35 * loudest_bend(middle) + 4
    assert playlist.heard_ms == 1000


def test_prompts_of_different_rates_follow_each_other_within_a_frame() -> None:
    low, high = Prompt(tone(8000, 0.0505)), Prompt(tone(44_100, 0.0505), 44_100)
    playlist = Playlist([low, high])
    assert len(heard(playlist, 48_000)) == 6 * 960
    assert playlist.heard_ms == 101
    assert low.length == high.length == 404


def test_a_playlist_waits_until_its_prompts_are_read() -> None:
    playlist = Playlist(None)
    states = [playlist.ready]
    playlist.fill([prompt(*[1] * 160)])
    assert [*states, playlist.ready] == [False, True]
    assert frames(playlist) == [b"\1" * 160]


@given(
    lengths=st.lists(st.integers(0, 700), max_size=5),
    rates=st.lists(st.sampled_from([0, 8000, 16_000, 48_000]), min_size=1, max_size=40),
)
def test_whatever_the_codec_changes_to_nothing_is_heard_twice_or_left_out(lengths: list[int], rates: list[int]) -> None:
    """Frames of G.711 (0) and of samples at any rate count the same time."""
    playlist = Playlist([Prompt(np.ones(length, np.int16)) for length in lengths])
    counts = [0]
    for rate in rates:
        given_out = playlist.next_samples(rate) if rate else playlist.next_frame(PCMU)
        if given_out is None:
            break
        counts.append(playlist.heard_ms)
    total = sum(lengths) * 1000 // 8000
    assert all(later - earlier <= 20 for earlier, later in pairwise(counts))
    assert counts[-1] == min(total, 20 * (len(counts) - 1))
