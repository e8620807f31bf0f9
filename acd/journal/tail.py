"""The newest facts in a plain file: safe there at once, and in the database a little later, many at a time.

A transaction of its own for the few facts of each moment costs several times what the facts cost; a line at the end of
a file does not. What the file holds and the database does not have yet is taken over when the log is opened.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from acd.facts import Fact

Line = tuple[int, float, str, int, str | None, Fact]
"""A fact as it goes into the file: seq, at, kind, version, call, and itself."""
Row = tuple[int, float, str, int, str | None, str]
"""A fact as the database has it: the same, the last being its fields as JSON text."""

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(tuple[int, float, str, int, str | None, msgspec.Raw])


def tail_file(path: Path) -> Path:
    """Return where the newest facts of the log at `path` are."""
    return path.with_suffix(".tail")


def read_tail(path: Path) -> list[Row]:
    """Return the rows in the file, without one that was not written to its end; none when there is no file."""
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            seq, at, kind, version, call, data = _DECODER.decode(line)
        except msgspec.MsgspecError:
            break
        rows.append((seq, at, kind, version, call, bytes(data).decode()))
    return rows


def encode(lines: Sequence[Line]) -> bytes:
    """Return lines as they stand in the file. Raises what msgspec raises for values that JSON or UTF-8 cannot hold."""
    return _ENCODER.encode_lines(lines)


class Tail:
    """The file `path`; with `sync` what is appended is on the disk, else with the operating system.

    All methods wait for the disk and raise OSError; after `append` did, nothing of it is there.
    """

    def __init__(self, path: Path, sync: bool) -> None:
        self._sync = sync
        self._size = 0
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)

    def append(self, data: bytes) -> None:
        """Make these lines safe."""
        try:
            written = os.write(self._file, data)
            if written < len(data):
                os.write(self._file, data[written:])
            if self._sync:
                os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def clear(self) -> None:
        """Forget the lines: the database has them."""
        os.ftruncate(self._file, 0)
        self._size = 0

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
