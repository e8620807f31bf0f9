"""Requests to names, from a nameserver's records to the sockets of the servers that they lead to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from ims_core.element import Element
from ims_core.flow import Address, Flow, format_address
from ims_core.messages.parser import parse_message
from ims_core.transport.stack import Stack
from ims_core.ua.messaging import Outcome, ping
from tests.kit import Network, Site
from tests.kit.dns import Nameserver

PATIENCE = 20.0


class Server:
    """An element that answers, and keeps which calls it was asked in and from where."""

    def __init__(self, element: Element) -> None:
        self.asked: dict[str, Address] = {}
        ((_, self.address),) = element.addresses
        element.stack.tap = self._note

    def _note(self, way: str, flow: Flow, data: bytes) -> None:
        if way == "in":
            self.asked[parse_message(data).call_id] = flow.remote


@asynccontextmanager
async def servers(*listen: str) -> AsyncIterator[list[Server]]:
    async with AsyncExitStack() as running:
        yield [Server(await running.enter_async_context(Element(one))) for one in listen]


class Asker:
    """A node that looks names up at a nameserver and sends by UDP over IPv4 and IPv6."""

    def __init__(self, stack: Stack, site: Site) -> None:
        self._stack = stack
        self._site = site

    async def ask(self, uri: str, times: int = 1) -> set[int]:
        """Send OPTIONS so many times at once; return the statuses that came."""
        outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        for _ in range(times):
            ping(self._site.node.ua, uri, uri, "<sip:us@ims.example>", outcomes.put_nowait)
        self._stack.flush()
        async with asyncio.timeout(PATIENCE):
            return {(await outcomes.get()).status for _ in range(times)}


@asynccontextmanager
async def asker(nameserver: Nameserver) -> AsyncIterator[Asker]:
    stack = Stack(nameservers=[nameserver.address])
    bound = [await stack.bind("UDP", host, 0) for host in ("127.0.0.1", "::1")]
    listeners = {("UDP", address): format_address(address) for address in bound}
    site = Site(Network(), listeners=listeners, clock=asyncio.get_running_loop().time)
    stack.attach(site.node)
    try:
        yield Asker(stack, site)
    finally:
        await stack.close()


@pytest.mark.rfc("2782", "3263-4.2")
async def test_requests_are_shared_by_the_weights_that_the_records_say() -> None:
    async with servers(*["udp:127.0.0.1:0"] * 3) as (light, heavy, spare):
        shares = [(1, 10, light), (1, 90, heavy), (2, 100, spare)]
        zone = "host 300 IN A 127.0.0.1\n" + "".join(
            f"_sip._udp 300 IN SRV {priority} {weight} {server.address[1]} host\n"
            for priority, weight, server in shares
        )
        with Nameserver("lab.example", zone) as nameserver:
            async with asker(nameserver) as node:
                assert await node.ask("sip:desk@lab.example", 200) == {200}
        assert len(light.asked) + len(heavy.asked) == 200
        assert 10 < len(light.asked) < 40
        assert spare.asked == {}
        assert nameserver.asked.count("SRV _sip._udp.lab.example") == 1


@pytest.mark.rfc("3263-4.2")
@pytest.mark.parametrize("host", ["lab.example", "host6.lab.example:{port}"], ids=["by SRV", "by its own name"])
async def test_a_host_that_has_an_ipv6_address_only_is_reached_by_that(host: str) -> None:
    async with servers("udp:[::1]:0") as (server,):
        port = server.address[1]
        zone = f"_sip._udp 300 IN SRV 1 1 {port} host6\nhost6 300 IN AAAA ::1\n"
        with Nameserver("lab.example", zone) as nameserver:
            async with asker(nameserver) as node:
                assert await node.ask(f"sip:desk@{host.format(port=port)}") == {200}
        ((source, _),) = server.asked.values()
        assert source == "::1"
        assert {"A host6.lab.example", "AAAA host6.lab.example"} <= set(nameserver.asked)
