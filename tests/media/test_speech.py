"""Texts that a program speaks: kept as prompts, with what goes wrong logged and nothing left behind."""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import structlog
from hypothesis import given
from hypothesis import strategies as st

from media.playing.names import LONGEST_TEXT, Text, find_prompt, is_prompt, read_text, spoken_file
from media.playing.prompts import PromptCache, PromptError
from media.playing.sound import SoundError, read_sound, tidy, write_sound
from media.playing.speech import SpeechCache, SpeechError, SpeechProgram

from .conftest import until

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
PYTHON = sys.executable
GREETING = "say:en:Good morning."


class Tones:
    """Speaks every text as a tone, at once or when told to."""

    def __init__(self, name: str = "tones", rate: int = 22_050) -> None:
        self.name = name
        self.rate = rate
        self.asked: list[Text] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.reason = ""

    async def speak(self, text: Text, path: Path) -> None:
        self.asked.append(text)
        await self.may_go_on.wait()
        if self.reason:
            raise SpeechError(self.reason)
        time = np.arange(self.rate // 4) / self.rate
        write_sound(path, np.asarray(3000 * np.sin(2 * np.pi * 300 * time), np.int16), self.rate)


def files(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("say:en:Hello.", Text("en", "Hello.")),
        ("say:zh: 您好 ", Text("zh", "您好")),
        ("say:en-gb:a:b", Text("en-gb", "a:b")),
        ("say:en:" + "x" * LONGEST_TEXT, Text("en", "x" * LONGEST_TEXT)),
        ("say:en:" + "x" * (LONGEST_TEXT + 1), None),
        ("say:EN:Hello", None),
        ("say:../x:Hello", None),
        ("say:en:", None),
        ("en/welcome", None),
    ],
)
def test_a_prompt_may_be_a_text(prompt: str, text: Text | None) -> None:
    assert read_text(prompt) == text
    assert is_prompt(prompt) == (text is not None or prompt == "en/welcome")


@given(st.text(max_size=50).map(lambda words: f"say:en:{words}") | st.text(max_size=50))
def test_any_name_stays_inside_its_directory(name: str) -> None:
    assert "/" not in spoken_file(name)
    if is_prompt(name) and read_text(name) is None:
        assert ".." not in name


def test_a_directory_that_cannot_be_looked_at_hides_no_other(tmp_path: Path) -> None:
    unusable = Path("/" + "x" * 300)  # too long a name, as an example
    (tmp_path / "beep.wav").touch()
    assert find_prompt([unusable, tmp_path], unusable, "beep") == tmp_path / "beep.wav"
    assert find_prompt([unusable], unusable, "say:en:Hello.") is None


async def test_a_text_is_spoken_once_and_found_as_a_prompt(tmp_path: Path) -> None:
    engine = Tones()
    cache = SpeechCache(engine, tmp_path, 1_000_000)
    await cache.prepare([GREETING, "en/welcome", GREETING])
    await cache.prepare([GREETING])
    assert engine.asked == [Text("en", "Good morning.")]
    assert (cache.spoken, cache.failed) == (1, 0)
    assert files(tmp_path) == [spoken_file(GREETING)]
    prompt = PromptCache([], [8000, 16_000], cache.directory).get(GREETING)
    assert prompt.length == pytest.approx(2000, abs=30)
    level = 20 * np.log10(np.sqrt(np.mean((prompt.pcm(16_000) / 32_768) ** 2)))
    assert level == pytest.approx(-20, abs=1)
    with pytest.raises(PromptError, match=r"no prompt 'say:en:Never spoken.'"):
        PromptCache([], [8000], cache.directory).get("say:en:Never spoken.")
    assert find_prompt([tmp_path], None, GREETING) is None


async def test_another_voice_speaks_anew(tmp_path: Path) -> None:
    first, second = Tones("first"), Tones("second")
    caches = [SpeechCache(engine, tmp_path, 1_000_000) for engine in (first, second)]
    for cache in caches:
        await cache.prepare([GREETING])
    assert len(first.asked) == len(second.asked) == 1
    assert caches[0].directory != caches[1].directory


async def test_several_who_want_the_same_text_wait_for_one(tmp_path: Path) -> None:
    engine = Tones()
    engine.may_go_on.clear()
    cache = SpeechCache(engine, tmp_path, 1_000_000)
    waiting = [asyncio.ensure_future(cache.prepare([GREETING])) for _ in range(3)]
    await until(lambda: engine.asked)
    waiting[0].cancel()
    engine.may_go_on.set()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert done[1:] == [None, None]
    assert len(engine.asked) == 1
    assert files(tmp_path) == [spoken_file(GREETING)]


async def test_what_was_not_asked_for_the_longest_makes_room(tmp_path: Path) -> None:
    texts = [f"say:en:Number {number}" for number in range(4)]
    cache = SpeechCache(Tones(), tmp_path, 20_000)  # two of 8 kB
    for age, text in enumerate(texts[:2]):
        await cache.prepare([text])
        os.utime(cache.directory / spoken_file(text), (age, age))
    await cache.prepare([texts[0]])
    await cache.prepare([texts[2]])
    assert files(tmp_path) == sorted(spoken_file(texts[number]) for number in (0, 2))
    cache.pinned = frozenset(texts[:1])
    for text in texts[1:]:
        await cache.prepare([text])
        os.utime(cache.directory / spoken_file(texts[0]), (0, 0))
    assert files(tmp_path) == sorted(spoken_file(texts[number]) for number in (0, 3))
    await cache.prepare(texts)  # what is needed at once is not taken away
    assert files(tmp_path) == sorted(map(spoken_file, texts))


