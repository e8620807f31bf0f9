"""Our proxy and registrar between SIPp's phones: routes from each way to each other, strict routers, odd messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import permutations

import pytest

from ims_core.registrar.registrar import Registrar
from ims_core.roles.scscf import Scscf
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Sipp
from tests.peers.kit.elements import Here, succeed, until
from tests.peers.test_kamailio_neighbour import lines

pytestmark = pytest.mark.peer("sipp")

EACH = len(WAYS)


class Hub(Here):
    """A registrar that asks for no password, and a proxy to whoever registers there."""

    def serve(self) -> None:
        element = self.element
        location = element.location
        scscf = Scscf(element.domains, location, is_service=lambda _: False, service="", known_user=None)
        element.register = Registrar(element.domains, location, element.ids).handle
        element.route = lambda request, flow, now: scscf.route(request)

    async def registered(self, scenario: str, **options: object) -> list[Sipp]:
        """Have a phone of the user of each way wait, and register."""
        phones = await self.waiting(scenario, **options)
        for way, phone in zip(WAYS, phones, strict=True):
            keys = {"caller": way.name, "at": phone.port}
            await succeed([self.bench.sipp("register_open", remote=self.at(way), way=way, keys=keys)])
        return phones

    def call(self, scenario: str, **options: object) -> list[Sipp]:
        """Call the user of each way on this way."""
        return [
            self.bench.sipp(
                scenario,
                **{"remote": self.at(way), "way": way, "number": way.name, "keys": {"caller": "alice"}, **options},
            )
            for way in WAYS
        ]


@asynccontextmanager
async def hub(bench: Bench) -> AsyncIterator[Hub]:
    us = Hub(bench)
    async with asyncio.timeout(30.0), us.element:
        us.serve()
        yield us
        await until(lambda: not us.element.node.proxy.active, "nothing is forwarded any more")


@pytest.mark.rfc("5658-3.3", "3261-16.6", "3261-16.12.1.1")
async def test_each_way_reaches_each_other_by_a_route_on_either_side(bench: Bench) -> None:
    async with hub(bench) as us:
        bobs = await us.registered("agent_hangs_up", calls=EACH - 1, pause=0.05)
        pairs = list(permutations(WAYS, 2))
        callers = [
            bench.sipp(
                "call_wait", remote=us.at(near), way=near, number=far.name, keys={"caller": "a"}, options=["-trace_msg"]
            )
            for near, far in pairs
        ]
        await succeed(callers, bobs)
        for (near, far), caller in zip(pairs, callers, strict=True):
            (answer,) = caller.heard("SIP/2.0 200")
            told = [route.partition("@")[2].removesuffix(">") for route in lines(answer, "Record-Route")]
            assert told == [way.uri("", us.port).partition("@")[2] + ";lr" for way in (far, near)], (near, far)
            assert "Route:" not in caller.heard("BYE ")[0].replace("Record-Route:", "")


@pytest.mark.rfc("3261-16.4", "3261-16.12.1.2")
async def test_what_a_strict_router_sends_reaches_the_callee(bench: Bench) -> None:
    async with hub(bench) as us:
        agents = await us.registered("agent_plain")
        await succeed(us.call("call_strict"), agents)
        for way, agent in zip(WAYS, agents, strict=True):
            place = f"sip:{way.name}@{way.written}:{agent.port};"
            assert [line.split(place)[0] for line in agent.said("line")] == ["ACK ", "BYE "]


@pytest.mark.rfc("3261-16.6", "3261-16.12.1.2")
async def test_a_strict_router_is_sent_what_it_understands(bench: Bench) -> None:
    async with hub(bench) as us:
        agents = await us.registered("agent_strict")
        await succeed(us.call("call", pause=0.05), agents)
        for way, agent in zip(WAYS, agents, strict=True):
            place = f"<sip:{way.name}@{way.written}:{agent.port};"
            assert [last.startswith(place) for last in agent.said("last")] == [True, True]


def unrouted(message: str) -> list[str]:
    """The lines of a message that no proxy may touch."""
    return [line for line in message.splitlines()[1:] if not line.startswith(("Via:", "Max-Forwards:", "Max-Breadth:"))]


@pytest.mark.rfc("3261-16.6", "3261-7.3.1", "3261-7.3.3")
async def test_what_is_written_oddly_goes_on_as_it_is(bench: Bench) -> None:
    async with hub(bench) as us:
        agents = await us.registered("agent_frobs", options=["-trace_msg"])
        callers = us.call("odd", options=["-trace_msg"])
        await succeed(callers, agents)
        for caller, agent in zip(callers, agents, strict=True):
            (frob,) = agent.heard("FROB ")
            assert unrouted(frob) == unrouted(caller.sent("FROB ")[0])
            assert "s: a subject" in frob


@pytest.mark.rfc("3327-5.3", "3327-5.2", "3608-6.3")
async def test_a_call_follows_the_path_that_was_registered(bench: Bench) -> None:
    async with hub(bench) as us:
        element = us.element
        route = ["<sip:out.ims.example;lr>"]
        element.register = Registrar(element.domains, element.location, element.ids, service_route=route).handle
        edges = await us.waiting("agent")
        for way, edge in zip(WAYS, edges, strict=True):
            keys = {"caller": way.name, "at": edge.port}
            await succeed([bench.sipp("register_path", remote=us.at(way), way=way, keys=keys)])
        await succeed(us.call("call", pause=0.05), edges)
        for way, edge in zip(WAYS, edges, strict=True):
            assert edge.received(f"INVITE sip:{way.name}@192.0.2.1 ") == 1


@pytest.mark.rfc("5393-5.3.3")
async def test_branches_share_the_breadth(bench: Bench) -> None:
    async with hub(bench) as us:
        agents = [await us.registered("agent_frobs", options=["-trace_msg"]) for _ in range(2)]
        keys = {"caller": "alice", "hops": 70, "more": "Max-Breadth: 9"}
        await succeed(us.call("frob", keys=keys), *agents)
        for both in zip(*agents, strict=True):
            assert sorted(lines(agent.heard("FROB ")[0], "Max-Breadth")[0] for agent in both) == ["4", "5"]


@pytest.mark.rfc("3261-16.10", "3261-9.1")
async def test_a_caller_cancels_a_phone_that_rings(bench: Bench) -> None:
    async with hub(bench) as us:
        phones = await us.registered("agent_rings")
        await succeed(us.call("call_cancel", pause=0.05), phones)
        assert [phone.received("CANCEL") for phone in phones] == [1] * EACH


@pytest.mark.rfc("3261-16.7")
@pytest.mark.parametrize(("agent", "told"), [("agent_busy", "486"), ("agent_overloaded", "500")])
async def test_a_refusal_is_told_and_an_overload_behind_us_not_as_ours(bench: Bench, agent: str, told: str) -> None:
    async with hub(bench) as us:
        phones = await us.registered(agent)
        callers = us.call("call")
        await until(lambda: all(caller.received(f"SIP/2.0 {told} ") for caller in callers), told)
        await succeed(phones)


@pytest.mark.rfc("3261-10.2.1.2", "3261-10.2.2", "3261-10.2.3", "3261-10.2.4", "3261-10.3")
async def test_contacts_are_added_with_their_q_asked_for_renewed_and_removed(bench: Bench) -> None:
    async with hub(bench) as us:
        await succeed(us.come("register_life"))
        assert len(us.element.location) == 0


@pytest.mark.rfc("3261-16.7", "3262-3", "3311-5.1")
async def test_reliable_responses_prack_and_update_pass(bench: Bench) -> None:
    async with hub(bench) as us:
        agents = await us.registered("agent_prack")
        await succeed(us.call("call_prack"), agents)
