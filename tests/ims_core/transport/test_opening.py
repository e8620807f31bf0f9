"""What waits while a connection is being opened, over the loopback interface."""

import asyncio
import socket

import pytest

from ims_core.transport.tls import NO_TLS
from tests.ims_core.transport.lab import message
from tests.ims_core.transport.test_connections import HOST, PATIENCE, element, on_both_loops
from tests.kit.certificates import Authority

SIZE = len(message(0))
BOUND = 2 * SIZE  # three messages wait: the bound must be passed before one is left out


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
@on_both_loops
async def test_what_waits_is_bounded_and_the_rest_counted(authority: Authority, transport: str) -> None:
    async with (
        element(transport, tls=authority.tls("one.example"), unsent_bytes=BOUND) as one,
        element(transport, tls=authority.tls("two.example")) as two,
    ):
        way = one.flow(transport, two.at[transport], server_name="two.example")
        for number in range(8):
            one.send(way, message(number))
        assert one.stack.dropped == {"peer does not read": 5}
        await two.received(3)
        one.send(way, message(9))
        await two.received(4)
        assert [data for data, _ in two.node.received] == [message(number) for number in (0, 1, 2, 9)]
        assert one.stack.dropped == {"peer does not read": 5}
        assert one.node.failed == []


@on_both_loops
async def test_who_takes_the_connection_and_then_says_nothing_is_sent_no_more_than_the_bound(
    authority: Authority,
) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server((HOST, 0)) as listener:
        listener.setblocking(False)
        async with element("TLS", tls=authority.tls("one.example"), unsent_bytes=BOUND) as one:
            way = one.flow("TLS", listener.getsockname())
            one.send(way, message(0))
            await one.node.until(lambda: len(one.stack.streams) == 1)  # open, and its handshake not over
            for number in range(1, 8):
                one.send(way, message(number))
            assert one.stack.dropped == {"peer does not read": 5}
            peer, _ = await asyncio.wait_for(loop.sock_accept(listener), PATIENCE)
            with peer:
                await loop.sock_sendall(peer, b"this is no TLS")
                await one.node.until(lambda: way in one.node.failed)
            assert one.stack.streams.handshakes_failed == {NO_TLS: 1}
            assert one.node.failed.count(way) == 1
            assert one.stack.streams._opening == {}
