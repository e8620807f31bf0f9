"""Prompts: WAV files companded once, and playlists that cut them into 20 ms frames without gaps."""

from __future__ import annotations

import re
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from media.codecs.g711 import PCMA, PCMU, SAMPLE_RATE, SILENCE, encode

FRAME_SAMPLES: Final = 160
FRAME_MS: Final = 20
_NAME = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*")
_MAX_NAME: Final = 200
_SAMPLE_WIDTH: Final = 2

Prompt = dict[str, bytes]
"""A prompt's samples companded by each law."""


class PromptError(Exception):
    """A prompt cannot be played; the message says which and why."""


def read_wav(path: Path) -> bytes:
    """Return the samples of an 8 kHz, mono, 16-bit WAV file. Raises PromptError."""
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SAMPLE_RATE, 1, _SAMPLE_WIDTH):
                raise PromptError(f"{path} is not 8 kHz, mono, 16 bit.")
            return file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise PromptError(f"{path} cannot be read: {error}") from error


class PromptCache:
    """Finds prompts by name ("en/digits/7" is en/digits/7.wav in the first directory that has it)."""

    def __init__(self, directories: Sequence[str | Path]) -> None:
        self._directories = [Path(directory) for directory in directories]
        self._prompts: dict[str, Prompt] = {}

    def __len__(self) -> int:
        return len(self._prompts)

    def get(self, name: str) -> Prompt:
        """Return the prompt, read at its first use. Raises PromptError."""
        prompt = self._prompts.get(name)
        if prompt is None:
            prompt = self._prompts[name] = self._load(name)
        return prompt

    def preload(self) -> list[str]:
        """Read every prompt of the directories, so that no call waits for a disk; returns what was wrong."""
        mistakes = []
        for directory in self._directories:
            for path in sorted(directory.rglob("*.wav")):
                try:
                    self.get(str(path.relative_to(directory).with_suffix("")))
                except PromptError as error:
                    mistakes.append(str(error))
        return mistakes

    def _load(self, name: str) -> Prompt:
        if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
            raise PromptError(f"{name[:80]!r} is no prompt name.")
        for directory in self._directories:
            path = directory / f"{name}.wav"
            if path.is_file():
                linear = read_wav(path)
                return {PCMU: encode(linear, PCMU), PCMA: encode(linear, PCMA)}
        raise PromptError(f"There is no prompt {name!r}.")


class Playlist:
    """Prompts played one after the other; consecutive prompts and the turns of a loop share frames, without a gap."""

    __slots__ = ("_index", "_loop", "_offset", "_prompts", "_samples", "interruptible", "token")

    def __init__(
        self, prompts: Sequence[Prompt], *, loop: bool = False, interruptible: bool = False, token: int = 0
    ) -> None:
        self._prompts = [prompt for prompt in prompts if prompt[PCMU]]
        self._loop = loop
        self._index = 0
        self._offset = 0
        self._samples = 0
        self.interruptible = interruptible
        self.token = token

    @property
    def heard_ms(self) -> int:
        """How much of the prompts has been given out."""
        return self._samples * 1000 // SAMPLE_RATE

    def next_frame(self, codec: str) -> bytes | None:
        """Return the next 160 samples companded by `codec`, the last ones padded with silence, or None at the end."""
        frame = self._take(FRAME_SAMPLES, codec)
        while len(frame) < FRAME_SAMPLES and self._has_more():
            frame += self._take(FRAME_SAMPLES - len(frame), codec)
        if not frame:
            return None
        self._samples += len(frame)
        return frame if len(frame) == FRAME_SAMPLES else frame.ljust(FRAME_SAMPLES, bytes([SILENCE[codec]]))

    def _has_more(self) -> bool:
        if self._index == len(self._prompts) and self._loop:
            self._index = 0
        return self._index < len(self._prompts)

    def _take(self, count: int, codec: str) -> bytes:
        if not self._has_more():
            return b""
        prompt = self._prompts[self._index][codec]
        piece = prompt[self._offset : self._offset + count]
        self._offset += count
        if self._offset >= len(prompt):
            self._index += 1
            self._offset = 0
        return piece
