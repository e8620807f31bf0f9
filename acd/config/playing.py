"""Which prompts a configuration names, and whether they are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from acd.config.model import ToAnnouncement
from media.playing.names import find_prompt, read_text
from media.playing.values import expand
from media.settings import PROMPT_DIRECTORY

if TYPE_CHECKING:
    from acd.config.mistakes import Mistakes
    from acd.config.model import Config, Sections
    from acd.config.reader import Path
    from acd.config.routing import TalkTime


def texts_of(config: Config) -> set[str]:
    """Return the prompts that are texts to be spoken."""
    prompts = {prompt for _, named in named_prompts(config) for prompt in named}
    for talk in {account.talk for account in config.accounts.values()}:
        prompts.update(talk.reminder, talk.farewell)
    return {prompt for prompt in prompts if read_text(prompt) is not None}


def named_prompts(config: Sections) -> Iterator[tuple[Path, Sequence[str]]]:
    """Yield each place that names prompts, and which; those of accounts stand elsewhere."""
    for name, flow in config.flows.items():
        yield ("flows", name, "greeting"), flow.greeting or ()
        yield ("flows", name, "menu"), flow.menu or ()
    for name, queue in config.queues.items():
        yield ("queues", name, "welcome"), queue.welcome or ()
        yield from talk_prompts(queue.talk, ("queues", name, "talk"))
        yield ("queues", name, "music"), (queue.music,) if queue.music else ()
        for index, rule in enumerate(queue.overflow):
            if rule.to is not None and rule.to.kind == "announcement":
                yield ("queues", name, "overflow", index, "to"), (rule.to.where,)
    for dialled, number in config.numbers.items():
        if isinstance(number, ToAnnouncement):
            yield ("numbers", dialled, "announcement"), number.announcement or ()


def talk_prompts(talk: TalkTime, path: Path) -> Iterator[tuple[Path, Sequence[str]]]:
    """Yield the places of a table about the length of talks likewise."""
    yield (*path, "reminder"), talk.reminder or ()
    yield (*path, "farewell"), talk.farewell or ()


def check_prompts(named: Iterator[tuple[Path, Sequence[str]]], directory: str | None, mistakes: Mistakes) -> None:
    """Report the prompts that are neither shipped nor in the operator's own directory."""
    own = [FilePath(directory)] if directory is not None else []
    places = [*own, FilePath(PROMPT_DIRECTORY)]
    where = "media/prompts" if directory is None else f"{directory} or media/prompts"
    for path, prompts in named:
        for prompt in prompts:
            try:
                names = [name for name in expand(prompt) if read_text(name) is None]
            except ValueError as error:
                mistakes.report(path, f"a value that can be said: {error}", prompt)
                continue
            for name in (name for name in names if find_prompt(places, None, name) is None):
                shown = f"{where}/{name}.wav" if directory is None else f"{name}.wav in {where}"
                mistakes.report(path, f"prompts that exist; there is no {shown}", prompt)
