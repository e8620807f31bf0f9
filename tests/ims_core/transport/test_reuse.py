"""Which requests of ours take a connection that the peer opened, over the loopback interface."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import pytest

from ims_core.flow import Address
from ims_core.transport.tls import Tls
from tests.ims_core.transport.lab import close, message
from tests.ims_core.transport.test_connections import HOST, PATIENCE, client_context, element, on_both_loops
from tests.kit.certificates import Authority

rfc = pytest.mark.rfc


def asking(port: int, name: str = "two.example") -> bytes:
    """A request of a server that wants to be called by the connection that this comes by."""
    via = f"Via: SIP/2.0/TLS {name}:{port};branch=z9hG4bK1;alias\r\n"
    return f"OPTIONS sip:one.example SIP/2.0\r\n{via}Content-Length: 0\r\n\r\n".encode()


def demanding(authority: Authority, demand: str = "optional") -> Tls:
    return authority.tls("one.example", client_certificates=demand)


def context_of(authority: Authority, *names: str) -> ssl.SSLContext:
    """The TLS of a client with a certificate for ``names``, or with none."""
    context = client_context(authority)
    if names:
        context.load_cert_chain(authority.issue(*names))
    return context


@contextlib.asynccontextmanager
async def connected(
    to: Address, context: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*to, ssl=context)
    try:
        yield reader, writer
    finally:
        await close(writer)


async def assert_gets(reader: asyncio.StreamReader, data: bytes) -> None:
    assert await asyncio.wait_for(reader.readexactly(len(data)), PATIENCE) == data


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
@on_both_loops
async def test_who_connected_is_called_at_his_address_by_that_connection(authority: Authority, transport: str) -> None:
    context = context_of(authority) if transport == "TLS" else None
    async with (
        element(transport, tls=demanding(authority)) as one,
        connected(one.at[transport], context) as (reader, writer),
    ):
        writer.write(message(1))
        _, came_by = await one.received()
        way = one.flow(transport, came_by.remote)
        one.send(way, message(2))
        await assert_gets(reader, message(2))
        assert len(one.stack.streams) == 1
        named = way._replace(server_name="phone.example")
        if transport == "TLS":
            one.send(named, message(3))  # to somebody who must prove that name
            await one.node.until(lambda: one.node.failed == [named])
        one.stack.streams._streams[came_by.connection].close()
        one.send(way, message(4))  # by none that is about to end
        await one.node.until(lambda: way in one.node.failed)


@rfc("5923-9.2")
@pytest.mark.parametrize("names", [(), ("three.example",)], ids=["no certificate", "another name"])
@on_both_loops
async def test_who_asks_for_an_alias_and_does_not_prove_the_name_is_not_called_by_it(
    authority: Authority, free_port: int, names: tuple[str, ...]
) -> None:
    async with (
        element("TLS", tls=demanding(authority)) as one,
        connected(one.at["TLS"], context_of(authority, *names)) as (reader, writer),
    ):
        writer.write(asking(free_port))
        _, came_by = await one.received()
        way = one.flow("TLS", (HOST, free_port), server_name="two.example")
        one.send(way, message(2))
        await one.node.until(lambda: one.node.failed == [way])
        one.send(came_by, message(3))
        await assert_gets(reader, message(3))


@rfc("5923-9.2")
@on_both_loops
async def test_an_alias_ends_with_its_connection(authority: Authority, free_port: int) -> None:
    async with element("TLS", tls=demanding(authority, "required")) as one:
        way = one.flow("TLS", (HOST, free_port), server_name="two.example")
        async with connected(one.at["TLS"], context_of(authority, "two.example")) as (reader, writer):
            writer.write(asking(free_port))
            _, came_by = await one.received()
            one.send(way, message(2))
            await assert_gets(reader, message(2))
        await one.node.until(lambda: one.node.failed == [came_by])
        one.send(way, message(3))
        await one.node.until(lambda: way in one.node.failed)
        assert one.stack.streams._by_peer == {}


@rfc("5923-9.2")
@pytest.mark.parametrize("proved", [HOST, "127.0.0.2"])
@on_both_loops
async def test_who_proves_his_address_and_asks_for_it_is_called_there_by_his_connection(
    authority: Authority, free_port: int, proved: str
) -> None:
    async with (
        element("TLS", tls=demanding(authority, "required")) as one,
        connected(one.at["TLS"], context_of(authority, proved)) as (reader, writer),
    ):
        writer.write(asking(free_port, HOST))
        await one.received()
        way = one.flow("TLS", (HOST, free_port))
        one.send(way, message(2))
        if proved == HOST:
            await assert_gets(reader, message(2))
        else:
            await one.node.until(lambda: one.node.failed == [way])
