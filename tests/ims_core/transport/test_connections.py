"""Which connection a message takes, what it is protected by, and when it is given up; over the loopback interface."""

import asyncio
import contextlib
import functools
import inspect
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from ims_core.element import Element
from ims_core.flow import Address, Flow
from ims_core.transport.limits import TransportLimits
from ims_core.transport.stack import Stack
from ims_core.transport.tls import CLOSED, NAME, NO_TLS, TIMEOUT, Tls
from ims_core.transport.websocket import WebSocketSettings
from tests.ims_core.transport.lab import FakeNode, at_end, close, message
from tests.kit.certificates import Authority
from tests.kit.messages import request_bytes

HOST = "127.0.0.1"
PATIENCE = 5.0
rfc = pytest.mark.rfc


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on the event loop of the library and on uvloop, each made for it."""

    @functools.wraps(test)
    def run(make_loop: Callable[[], asyncio.AbstractEventLoop], **given: Any) -> None:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(test(**given))

    signature = inspect.signature(test)
    loop = inspect.Parameter("make_loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), loop])  # type: ignore[attr-defined]
    loops = [asyncio.new_event_loop, uvloop.new_event_loop]
    on_each: Callable[..., None] = pytest.mark.parametrize("make_loop", loops, ids=["asyncio", "uvloop"])(run)
    return on_each


class Bench:
    """A stack with a node that does what the test wants."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.node = FakeNode()
        self.at: dict[str, Address] = {}

    def send(self, flow: Flow, data: bytes) -> None:
        self.node.out.append((flow, data))
        self.stack.flush()

    def flow(self, transport: str, to: Address, **more: Any) -> Flow:
        return Flow(transport, self.at[transport], to, **more)

    async def received(self, count: int = 1) -> tuple[bytes, Flow]:
        await self.node.until(lambda: len(self.node.received) >= count)
        return self.node.received[count - 1]


@contextlib.asynccontextmanager
async def element(
    *transports: str,
    host: str = HOST,
    tls: Tls | None = None,
    websocket: WebSocketSettings | None = None,
    **limits: Any,
) -> AsyncIterator[Bench]:
    made = Bench(Stack(TransportLimits(**limits), tls=tls, websocket=websocket))
    for transport in transports:
        made.at[transport] = await made.stack.bind(transport, host, 0)
    made.stack.attach(made.node)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.stack.close()


def client_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    context.check_hostname = False
    return context


# TLS --------------------------------------------------------------------------------------------------------------


@rfc("3261-26.3.2.1")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@on_both_loops
async def test_two_elements_speak_over_tls_both_ways(authority: Authority, host: str) -> None:
    async with (
        element("TLS", host=host, tls=authority.tls("one.example")) as one,
        element("TLS", host=host, tls=authority.tls("two.example")) as two,
    ):
        way = one.flow("TLS", two.at["TLS"], server_name="two.example")
        for number in range(5):
            one.send(way, message(number, b"x" * 30_000))
        data, back = await two.received(5)
        assert data == message(4, b"x" * 30_000)
        assert back.transport == "TLS"
        two.send(back, b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n")
        await one.received()
        assert (len(one.stack.streams), len(two.stack.streams)) == (1, 1)
        assert two.stack.streams.by_transport() == {"TLS": 1}


@rfc("5922-7")
@on_both_loops
async def test_a_server_with_another_name_gets_nothing(authority: Authority) -> None:
    async with (
        element("TLS", tls=authority.tls("one.example")) as one,
        element("TLS", tls=authority.tls("two.example")) as two,
    ):
        way = one.flow("TLS", two.at["TLS"], server_name="three.example")
        one.send(way, message(1))
        await one.node.until(lambda: way in one.node.failed)
        assert one.stack.streams.handshakes_failed == {NAME: 1}
        assert two.node.received == []


@pytest.mark.parametrize(("sent", "reason"), [(b"OPTIONS sip:x SIP/2.0\r\n\r\n", NO_TLS), (b"\x16\x03\x01", CLOSED)])
@on_both_loops
async def test_failed_handshakes_are_counted_by_reason(authority: Authority, sent: bytes, reason: str) -> None:
    async with element("TLS", tls=authority.tls("one.example")) as one:
        reader, writer = await asyncio.open_connection(*one.at["TLS"])
        writer.write(sent)
        if reason == CLOSED:
            await close(writer)
        await at_end(reader)
        await one.node.until(lambda: one.stack.streams.handshakes_failed == {reason: 1})
        await close(writer)


@pytest.mark.parametrize("transport", ["TLS", "WS", "WSS"])
@on_both_loops
async def test_a_handshake_that_takes_too_long_ends(authority: Authority, transport: str) -> None:
    async with element(transport, tls=authority.tls("one.example"), handshake_seconds=0.05) as one:
        reader, writer = await asyncio.open_connection(*one.at[transport])
        writer.write(b"GET / HTTP/1.1\r\n" if transport == "WS" else b"\x16")
        assert await at_end(reader) == b""
        counted = one.stack.dropped if transport == "WS" else one.stack.streams.handshakes_failed
        await one.node.until(lambda: sum(counted.values()) == 1)
        assert set(counted) == ({"stalled stream"} if transport == "WS" else {TIMEOUT})
        await close(writer)


@on_both_loops
async def test_a_listener_for_tls_needs_a_certificate() -> None:
    async with element() as one:
        with pytest.raises(ValueError, match="certificate"):
            await one.stack.bind("TLS", HOST, 0)


@rfc("3261-11.2", "3261-26.3.1")
@on_both_loops
async def test_an_element_of_a_lab_speaks_tls(authority: Authority) -> None:
    async with Element("tls:127.0.0.1:0", domain="lab.example", tls=authority.tls("lab.example")) as lab:
        ((transport, address),) = lab.addresses
        context = ssl.create_default_context(cafile=str(authority.file))
        reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="lab.example")
        via = "SIP/2.0/TLS df7jal23ls0d.invalid;branch=z9hG4bK1;rport"
        writer.write(request_bytes("OPTIONS", "sip:lab.example", via=via))
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        host, port = writer.get_extra_info("sockname")
        assert f"Via: {via}={port};received={host}\r\n".encode() in answer
        assert transport == "TLS"
        await close(writer)


