"""The prompts of a worker: read before it serves, or by a thread while calls go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from media.playing.prompts import Playlist, Prompt, PromptCache, PromptError
from media.playing.values import expand
from media.worker import control

Read: TypeAlias = Mapping[str, Prompt | PromptError]
InThread: TypeAlias = Callable[[Callable[[], Read], Callable[[Read], None]], None]
"""Has a thread do the first, and hands what it returns to the second, in this one."""


class Library:
    """Makes playlists; a disk delays none but the one that waits for it. `missing` counts prompts left out."""

    def __init__(self, prompts: PromptCache, in_thread: InThread, complain: Callable[[int, str], None]) -> None:
        self.missing = 0
        self._prompts = prompts
        self._in_thread = in_thread
        self._complain = complain

    def playlist(self, command: control.Play) -> Playlist:
        """Return what is to be played: at once, or as soon as it is read."""
        names = self._names(command)
        unread = {name for name in names if name not in self._prompts}
        prompts = None if unread else [self._prompts.get(name) for name in names]
        playlist = Playlist(prompts, loop=command.loop, interruptible=command.interruptible, token=command.token)
        if unread:
            self._in_thread(
                lambda: {name: self._read(name) for name in unread},
                lambda read: playlist.fill(self._found(command.leg, names, read)),
            )
        return playlist

    def _names(self, command: control.Play) -> list[str]:
        """Return the names of files and texts, in the order in which they are to be played."""
        names = []
        for prompt in command.prompts:
            try:
                names += expand(prompt)
            except ValueError as error:
                self._leave_out(command.leg, str(error))
        return names

    def _read(self, name: str) -> Prompt | PromptError:
        try:
            return self._prompts.read(name)
        except PromptError as error:
            return error
        except (ValueError, RuntimeError, MemoryError) as error:  # of a library, about an odd file
            return PromptError(f"{name} cannot be read: {error}")

    def _found(self, leg: int, names: Sequence[str], read: Read) -> Sequence[Prompt]:
        for name, one in read.items():
            if isinstance(one, Prompt):
                self._prompts.add(name, one)
        found = []
        for name in names:
            prompt = read.get(name) or self._prompts.kept(name) or self._read(name)
            if isinstance(prompt, Prompt):
                found.append(prompt)
            else:
                self._leave_out(leg, str(prompt))
        return found

    def _leave_out(self, leg: int, reason: str) -> None:
        self.missing += 1
        self._complain(leg, reason)
