"""How long a peer may take over one message, on a clock that the test turns, without a socket."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from ims_core.flow import Address
from ims_core.transport.framing import StreamFramer
from ims_core.transport.limits import TransportLimits
from ims_core.transport.stack import Stack
from ims_core.transport.streams import Stream
from tests.ims_core.transport.lab import FakeNode, message

HERE: Address = ("192.0.2.1", 5060)
PEER: Address = ("198.51.100.7", 40_000)
ALLOWED = 30


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time is what the test says."""

    now = 1000.0

    def time(self) -> float:
        return self.now


class Wire(asyncio.Transport):
    """The system's end of a connection: nothing goes anywhere."""

    def __init__(self) -> None:
        super().__init__({"peername": PEER})
        self._closing = False

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._closing

    def abort(self) -> None:
        self._closing = True

    close = abort


class Dripper:
    """A peer that sends one byte a second over a connection of its own."""

    def __init__(self) -> None:
        self.stack = Stack(TransportLimits(stall_seconds=ALLOWED))
        self.node = FakeNode()
        self.stack.attach(self.node)  # type: ignore[arg-type]
        self.seconds = 0
        self._stream = Stream(self.stack.streams, "TCP", HERE, StreamFramer())
        self._stream.connection_made(Wire())

    async def drip(self, data: bytes) -> None:
        """Send until all is sent or the connection is cut."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Clock)
        for byte in data:
            self._stream.data_received(bytes([byte]))
            loop.now += 1
            self.seconds += 1
            for _ in range(2):  # timers come after us in a turn of the loop
                await asyncio.sleep(0)
            if not self._stream.is_open:
                return

    def send(self, data: bytes) -> None:
        self._stream.data_received(data)


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(main)


@pytest.mark.parametrize(
    ("before", "dripped"),
    [(b"", message(1)), (message(0), message(1)), (message(1, b"x" * 100)[:-100], b"x" * 100), (b"", b"\r\n" * 100)],
    ids=["a header", "a header after a message", "a body", "empty lines"],
)
def test_who_sends_byte_by_byte_has_the_time_of_a_whole_message_and_no_more(before: bytes, dripped: bytes) -> None:
    async def main() -> None:
        peer = Dripper()
        peer.send(before)
        await peer.drip(dripped)
        assert peer.seconds == ALLOWED
        assert peer.stack.dropped == {"stalled stream": 1}
        await peer.stack.close()

    run(main())


def test_each_message_has_its_time_anew_also_when_it_begins_with_the_end_of_another() -> None:
    async def main() -> None:
        peer = Dripper()
        whole = message(1)
        head, middle, last = whole[:-ALLOWED], whole[-ALLOWED:-1], whole[-1:]
        peer.send(head)
        for _ in range(3):
            await peer.drip(middle)
            peer.send(last + head)
        assert peer.seconds == 3 * len(middle) > ALLOWED
        assert [data for data, _ in peer.node.received] == [whole] * 3
        assert peer.stack.dropped == {}
        await peer.stack.close()

    run(main())
