"""Prompts as files that rtpengine opens; those that follow one another without a gap are put into one file."""

from __future__ import annotations

import hashlib
import os
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from media.playing.prompts import PromptError

_FORMAT = (1, 2, 8000)  # channels, octets a sample, samples a second


class Sound(NamedTuple):
    """A file to play, and how long it lasts."""

    path: str
    milliseconds: int


class Spool:
    """Finds prompts in `directories`, the first that has one, and keeps what is put together in `directory`."""

    def __init__(self, directories: Sequence[str], directory: str) -> None:
        self._directories = [Path(each).resolve() for each in directories]
        self._directory = Path(directory).resolve()
        self._sounds: dict[tuple[str, ...], Sound] = {}

    def known(self, names: tuple[str, ...]) -> Sound | None:
        """Return what `sound` found before."""
        return self._sounds.get(names)

    def sound(self, names: tuple[str, ...]) -> tuple[Sound | None, list[str]]:
        """Return a file of these prompts, None where nothing is to be heard, and what is wrong with those left out.

        Reads and writes files.
        """
        found: list[tuple[Path, bytes]] = []
        mistakes: list[str] = []
        for name in names:
            try:
                path = self._find(name)
                found.append((path, _read(path)))
            except (PromptError, OSError) as error:
                mistakes.append(str(error))
        octets = b"".join(samples for _, samples in found)
        if not octets:
            return None, mistakes
        try:
            path = found[0][0] if len(found) == 1 else self._write(octets)
        except OSError as error:
            return None, [*mistakes, f"{self._directory} cannot be written: {error.strerror}"]
        sound = Sound(str(path), len(octets) * 1000 // (_FORMAT[1] * _FORMAT[2]))
        if not mistakes:
            self._sounds[names] = sound
        return sound, mistakes

    def _find(self, name: str) -> Path:
        for directory in self._directories:
            path = (directory / f"{name}.wav").resolve()
            if path.is_relative_to(directory) and path.is_file():
                return path
        raise PromptError(f"There is no prompt {name[:80]!r}.")

    def _write(self, octets: bytes) -> Path:
        path = self._directory / f"{hashlib.sha256(octets).hexdigest()[:32]}.wav"
        if not path.exists():
            self._directory.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{os.getpid()}")
            with wave.open(str(unfinished), "wb") as file:
                file.setnchannels(_FORMAT[0])
                file.setsampwidth(_FORMAT[1])
                file.setframerate(_FORMAT[2])
                file.writeframes(octets)
            unfinished.replace(path)
        return path


def _read(path: Path) -> bytes:
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != _FORMAT:
                raise PromptError(f"{path} is not 8 kHz, mono, 16 bit.")
            return file.readframes(file.getnframes())
    except (EOFError, wave.Error) as error:
        raise PromptError(f"{path} cannot be read: {error}") from error
