"""Prompts and playlists: companded once, cut into frames without gaps."""

from pathlib import Path

import pytest

from media.codecs.g711 import PCMA, PCMU, encode
from media.playing.prompts import Playlist, Prompt, PromptCache, PromptError

from .conftest import write_wav


def prompt(*octets: int) -> Prompt:
    return {PCMU: bytes(octets), PCMA: bytes(255 - octet for octet in octets)}


def frames(playlist: Playlist, count: int = 100) -> list[bytes]:
    out: list[bytes] = []
    while len(out) < count and (frame := playlist.next_frame(PCMU)) is not None:
        out.append(frame)
    return out


def test_a_prompt_is_companded_by_both_laws(prompt_directory: Path) -> None:
    found = PromptCache([prompt_directory]).get("tone")
    linear = (8000).to_bytes(2, "little") * 800
    assert found == {PCMU: encode(linear, PCMU), PCMA: encode(linear, PCMA)}


def test_a_prompt_is_read_once(prompt_directory: Path) -> None:
    cache = PromptCache([prompt_directory])
    first = cache.get("en/odd")
    (prompt_directory / "en" / "odd.wav").unlink()
    assert cache.get("en/odd") is first


def test_the_first_directory_that_has_a_prompt_wins(prompt_directory: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "own" / "tone.wav", [1] * 5)
    cache = PromptCache([tmp_path / "own", prompt_directory])
    assert len(cache.get("tone")[PCMU]) == 5
    assert len(cache.get("long")[PCMU]) == 40_000


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../tone", "en/../tone", "tone.wav", "none", "en", "a" * 999, "t\0"]
)
def test_a_name_that_is_no_prompt_is_refused(prompt_directory: Path, name: str) -> None:
    with pytest.raises(PromptError):
        PromptCache([prompt_directory]).get(name)


def test_files_that_cannot_be_played_are_told_and_leave_the_others(prompt_directory: Path) -> None:
    write_wav(prompt_directory / "fast.wav", [0] * 10, rate=16_000)
    write_wav(prompt_directory / "stereo.wav", [0] * 10, channels=2)
    (prompt_directory / "noise.wav").write_bytes(b"noise")
    (prompt_directory / "empty.wav").touch()
    cache = PromptCache([prompt_directory])
    mistakes = cache.preload()
    assert [Path(mistake.split(" ")[0]).stem for mistake in mistakes] == ["empty", "fast", "noise", "stereo"]
    assert len(cache) == 3


def test_prompts_follow_each_other_within_a_frame_and_the_last_is_padded() -> None:
    playlist = Playlist([prompt(*[1] * 200), prompt(*[2] * 50), prompt(), prompt(*[3] * 100)])
    assert frames(playlist) == [b"\1" * 160, b"\1" * 40 + b"\2" * 50 + b"\3" * 70, b"\3" * 30 + b"\xff" * 130]
    assert playlist.heard_ms == 350 * 1000 // 8000


def test_a_loop_has_no_gap() -> None:
    octets = [index % 250 for index in range(333)]
    heard = b"".join(frames(Playlist([prompt(*octets)], loop=True), count=20))
    assert heard == (bytes(octets) * 10)[: 20 * 160]


def test_a_prompt_shorter_than_a_frame_loops_within_it() -> None:
    assert frames(Playlist([prompt(1, 2, 3)], loop=True), count=1) == [(b"\1\2\3" * 54)[:160]]


@pytest.mark.parametrize("prompts", [[], [prompt()], [prompt(), prompt()]])
@pytest.mark.parametrize("loop", [False, True])
def test_nothing_to_play_ends_at_once(prompts: list[Prompt], loop: bool) -> None:
    assert Playlist(prompts, loop=loop).next_frame(PCMU) is None


def test_the_law_may_change_while_playing() -> None:
    playlist = Playlist([prompt(*[1] * 320)])
    assert playlist.next_frame(PCMU) == b"\1" * 160
    assert playlist.next_frame(PCMA) == b"\xfe" * 160
