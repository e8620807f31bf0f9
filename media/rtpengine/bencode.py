"""Bencoding, in which rtpengine's ng protocol writes its dictionaries."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

Writable = int | str | bytes | Sequence["Writable"] | Mapping[str, "Writable"]
Value = int | str | list["Value"] | dict[str, "Value"]

DEEPEST: Final = 32
_INTEGER: Final = re.compile(rb"i(-?[0-9]{1,19})e")
_LENGTH: Final = re.compile(rb"([0-9]{1,9}):")


def encode(value: Writable) -> bytes:
    """Return the value bencoded; text is sent as UTF-8, and the keys of dictionaries are sorted as bencoding asks."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, Mapping):
        return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"
    return b"l" + b"".join(map(encode, value)) + b"e"


def decode(data: bytes) -> Value:
    """Read one bencoded value that fills `data`. Raises ValueError for anything else."""
    value, end = _decode(data, 0, DEEPEST)
    if end != len(data):
        raise ValueError(f"{len(data) - end} octets behind the value")
    return value


def _decode(data: bytes, at: int, levels: int) -> tuple[Value, int]:
    if not levels:
        raise ValueError("nested too deeply")
    kind = data[at : at + 1]
    if kind == b"l":
        items: list[Value] = []
        at += 1
        while data[at : at + 1] != b"e":
            item, at = _decode(data, at, levels - 1)
            items.append(item)
        return items, at + 1
    if kind == b"d":
        entries: dict[str, Value] = {}
        at += 1
        while data[at : at + 1] != b"e":
            key, at = _string(data, at)
            entries[key], at = _decode(data, at, levels - 1)
        return entries, at + 1
    if integer := _INTEGER.match(data, at):
        return int(integer[1]), integer.end()
    return _string(data, at)


def _string(data: bytes, at: int) -> tuple[str, int]:
    length = _LENGTH.match(data, at)
    if length is None:
        raise ValueError(f"no value at octet {at}")
    end = length.end() + int(length[1])
    if end > len(data):
        raise ValueError("a string runs over the end")
    return data[length.end() : end].decode(errors="replace"), end
