"""Trunks with foreign carriers: SIPp's servers, of which one dies, and Kamailio as a registrar that calls us."""

from __future__ import annotations

import pytest

from tests.peers.conftest import NUMBER, Bench
from tests.peers.kit import LOOPBACK, ROOT, Kamailio, Server, wait_until

pytestmark = pytest.mark.peer("sipp")

AGENT = 'contact = "sip:{agent}@127.0.0.1:16060"'
REMOTE = "+8613900139000"
OUTSIDE = """
[dialling]
country = "86"
area = "10"
[[outbound]]
match = ["+86."]
trunks = ["one", "two"]
"""
CALLER = "+861065550000"
DIGEST = {"debug=-1": "#!define DIGEST\ndebug=-1"}
BOTH_TRANSPORTS = {"disable_tcp=yes": "tcp_children=1\nlisten=tcp:LISTEN"}
ASKS_US = {
    '    if (is_method("CANCEL")) {': """
    if (is_method("INVITE") && $fU == "us" && !has_totag()) {
        if (!pv_proxy_authenticate("ims.example", "demo", "0")) {
            proxy_challenge("ims.example", "1");
            exit;
        }
        consume_credentials();
    }
    if (is_method("CANCEL")) {"""
}


def uri(port: int, *, tcp: bool) -> str:
    return f"sip:{LOOPBACK}:{port}" + (";transport=tcp" if tcp else "")


def serve(bench: Bench, trunks: str) -> Server:
    """A server whose agents are at a number outside, called by the trunks one and two."""
    changes = {AGENT: f'contact = "tel:{REMOTE}"', NUMBER: f"{OUTSIDE}{trunks}{NUMBER}"}
    return bench.serve("lab.toml", changes=changes)


def two_trunks(first: str, second: str, more: str = "") -> str:
    return "".join(
        f'[trunks.{name}]\nservers = ["{each}"]\ncaller = "{CALLER}"\n{more}\n'
        for name, each in (("one", first), ("two", second))
    )


def call(bench: Bench, server: Server, *, tcp: bool = False, pause: float = 0.3) -> None:
    bench.sipp("call", remote=server.sip, number="10001", pause=pause, tcp=tcp).succeed()


def up(server: Server) -> dict[str, bool]:
    return {trunk["id"]: trunk["up"] for trunk in server.items("trunks")}


@pytest.mark.rfc("3263-4.3", "3261-21.5.4")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("how", ["503", "dead"])
def test_the_next_trunk_takes_the_call(bench: Bench, tcp: bool, how: str) -> None:
    ports = bench.port(), bench.port()
    server = serve(bench, two_trunks(uri(ports[0], tcp=tcp), uri(ports[1], tcp=tcp), "ping_seconds = 0"))
    refusing = bench.sipp("agent_overloaded", port=ports[0], tcp=tcp) if how == "503" else None
    carrier = bench.sipp("carrier", port=ports[1], tcp=tcp)
    call(bench, server, tcp=tcp, pause=0.3 if refusing else 3.0)  # a silent one is waited for eight times T1
    carrier.succeed()
    if refusing is not None:
        refusing.succeed()
    (rang,) = carrier.said("rang")
    assert f"<sip:{CALLER}@" in rang
    assert f"<sip:{REMOTE}@" in rang
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["trunk"], cdr["trunk_out"], cdr["outcome"]) == (None, "two", "answered")
    assert server.metrics()["acd_trunk_failovers_total{trunk=one}"] == 1
    assert server.logged("trunk.failed_over")
    server.wait_until_idle(refused=1)


@pytest.mark.rfc("3261-11")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_pings_tell_when_a_carrier_dies_and_comes_back(bench: Bench, tcp: bool) -> None:
    ports = bench.port(), bench.port()
    carriers = [bench.sipp("carrier", port=port, tcp=tcp, calls=None) for port in ports]
    uris = [uri(port, tcp=tcp) for port in ports]
    server = serve(bench, two_trunks(uris[0], uris[1], "ping_seconds = 0.5"))
    both = {f"acd_trunk_up{{server={each},trunk={name}}}" for name, each in zip(("one", "two"), uris, strict=True)}
    wait_until(lambda: len(server.logged("trunk.up")) == 2, 10, "both answer")
    metrics = server.metrics()
    assert {metrics[name] for name in both} == {1}
    call(bench, server)
    assert len(carriers[0].said("rang")) == 1
    carriers[0].end()
    wait_until(lambda: up(server) == {"one": False, "two": True}, 20, "the first is down")
    assert sorted(server.metrics()[name] for name in both) == [0, 1]
    call(bench, server)
    assert len(carriers[1].said("rang")) == 1
    assert server.metrics()["acd_trunk_failovers_total{trunk=one}"] == 0
    again = bench.sipp("carrier", port=ports[0], tcp=tcp, calls=None)
    wait_until(lambda: up(server) == {"one": True, "two": True}, 20, "the first is back")
    call(bench, server)
    wait_until(lambda: len(again.said("rang")) == 1, 5, "it is called again")


@pytest.mark.peer("kamailio")
@pytest.mark.rfc("3261-10.2", "3261-22.2", "3261-22.3")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_kamailio_takes_our_registration_and_calls_by_it(bench: Bench, tcp: bool) -> None:
    theirs = Kamailio(
        ROOT / "benchmarks" / "kamailio.cfg",
        bench.directory,
        bench.port(),
        {**BOTH_TRANSPORTS, **ASKS_US, **DIGEST},
    )
    bench.keep(theirs)
    theirs.wait_until_ready()
    account = 'user = "us"\npassword = "demo"\nregister = true\ndomain = "ims.example"\nping_seconds = 0'
    one = f'[trunks.one]\nservers = ["{uri(theirs.address[1], tcp=tcp)}"]\n{account}\n'
    two = f'[trunks.two]\nservers = ["{uri(bench.port(), tcp=tcp)}"]\nping_seconds = 0\n[numbers.us]\nqueue = "lab"\n'
    server = serve(bench, one + two)
    wait_until(lambda: server.logged("trunk.registered"), 10, "Kamailio takes our registration")
    # the callee outside is a phone of Kamailio's; the caller outside calls us by it, and is led outside again
    phone = bench.port()
    credentials = ["-au", REMOTE, "-ap", "demo", "-auth_uri", "ims.example"]
    keys = {"caller": REMOTE}
    bench.sipp("register", remote=theirs.address, port=phone, tcp=tcp, keys=keys, options=credentials).succeed()
    agent = bench.sipp("agent", port=phone, tcp=tcp, keys=keys)
    caller = bench.sipp("call", remote=theirs.address, number="us", pause=0.3, tcp=tcp, keys={"caller": "013800138000"})
    caller.succeed()
    agent.succeed()
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["trunk"], cdr["trunk_out"]) == ("one", "one")
    assert (cdr["dialled"], cdr["caller"], cdr["outcome"]) == ("us", "+8613800138000", "answered")
    (view,) = [trunk for trunk in server.items("trunks") if trunk["id"] == "one"]
    assert view["registration"]["state"] == "registered"
    assert view["calls"] == {"in": 1, "out": 1}
    server.stop()
    assert server.logged("trunk.unregistered")
    gone = bench.sipp("call", remote=theirs.address, number="us", tcp=tcp, keys={"caller": "013800138000"})
    gone.wait(20.0)
    assert gone.received("404") == 1, "taken back"
