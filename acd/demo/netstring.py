"""How phones are controlled: JSON objects in netstrings over TCP, as baresip's ctrl_tcp module speaks them."""

from __future__ import annotations

from asyncio import StreamReader

import msgspec

LONGEST = 65_536


class ControlError(Exception):
    """The other side does not speak netstrings."""


def encode(message: object) -> bytes:
    """Return a JSON value as a netstring."""
    text = msgspec.json.encode(message)
    return b"%d:%s," % (len(text), text)


async def read(reader: StreamReader) -> dict[str, object]:
    """Read one JSON object. Raises ``ControlError``, ``IncompleteReadError`` at the end, ``OSError``."""
    length = (await reader.readuntil(b":"))[:-1]
    if not length.isdigit() or int(length) > LONGEST:
        raise ControlError("not a netstring")
    data = await reader.readexactly(int(length) + 1)
    try:
        return msgspec.json.decode(data[:-1], type=dict[str, object])
    except msgspec.DecodeError as error:
        raise ControlError(str(error)) from None
