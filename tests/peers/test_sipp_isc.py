"""SIPp as P-CSCF, as phones and as application servers of our S-CSCF, over UDP and TCP, IPv4 and IPv6."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from ims_core.profiles.model import Criterion, DefaultHandling, ServiceProfile, SessionCase
from ims_core.registrar.identities import Identities
from ims_core.registrar.location import Binding
from ims_core.roles.isc import ServiceControl
from ims_core.roles.original_dialog import OriginalDialogs
from ims_core.roles.serving import ServingCscf
from ims_core.subscribers.centre import AuthenticationCentre
from ims_core.subscribers.directory import Directory
from ims_core.subscribers.identities import public_identity
from ims_core.subscribers.sequence import SequenceNumbers
from ims_core.subscribers.subscriber import Password, Subscriber
from tests.kit.isc import criterion
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Sipp, Way
from tests.peers.kit.elements import Here, here, succeed

pytestmark = pytest.mark.peer("sipp")

ORIGINATING, TERMINATING = SessionCase.ORIGINATING, SessionCase.TERMINATING_REGISTERED
CONTINUED, TERMINATED = DefaultHandling.SESSION_CONTINUED, DefaultHandling.SESSION_TERMINATED
DOMAIN = "ims.example"


def callee(way: Way) -> str:
    return f"to-{way.name}"


def subscriber(name: str) -> Subscriber:
    identity = public_identity(f"sip:{name}@{DOMAIN}", profile=name)
    return Subscriber(f"{name}@{DOMAIN}", Password("demo"), ((identity,),))


class Core:
    """An S-CSCF; on each way a user of that name calls "to-" him, who has a phone there."""

    def __init__(self, us: Here) -> None:
        self.us = us
        element = us.element
        self.profiles: dict[str, ServiceProfile] = {}
        names = [name for way in WAYS for name in (way.name, callee(way))]
        directory = Directory(map(subscriber, names), AuthenticationCentre(SequenceNumbers(lambda now: now), bytes))
        self.services = ServiceControl(
            self.profiles.get,
            OriginalDialogs(f"sip:127.0.0.1:{us.port}", b"secret"),
            network="home.example",
            in_process={},
            trusts=lambda uri: True,
            patience=1.0,
        )
        self.scscf = ServingCscf(
            element.domains,
            Identities(directory, element.location),
            self.services,
            network="home.example",
            is_trusted=lambda request, flow: True,
            is_service=lambda number: False,
            service="",
        )
        element.route = self.scscf.route
        for way in WAYS:
            self._bind(way.name, way.uri(way.name, 9))

    def serve(self, name_of: Callable[[Way], str], made: Callable[[int, Way], tuple[Criterion, ...]]) -> None:
        """Give the user of each way a profile."""
        for number, way in enumerate(WAYS):
            self.profiles[name_of(way)] = ServiceProfile(name_of(way), made(number, way))

    async def phones(self) -> list[Sipp]:
        """Have a phone of each callee wait."""
        phones = await self.us.waiting("agent", options=["-trace_msg"])
        for way, phone in zip(WAYS, phones, strict=True):
            self._bind(callee(way), way.uri(way.name, phone.port))
        return phones

    def call(self) -> list[Sipp]:
        """Have each user call."""
        return [
            self.us.bench.sipp(
                "call_served", remote=self.us.at(way), way=way, number=callee(way), keys={"caller": way.name}
            )
            for way in WAYS
        ]

    def _bind(self, name: str, contact: str) -> None:
        self.us.element.location.add(Binding(f"sip:{name}@{DOMAIN}", contact))
        while self.us.element.location.next_event() is not None:
            pass


@asynccontextmanager
async def core(bench: Bench) -> AsyncIterator[Core]:
    async with here(bench) as us:
        yield Core(us)


def uri(servers: list[Sipp], number: int, way: Way) -> str:
    return way.uri("server", servers[number].port)


@pytest.mark.rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.3", "TS24.229-5.4.3.4", "5502-6")
async def test_calls_visit_servers_of_caller_and_callee(bench: Bench) -> None:
    async with core(bench) as home:
        first = await home.us.waiting("server_returns")
        second = await home.us.waiting("server_returns")
        phones = await home.phones()
        home.serve(lambda way: way.name, lambda number, way: (criterion(1, uri(first, number, way), ORIGINATING),))
        home.serve(callee, lambda number, way: (criterion(1, uri(second, number, way), TERMINATING),))
        callers = home.call()
        await succeed(callers, first, second, phones)
        for way, caller, at_caller, at_callee in zip(WAYS, callers, first, second, strict=True):
            assert at_caller.said("served") == [f"<sip:{way.name}@{DOMAIN}>;sescase=orig;regstate=reg"]
            assert at_callee.said("served") == [f"<sip:{callee(way)}@{DOMAIN}>;sescase=term;regstate=reg"]
            for server in (at_caller, at_callee):
                assert server.said("charged")[0].endswith(';orig-ioi="Type 3home.example"')
            (charged,) = caller.said("charged")
            assert charged.endswith(';orig-ioi="Type 1visited.example";term-ioi="Type 1home.example"')
        for way, phone in zip(WAYS, phones, strict=True):
            assert f"P-Called-Party-ID: <sip:{callee(way)}@{DOMAIN}>" in phone.heard("INVITE")[0]
        assert home.services.outcomes["returned"] == home.services.outcomes["answered"] == 2 * len(WAYS)


@pytest.mark.rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.3")
async def test_calls_go_on_without_servers_that_do_not_serve(bench: Bench) -> None:
    async with core(bench) as home:
        failing = await home.us.waiting("server_fails", keys={"answer": "SIP/2.0 503 Busy", "more": "Retry-After: 9"})
        silent = await home.us.waiting("server_silent", pause=3.0)
        phones = await home.phones()
        home.serve(lambda way: way.name, lambda number, way: (criterion(1, uri(silent, number, way), ORIGINATING),))
        home.serve(callee, lambda number, way: (criterion(1, uri(failing, number, way), TERMINATING),))
        await succeed(home.call(), failing, silent, phones)
        assert home.services.outcomes["continued"] == 2 * len(WAYS)


@pytest.mark.rfc("TS24.229-5.4.3.2")
@pytest.mark.parametrize(
    ("scenario", "status", "told", "outcome"),
    [
        ("server_fails", 503, 500, "terminated"),
        ("server_fails", 408, 408, "terminated"),
        ("server_fails", 302, 302, "refused"),
        ("server_silent", 0, 408, "terminated"),
    ],
)
async def test_calls_end_with_the_word_of_a_server(
    bench: Bench, scenario: str, status: int, told: int, outcome: str
) -> None:
    async with core(bench) as home:
        keys = {"answer": f"SIP/2.0 {status} Because", "more": "Contact: <sip:elsewhere@ims.example>"}
        servers = await home.us.waiting(scenario, keys=keys, pause=3.0)
        home.serve(
            lambda way: way.name,
            lambda number, way: (criterion(1, uri(servers, number, way), ORIGINATING, handling=TERMINATED),),
        )
        callers = home.call()
        await succeed(callers, servers)
        for caller in callers:
            assert caller.said("refused")
            assert await asyncio.to_thread(caller.received, f" {told} ") == 1
        assert home.services.outcomes[outcome] == len(WAYS)


@pytest.mark.rfc("TS24.229-5.4.3.3")
async def test_who_is_not_there_may_be_answered_for(bench: Bench) -> None:
    async with core(bench) as home:
        servers = await home.us.waiting("agent")
        home.serve(
            callee,
            lambda number, way: (criterion(1, uri(servers, number, way), SessionCase.TERMINATING_UNREGISTERED),),
        )
        await succeed(home.call(), servers)
        home.profiles.clear()
        refused = home.call()
        await succeed(refused)
        assert [caller.received(" 480 ") for caller in refused] == [1] * len(WAYS)