def test_an_unknown_transport_is_refused() -> None:
    with pytest.raises(ValueError, match="sctp"):
        Element("sctp:127.0.0.1:5060")


# Which connection -------------------------------------------------------------------------------------------------


@rfc("3261-18.2.2")
@on_both_loops
async def test_a_response_whose_connection_is_gone_takes_a_new_one_to_the_via() -> None:
    async with element("TCP") as one, element("TCP") as two:
        _, writer = await asyncio.open_connection(*one.at["TCP"])
        writer.write(message(1))
        _, flow = await one.received()
        await close(writer)
        await one.node.until(lambda: one.node.failed == [flow])
        response = (
            f"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 127.0.0.1:{two.at['TCP'][1]}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        one.send(flow, response)
        data, _ = await two.received()
        assert data == response


@rfc("5626-5.3")
@on_both_loops
async def test_a_request_whose_connection_is_gone_fails() -> None:
    async with element("TCP", "WS") as one:
        for transport in ("TCP", "WS"):
            gone = one.flow(transport, (HOST, 9), connection=77)
            one.send(gone, message(1))
            await one.node.until(lambda gone=gone: gone in one.node.failed)  # type: ignore[misc]
        never = one.flow("WS", (HOST, 9))
        one.send(never, message(1))
        await one.node.until(lambda: never in one.node.failed)


@rfc("5923-9")
@pytest.mark.parametrize("alias", [True, False])
@on_both_loops
async def test_a_proven_peer_that_asks_for_it_is_called_by_its_own_connection(
    authority: Authority, alias: bool
) -> None:
    async with (
        element("TLS", tls=authority.tls("one.example", client_certificates="optional")) as one,
        element("TLS", tls=authority.tls("two.example")) as two,
    ):
        port = two.at["TLS"][1]
        via = f"Via: SIP/2.0/TLS two.example:{port};branch=z9hG4bK1{';alias' if alias else ''}\r\n"
        request = f"OPTIONS sip:one.example SIP/2.0\r\n{via}Content-Length: 0\r\n\r\n".encode()
        two.send(two.flow("TLS", one.at["TLS"], server_name="one.example"), request)
        await one.received()
        one.send(one.flow("TLS", (HOST, port), server_name="two.example"), message(2))
        _, came_by = await two.received()
        assert (came_by.remote == one.at["TLS"]) is alias
        assert len(one.stack.streams) == (1 if alias else 2)
        # another name at the same place is another peer
        stranger = one.flow("TLS", (HOST, port), server_name="three.example")
        one.send(stranger, message(3))
        await one.node.until(lambda: stranger in one.node.failed)


@rfc("3261-18")
@on_both_loops
async def test_a_stuck_peer_delays_nobody_and_takes_no_more_than_its_share() -> None:
    async with element("TCP", unsent_bytes=200_000) as one:
        loop = asyncio.get_running_loop()
        _, stuck = await asyncio.open_connection(*one.at["TCP"])
        stuck.transport.pause_reading()  # type: ignore[attr-defined]
        stuck.write(message(1))
        _, to_stuck = await one.received()
        reader, writer = await asyncio.open_connection(*one.at["TCP"])
        writer.write(message(2))
        _, to_other = await one.received(2)
        stream = one.stack.streams._streams[to_stuck.connection]
        for number in range(2000):
            one.send(to_stuck, message(number, b"x" * 20_000))
            one.send(to_other, b"%4d" % number)
            assert await asyncio.wait_for(reader.readexactly(4), PATIENCE) == b"%4d" % number
            if one.stack.dropped:
                break
            assert stream._socket is not None
            assert stream._socket.get_write_buffer_size() <= 200_000 + 21_000
        assert one.stack.dropped == {"peer does not read": 1}
        await one.node.until(lambda: one.node.failed == [to_stuck])
        assert loop is asyncio.get_running_loop()
        stuck.transport.abort()
        await close(writer)


# Keep-alives ------------------------------------------------------------------------------------------------------


class Peer:
    """A server that answers the first so many pings."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.pings = 0
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(5) == b"hello"
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readexactly(4) == b"\r\n\r\n":
                self.pings += 1
                if self.pings <= self.answers:
                    writer.write(b"\r\n")
        writer.close()
        self.gone.set()


@rfc("5626-4.4.1")
@on_both_loops
async def test_a_missing_pong_means_that_the_flow_has_failed() -> None:
    peer = Peer(answers=2)
    server = await asyncio.start_server(peer.serve, HOST, 0)
    async with element("TCP", keepalive_seconds=0.02, pong_seconds=0.05) as one:
        flow = one.flow("TCP", server.sockets[0].getsockname())
        one.send(flow, b"hello")
        await one.node.until(lambda: bool(one.node.failed))
        assert one.node.failed[0].connection == 1
        assert (peer.pings, one.stack.dropped) == (3, {"missing pong": 1})
        await asyncio.wait_for(peer.gone.wait(), PATIENCE)
    server.close()


@rfc("5626-4.4")
@on_both_loops
async def test_a_peer_that_knows_no_pings_is_left_alone_after_the_first() -> None:
    peer = Peer(answers=0)
    server = await asyncio.start_server(peer.serve, HOST, 0)
    async with element("TCP", keepalive_seconds=0.01, pong_seconds=0.02) as one:
        one.send(one.flow("TCP", server.sockets[0].getsockname()), b"hello")
        await one.node.until(lambda: peer.pings == 1)
        (stream,) = one.stack.streams._streams.values()
        await one.node.until(lambda: stream._pong_due is None)
        assert stream._keepalive is not None
        assert stream._keepalive.when() <= asyncio.get_running_loop().time(), "no further ping is planned"
        assert (peer.pings, one.stack.dropped, len(one.stack.streams)) == (1, {}, 1)
    await asyncio.wait_for(peer.gone.wait(), PATIENCE)
    server.close()


# WebSocket --------------------------------------------------------------------------------------------------------


@rfc("7118-5")
@pytest.mark.parametrize("transport", ["WS", "WSS"])
@on_both_loops
async def test_a_websocket_carries_whole_messages_both_ways(authority: Authority, transport: str) -> None:
    async with element(transport, tls=authority.tls("one.example"), websocket=WebSocketSettings(path="/sip")) as one:
        host, port = one.at[transport]
        context = {"ssl": client_context(authority)} if transport == "WSS" else {}
        uri = f"{transport.lower()}://{host}:{port}/sip"
        async with connect(uri, subprotocols=[Subprotocol("sip")], **context) as browser:  # type: ignore[arg-type]
            await browser.send(message(1).decode())
            await browser.send(message(2))
            await one.received(2)
            assert [data for data, _ in one.node.received] == [message(1), message(2)]
            flow = one.node.received[0][1]
            assert (flow.transport, flow.reliable, flow.secure) == (transport, True, transport == "WSS")
            one.send(flow, b"SIP/2.0 200 OK\r\n\r\n")
            assert await browser.recv() == "SIP/2.0 200 OK\r\n\r\n"
            await (await browser.ping())
            await one.stack.close()
            with pytest.raises(ConnectionClosed) as closed:
                await browser.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001


@on_both_loops
async def test_ipv6_and_ipv4_share_a_port() -> None:
    async with element() as one:
        for transport in ("UDP", "TCP"):
            _, port = await one.stack.bind(transport, "0.0.0.0", 0)
            with contextlib.suppress(OSError):  # taken by somebody else for IPv6 only
                assert (await one.stack.bind(transport, "::", port))[1] == port
