"""Texts of the configuration, spoken before calls hear them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from acd.config.playing import texts_of
from media.playing.speech import SpeechCache, SpeechProgram, directory_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from acd.config import Config

FOLDER: Final = "speech"  # under storage.dir
PATIENCE_SECONDS: Final = 30.0
_MEGABYTE: Final = 1 << 20

log = structlog.get_logger()


class Speech:
    """Has a program speak the texts that the configuration names; what it fails at is left out of calls, and logged."""

    def __init__(self, config: Config) -> None:
        limit = config.speech.keep_megabytes * _MEGABYTE
        self._cache = SpeechCache(_program(config), config.storage.path / FOLDER, limit)

    async def prepare(self, config: Config) -> None:
        """Have all texts of the configuration spoken; what takes long goes on after this has returned."""
        self._cache.pinned = frozenset(texts_of(config))
        await self.speak(self._cache.pinned)

    async def speak(self, prompts: Iterable[str]) -> None:
        """Have those of the prompts spoken that are texts, likewise."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._cache.prepare(prompts)
        except TimeoutError:
            log.warning("speech.delayed", seconds=PATIENCE_SECONDS)

    async def close(self) -> None:
        """End what is being spoken."""
        await self._cache.close()


def speech_directory(config: Config) -> Path:
    """Return where workers find what was spoken."""
    return directory_of(_program(config), config.storage.path / FOLDER)


def _program(config: Config) -> SpeechProgram:
    speech = config.speech
    return SpeechProgram(speech.command, speech.every_voice, speech.timeout_seconds)
