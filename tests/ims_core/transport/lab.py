"""A stack over the loopback interface, with a node that keeps what comes."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

from ims_core.errors import SipError
from ims_core.flow import Address, Flow
from ims_core.transport.limits import TransportLimits
from ims_core.transport.stack import Stack
from tests.kit import request_bytes

HOST = "127.0.0.1"
PATIENCE = 5.0
DEFECT = b"what trips the node"
LATER_DEFECT = b"raises later"


Run = Callable[[Awaitable[None]], None]


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


def message(number: int, body: bytes = b"") -> bytes:
    return request_bytes("OPTIONS", "sip:ims.example", call_id=f"call {number}", branch=f"z9hG4bK{number}", body=body)
