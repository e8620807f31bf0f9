"""What an operator may set about recordings, and what their files are called."""

from __future__ import annotations

from typing import Final

import msgspec

from media.recording.keys import RecordingKey

SEALED: Final = ".sealed"
MIXED: Final = ".mixed"
SIDE_CAR: Final = ".json"
FORMATS: Final = ("wav", "opus")


class RecordingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Raises ValueError, one sentence, when they cannot be.

    `format` is "wav" (16-bit linear) or "opus" (in Ogg). `mixed` adds a second file in which both channels are one.
    With a `key` all files are encrypted (`media.recording.sealed`), but for the side-car, which names no one.
    """

    format: str = "wav"
    mixed: bool = False
    key: RecordingKey | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {self.format!r}.")

    @property
    def suffix(self) -> str:
        """What the names of the files end with."""
        return suffix_of(self.format, is_sealed=self.key is not None)

    def mixed_path(self, path: str) -> str:
        """Return where the mixed file of the recording at `path` goes."""
        return self._beside(path, MIXED)

    def part_path(self, path: str, part: int) -> str:
        """Return where part number `part` of a recording goes whose first one is at `path`."""
        return path if part == 1 else self._beside(path, f".{part}")

    def _beside(self, path: str, mark: str) -> str:
        stem = path.removesuffix(self.suffix)
        return f"{stem}{mark}{path[len(stem) :] or self.suffix}"


def suffix_of(format_: str, *, is_sealed: bool) -> str:
    """Return what the names of such files end with."""
    return f".{format_}{SEALED if is_sealed else ''}"
