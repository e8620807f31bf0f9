"""Checks what is said of the length of talks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acd.config.mistakes import Mistakes
    from acd.config.reader import Path
    from acd.config.routing import TalkTime


def check_talk(time: TalkTime, path: Path, mistakes: Mistakes) -> None:
    """Report what contradicts itself in the table at `path`."""
    first, longest = time.reminder_seconds, time.longest_seconds
    if first and longest and first >= longest:
        mistakes.report((*path, "reminder_seconds"), f"less than longest_seconds ({longest:g})", first)
    if time.reminder_repeat_seconds and not first:
        mistakes.report(
            (*path, "reminder_seconds"), "when to remind first, because reminder_repeat_seconds is set", first
        )
    if time.farewell and not longest:
        mistakes.report((*path, "longest_seconds"), "when a talk ends, because there is a farewell", longest)
