"""SIPp behind names, by each way at once: the next server when one does not serve, TCP for what is too large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ims_core.locate.dns import Dns
from ims_core.locate.records import Answer, Question
from tests.kit.dns import Nameserver
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Sipp
from tests.peers.kit.elements import OFFER, US, Here, here, succeed

pytestmark = pytest.mark.peer("sipp")

EACH = len(WAYS)
LARGE = f'"{"x" * 1300}" {US}'


def zone(first: int, second: int) -> str:
    """Each way is a name of its own, with two servers, and both only by that way."""
    lines = ["host4 300 IN A 127.0.0.1", "host6 300 IN AAAA ::1"]
    for way in WAYS:
        service = f"_sip._{way.name[:3]}.{way.name}"
        lines.append(f'{way.name} 300 IN NAPTR 10 10 "s" "SIP+D2{"T" if way.tcp else "U"}" "" {service}')
        lines += [
            f"{service} 300 IN SRV {priority} 0 {port} host{way.name[-1]}"
            for priority, port in ((1, first), (2, second))
        ]
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def here_with_names(bench: Bench, first: int, second: int) -> AsyncIterator[Here]:
    async with here(bench) as us:
        node = us.element.node

        def answered(question: Question, answer: Answer) -> None:
            node.resolved(question, answer)
            us.flush()

        with Nameserver("lab.example", zone(first, second)) as nameserver:
            names = Dns(answered, nameservers=[nameserver.address], hosts={})
            node.courier.resolver.ask = names.ask
            yield us
            await names.close()


async def call_and_hang_up(us: Here, *targets: str, caller: str = US) -> None:
    async def talk(target: str) -> None:
        async with us.element.call(target, caller=caller, sdp=OFFER) as call:
            await call.answered()

    await asyncio.gather(*map(talk, targets))


@pytest.mark.rfc("3263-4.1", "3263-4.2", "3263-4.3", "3261-21.5.4")
@pytest.mark.parametrize("how", ["503", "dead"])
async def test_a_name_leads_to_the_first_server_that_serves(bench: Bench, how: str) -> None:
    first, second = bench.port(), bench.port()
    async with here_with_names(bench, first, second) as us:
        refusing = await us.waiting("agent_overloaded", port=first) if how == "503" else []
        agents = await us.waiting("agent", port=second, calls=2)
        for _ in range(2):  # the second time nobody asks who did not serve
            await call_and_hang_up(us, *(f"sip:{way.name}@{way.name}.lab.example" for way in WAYS))
        await succeed(agents, refusing)
        failovers = us.element.node.courier.failovers
        assert failovers.total() == EACH
        assert how == "dead" or failovers == {"503": EACH}
        assert us.element.node.courier.dead() == EACH


@pytest.mark.rfc("3261-18.1.1")
@pytest.mark.parametrize("tcp", [True, False], ids=["with-tcp", "udp-only"])
async def test_what_is_too_large_for_a_datagram_goes_by_tcp_where_the_peer_has_it(bench: Bench, *, tcp: bool) -> None:
    ways = [way for way in WAYS if not way.tcp]
    async with here(bench) as us:
        phones: list[Sipp] = []
        for way in ways:
            at = way._replace(tcp=tcp)
            phones.append(bench.sipp("agent", way=at, calls=2, keys={"caller": "large"}))
            await asyncio.to_thread(at.wait_for_listener, phones[-1].port)
        for _ in range(2):
            await call_and_hang_up(
                us,
                *(way.uri("large", phone.port) for way, phone in zip(ways, phones, strict=True)),
                caller=LARGE,
            )
        await succeed(phones)
        assert us.element.node.courier.failovers == ({} if tcp else {"no_tcp": len(ways)})