async def test_a_file_that_goes_while_room_is_made_is_no_fault(tmp_path: Path) -> None:
    cache = SpeechCache(Tones(), tmp_path, 20_000)
    cache.directory.mkdir()
    (cache.directory / "gone.wav").symlink_to(tmp_path / "nowhere")
    await cache.prepare([GREETING])
    assert (cache.directory / spoken_file(GREETING)).is_file()


async def test_a_failure_is_logged_and_not_repeated_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Tones()
    engine.reason = "no voice"
    cache = SpeechCache(engine, tmp_path, 1_000_000)
    with structlog.testing.capture_logs() as logged:
        await cache.prepare([GREETING, "say:en:" + "long " * 50])
        await cache.prepare([GREETING])
    failures = [entry for entry in logged if entry["event"] == "speech.failed"]
    assert {entry["reason"] for entry in failures} == {"no voice"}
    assert {entry["text"] for entry in failures} == {"Good morning.", ("long " * 50)[:60]}
    assert (len(engine.asked), cache.failed, files(tmp_path)) == (2, 2, [])
    engine.reason = ""
    monkeypatch.setattr("media.playing.speech.RETRY_SECONDS", 0.0)
    await cache.prepare([GREETING])
    assert cache.spoken == 1


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/nonexistent/espeak-ng", "{out}"], "/nonexistent/espeak-ng cannot be run: No such file or directory."),
        ([PYTHON, "-c", "import sys; sys.exit('no  such\\nvoice')"], f"{PYTHON} ended with 1: no such voice"),
        ([PYTHON, "-c", "pass"], "cannot be read"),
        ([PYTHON, "-c", "open(r'{out}', 'wb').write(b'noise')"], "cannot be read"),
    ],
    ids=["missing", "failing", "writing nothing", "writing noise"],
)
async def test_a_program_that_does_not_speak_is_named(tmp_path: Path, command: list[str], reason: str) -> None:
    cache = SpeechCache(SpeechProgram(command), tmp_path, 1_000_000)
    with structlog.testing.capture_logs() as logged:
        await cache.prepare([GREETING])
    (entry,) = [entry for entry in logged if entry["event"] == "speech.failed"]
    assert reason in entry["reason"]
    assert "\n" not in entry["reason"]
    assert files(tmp_path) == []


async def test_a_program_that_hangs_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = f"import os, signal; open({str(pid_file)!r}, 'w').write(str(os.getpid())); signal.pause()"
    program = SpeechProgram([PYTHON, "-c", code], seconds=2.0)
    with pytest.raises(SpeechError, match=r"took longer than 2 s\."):
        await program.speak(Text("en", "x"), tmp_path / "out")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


async def test_the_text_goes_to_the_programs_input_and_the_voice_into_its_command(tmp_path: Path) -> None:
    code = "import sys; open(sys.argv[2], 'w').write(sys.argv[1] + ' ' + sys.stdin.read())"
    program = SpeechProgram([PYTHON, "-c", code, "{voice}", "{out}"], {"zh": "cmn"})
    for text, said in ((Text("zh", "-v 您好 {out}"), "cmn -v 您好 {out}"), (Text("de", "Tag"), "de Tag")):
        await program.speak(text, tmp_path / "out")
        assert (tmp_path / "out").read_text() == said


@needs_espeak
@pytest.mark.parametrize("prompt", ["say:en:We are closed on Sundays.", "say:zh:您好,请稍候。", "say:fr:Bonjour."])
async def test_espeak_ng_speaks(tmp_path: Path, prompt: str) -> None:
    cache = SpeechCache(SpeechProgram(), tmp_path, 10_000_000)
    await cache.prepare([prompt])
    assert cache.spoken == 1
    spoken: Any = PromptCache([], [8000, 48_000], cache.directory).get(prompt)
    assert 0.3 < spoken.length / 8000 < 6
    assert np.abs(spoken.pcm(48_000)).max() > 3000


def test_samples_that_are_no_numbers_are_silence(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "odd.wav", np.full(800, np.nan), 8000, subtype="FLOAT")
    samples, rate = read_sound(tmp_path / "odd.wav")
    assert (not samples.any(), len(samples)) == (True, 800)
    with pytest.raises(SoundError, match="nothing to be heard"):
        tidy(samples, rate)


def test_speech_is_trimmed_and_brought_to_the_level_of_the_prompts() -> None:
    tone = 500 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16_000)
    quiet = np.concatenate((np.zeros(8000), tone, np.zeros(8000))).astype(np.int16)
    sound, rate = tidy(quiet, 16_000)
    assert rate == 16_000
    assert 8000 <= len(sound) < 10_000
    assert np.sqrt(np.mean(sound[400:8000].astype(float) ** 2)) == pytest.approx(3277, rel=0.03)
    click = np.zeros(1600, np.int16)
    click[800] = 3000
    assert np.abs(tidy(click, 16_000)[0]).max() <= 32_768 * 10 ** (-3 / 20) + 1
    with pytest.raises(SoundError):
        tidy(np.zeros(100, np.int16), 16_000)
    with pytest.raises(SoundError):
        tidy(np.zeros(0, np.int16), 16_000)
