"""Texts spoken by a program, ahead of the calls that hear them, and kept as files that the workers play.

Speech is a plug-in: any `TextToSpeech` will do. The one shipped runs a program for each text, espeak-ng unless the
operator names another.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import structlog

from media.playing.names import Text, read_text, spoken_file
from media.playing.sound import SoundError, read_sound, tidy, write_sound
from media.playing.voices import ESPEAK, VOICES

AT_A_TIME: Final = 2
RETRY_SECONDS: Final = 60.0
_FAILURES_REMEMBERED: Final = 1000
_LONGEST_SHOWN: Final = 60
_LONGEST_REASON: Final = 200

log = structlog.get_logger()


class SpeechError(Exception):
    """A text could not be spoken; the message says why."""


class TextToSpeech(Protocol):
    """Speaks texts. It must not block the event loop."""

    @property
    def name(self) -> str:
        """What tells this speech from any other: a text spoken under another name is spoken anew."""

    async def speak(self, text: Text, path: Path) -> None:
        """Write the text, spoken, to a sound file of any kind. Raises SpeechError."""


class SpeechProgram:
    """Runs a program for each text, which it reads on its standard input.

    In the `command`, "{voice}" stands for the voice that `voices` has for the language, or else the language, and
    "{out}" for the sound file to be written. What takes longer than `seconds` is killed.
    """

    def __init__(self, command: Sequence[str] = ESPEAK, voices: Mapping[str, str] = VOICES, seconds: float = 10.0):
        self._command = tuple(command)
        self._voices = dict(voices)
        self._seconds = seconds

    @property
    def name(self) -> str:
        """The command and the voices."""
        return repr((self._command, sorted(self._voices.items())))

    async def speak(self, text: Text, path: Path) -> None:
        """Run the program. Raises SpeechError."""
        voice = self._voices.get(text.language, text.language)
        command = [part.replace("{voice}", voice).replace("{out}", str(path)) for part in self._command]
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise SpeechError(f"{command[0]} cannot be run: {error.strerror}.") from error
        try:
            async with asyncio.timeout(self._seconds):
                _, said = await process.communicate(text.words.encode(errors="replace"))
        except TimeoutError:
            raise SpeechError(f"{command[0]} took longer than {self._seconds:g} s.") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            reason = " ".join(said.decode(errors="replace").split())[:_LONGEST_REASON]
            raise SpeechError(f"{command[0]} ended with {process.returncode}: {reason}")


def directory_of(engine: TextToSpeech, root: Path) -> Path:
    """Return where under `root` the texts are that this engine has spoken."""
    return root / hashlib.sha256(engine.name.encode()).hexdigest()[:16]


class SpeechCache:
    """Texts that were spoken, as files in `directory`, of which no more than `limit` octets are kept.

    Those of `pinned` prompts are kept whatever else is asked for. `spoken` and `failed` count texts. One that failed is
    not tried again for a minute.
    """

    def __init__(self, engine: TextToSpeech, root: Path, limit: int) -> None:
        self.spoken = self.failed = 0
        self.pinned: frozenset[str] = frozenset()
        self.directory = directory_of(engine, root)
        self._engine = engine
        self._root = root
        self._limit = limit
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._numbers = itertools.count()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._failed_at: dict[str, float] = {}

    async def prepare(self, prompts: Iterable[str]) -> None:
        """Have those of the prompts that are texts spoken before this returns; what fails is logged."""
        texts = {prompt: text for prompt in prompts if (text := read_text(prompt)) is not None}
        missing = []
        for prompt in texts:
            try:
                os.utime(self.directory / spoken_file(prompt))
            except OSError:
                missing.append(prompt)
        if missing:
            await asyncio.gather(*(self._speak_once(prompt, texts[prompt]) for prompt in missing))
            await asyncio.to_thread(self._make_room, {spoken_file(prompt) for prompt in self.pinned | texts.keys()})

    async def close(self) -> None:
        """End what is being spoken."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _speak_once(self, prompt: str, text: Text) -> None:
        """Speak a text, though several ask for it."""
        now = asyncio.get_running_loop().time()
        if now - self._failed_at.get(prompt, -RETRY_SECONDS) < RETRY_SECONDS:
            return
        task = self._under_way.get(prompt)
        if task is None:
            task = self._under_way[prompt] = asyncio.create_task(self._speak(prompt, text), name="speech")
            task.add_done_callback(lambda _: self._under_way.pop(prompt, None))
        await asyncio.shield(task)

    async def _speak(self, prompt: str, text: Text) -> None:
        raw = self.directory / f"{next(self._numbers)}.{os.getpid()}.unfinished"
        try:
            async with self._turns:
                await asyncio.to_thread(self.directory.mkdir, parents=True, exist_ok=True)
                await self._engine.speak(text, raw)
                await asyncio.to_thread(_finish, raw, self.directory / spoken_file(prompt))
        except (SpeechError, SoundError, OSError) as error:
            self.failed += 1
            if len(self._failed_at) >= _FAILURES_REMEMBERED:
                self._failed_at.clear()
            self._failed_at[prompt] = asyncio.get_running_loop().time()
            shown = text.words[:_LONGEST_SHOWN]
            log.error("speech.failed", language=text.language, text=shown, reason=str(error))  # noqa: TRY400
        else:
            self.spoken += 1
            self._failed_at.pop(prompt, None)
        finally:
            raw.unlink(missing_ok=True)

    def _make_room(self, needed: set[str]) -> None:
        """Remove the files that were not asked for the longest, whoever spoke them."""
        files = []
        for path in self._root.glob("*/*.wav"):
            with contextlib.suppress(FileNotFoundError):  # who makes room at the same time may be quicker
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        files.sort()
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self._limit:
                return
            if path.parent != self.directory or path.name not in needed:
                path.unlink(missing_ok=True)
                total -= size


def _finish(raw: Path, path: Path) -> None:
    """Make what was spoken as loud as the other prompts, and put it in its place whole. Raises SoundError, OSError."""
    unfinished = raw.with_suffix(".wav.unfinished")
    try:
        write_sound(unfinished, *tidy(*read_sound(raw)))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
