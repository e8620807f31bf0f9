"""SIPp over IPv6: registrations and calls, by UDP and TCP, beside listeners for IPv4."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import SIX, Server
from tests.peers.kit.ways import has_ipv6

pytestmark = [pytest.mark.peer("sipp"), pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6")]


def serve(bench: Bench) -> tuple[Server, tuple[str, int]]:
    server = bench.serve()
    return server, (SIX, server.sip[1])


@pytest.mark.rfc("3261-19.1.1", "5118-4.1")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_a_phone_registers_over_ipv6_and_leaves(bench: Bench, tcp: bool) -> None:
    server, six = serve(bench)
    keys = {"caller": "1001"}
    digest = ["-au", "1001", "-ap", "demo", "-auth_uri", f"[{SIX}]:{six[1]}"]  # by itself SIPp forgets the brackets
    first = bench.sipp("register", remote=six, host=SIX, keys=keys, options=digest, tcp=tcp)
    first.succeed()
    if not tcp:
        server.wait_for_agent("1001", "ready")
        bench.sipp(
            "register", remote=six, host=SIX, port=first.port, keys={**keys, "expires": 0}, options=digest
        ).succeed()
    server.wait_for_agent("1001", "logged_out")
    server.stop()


@pytest.mark.rfc("3261-13.3.1.4")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_a_caller_over_ipv6_and_an_agent_over_ipv4_talk(bench: Bench, tcp: bool) -> None:
    server, six = serve(bench)
    agent = bench.sipp("agent", port=bench.sign_in(server, "1001"), keys={"caller": "1001"})
    credentials = ["-au", "caller1", "-ap", "demo", "-auth_uri", f"10001@[{SIX}]:{six[1]}"]
    caller = bench.sipp(
        "call_digest",
        remote=six,
        host=SIX,
        number="10001",
        keys={"caller": "caller1"},
        options=credentials,
        tcp=tcp,
        pause=5.0,
    )
    server.wait_for_call("talking", 15)
    caller.succeed()
    agent.succeed()
    assert agent.received("ACK sip:") == 1
    server.wait_until_idle()
