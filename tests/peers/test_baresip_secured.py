"""baresip over SRTP, with keys from SDP and from DTLS: tones prove who hears whom."""

from __future__ import annotations

from typing import Any

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Baresip, Server, wait_until
from tests.peers.kit.secure import SecureServer
from tests.peers.test_baresip_queue import AGENT_HZ, CALLER_HZ, hears
from tests.peers.test_tls import phone

pytestmark = pytest.mark.peer("baresip")

SDES: dict[str, Any] = {"config": ["module srtp.so"], "account": ["mediaenc=srtp-mand"]}
DTLS: dict[str, Any] = {
    "config": ["module dtls_srtp.so", "rtcp_mux yes"],
    "account": ["mediaenc=dtls_srtp"],
}
DTLS_UNMUXED: dict[str, Any] = {"config": ["module dtls_srtp.so"], "account": ["mediaenc=dtls_srtp"]}
ICE: dict[str, Any] = {
    "config": ["module dtls_srtp.so", "module ice.so", "rtcp_mux yes"],
    "account": ["mediaenc=dtls_srtp", "medianat=ice"],
}


def talk(server: Server, caller: Baresip, agent: Baresip) -> dict[str, Any]:
    """Have the caller talk to the agent for some seconds; returns the record of the call."""
    caller.wait_until_registered()
    agent.wait_until_registered()
    server.wait_for_agent("1001", "ready")
    caller.dial("10001")
    server.wait_for_call("talking", 15)
    wait_until(lambda: min(agent.heard_bytes(), caller.heard_bytes()) > 64_000, 20, "4 s of talk")
    caller.hang_up()
    (cdr,) = server.wait_for_cdrs()
    agent.wait_for("CALL_CLOSED")
    server.wait_until_idle()
    hears(agent, CALLER_HZ, AGENT_HZ)
    hears(caller, AGENT_HZ, CALLER_HZ)
    metrics = server.metrics()
    # baresip says goodbye without SRTP, when its DTLS is gone already
    assert metrics["acd_rtp_discarded_packets_total{reason=unauthentic}"] <= 1
    assert metrics["acd_dtls_failures_total"] == 0
    return cdr


@pytest.mark.rfc("4568-5.1", "3711-3")
@pytest.mark.parametrize(
    ("how", "said"),
    [
        (SDES, "SDES AES_CM_128_HMAC_SHA1_80"),
        (DTLS, "DTLS"),
        (ICE, "DTLS"),
        (DTLS_UNMUXED, "DTLS"),
    ],
)
def test_a_caller_over_srtp_talks_to_an_agent_without(bench: Bench, how: dict[str, Any], said: str) -> None:
    server = bench.serve()
    agent = bench.baresip("1001", server, tone=AGENT_HZ, answers=True)
    caller = bench.baresip("caller1", server, tone=CALLER_HZ, **how)
    cdr = talk(server, caller, agent)
    assert cdr["quality_caller"]["security"].startswith(said)
    assert cdr["quality_agent"]["security"] is None


@pytest.mark.rfc("4568-5.1")
def test_where_srtp_is_required_both_sides_have_it(bench: Bench) -> None:
    server = bench.serve(settings={"media.srtp": "required"})
    agent = bench.baresip("1001", server, tone=AGENT_HZ, answers=True, **SDES)
    caller = bench.baresip("caller1", server, tone=CALLER_HZ, **SDES)
    cdr = talk(server, caller, agent)
    assert {cdr[side]["security"][:4] for side in ("quality_caller", "quality_agent")} == {"SDES"}


@pytest.mark.rfc("4568-7.1.2", "3261-21.4.26")
def test_a_plain_call_is_refused_where_srtp_is_required(bench: Bench) -> None:
    server = bench.serve(settings={"media.srtp": "required"})
    caller = bench.baresip("caller1", server, tone=CALLER_HZ).wait_until_registered()
    caller.dial("10001")
    assert "488" in caller.wait_for("CALL_CLOSED")["param"]
    server.wait_until_idle()


@pytest.mark.rfc("8643-3.1", "4568-5.1")
def test_an_agent_who_is_called_over_tls_is_offered_keys(bench: Bench) -> None:
    secure = SecureServer(bench)
    willing = {"modules": ["module srtp.so"], "account": ["mediaenc=srtp"]}
    agent = phone(bench, secure, "1001", "tls", tone=AGENT_HZ, answers=True, **willing)
    caller = phone(bench, secure, "caller1", "udp", tone=CALLER_HZ, answers=False)
    cdr = talk(secure.server, caller, agent)
    assert cdr["quality_agent"]["security"].startswith("SDES")
    assert cdr["quality_caller"]["security"] is None
