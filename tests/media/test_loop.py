"""The event loop of a worker: everything of asyncio goes on while packets are served within its wait."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from media.worker.loop import WorkerLoop


class Wire:
    """A socket that the poller watches, and another that sends to it."""

    def __init__(self, loop: WorkerLoop) -> None:
        self.sender, self.receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.receiver.setblocking(False)
        self.loop = loop
        self.heard: list[bytes] = []
        self.then: Any = lambda data: None
        loop.poller.watch(self.receiver.fileno(), self._readable)

    def send(self, *packets: bytes) -> None:
        for packet in packets:
            self.sender.send(packet)

    def close(self) -> None:
        self.loop.poller.forget(self.receiver.fileno())
        self.sender.close()
        self.receiver.close()

    def _readable(self) -> None:
        self.heard.append(self.receiver.recv(100))
        self.then(self.heard[-1])


@pytest.fixture
def loop() -> Iterator[WorkerLoop]:
    made = WorkerLoop()
    yield made
    made.close()


@pytest.fixture
def wire(loop: WorkerLoop) -> Iterator[Wire]:
    made = Wire(loop)
    yield made
    made.close()


def run(loop: WorkerLoop, what: Any) -> Any:
    return loop.run_until_complete(asyncio.wait_for(what, 10))


def test_packets_are_served_without_a_turn_of_the_loop(loop: WorkerLoop, wire: Wire) -> None:
    turns = 0
    select = loop._selector.select  # type: ignore[attr-defined]

    def counted(timeout: float | None) -> Any:
        nonlocal turns
        turns += 1
        return select(timeout)

    loop._selector.select = counted  # type: ignore[attr-defined]
    done = loop.create_future()
    wire.then = lambda data: wire.send(bytes([data[0] - 1])) if data[0] else done.set_result(None)
    wire.send(b"\x64")
    run(loop, done)
    assert [data[0] for data in wire.heard] == list(range(100, -1, -1))
    assert turns < 10


def test_timers_come_while_packets_do(loop: WorkerLoop, wire: Wire) -> None:
    wire.then = wire.send
    wire.send(b"round and round")
    run(loop, asyncio.sleep(0.05))
    heard = len(wire.heard)
    run(loop, asyncio.sleep(0.05))
    assert len(wire.heard) > heard > 10


@pytest.mark.parametrize("how", ["call_soon", "call_later", "create_task"])
def test_what_a_packet_has_done_is_done_at_once(loop: WorkerLoop, wire: Wire, how: str) -> None:
    done = loop.create_future()

    async def tell() -> None:
        done.set_result("told")

    def then(_: bytes) -> None:
        match how:
            case "call_soon":
                loop.call_soon(done.set_result, "told")
            case "call_later":
                loop.call_later(0.01, done.set_result, "told")
            case _:
                tasks.append(loop.create_task(tell()))

    tasks: list[asyncio.Task[None]] = []
    wire.then = then
    wire.send(b"now")
    assert run(loop, done) == "told"


def test_threads_and_other_descriptors_are_heard(loop: WorkerLoop, wire: Wire) -> None:
    done = loop.create_future()
    wire.then = wire.send
    wire.send(b"round and round")
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(done.set_result, "from a thread"))
    thread.start()
    assert run(loop, done) == "from a thread"
    thread.join()
    theirs, ours = socket.socketpair()
    ours.setblocking(False)
    theirs.send(b"over a stream")
    assert run(loop, loop.sock_recv(ours, 100)) == b"over a stream"
    theirs.close()
    ours.close()


def test_a_packet_that_cannot_be_handled_ends_nothing(loop: WorkerLoop, wire: Wire) -> None:
    told: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: told.append(context))
    done = loop.create_future()

    def then(data: bytes) -> None:
        if data == b"bad":
            raise ValueError("of its contents")
        done.set_result(data)

    wire.then = then
    wire.send(b"bad", b"good")
    assert run(loop, done) == b"good"
    assert [str(context["exception"]) for context in told] == ["of its contents"]


def test_a_socket_that_is_not_watched_any_more_is_not_read(loop: WorkerLoop, wire: Wire) -> None:
    loop.poller.forget(wire.receiver.fileno())
    wire.send(b"nobody listens")
    run(loop, asyncio.sleep(0.01))
    assert wire.heard == []
