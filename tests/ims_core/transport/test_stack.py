"""The sockets, over the loopback interface, on both event loops."""

import asyncio
import contextlib
import random
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from ims_core.errors import SipError
from ims_core.flow import Address, Flow
from ims_core.transport import connections
from ims_core.transport.limits import TransportLimits
from ims_core.transport.stack import TIMER_GRAIN, Stack
from tests.kit import Network, Site, request_bytes

HOST = "127.0.0.1"
PATIENCE = 5.0
DEFECT = b"what trips the node"
LATER_DEFECT = b"raises later"


class OpenDoor:
    """Lets everybody in, and knows and needs whom the test says."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.needed: set[int] = set()
        self.busy: Callable[[], set[int]] = set

    def shuts_out(self, flow: Flow) -> bool:
        return False

    def knows(self, flow: Flow) -> bool:
        return flow.remote[0] in self.hosts or self.needs(flow)

    def needs(self, flow: Flow) -> bool:
        return flow.remote[1] in self.needed

    def waited(self, seconds: float) -> None:
        assert seconds > -1


class FakeNode:
    """Keeps what comes and sends what the test wants."""

    def __init__(self) -> None:
        self.taken: deque[tuple[bytes, Flow]] = deque()
        self.received: list[tuple[bytes, Flow]] = []
        self.failed: list[Flow] = []
        self.refused: list[tuple[bytes, int]] = []
        self.out: list[tuple[Flow, bytes]] = []
        self.deadline: float | None = None
        self.timers = 0
        self.changed = asyncio.Event()
        self.door = OpenDoor()
        self.courier = SimpleNamespace(resolver=SimpleNamespace(ask=None), is_probing=lambda _: False)
        self.endpoint = SimpleNamespace(refuse_unread=self.refuse_unread)

    def take(self, data: bytes, flow: Flow) -> None:
        if data == DEFECT:
            raise RuntimeError("a defect above the sockets")
        self.taken.append((data, flow))

    def settle(self) -> None:
        while self.taken:
            data, flow = self.taken.popleft()
            if data == LATER_DEFECT:
                raise RuntimeError("a defect further above")
            self.received.append((data, flow))
            self.changed.set()

    def refuse_unread(self, head: bytes, error: SipError, flow: Flow) -> None:
        self.refused.append((head, error.status))

    def data_to_send(self) -> list[tuple[Flow, bytes]]:
        out, self.out = self.out, []
        return out

    def next_deadline(self) -> float | None:
        return self.deadline

    def handle_timer(self) -> None:
        self.timers += 1
        self.deadline = None
        self.changed.set()

    def connection_failed(self, flow: Flow) -> None:
        self.failed.append(flow)
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` is true; looks when something has come, and now and then."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), 0.005)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Awaitable[None]], None]]:
    """Runs a coroutine on a loop of its own; what the loop complains about fails the test."""
    complaints: list[dict[str, Any]] = []
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    async def watched(main: Awaitable[None]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await main
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left over"

    with asyncio.Runner(loop_factory=factory) as runner:
        yield lambda main: runner.run(watched(main))
    assert [context for context in complaints if not isinstance(context.get("exception"), RuntimeError)] == []


class Bench:
    """A stack with both listeners."""

    def __init__(self, stack: Stack, node: FakeNode, udp: Address, tcp: Address) -> None:
        self.stack, self.node, self.udp, self.tcp = stack, node, udp, tcp

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.tcp)

    def send(self, flow: Flow, data: bytes) -> None:
        self.node.out.append((flow, data))
        self.stack.flush()


@contextlib.asynccontextmanager
async def bench(**limits: Any) -> AsyncIterator[Bench]:
    stack = Stack(TransportLimits(**limits))
    node = FakeNode()
    udp = await stack.bind("UDP", HOST, 0)
    tcp = await stack.bind("TCP", HOST, 0)
    stack.attach(node)  # type: ignore[arg-type]
    try:
        yield Bench(stack, node, udp, tcp)
    finally:
        await stack.close()


@contextlib.contextmanager
def udp_client(to: Address) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        sock.connect(to)
        sock.settimeout(PATIENCE)
        yield sock


async def at_end(reader: asyncio.StreamReader) -> bytes:
    """All bytes until the other side closes."""
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
    return b""


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


Run = Callable[[Awaitable[None]], None]


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


# Streams ----------------------------------------------------------------------------------------------------------


def message(number: int, body: bytes = b"") -> bytes:
    return request_bytes("OPTIONS", "sip:ims.example", call_id=f"call {number}", branch=f"z9hG4bK{number}", body=body)


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
