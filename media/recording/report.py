"""What became of a recording."""

from __future__ import annotations

import msgspec


class Gap(msgspec.Struct, frozen=True, array_like=True):
    """A stretch in which nobody is heard, in seconds from the start of the recording, and why.

    "paused": somebody asked for it; the file has a quiet tone every two seconds there. "apart": the leg was connected
    to nobody, for example between two agents; the file is silent.
    """

    begin: float
    end: float
    reason: str


class Recorded(msgspec.Struct, frozen=True, array_like=True):
    """The paths of its files, its length in seconds, its gaps, and how much sound could not be written."""

    files: tuple[str, ...] = ()
    seconds: float = 0.0
    gaps: tuple[Gap, ...] = ()
    lost_seconds: float = 0.0
