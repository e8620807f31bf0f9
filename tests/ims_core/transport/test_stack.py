"""The sockets, over the loopback interface, on both event loops."""

import asyncio
import contextlib
import random

import pytest

from ims_core.flow import Flow
from ims_core.transport.stack import TIMER_GRAIN, Stack
from tests.ims_core.transport.lab import DEFECT, HOST, LATER_DEFECT, Run, at_end, bench, close, message, udp_client
from tests.kit import Network, Site, request_bytes

# Datagrams --------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-18")
def test_datagrams_in_and_out(run: Run) -> None:
    async def main() -> None:
        async with bench() as b:
            tapped: list[tuple[str, bytes]] = []
            b.stack.tap = lambda way, _, data: tapped.append((way, data))
            with udp_client(b.udp) as client:
                client.send(b"hello there")
                await b.node.until(lambda: bool(b.node.received))
                data, flow = b.node.received[0]
                assert (data, flow) == (b"hello there", Flow("UDP", b.udp, client.getsockname()))
                b.send(flow, b"hello yourself")
                assert client.recv(100) == b"hello yourself"
            assert tapped == [("in", b"hello there"), ("out", b"hello yourself")]

    run(main())


def test_keep_alives_and_oversized_datagrams_do_not_reach_the_node(run: Run) -> None:
    async def main() -> None:
        async with bench(max_message=1000) as b:
            with udp_client(b.udp) as client:
                for data in (b"", b"\r\n\r\n", b"\0", b"x" * 1001, b"x" * 60_000, b"y" * 1000):
                    client.send(data)
                await b.node.until(lambda: bool(b.node.received))
            assert [data for data, _ in b.node.received] == [b"y" * 1000]
            assert b.stack.dropped == {"datagram too large": 2}
            assert [status for _, status in b.node.refused] == [513, 513]

    run(main())


@pytest.mark.rfc("3261-7.5")
def test_empty_lines_before_a_message_are_skipped(run: Run) -> None:
    async def main() -> None:
        async with bench(max_message=1000) as b:
            with udp_client(b.udp) as client:
                for data in (b"\r\n" * 3, b"\r\n" + message(1), b"\r\n" * 400 + message(2), message(3)):
                    client.send(data)
                await b.node.until(lambda: len(b.node.received) == 3)
            assert [data for data, _ in b.node.received] == [message(1), message(2), message(3)]
            assert b.stack.dropped == {}

    run(main())


def test_what_cannot_be_sent_is_counted_and_stops_nothing_else(run: Run) -> None:
    async def main() -> None:
        async with bench() as b:
            with udp_client(b.udp) as client:
                good = Flow("UDP", b.udp, client.getsockname())
                for bad in (("::1", 5060), ("255.255.255.255", 5060)):
                    b.node.out.append((good._replace(remote=bad), b"lost"))
                b.node.out.append((good, b"x" * 66_000))
                b.send(good, b"arrives")
                assert client.recv(100) == b"arrives"
            await b.node.until(lambda: sum(b.stack.dropped.values()) == 3)
            assert set(b.stack.dropped) <= {"datagram not sent", "icmp error"}

    run(main())


def test_a_defect_above_does_not_make_a_listener_deaf(run: Run) -> None:
    async def main() -> None:
        async with bench() as b:
            with udp_client(b.udp) as client:
                for _ in range(30):
                    for number in range(4):
                        client.send(b"good %d" % number)
                        await asyncio.sleep(0)
                    client.send(DEFECT)
                    client.send(LATER_DEFECT)
                    await asyncio.sleep(0.0015)
                client.send(b"the last")
                await b.node.until(lambda: len(b.node.received) == 121)
            assert b.stack.dropped == {"defect": 60}

    run(main())


def test_a_port_that_is_taken_is_an_error(run: Run) -> None:
    async def main() -> None:
        async with bench() as b:
            other = Stack()
            for transport, (_, port) in (("UDP", b.udp), ("TCP", b.tcp)):
                with pytest.raises(OSError, match="in use"):
                    await other.bind(transport, HOST, port)
            await other.close()

    run(main())


