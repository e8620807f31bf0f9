"""Prompts as files that rtpengine opens; those that follow one another without a gap are put into one file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from media.codecs import Samples
from media.codecs.g711 import SAMPLE_RATE
from media.playing.names import find_prompt, is_prompt
from media.playing.prompts import PromptError
from media.playing.sound import SoundError, read_sound, resample, write_sound
from media.playing.values import expand


class Sound(NamedTuple):
    """A file to play, and how long it lasts."""

    path: str
    milliseconds: int


class Spool:
    """Finds prompts in `directories`, the first that has one, and texts in `speech`.

    What is put together is kept in `directory`.
    """

    def __init__(self, directories: Sequence[str], speech: str, directory: str) -> None:
        self._directories = [Path(each).resolve() for each in directories]
        self._speech = Path(speech).resolve() if speech else None
        self._directory = Path(directory).resolve()
        self._sounds: dict[tuple[str, ...], Sound] = {}

    def known(self, names: tuple[str, ...]) -> Sound | None:
        """Return what `sound` found before."""
        return self._sounds.get(names)

    def sound(self, names: tuple[str, ...]) -> tuple[Sound | None, list[str]]:
        """Return a file of these prompts, None where nothing is to be heard, and what is wrong with those left out.

        Reads and writes files.
        """
        found: list[tuple[Path, Samples]] = []
        mistakes: list[str] = []
        for prompt in names:
            try:
                for name in expand(prompt):
                    path = self._find(name)
                    found.append((path, resample(*read_sound(path), SAMPLE_RATE)))
            except (PromptError, SoundError, ValueError) as error:
                mistakes.append(str(error))
        samples = np.concatenate([samples for _, samples in found]) if found else np.zeros(0, np.int16)
        if not len(samples):
            return None, mistakes
        try:
            path = found[0][0] if len(found) == 1 else self._write(samples)
        except (OSError, SoundError) as error:
            return None, [*mistakes, f"{self._directory} cannot be written: {error}"]
        sound = Sound(str(path), len(samples) * 1000 // SAMPLE_RATE)
        if not mistakes:
            self._sounds[names] = sound
        return sound, mistakes

    def _find(self, name: str) -> Path:
        path = find_prompt(self._directories, self._speech, name) if is_prompt(name) else None
        if path is None:
            raise PromptError(f"There is no prompt {name[:80]!r}.")
        return path

    def _write(self, samples: Samples) -> Path:
        path = self._directory / f"{hashlib.sha256(samples.tobytes()).hexdigest()[:32]}.wav"
        if not path.exists():
            self._directory.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{os.getpid()}")
            write_sound(unfinished, samples, SAMPLE_RATE)
            unfinished.replace(path)
        return path
