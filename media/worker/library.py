"""The prompts of a worker: read before it serves, or by a thread while calls go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from media.playing.prompts import Playlist, Prompt, PromptCache, PromptError
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
        unread = {name for name in command.prompts if name not in self._prompts}
        prompts = None if unread else [self._prompts.get(name) for name in command.prompts]
        playlist = Playlist(prompts, loop=command.loop, interruptible=command.interruptible, token=command.token)
        if unread:
            self._in_thread(
                lambda: {name: self._read(name) for name in unread}, lambda read: self._fill(playlist, command, read)
            )
        return playlist

    def _read(self, name: str) -> Prompt | PromptError:
        try:
            return self._prompts.read(name)
        except PromptError as error:
            return error

    def _fill(self, playlist: Playlist, command: control.Play, read: Read) -> None:
        for name, found in read.items():
            if isinstance(found, Prompt):
                self._prompts.add(name, found)
        playlist.fill(self._found(command, read))

    def _found(self, command: control.Play, read: Read) -> Sequence[Prompt]:
        found = []
        for name in command.prompts:
            prompt = read.get(name) or self._prompts.get(name)
            if isinstance(prompt, Prompt):
                found.append(prompt)
            else:
                self.missing += 1
                self._complain(command.leg, str(prompt))
        return found
