"""SIPp registers as a subscriber with an implicit set, and is told by the ``reg`` event package what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ims_core.host import Host
from ims_core.registrar.location import Removal
from ims_core.subscribers.identities import public_identity
from ims_core.subscribers.subscriber import Password, Subscriber
from tests.ims_core.ua.test_reg_info import read, tag
from tests.kit import DOMAIN, PASSWORD, Network
from tests.kit.home import Home
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Sipp
from tests.peers.kit.elements import succeed, until

if TYPE_CHECKING:
    from ims_core.flow import Address
    from ims_core.node import Node
    from ims_core.transactions.endpoint import Endpoint

pytestmark = pytest.mark.peer("sipp")


def numbered(way: str) -> str:
    return f"tel:+86{1000 + [each.name for each in WAYS].index(way)}"


class Running(Host):
    """A home network whose subscribers are named after the ways they come by."""

    def _core(self, endpoint: Endpoint, advertised: dict[tuple[str, Address], str], secret: bytes) -> Node:
        subscribers = [
            Subscriber(
                f"{way.name}@{DOMAIN}",
                Password(PASSWORD),
                ((public_identity(f"sip:{way.name}@{DOMAIN}"), public_identity(numbered(way.name))),),
            )
            for way in WAYS
        ]
        self.home = Home(Network(), subscribers=subscribers, listeners=advertised, clock=endpoint.clock)
        self.home.notifier._packages["reg"].least_interval = 0.0
        return self.home.node


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[tuple[Running, int]]:
    port = bench.port()
    async with asyncio.timeout(30.0), Running(*(f"{way.name[:3]}:{way.written}:{port}" for way in WAYS)) as host:
        yield host, port
        await until(lambda: len(host.home.notifier) == len(host.home.node.ua.usages) == 0, "no subscription is left")


def come(bench: Bench, port: int, scenario: str) -> list[Sipp]:
    return [
        bench.sipp(
            scenario,
            remote=(way.host, port),
            way=way,
            keys={"caller": way.name},
            options=("-au", f"{way.name}@{DOMAIN}", "-ap", PASSWORD, "-auth_uri", DOMAIN),
        )
        for way in WAYS
    ]


def told(sipp: Sipp, way: str) -> list[list[str]]:
    """Of each document, which must be valid, the state of each registration with its contact's."""
    # libxml2 lets brackets stand in no URI without "//", where XML Schema and the examples of TS 24.229 have them
    documents = [read(line.replace("[::1]", "localhost").encode()) for line in sipp.said("told")]
    for document in documents:
        assert [each.get("aor") for each in document] == [f"sip:{way}@{DOMAIN}", numbered(way)]
        assert all(contact[-1].get("name") == "+g.3gpp.smsip" for contact in document.iter(tag("contact")))
    return [[f"{each.get('state')} {each[0].get('state')} {each[0].get('event')}" for each in one] for one in documents]


@pytest.mark.rfc("TS24.229-5.4.2.1.1", "TS24.229-5.4.2.1.2", "3680-4.7", "3680-5.1")
async def test_sipp_registers_watches_its_registration_and_leaves(bench: Bench) -> None:
    async with running(bench) as (host, port):
        phones = come(bench, port, "subscribe_reg")
        await succeed(phones)
        for way, phone in zip(WAYS, phones, strict=True):
            assert told(phone, way.name) == [
                ["active active registered", "active active created"],
                ["active active refreshed", "active active refreshed"],
                ["terminated terminated unregistered", "terminated terminated unregistered"],
            ]
        assert len(host.home.location) == 0
        assert host.home.registrations.counts == {"initial": len(WAYS), "re": len(WAYS), "de": len(WAYS)}


@pytest.mark.rfc("TS24.229-5.4.1.5", "TS24.229-5.4.2.1.2")
async def test_sipp_is_taken_off_by_the_network(bench: Bench) -> None:
    async with running(bench) as (host, port):
        phones = come(bench, port, "subscribe_reg_off")
        await until(lambda: all(phone.said("told") for phone in phones), "all are registered and watch")
        for way in WAYS:
            host.home.deregister(numbered(way.name), Removal.REJECTED)
        host.stack.flush()
        await succeed(phones)
        for way, phone in zip(WAYS, phones, strict=True):
            assert told(phone, way.name)[1] == ["terminated terminated rejected"] * 2
        assert len(host.home.location) == 0
