"""The keys that recordings are encrypted with, each under an id, so that they can be replaced in time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

KEY_OCTETS: Final = 32
_LINE: Final = re.compile(r"([A-Za-z0-9._-]{1,32})[ \t]*[: \t][ \t]*([0-9A-Fa-f]{64})")


class KeyringError(ValueError):
    """The text holds no usable keys; the message is one sentence and shows none of it."""


class RecordingKey(msgspec.Struct, frozen=True, array_like=True):
    """The key for new recordings, of 32 octets, and the id by which it is found again."""

    id: str
    key: bytes

    def __repr__(self) -> str:
        """Keep the key out of logs."""
        return f"RecordingKey({self.id!r})"


def read_keys(text: str) -> Mapping[str, RecordingKey]:
    """Return the keys by id, the one for new recordings first. Raises KeyringError.

    Each line is `<id>:<64 hexadecimal digits>`; empty lines and those that begin with # are passed over.
    """
    keys: dict[str, RecordingKey] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise KeyringError(f"line {number} is not of the form <id>:<64 hexadecimal digits>")
        if match[1] in keys:
            raise KeyringError(f"line {number} has an id that was there before")
        keys[match[1]] = RecordingKey(match[1], bytes.fromhex(match[2]))
    if not keys:
        raise KeyringError("there is no key")
    return keys
