"""SIPp registers: digest, refresh, removal, expiry, a restart."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Server, wait_until

pytestmark = pytest.mark.peer("sipp")

DIGEST = ["-au", "1001", "-ap", "demo"]


def register(bench: Bench, server: Server, *, port: int = 0, expires: int = 60, tcp: bool = False) -> int:
    """Register agent 1001 and return the port of its phone."""
    sipp = bench.sipp(
        "register",
        remote=server.sip,
        port=port,
        keys={"caller": "1001", "expires": expires},
        options=DIGEST,
        tcp=tcp,
    )
    sipp.succeed()
    return sipp.port


@pytest.mark.rfc("3261-10.3", "3261-22.4")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_a_phone_registers_with_digest_refreshes_and_removes_its_binding(bench: Bench, tcp: bool) -> None:
    server = bench.serve()
    assert server.agent("1001")["state"] == "logged_out"
    port = register(bench, server, tcp=tcp)
    if not tcp:  # SIPp closes the connection when it ends, and with it goes the binding
        server.wait_for_agent("1001", "ready")
        assert server.metrics()["acd_sip_bindings"] == 1
        register(bench, server, port=port)
        assert server.metrics()["acd_sip_bindings"] == 1
        register(bench, server, port=port, expires=0)
    wait_until(lambda: server.metrics()["acd_sip_bindings"] == 0, what="no binding")
    server.wait_for_agent("1001", "logged_out")
    assert [(line["old"], line["new"]) for line in server.logged("agent.changed")] == [
        ("logged_out", "ready"),
        ("ready", "logged_out"),
    ]
    server.stop()


@pytest.mark.rfc("3261-22.4")
def test_a_wrong_password_is_refused_however_often(bench: Bench) -> None:
    server = bench.serve()
    for user, password in (("1001", "wrong"), ("nobody", "demo")):
        bench.sipp(
            "register_refused", remote=server.sip, keys={"caller": user}, options=["-au", user, "-ap", password]
        ).succeed()
    assert server.metrics()["acd_sip_bindings"] == 0
    assert server.agent("1001")["state"] == "logged_out"


@pytest.mark.rfc("3261-10.3")
def test_an_expired_binding_vanishes_by_itself(bench: Bench) -> None:
    server = bench.serve(settings={"registrar.min_expires_seconds": 1})
    register(bench, server, expires=1)
    server.wait_for_agent("1001", "logged_out", 5)
    assert server.metrics()["acd_sip_bindings"] == 0
    assert len(server.logged("agent.changed")) == 2


def test_registrations_survive_a_restart(bench: Bench) -> None:
    server = bench.serve()
    register(bench, server)
    server.wait_for_agent("1001", "ready")
    server.stop()
    again = bench.serve(sip_port=server.sip[1])
    assert again.agent("1001")["state"] == "ready"
    assert again.metrics()["acd_sip_bindings"] == 1
