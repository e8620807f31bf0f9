"""SIPp behind names: found by SRV records, the next one when one does not serve, by TCP what is too large."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ims_core.locate.records import OUTCOMES
from tests.kit.dns import Nameserver
from tests.peers.conftest import Bench
from tests.peers.kit import Server, Sipp

pytestmark = pytest.mark.peer("sipp")

CONTACT = "sip:{agent}@127.0.0.1:16060"
BY_NAME = {CONTACT: "sip:{agent}@agents.lab.example"}
LARGE = "x" * 400  # the caller's name stands in From and Contact


@pytest.fixture
def phones(bench: Bench) -> tuple[int, int]:
    """Two ports."""
    return bench.port(), bench.port()


@pytest.fixture
def nameserver(phones: tuple[int, int]) -> Iterator[Nameserver]:
    """Knows ``agents.lab.example``, and two servers of it."""
    first, second = phones
    zone = f"""
agents 300 IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.agents
agents 300 IN NAPTR 20 10 "s" "SIP+D2T" "" _sip._tcp.agents
_sip._udp.agents 300 IN SRV 1 0 {first} host
_sip._udp.agents 300 IN SRV 2 0 {second} host
host 300 IN A 127.0.0.1
"""
    with Nameserver("lab.example", zone) as running:
        yield running


def serve(bench: Bench, nameserver: Nameserver) -> Server:
    host, port = nameserver.address
    settings = {"sip.nameservers": [f"{host}:{port}"]}
    return bench.serve("lab.toml", changes=BY_NAME, settings=settings, rtp_ports="20000-29999")


def call(bench: Bench, server: Server, number: str = "a001", **options: object) -> Sipp:
    caller = bench.sipp("call", remote=server.sip, number=number, pause=0.3, **options)
    caller.succeed()
    return caller


@pytest.mark.rfc("3263-4", "3263-4.3", "3261-21.5.4")
def test_a_server_that_answers_503_is_followed_by_the_next(
    bench: Bench, nameserver: Nameserver, phones: tuple[int, int]
) -> None:
    server = serve(bench, nameserver)
    overloaded = bench.sipp("agent_overloaded", port=phones[0], calls=1)
    agent = bench.sipp("agent", port=phones[1], calls=3)
    for number in ("a001", "10001", "a002"):  # by the proxy, by the queue, and by the proxy again
        call(bench, server, number)
    agent.succeed()
    overloaded.succeed()  # it was left alone for as long as it had asked
    metrics = server.metrics()
    assert metrics["acd_sip_failovers_total{cause=503}"] == 1
    assert metrics["acd_sip_servers_dead"] == 1
    outcomes = {outcome: metrics[f"acd_sip_dns_answers_total{{kind=SRV,outcome={outcome}}}"] for outcome in OUTCOMES}
    assert outcomes == {"found": 1, "none": 1, "failed": 0}
    (told,) = server.logged("server.failed")
    assert (told["server"], told["cause"]) == (f"udp:127.0.0.1:{phones[0]}", "503")
    assert nameserver.asked.count("NAPTR agents.lab.example") == 1
    server.wait_until_idle(refused=1)


@pytest.mark.rfc("3263-4.3")
def test_a_server_that_is_gone_is_followed_by_the_next(
    bench: Bench, nameserver: Nameserver, phones: tuple[int, int]
) -> None:
    server = serve(bench, nameserver)
    agent = bench.sipp("agent", port=phones[1], calls=2)
    call(bench, server)
    call(bench, server, "10001")
    agent.succeed()
    assert server.metrics()["acd_sip_failovers_total{cause=timeout}"] == 1
    server.wait_until_idle()


@pytest.mark.rfc("3261-16.9")
def test_a_name_that_nobody_knows_ends_the_call_at_once(bench: Bench, nameserver: Nameserver) -> None:
    nowhere = {CONTACT: "sip:{agent}@nobody.lab.example"}
    host, port = nameserver.address
    settings = {"sip.nameservers": [f"{host}:{port}"]}
    server = bench.serve("lab.toml", changes=nowhere, settings=settings, rtp_ports="20000-29999")
    caller = bench.sipp("call", remote=server.sip, number="a001")
    caller.wait(20)
    assert caller.received("SIP/2.0 500") == 1, caller.report()
    assert server.metrics()["acd_sip_dns_answers_total{kind=A,outcome=none}"] == 1


@pytest.mark.rfc("3261-18.1.1")
@pytest.mark.parametrize("tcp", [True, False], ids=["with-tcp", "udp-only"])
def test_what_is_too_large_goes_by_tcp_where_the_peer_has_it(bench: Bench, *, tcp: bool) -> None:
    server, port = bench.serve_lab(rtp_ports="20000-29999")
    agent = bench.sipp("agent", port=port, calls=2, tcp=tcp)
    for _ in range(2):
        call(bench, server, keys={"caller": LARGE})
    agent.succeed()
    assert server.metrics()["acd_sip_failovers_total{cause=no_tcp}"] == (0 if tcp else 1)
    server.wait_until_idle()