# Timers -----------------------------------------------------------------------------------------------------------


def test_the_timer_is_set_to_the_deadline_of_the_node(run: Run) -> None:
    async def main() -> None:
        async with bench() as b:
            loop = asyncio.get_running_loop()
            started = loop.time()
            b.node.deadline = started + 60
            b.stack.flush()
            b.node.deadline = started + 0.03
            b.stack.flush()
            await b.node.until(lambda: b.node.timers == 1)
            assert loop.time() >= started + 0.03 - 0.001

    run(main())


def test_traffic_does_not_put_off_what_is_overdue(run: Run) -> None:
    async def main() -> None:
        async with bench() as b:
            loop = asyncio.get_running_loop()
            b.node.deadline = loop.time() - 1
            until = loop.time() + 40 * TIMER_GRAIN
            while not b.node.timers and loop.time() < until:
                b.stack.flush()
                await asyncio.sleep(TIMER_GRAIN / 5)
            assert b.node.timers == 1

    run(main())


# Nonsense and the end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_on_each_port(run: Run, seed: int) -> None:
    async def main() -> None:
        chance = random.Random(seed)
        async with bench() as b:
            with udp_client(b.udp) as client:
                for _ in range(20):
                    client.send(chance.randbytes(chance.randrange(5, 1400)))
                await b.node.until(lambda: len(b.node.received) == 20)
            for _ in range(5):
                reader, writer = await b.connect()
                with contextlib.suppress(ConnectionError):
                    writer.write(chance.randbytes(100_000))
                    await writer.drain()
                assert await at_end(reader) == b""
                await close(writer)
            assert b.stack.dropped["unframed stream"] == 5
            assert len(b.node.received) == 20

    run(main())


def test_after_the_end_nothing_is_open(run: Run) -> None:
    async def main() -> None:
        async with bench() as b:
            held = [await b.connect() for _ in range(3)]
            held[0][1].write(message(1)[:30])
            held[1][1].write(message(1))
            await b.node.until(lambda: len(b.node.received) == 1)
            b.send(Flow("TCP", b.tcp, ("127.0.0.1", 1)), b"never leaves")
            b.node.deadline = asyncio.get_running_loop().time() + 0.02
            b.stack.flush()
        for reader, writer in held:
            assert await at_end(reader) == b""
            await close(writer)
        with pytest.raises(ConnectionError):
            await b.connect()
        with udp_client(b.udp) as client:
            client.send(b"anybody there?")
            with pytest.raises(ConnectionRefusedError):
                client.recv(100)
        await asyncio.sleep(0.04)
        assert b.node.timers == 0
        assert len(b.stack.streams) == 0
        b.stack.flush()
        await b.stack.close()

    run(main())


def test_a_node_on_real_sockets(run: Run) -> None:
    """Everything together: OPTIONS over both transports, and nonsense beside it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        stack = Stack()
        listeners = {(kind, await stack.bind(kind, HOST, 0)): f"{HOST}:5060" for kind in ("UDP", "TCP")}
        site = Site(Network(), listeners=listeners, clock=loop.time)
        stack.attach(site.node)
        (_, udp), (_, tcp) = listeners
        with udp_client(udp) as client:
            client.send(b"\xff" * 200)
            client.send(request_bytes("OPTIONS", f"sip:{HOST}", without=["Call-ID"]))
            client.send(request_bytes("OPTIONS", "sip:ims.example", branch="z9hG4bK2"))
            answers = [await loop.run_in_executor(None, client.recv, 2000) for _ in range(2)]
        assert [answer[:11] for answer in answers] == [b"SIP/2.0 400", b"SIP/2.0 200"]
        reader, writer = await asyncio.open_connection(*tcp)
        writer.write(request_bytes("OPTIONS", "sip:ims.example", branch="z9hG4bK3"))
        assert (await reader.readline()) == b"SIP/2.0 200 OK\r\n"
        await close(writer)
        await stack.close()

    run(main())
