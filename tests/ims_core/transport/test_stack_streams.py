"""Stream connections, over the loopback interface, on both event loops: those of peers, and those that we open."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest

from ims_core.flow import Address, Flow
from ims_core.transport import connections
from ims_core.transport.limits import TransportLimits
from ims_core.transport.stack import Stack
from tests.ims_core.transport.lab import HOST, PATIENCE, Run, at_end, bench, close, message, udp_client
from tests.kit import Network, Site, request_bytes

# Streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-18.3")
@pytest.mark.parametrize("piece", [1, 7, 100, 10_000])
def test_a_stream_in_any_pieces_is_the_same_messages(run: Run, piece: int) -> None:
    async def main() -> None:
        messages = [message(1), message(2, b"body of two"), message(3, bytes(range(256)))]
        stream = b"".join(messages)
        async with bench() as b:
            reader, writer = await b.connect()
            for start in range(0, len(stream), piece):
                writer.write(stream[start : start + piece])
                await writer.drain()
                if piece < 100:
                    await asyncio.sleep(0)
            await b.node.until(lambda: len(b.node.received) == 3)
            assert [data for data, _ in b.node.received] == messages
            flow = b.node.received[0][1]
            assert flow == Flow("TCP", b.tcp, writer.get_extra_info("sockname"), flow.connection)
            assert flow.connection > 0
            for number in range(3):
                b.send(flow, b"answer %d;" % number)
            assert await reader.readexactly(27) == b"answer 0;answer 1;answer 2;"
            assert len(b.stack.streams) == 1
            await close(writer)
            await b.node.until(lambda: b.node.failed == [flow])
            assert len(b.stack.streams) == 0

    run(main())


@pytest.mark.rfc("5626-4.4.1")
def test_a_ping_gets_a_pong(run: Run) -> None:
    async def main() -> None:
        async with bench() as b:
            reader, writer = await b.connect()
            writer.write(b"\r\n\r\n" + message(1) + b"\r\n\r\n\r\n\r\n")
            assert await reader.readexactly(6) == b"\r\n" * 3
            assert len(b.node.received) == 1
            await close(writer)

    run(main())


def test_half_a_message_that_stalls_ends_the_connection(run: Run) -> None:
    async def main() -> None:
        async with bench(stall_seconds=0.05) as b:
            reader, writer = await b.connect()
            whole = message(1)
            writer.write(whole + whole[:50])
            assert await at_end(reader) == b""
            assert b.stack.dropped == {"stalled stream": 1}
            assert len(b.node.received) == 1
            await close(writer)

    run(main())


def test_an_idle_connection_is_kept(run: Run) -> None:
    async def main() -> None:
        async with bench(stall_seconds=0.03) as b:
            _, writer = await b.connect()
            writer.write(message(1)[:50])
            await asyncio.sleep(0.01)
            writer.write(message(1)[50:])
            await b.node.until(lambda: len(b.node.received) == 1)
            await asyncio.sleep(0.09)
            writer.write(message(2))
            await b.node.until(lambda: len(b.node.received) == 2)
            assert b.stack.dropped == {}
            await close(writer)

    run(main())


def test_a_busy_stream_that_is_always_in_the_middle_of_a_message_is_no_stall(run: Run) -> None:
    async def main() -> None:
        async with bench(stall_seconds=0.1) as b:
            _, writer = await b.connect()
            whole = message(1)
            writer.write(whole[:50])
            for count in range(1, 13):
                await asyncio.sleep(0.02)
                writer.write(whole[50:] + whole[:50])
                await b.node.until(lambda count=count: len(b.node.received) == count)  # type: ignore[misc]
            assert b.stack.dropped == {}
            await close(writer)

    run(main())


@pytest.mark.parametrize(
    "data",
    [
        b"INVITE sip:x SIP/2.0\r\nVia: x\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\nContent-Length: -1\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\nContent-Length: 99999999\r\n\r\n",
        b"X" * 40_000,
    ],
    ids=["no length", "bad length", "too long", "endless header"],
)
def test_a_stream_that_cannot_be_followed_is_closed(run: Run, data: bytes) -> None:
    async def main() -> None:
        async with bench() as b:
            reader, writer = await b.connect()
            writer.write(data)
            assert await at_end(reader) == b""
            assert b.stack.dropped == {"unframed stream": 1}
            await close(writer)

    run(main())


@pytest.mark.rfc("3261-18.3", "3261-21.5.7")
@pytest.mark.parametrize(
    ("length", "status"),
    [(None, b"400 Missing Content-Length"), ("-1", b"400 Malformed Content-Length"), ("70000", b"513 Body too large")],
)
def test_who_sends_what_cannot_be_taken_is_told_after_what_came_before(
    run: Run, length: str | None, status: bytes
) -> None:
    async def main() -> None:
        stack = Stack()
        listener = "TCP", await stack.bind("TCP", HOST, 0)
        stack.attach(Site(Network(), listeners={listener: f"{HOST}:5060"}, clock=asyncio.get_running_loop().time).node)
        good = request_bytes("OPTIONS", "sip:ims.example", branch="z9hG4bK1")
        head, _, _ = request_bytes("OPTIONS", "sip:ims.example", branch="z9hG4bK2").partition(b"Content-Length")
        reader, writer = await asyncio.open_connection(*listener[1])
        writer.write(good + head + (b"" if length is None else f"Content-Length: {length}\r\n".encode()) + b"\r\n")
        answers = (await at_end(reader)).split(b"SIP/2.0 ")[1:]
        assert [answer.partition(b"\r\n")[0] for answer in answers] == [b"200 OK", status]
        assert [b"z9hG4bK%d" % number in answer for number, answer in enumerate(answers, 1)] == [True, True]
        assert stack.dropped == {"unframed stream": 1}
        await close(writer)
        await stack.close()

    run(main())


@pytest.mark.rfc("3261-21.5.7")
def test_who_sends_too_large_a_datagram_is_told(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        stack = Stack(TransportLimits(max_message=1000))
        listener = "UDP", await stack.bind("UDP", HOST, 0)
        stack.attach(Site(Network(), listeners={listener: f"{HOST}:5060"}, clock=loop.time).node)
        with udp_client(listener[1]) as client:
            client.send(request_bytes("OPTIONS", "sip:ims.example", branch="z9hG4bK1", body=b"x" * 1000))
            answer = await loop.run_in_executor(None, client.recv, 2000)
        assert answer.startswith(b"SIP/2.0 513 Message Too Large\r\n")
        assert stack.dropped == {"datagram too large": 1}
        await stack.close()

    run(main())


def test_a_peer_that_does_not_read_is_given_up(run: Run) -> None:
    async def main() -> None:
        async with bench(unsent_bytes=100_000) as b:
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(b.tcp)
                client.send(message(1))
                await b.node.until(lambda: bool(b.node.received))
                flow = b.node.received[0][1]
                for _ in range(1000):
                    b.send(flow, b"x" * 50_000)
                    if b.stack.dropped:
                        break
                    await asyncio.sleep(0)
                assert b.stack.dropped == {"peer does not read": 1}
                await b.node.until(lambda: b.node.failed == [flow])

    run(main())


def test_connections_are_limited(run: Run) -> None:
    async def main() -> None:
        async with bench(connections=2) as b:
            held = [await b.connect() for _ in range(2)]
            reader, writer = await b.connect()
            assert await at_end(reader) == b""
            await close(writer)
            assert b.stack.streams.turned_away == {"full": 1}
            assert len(b.stack.streams) == 2
            await close(held.pop()[1])
            await b.node.until(lambda: len(b.node.failed) == 1)
            held.append(await b.connect())
            held[-1][1].write(message(1))
            await b.node.until(lambda: len(b.node.received) == 1)
            for _, held_writer in held:
                await close(held_writer)

    run(main())


def test_peers_that_reset_at_once_leave_nothing(run: Run) -> None:
    async def main() -> None:
        async with bench() as b:
            for _ in range(30):
                with socket.socket() as client:
                    client.connect(b.tcp)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            _, writer = await b.connect()
            writer.write(message(1))
            await b.node.until(lambda: len(b.node.received) == 1)
            await b.node.until(lambda: len(b.stack.streams) == 1)
            await close(writer)

    run(main())


# Connections that we open -----------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-18.1.1")
def test_a_connection_is_opened_for_a_flow_that_has_none_and_used_again(run: Run) -> None:
    async def main() -> None:
        got = bytearray()
        connections: list[asyncio.StreamWriter] = []
        all_there = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)
            while data := await reader.read(1000):
                got.extend(data)
                if got.endswith(b"5;"):
                    all_there.set()
            writer.close()

        server = await asyncio.start_server(serve, HOST, 0)
        remote = server.sockets[0].getsockname()
        async with bench() as b:
            flow = Flow("TCP", b.tcp, remote)
            for number in range(3):
                b.send(flow, b"message %d;" % number)
            async with asyncio.timeout(PATIENCE):
                while not connections:
                    b.send(flow, b"") if not b.stack.streams else await asyncio.sleep(0)
                    await asyncio.sleep(0)
            for number in range(3, 6):
                b.send(flow, b"message %d;" % number)
            async with asyncio.timeout(PATIENCE):
                await all_there.wait()
            assert got == b"".join(b"message %d;" % number for number in range(6)), "in order"
            assert len(connections) == len(b.stack.streams) == 1
            connections[0].write(message(1))
            await b.node.until(lambda: len(b.node.received) == 1)
            answer_by = b.node.received[0][1]
            assert (answer_by.local, answer_by.remote) == (b.tcp, remote)
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)

    run(main())


@pytest.mark.rfc("3261-18.4")
def test_a_connection_that_is_refused_is_a_transport_error(run: Run, free_port: int) -> None:
    async def main() -> None:
        async with bench() as b:
            flow = Flow("TCP", b.tcp, (HOST, free_port))
            b.send(flow, b"one")
            b.send(flow, b"two")
            await b.node.until(lambda: b.node.failed == [flow])

    run(main())


@contextlib.contextmanager
def nobody_takes() -> Iterator[Address]:
    """An address that neither takes nor refuses connections."""
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind((HOST, 0))
        full.listen(0)
        for _ in range(4):  # whom the kernel would still take in
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        yield full.getsockname()


@pytest.mark.rfc("3261-18.4")
def test_a_connection_that_nobody_takes_is_a_transport_error(run: Run) -> None:
    async def main() -> None:
        with nobody_takes() as remote:
            async with bench(connect_seconds=0.05) as b:
                flow = Flow("TCP", b.tcp, remote)
                b.send(flow, b"one")
                await b.node.until(lambda: b.node.failed == [flow])

    run(main())


@pytest.mark.rfc("3261-18.1.1")
def test_a_connection_that_is_only_a_try_is_given_up_soon(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PROBE_SECONDS", 0.05)

    async def main() -> None:
        with nobody_takes() as remote:
            async with bench(connect_seconds=10 * PATIENCE) as b:
                b.node.courier.is_probing = lambda _: True
                flow = Flow("TCP", b.tcp, remote)
                b.send(flow, b"one")
                await b.node.until(lambda: b.node.failed == [flow])

    run(main())


def test_a_connection_above_the_limit_is_a_transport_error(run: Run) -> None:
    async def main() -> None:
        async with bench(connections=1) as b, bench() as other:
            _, writer = await b.connect()
            writer.write(message(1))
            await b.node.until(lambda: len(b.node.received) == 1)
            flow = Flow("TCP", b.tcp, other.tcp)
            b.send(flow, b"one")
            await b.node.until(lambda: b.node.failed == [flow])
            assert b.stack.streams.turned_away == {"full": 1}
            await close(writer)

    run(main())
