"""SIPp as P-CSCF, as phones and as application servers of our S-CSCF, over UDP and TCP, IPv4 and IPv6."""

from __future__ import annotations

import pytest

from ims_core.profiles.model import DefaultHandling, SessionCase
from tests.kit.isc import criterion
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Sipp, Way
from tests.peers.kit.elements import succeed
from tests.peers.kit.scscf import DOMAIN, callee, core

pytestmark = pytest.mark.peer("sipp")

ORIGINATING, TERMINATING = SessionCase.ORIGINATING, SessionCase.TERMINATING_REGISTERED
TERMINATED = DefaultHandling.SESSION_TERMINATED


def uri(way: Way, server: Sipp) -> str:
    return way.uri("server", server.port)


@pytest.mark.rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.3", "TS24.229-5.4.3.4", "5502-6")
async def test_calls_visit_servers_of_caller_and_callee(bench: Bench) -> None:
    async with core(bench) as home:
        first = await home.us.waiting("server_returns")
        second = await home.us.waiting("server_returns")
        phones = await home.phones()
        for way, at_caller, at_callee in zip(WAYS, first, second, strict=True):
            home.serve(way.name, criterion(1, uri(way, at_caller), ORIGINATING))
            home.serve(callee(way), criterion(1, uri(way, at_callee), TERMINATING))
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
    async with core(bench, patience=1.0) as home:
        failing = await home.us.waiting("server_fails", keys={"answer": "SIP/2.0 503 Busy", "more": "Retry-After: 9"})
        silent = await home.us.waiting("server_silent", pause=3.0)
        phones = await home.phones()
        for way, at_caller, at_callee in zip(WAYS, silent, failing, strict=True):
            home.serve(way.name, criterion(1, uri(way, at_caller), ORIGINATING))
            home.serve(callee(way), criterion(1, uri(way, at_callee), TERMINATING))
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
    async with core(bench, patience=20.0 if status else 1.0) as home:
        keys = {"answer": f"SIP/2.0 {status} Because", "more": "Contact: <sip:elsewhere@ims.example>"}
        servers = await home.us.waiting(scenario, keys=keys, pause=3.0)
        for way, server in zip(WAYS, servers, strict=True):
            home.serve(way.name, criterion(1, uri(way, server), ORIGINATING, handling=TERMINATED))
        callers = home.call()
        await succeed(callers, servers)
        for caller in callers:
            assert caller.said("refused")
            assert caller.received(f" {told} ")
        assert home.services.outcomes[outcome] == len(WAYS)


@pytest.mark.rfc("TS24.229-5.4.3.3")
async def test_who_is_not_there_may_be_answered_for(bench: Bench) -> None:
    async with core(bench) as home:
        servers = await home.us.waiting("agent")
        for way, server in zip(WAYS, servers, strict=True):
            home.serve(callee(way), criterion(1, uri(way, server), SessionCase.TERMINATING_UNREGISTERED))
        await succeed(home.call(), servers)
        home.profiles.clear()
        refused = home.call()
        await succeed(refused)
        assert all(caller.received(" 480 ") for caller in refused)
