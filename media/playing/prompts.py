"""Prompts: sound files read and companded once, and playlists that cut them into frames without gaps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from media.codecs import Samples
from media.codecs.g711 import PCMA, PCMU, SAMPLE_RATE, SILENCE, encode
from media.playing.names import SUFFIXES, find_prompt, is_prompt
from media.playing.sound import SoundError, read_sound, resample

FRAME_SAMPLES: Final = 160
FRAME_MS: Final = 20
LATE_SECONDS: Final = 3600
"""How much is kept of what was not there at the start, such as speech: the least recently played is forgotten."""


class PromptError(Exception):
    """A prompt cannot be played; the message says which and why."""


class Prompt:
    """A sound at the rates that are asked for, all multiples of 8 kHz; `length` counts samples of 8 kHz.

    It is made at the rates given; at another one it is made when that is asked for first.
    """

    __slots__ = ("_companded", "_pcm", "length")

    def __init__(self, sound: Samples, rate: int = SAMPLE_RATE, rates: Sequence[int] = (SAMPLE_RATE,)) -> None:
        self.length = round(len(sound) * SAMPLE_RATE / rate)
        self._pcm = {each: self._fitted(resample(sound, rate, each), each) for each in {*rates, SAMPLE_RATE}}
        linear = self._pcm[SAMPLE_RATE].tobytes()
        self._companded = {law: encode(linear, law) for law in (PCMU, PCMA)}

    def companded(self, law: str) -> bytes:
        """Return the samples by that law of G.711."""
        return self._companded[law]

    def pcm(self, rate: int) -> Samples:
        """Return the samples at that rate."""
        pcm = self._pcm.get(rate)
        if pcm is None:
            best = max(self._pcm)
            pcm = self._pcm[rate] = self._fitted(resample(self._pcm[best], best, rate), rate)
        return pcm

    def _fitted(self, pcm: Samples, rate: int) -> Samples:
        """Return the samples cut or padded, so that the prompt is of one length at all rates."""
        length = self.length * rate // SAMPLE_RATE
        return pcm[:length] if len(pcm) >= length else np.pad(pcm, (0, length - len(pcm)))


class PromptCache:
    """Finds prompts by name ("en/digits/7" is en/digits/7.wav in the first directory that has it, or 7.opus, …).

    Texts ("say:en:…") are looked for in the directory `speech`. `rates` are those at which prompts are made ready.
    What `preload` has read is kept for good.
    """

    def __init__(
        self, directories: Sequence[str | Path], rates: Sequence[int] = (SAMPLE_RATE,), speech: str | Path = ""
    ) -> None:
        self._directories = [Path(directory) for directory in directories]
        self._speech = Path(speech) if speech else None
        self._rates = tuple(rates)
        self._kept: dict[str, Prompt] = {}
        self._late: OrderedDict[str, Prompt] = OrderedDict()
        self._late_length = 0

    def __len__(self) -> int:
        return len(self._kept) + len(self._late)

    def __contains__(self, name: str) -> bool:
        return name in self._kept or name in self._late

    def get(self, name: str) -> Prompt:
        """Return the prompt, read at its first use. Raises PromptError."""
        prompt = self.kept(name)
        if prompt is None:
            prompt = self.read(name)
            self.add(name, prompt)
        return prompt

    def kept(self, name: str) -> Prompt | None:
        """Return the prompt if it was read before."""
        prompt = self._kept.get(name)
        if prompt is None and (prompt := self._late.get(name)) is not None:
            self._late.move_to_end(name)
        return prompt

    def read(self, name: str) -> Prompt:
        """Read a prompt from its file, which any thread may do. Raises PromptError."""
        if not is_prompt(name):
            raise PromptError(f"{name[:80]!r} is no prompt.")
        path = find_prompt(self._directories, self._speech, name)
        if path is None:
            raise PromptError(f"There is no prompt {name[:80]!r}.")
        try:
            return Prompt(*read_sound(path), self._rates)
        except SoundError as error:
            raise PromptError(str(error)) from error

    def add(self, name: str, prompt: Prompt) -> None:
        """Keep a prompt that was read, in place of those that were not played for long."""
        if (before := self._late.pop(name, None)) is not None:
            self._late_length -= before.length
        self._late[name] = prompt
        self._late_length += prompt.length
        while self._late_length > LATE_SECONDS * SAMPLE_RATE and len(self._late) > 1:
            _, forgotten = self._late.popitem(last=False)
            self._late_length -= forgotten.length

    def preload(self) -> list[str]:
        """Read every prompt of the directories, so that no call waits for a disk; returns what was wrong."""
        mistakes = []
        for directory in self._directories:
            for path in sorted(directory.rglob("*")):
                name = path.relative_to(directory).with_suffix("").as_posix()
                if path.suffix not in SUFFIXES or name in self._kept:
                    continue
                try:
                    self._kept[name] = self.read(name)
                except PromptError as error:
                    mistakes.append(str(error))
        return mistakes


class Playlist:
    """Prompts played one after the other; consecutive prompts and the turns of a loop share frames, without a gap.

    Each frame may be of another law or rate than the one before. What was given out is counted in samples of 8 kHz.
    With None for the prompts it is not `ready`, and must not be played, before it is filled with them.
    """

    __slots__ = ("_index", "_loop", "_offset", "_prompts", "_samples", "interruptible", "ready", "token")

    def __init__(
        self, prompts: Sequence[Prompt] | None, *, loop: bool = False, interruptible: bool = False, token: int = 0
    ) -> None:
        self._prompts: list[Prompt] = []
        self.ready = False
        if prompts is not None:
            self.fill(prompts)
        self._loop = loop
        self._index = 0
        self._offset = 0
        self._samples = 0
        self.interruptible = interruptible
        self.token = token

    def fill(self, prompts: Sequence[Prompt]) -> None:
        """Take the prompts."""
        self._prompts = [prompt for prompt in prompts if prompt.length]
        self.ready = True

    @property
    def heard_ms(self) -> int:
        """How much of the prompts has been given out."""
        return self._samples * 1000 // SAMPLE_RATE

    def next_frame(self, law: str) -> bytes | None:
        """Return the next 20 ms by a law of G.711, the last ones padded with silence, or None at the end."""
        frame = b"".join([prompt.companded(law)[start:end] for prompt, start, end in self._next()])
        if not frame:
            return None
        return frame if len(frame) == FRAME_SAMPLES else frame.ljust(FRAME_SAMPLES, bytes([SILENCE[law]]))

    def next_samples(self, rate: int) -> Samples | None:
        """Return the next 20 ms at a rate that is a multiple of 8 kHz, likewise."""
        factor = rate // SAMPLE_RATE
        pieces = [prompt.pcm(rate)[start * factor : end * factor] for prompt, start, end in self._next()]
        if not pieces:
            return None
        frame = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        missing = FRAME_SAMPLES * factor - len(frame)
        return np.pad(frame, (0, missing)) if missing else frame

    def _next(self) -> Iterator[tuple[Prompt, int, int]]:
        """Yield what makes up the next 20 ms: prompts with where to begin and to end in them."""
        wanted = FRAME_SAMPLES
        while wanted and self._has_more():
            prompt, start = self._prompts[self._index], self._offset
            end = min(start + wanted, prompt.length)
            if end == prompt.length:
                self._index += 1
                self._offset = 0
            else:
                self._offset = end
            wanted -= end - start
            self._samples += end - start
            yield prompt, start, end

    def _has_more(self) -> bool:
        if self._index == len(self._prompts) and self._loop:
            self._index = 0
        return self._index < len(self._prompts)
