"""Hears of digits: rtpengine sends a datagram of JSON for each, to the address of its `--dtmf-log-dest`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

import msgspec

DIGITS: Final = "0123456789*#ABCD"


class Pressed(msgspec.Struct, frozen=True):
    """A key was pressed and let go, by one side of a call."""

    callid: str
    source_tag: str
    event: int
    duration: int  # in milliseconds


_read: Final = msgspec.json.Decoder(Pressed).decode


class DigitListener(asyncio.DatagramProtocol):
    """Tells `on_pressed(call_id, side, digit, ms)`. `strange` counts datagrams that tell of no digit."""

    def __init__(self, on_pressed: Callable[[str, str, str, int], None]) -> None:
        self.strange = 0
        self._on_pressed = on_pressed
        self._transport: asyncio.DatagramTransport | None = None

    async def listen(self, address: tuple[str, int]) -> None:
        """Bind the socket. Raises OSError."""
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=address)

    def close(self) -> None:
        """Give the socket back."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Tell of a digit."""
        try:
            pressed = _read(data)
        except msgspec.DecodeError:
            self.strange += 1
            return
        if 0 <= pressed.event < len(DIGITS):
            self._on_pressed(pressed.callid, pressed.source_tag, DIGITS[pressed.event], pressed.duration)
        else:  # a flash, a fax tone
            self.strange += 1
