"""SIPp over IPv6: registrations and calls, by UDP and TCP, beside listeners for IPv4."""

from __future__ import annotations

import socket

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, Server

SIX = "::1"


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((SIX, 0))
        except OSError:
            return False
    return True


pytestmark = [pytest.mark.peer("sipp"), pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6")]


def serve(bench: Bench) -> tuple[Server, tuple[str, int]]:
    port = bench.port()
    listen = [f"{transport}:{host}:{port}" for host in (LOOPBACK, f"[{SIX}]") for transport in ("udp", "tcp")]
    return bench.serve(sip_port=port, settings={"sip.listen": listen}), (SIX, port)


@pytest.mark.rfc("3261-18", "3261-19.1.1", "5118-4.1")
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


@pytest.mark.rfc("3261-18", "3261-13.3.1.4")
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
