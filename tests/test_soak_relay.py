"""The bad network of the soak test spoils what goes to the server, on whichever side of it that is."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from tests.soak import relay
from tests.soak.relay import LOOPBACK, Address, Relay, Side

SECONDS = 10.0  # until a datagram over the loopback counts as lost


class End:
    """A socket at one end, and what came to it."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()

    async def open(self) -> Address:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(
            lambda: Side(lambda data, sender: self._came.put_nowait((data, sender))), (LOOPBACK, 0)
        )
        return cast("Address", self.transport.get_extra_info("sockname"))

    async def next(self) -> tuple[bytes, Address]:
        return await asyncio.wait_for(self._came.get(), SECONDS)


@pytest.mark.parametrize(
    ("server_in_front", "there", "back"),
    [(False, b"spoilt request", b"response"), (True, b"request", b"spoilt response")],
    ids=["phones in front", "server in front"],
)
async def test_only_what_goes_to_the_server_is_spoilt(
    monkeypatch: pytest.MonkeyPatch, server_in_front: bool, there: bytes, back: bytes
) -> None:
    monkeypatch.setattr(relay, "spoilt", lambda data, _: b"spoilt " + data)
    front, beyond = End(), End()
    await front.open()
    between = Relay(await beyond.open(), loss=0.0, spoil=1.0, seed=1, server_in_front=server_in_front)
    try:
        front.transport.sendto(b"request", await between.open(0))
        data, sender = await beyond.next()
        assert data == there
        beyond.transport.sendto(b"response", sender)
        assert (await front.next())[0] == back
        assert between.counts == {"carried": 2, "spoilt": 1}
    finally:
        await between.close()
        front.transport.close()
        beyond.transport.close()
