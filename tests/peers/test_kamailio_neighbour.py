"""Kamailio as neighbour: our proxy in front of its registrar, and its proxy in front of ours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, ROOT, Kamailio, Program, Sipp, wait_until

pytestmark = [pytest.mark.peer("kamailio"), pytest.mark.peer("sipp")]

REGISTRAR = ROOT / "benchmarks" / "kamailio.cfg"
FRONT = Path(__file__).with_name("kamailio_front.cfg")
BOTH_TRANSPORTS = {"disable_tcp=yes": "tcp_children=1\nlisten=tcp:LISTEN"}


def kamailio(bench: Bench, config: Path, changes: dict[str, str]) -> Kamailio:
    program = Kamailio(config, bench.directory, bench.port(), changes)
    bench.keep(program)
    return program.wait_until_ready()


def our_proxy(bench: Bench, next_hop: str) -> tuple[str, int]:
    """Run the proxy of the examples in front of ``next_hop``; returns its address."""
    port = bench.port()
    listen = [f"{transport}:{LOOPBACK}:{port}" for transport in ("udp", "tcp")]
    command = [sys.executable, str(ROOT / "examples" / "proxy.py"), next_hop, *listen]
    program = Program(command, bench.directory / "proxy.log", cwd=ROOT)
    bench.keep(program)
    wait_until(lambda: str(port) in program.output, what="the proxy is ready")
    return LOOPBACK, port


def lines(message: str, name: str) -> list[str]:
    """The values of a header, lists taken apart."""
    return [
        value.strip()
        for line in message.splitlines()
        if line.lower().startswith(f"{name.lower()}:")
        for value in line.partition(":")[2].split(",")
    ]


def assert_through(phone: Sipp, *ports: int) -> None:
    """Every request of the dialog has come to ``phone`` by the proxies at these ports, the last one first."""
    for start, times in (("INVITE ", 3), ("ACK ", 3), ("BYE ", 1)):
        messages = phone.heard(start)
        assert len(messages) >= times, start
        for message in messages:
            came_by = [via.partition(";")[0].rpartition(":")[2] for via in lines(message, "Via")]
            assert [int(port) for port in came_by[: len(ports)]] == list(ports), message
    recorded = lines(phone.heard("INVITE ")[0], "Record-Route")
    routes = [int(route.partition(";")[0].rpartition(":")[2].strip("<>")) for route in recorded]
    assert list(dict.fromkeys(routes)) == list(dict.fromkeys(ports))


@pytest.mark.rfc("3261-16.6", "3261-16.12.1.1", "3261-10.2")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("between", ["udp", "tcp"])
def test_our_proxy_in_front_of_its_registrar(bench: Bench, tcp: bool, between: str) -> None:
    theirs = kamailio(bench, REGISTRAR, BOTH_TRANSPORTS)
    parameter = "" if between == "udp" else ";transport=tcp"
    ours = our_proxy(bench, f"sip:{LOOPBACK}:{theirs.address[1]}{parameter}")
    port = bench.port()
    bench.sipp("register_open", remote=ours, tcp=tcp, keys={"caller": "bob", "at": port}).succeed()
    bob = bench.sipp("agent_reinvited", port=port, tcp=tcp, keys={"caller": "bob"}, options=["-trace_msg"])
    alice = bench.sipp("call_hold", remote=ours, number="bob", tcp=tcp, pause=0.2, keys={"caller": "alice"})
    alice.succeed()
    bob.succeed()
    assert_through(bob, theirs.address[1], ours[1])


@pytest.mark.rfc("3261-16.6", "3261-16.12.1.1", "3327-5.3")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("between", ["udp", "tcp"])
def test_its_proxy_in_front_of_ours(bench: Bench, tcp: bool, between: str) -> None:
    server = bench.serve(settings={"trunks.front.sources": [LOOPBACK]})  # it vouches for who calls through it
    parameter = "" if between == "udp" else ";transport=tcp"
    theirs = kamailio(bench, FRONT, {"NEXT": f"{server.uri_host}{parameter}"})
    ports = {user: bench.port() for user in ("alice", "bob")}
    for user, port in ports.items():
        credentials = ["-au", user, "-ap", "demo", "-auth_uri", "ims.example"]
        bench.sipp(
            "register", remote=theirs.address, port=port, tcp=tcp, keys={"caller": user}, options=credentials
        ).succeed()
    bob = bench.sipp("agent_reinvited", port=ports["bob"], tcp=tcp, keys={"caller": "bob"}, options=["-trace_msg"])
    chosen = {"port": ports["alice"], "number": "bob", "tcp": tcp, "pause": 0.2, "keys": {"caller": "alice"}}
    alice = bench.sipp("call_hold", remote=theirs.address, **chosen)
    alice.succeed()
    bob.succeed()
    assert_through(bob, theirs.address[1], server.sip[1], theirs.address[1])
    server.wait_until_idle()
