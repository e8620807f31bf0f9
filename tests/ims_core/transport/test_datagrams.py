"""How long datagrams have waited, what of that was meant, and what the system does not take; over loopback."""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest

from ims_core.errors import SipError
from ims_core.flow import Address, Flow
from ims_core.transport.datagrams import GATHER_SECONDS, Datagrams
from ims_core.transport.limits import TransportLimits
from tests.ims_core.transport.test_stun import REQUEST as BINDING_REQUEST

pytestmark = pytest.mark.asyncio


class Congested(socket.socket):
    """A socket that takes as many datagrams as there is room for."""

    room = 0

    def sendto(self, data: bytes, address: Address) -> int:  # type: ignore[override]
        if not self.room:
            raise BlockingIOError
        self.room -= 1
        return super().sendto(data, address)


class Owner:
    """Keeps what a listener tells."""

    def __init__(self) -> None:
        self.limits = TransportLimits()
        self.dropped: Counter[str] = Counter()
        self.received: list[bytes] = []
        self.waits: list[float] = []

    def receive(self, data: bytes, flow: Flow) -> None:
        raise AssertionError(data)

    def receive_all(self, messages: Sequence[tuple[bytes, Flow]]) -> None:
        self.received += [data for data, _ in messages]

    def refuse(self, head: bytes, error: SipError, flow: Flow) -> None:
        raise AssertionError(head)

    def flush(self) -> None:
        pass

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
async def bench() -> AsyncIterator[tuple[Owner, Datagrams, socket.socket]]:
    owner = Owner()
    ours, client = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with ours, client:
        ours.bind(("127.0.0.1", 0))
        ours.setblocking(False)
        client.connect(ours.getsockname())
        listener = Datagrams(owner, ours)
        for _ in range(10_000):  # the system notes when datagrams come soon after it was asked
            client.send(b"first")
            listener._drain(2)
            listener._sampled = 0.0
            if owner.waits[-1] > 0.0:
                break
            os.sched_yield()
        owner.received.clear()
        owner.waits.clear()
        yield owner, listener, client
        listener.close()


def now() -> float:
    return asyncio.get_running_loop().time()


def resume(listener: Datagrams) -> None:
    assert listener._gathering is not None
    listener._gathering.cancel()
    listener._resume()


async def test_how_long_a_datagram_waited_for_us_is_told(bench: tuple[Owner, Datagrams, socket.socket]) -> None:
    owner, listener, client = bench
    client.send(b"OPTIONS")
    assert listener._drain(2) == 1
    assert owner.received == [b"OPTIONS"]
    assert len(owner.waits) == 1
    assert 0.0 < owner.waits[0] < 5.0


async def test_what_it_was_meant_to_wait_for_others_is_no_load(bench: tuple[Owner, Datagrams, socket.socket]) -> None:
    owner, listener, client = bench
    for _ in range(3):
        client.send(b"OPTIONS")
    listener._gather_since(now() + 10.0)
    resume(listener)
    assert owner.received == [b"OPTIONS"] * 3
    assert owner.waits == [0.0]
    assert 0.0 <= listener._meant <= GATHER_SECONDS, "so many came that more are waited for"


async def test_after_a_batch_that_took_long_nothing_is_waited_for(
    bench: tuple[Owner, Datagrams, socket.socket],
) -> None:
    owner, listener, client = bench
    listener._gather_since(now() - GATHER_SECONDS)
    assert listener._meant == 0.0
    client.send(b"OPTIONS")
    resume(listener)
    assert owner.waits[0] > 0.0, "that is load"


async def test_a_datagram_that_the_system_has_no_room_for_is_counted_and_lost() -> None:
    owner = Owner()
    kind = socket.AF_INET, socket.SOCK_DGRAM
    with Congested(*kind) as ours, socket.socket(*kind) as peer:
        for sock in (ours, peer):
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        listener = Datagrams(owner, ours)
        for room in (0, 0, 1):
            ours.room = room
            listener.send(b"with room for %d" % room, peer.getsockname())
        assert peer.recv(100) == b"with room for 1"
        assert owner.dropped == {"send buffer full": 2}
        listener.close()


@pytest.mark.rfc("5626-3.5.2")
@pytest.mark.rfc("3261-7.5")
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
async def test_what_begins_like_no_message_is_looked_at_over_ipv4_and_ipv6(
    family: socket.AddressFamily, host: str
) -> None:
    owner = Owner()
    with socket.socket(family, socket.SOCK_DGRAM) as ours, socket.socket(family, socket.SOCK_DGRAM) as client:
        ours.bind((host, 0))
        ours.setblocking(False)
        client.connect(ours.getsockname())
        listener = Datagrams(owner, ours)
        for data in (BINDING_REQUEST, b"\r\n\r\nOPTIONS", b"OPTIONS"):
            client.send(data)
        assert listener._drain(4) == 3
        assert client.recv(100)[4:20] == BINDING_REQUEST[4:]
        assert owner.received == [b"OPTIONS"] * 2
        listener.close()
