"""Texts in place of prompts: read from the configuration, spoken at the start and upon a reload, found by workers."""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import structlog

from acd.config import Config, ConfigError, loads
from acd.config.playing import texts_of
from acd.mediaside import media_settings
from acd.speaking import Speech, speech_directory
from media.playing.prompts import PromptCache
from media.playing.sound import write_sound

from .house import House

CLOSED, HELLO, SOON, BYE = "say:en:We are closed.", "say:zh:您好", "say:en:One minute left.", "say:en:Goodbye: now."
# Speaks by copying a file; the text goes beside what it writes.
COPY = "import shutil, sys; shutil.copy(*sys.argv[1:3]); open(sys.argv[3], 'a').write(sys.stdin.read() + chr(10))"


def configured(tmp_path: Path, text: str = "") -> Config:
    command = [sys.executable, "-c", COPY, str(tmp_path / "voice.wav"), "{out}", str(tmp_path / "asked")]
    write_sound(tmp_path / "voice.wav", np.array([3000, -3000] * 2000, np.int16), 16_000)
    return loads(
        f"""
[server]
domain = "ims.example"
[storage]
dir = "{tmp_path}/var"
[speech]
command = {command!r}
[numbers.100]
announcement = ["{CLOSED}", "money:en:CNY:12.50", "en/goodbye"]
[numbers.101]
flow = "main"
[flows.main]
greeting = ["{HELLO}"]
menu = ["en/menu"]
choices = {{ 1 = "sales" }}
default = "sales"
[queues.sales]
name = "Sales"
overflow = [{{ when = "no_agent", to = "announcement:{CLOSED}" }}]
[queues.sales.talk]
longest_seconds = 600
reminder_seconds = 540
reminder = ["{SOON}"]
[[accounts]]
user = "alice"
password = "x"
talk = {{ longest_seconds = 60, farewell = ["{BYE}"] }}
{text}
"""
    )


def asked(tmp_path: Path) -> list[str]:
    return sorted((tmp_path / "asked").read_text(encoding="utf-8").splitlines())


def test_texts_stand_wherever_prompts_do(tmp_path: Path) -> None:
    assert texts_of(configured(tmp_path)) == {CLOSED, HELLO, SOON, BYE}


async def test_what_a_configuration_says_is_spoken_where_workers_find_it(tmp_path: Path) -> None:
    config = configured(tmp_path)
    speech = Speech(config)
    await speech.prepare(config)
    await speech.prepare(config)
    assert asked(tmp_path) == ["Goodbye: now.", "One minute left.", "We are closed.", "您好"]
    settings = media_settings(config)
    assert settings.speech_directory == str(speech_directory(config).absolute())
    prompts = PromptCache(settings.prompt_directories, settings.sample_rates, settings.speech_directory)
    for text in texts_of(config):
        assert prompts.get(text).length > 1000
    await speech.close()


async def test_a_program_that_is_not_there_is_named_and_nothing_else_happens(tmp_path: Path) -> None:
    config = configured(tmp_path)
    speech = Speech(loads(f'[server]\ndomain = "a.example"\n[speech]\ncommand = ["{tmp_path}/none", "{{out}}"]'))
    with structlog.testing.capture_logs() as logged:
        await speech.prepare(config)
    failed = [entry for entry in logged if entry["event"] == "speech.failed"]
    assert len(failed) == 4
    assert {entry["reason"] for entry in failed} == {f"{tmp_path}/none cannot be run: No such file or directory."}


def test_a_directory_of_ones_own_comes_first(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "en").mkdir(parents=True)
    for name in ("welcome", "offer"):
        write_sound(own / "en" / f"{name}.wav", np.ones(80, np.int16), 8000)
    number = '[numbers.102]\nannouncement = ["en/offer", "en/welcome", "en/goodbye"]\n'
    config = configured(tmp_path, f'{number}[media]\nprompts = "{own}"')
    prompts = PromptCache(media_settings(config).prompt_directories)
    assert [prompts.get(name).length for name in ("en/offer", "en/welcome")] == [80, 80]
    assert prompts.get("en/goodbye").length > 80
    with pytest.raises(ConfigError, match=r"there is no media/prompts/en/offer\.wav"):
        configured(tmp_path, number)
    with pytest.raises(ConfigError, match=r"there is no en/nope\.wav in .*/own or media/prompts"):
        configured(tmp_path, f'{number.replace("en/offer", "en/nope")}[media]\nprompts = "{own}"')


class Slow:
    """Takes a second to speak, and remembers what; stands in for `Speech`."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    async def speak(self, prompts: Iterable[str]) -> None:
        self.asked.append(list(prompts))
        await asyncio.sleep(1.0)


def test_a_call_waits_for_a_text_that_was_not_spoken_before() -> None:
    with House(f'numbers.10098.announcement=["{CLOSED}", "en/goodbye"]') as house:
        slow = Slow()
        house.engine.speech = cast("Speech", slow)
        caller = house.phone("alice")
        caller.dial("10098")
        house.run(0.5)
        assert slow.asked == [[CLOSED, "en/goodbye"]]
        (leg,) = house.media.opened
        playing = [leg.playing]
        house.run(1.0)
        assert [*playing, leg.playing] == [(), (CLOSED, "en/goodbye")]
        house.settle()
        assert caller.outcome == "Ended"
        house.assert_nothing_left()


def test_a_call_without_texts_waits_for_nothing() -> None:
    with House('numbers.10098.announcement=["en/goodbye"]') as house:
        slow = Slow()
        house.engine.speech = cast("Speech", slow)
        house.phone("alice").dial("10098")
        house.run(0.3)
        assert house.media.opened[0].playing == ("en/goodbye",)
        assert slow.asked == []
        house.settle()
