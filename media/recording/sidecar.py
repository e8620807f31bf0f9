"""What is known about a recording besides its sound, in a JSON file next to it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from media.recording.report import Gap
from media.recording.settings import SIDE_CAR


class SideCar(msgspec.Struct, frozen=True, kw_only=True):
    """`began` is the instant of the first sample; `files` are names in the same folder.

    Places are in seconds from the begin. `complete` is false while the call goes on, and stays so if the writer died.
    `lost_seconds` is sound that could not be written, `left_out` packets that came faster than they could be taken.
    """

    format: str
    rate: int
    began: datetime
    files: tuple[str, ...]
    seconds: float = 0.0
    complete: bool = False
    gaps: tuple[Gap, ...] = ()
    lost_seconds: float = 0.0
    left_out: int = 0
    concealed: int = 0
    undecodable: int = 0
    key: str | None = None


def write_side_car(path: str, side_car: SideCar) -> None:
    """Write it beside the recording at `path`, whole or not at all. Raises OSError."""
    target = Path(path + SIDE_CAR)
    draft = target.with_name(f".{target.name}.new")
    gaps = [{"begin": gap.begin, "end": gap.end, "reason": gap.reason} for gap in side_car.gaps]
    text = msgspec.json.encode({**msgspec.structs.asdict(side_car), "gaps": gaps})
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(text, indent=2) + b"\n")
    draft.replace(target)


def instant(unix: float) -> datetime:
    """Return the instant of a time in unix seconds."""
    return datetime.fromtimestamp(unix, UTC)
