"""Trunks with foreign carriers: SIPp's servers, of which one dies, and Kamailio as a registrar that calls us."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import sqrt

import pytest

from tests.peers.conftest import NUMBER, Bench
from tests.peers.kit import LOOPBACK, ROOT, WAYS, Kamailio, Server, Way, wait_until

pytestmark = pytest.mark.peer("sipp")

AGENT = 'contact = "sip:{agent}@127.0.0.1:16060"'
EACH = len(WAYS)
CALLS, AT_A_TIME = 60, 4  # by each way
PORTS = 160
UNHURRIED = {"overload.enabled": False, "sip.t1_seconds": 2.0, "sip.t2_seconds": 4.0}
"""No call is turned away or repeated, however late the server comes to it."""
WEIGHTS = dict(zip(WAYS, (1, 6, 6, 1), strict=False))
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


def uri(port: int, way: Way) -> str:
    return way.uri("", port).replace("@", "")


def number(way: Way) -> str:
    """The number of the agent who is reached by the trunks of that way."""
    return f"{REMOTE[:-1]}{WAYS.index(way)}"


def serve(bench: Bench, trunks: str) -> Server:
    """A server whose agents are at a number outside, called by the trunks one and two."""
    changes = {AGENT: f'contact = "tel:{REMOTE}"', NUMBER: f"{OUTSIDE}{trunks}{NUMBER}"}
    return bench.serve("lab.toml", changes=changes)


def serve_each_way(bench: Bench, ports: tuple[int, int], more: str) -> Server:
    """A server with one agent for each way, at a number outside, called by trunks of that way: one, then two."""
    tables = '[dialling]\ncountry = "86"\narea = "10"\n'
    for way in WAYS:
        names = [f"{each}-{way.name}" for each in ("one", "two")]
        for name, port in zip(names, ports, strict=True):
            tables += f'[trunks.{name}]\nservers = ["{uri(port, way)}"]\ncaller = "{CALLER}"\n{more}\n'
        tables += f'[[outbound]]\nmatch = ["{number(way)}"]\ntrunks = {json.dumps(names)}\n'
    for way in WAYS[1:]:
        tables += f'[agents.{way.name}]\nqueues = ["lab"]\nalways_ready = true\ncontact = "tel:{number(way)}"\n'
    first = {'"a001..a200"': WAYS[0].name, AGENT: f'contact = "tel:{number(WAYS[0])}"'}
    return bench.serve("lab.toml", changes={**first, NUMBER: f"{tables}{NUMBER}"})


def call(bench: Bench, server: Server, *, pause: float = 0.3) -> None:
    """Call by each way at once."""
    for caller in bench.each_way("call", server, pause=pause):
        caller.succeed()


def up(server: Server) -> dict[str, bool]:
    return {trunk["id"]: trunk["up"] for trunk in server.items("trunks")}


@pytest.mark.rfc("3263-4.3", "3261-21.5.4")
@pytest.mark.parametrize("how", ["503", "dead"])
def test_the_next_trunk_takes_the_call(bench: Bench, how: str) -> None:
    ports = bench.port(), bench.port()
    server = serve_each_way(bench, ports, "ping_seconds = 0")
    refusing = bench.each_way("agent_overloaded", port=ports[0]) if how == "503" else []
    carriers = bench.each_way("carrier", port=ports[1])
    call(bench, server, pause=0.3 if refusing else 3.0)  # a silent one is waited for eight times T1
    for sipp in (*carriers, *refusing):
        sipp.succeed()
    for way, carrier in zip(WAYS, carriers, strict=True):
        (rang,) = carrier.said("rang")
        assert f"<sip:{CALLER}@" in rang
        assert f"<sip:{number(way)}@" in rang
    cdrs = server.wait_for_cdrs(EACH)
    assert {(cdr["trunk"], cdr["outcome"]) for cdr in cdrs} == {(None, "answered")}
    assert {cdr["trunk_out"] for cdr in cdrs} == {f"two-{way.name}" for way in WAYS}
    metrics = server.metrics()
    assert [metrics[f"acd_trunk_failovers_total{{trunk=one-{way.name}}}"] for way in WAYS] == [1] * EACH
    assert len(server.logged("trunk.failed_over")) == EACH
    server.wait_until_idle(refused=EACH)


@pytest.mark.rfc("3261-11")
def test_pings_tell_when_a_carrier_dies_and_comes_back(bench: Bench) -> None:
    ports = bench.port(), bench.port()
    carriers = [bench.each_way("carrier", port=port, calls=None) for port in ports]
    server = serve_each_way(bench, ports, "ping_seconds = 0.5")
    both = {
        f"acd_trunk_up{{server={uri(port, way)},trunk={name}-{way.name}}}"
        for name, port in zip(("one", "two"), ports, strict=True)
        for way in WAYS
    }
    all_up = {f"{name}-{way.name}": True for name in ("one", "two") for way in WAYS}
    one_down = all_up | {f"one-{way.name}": False for way in WAYS}
    wait_until(lambda: len(server.logged("trunk.up")) == 2 * EACH, 10, "all answer")
    metrics = server.metrics()
    assert {metrics[name] for name in both} == {1}
    call(bench, server)
    assert [len(carrier.said("rang")) for carrier in carriers[0]] == [1] * EACH
    for carrier in carriers[0]:
        carrier.end()
    wait_until(lambda: up(server) == one_down, 20, "the first of each way is down")
    assert sorted(server.metrics()[name] for name in both) == [0] * EACH + [1] * EACH
    call(bench, server)
    assert [len(carrier.said("rang")) for carrier in carriers[1]] == [1] * EACH
    assert server.metrics()["acd_trunk_failovers_total{trunk=one-udp4}"] == 0
    again = bench.each_way("carrier", port=ports[0], calls=None)
    wait_until(lambda: up(server) == all_up, 20, "the first is back")
    call(bench, server)
    wait_until(lambda: [len(carrier.said("rang")) for carrier in again] == [1] * EACH, 5, "it is called again")


def serve_shared(bench: Bench, tables: str, agents: str = "a001..a200") -> Server:
    """A server whose agents, all at a number outside, are called by what the tables say."""
    changes = {
        "a001..a200": agents,
        AGENT: f'contact = "tel:{REMOTE}"',
        NUMBER: f'[dialling]\ncountry = "86"\narea = "10"\n{tables}{NUMBER}',
    }
    first = bench.port(PORTS)
    rtp_ports = f"{first}-{first + PORTS - 1}"
    return bench.serve("lab.toml", changes=changes, rtp_ports=rtp_ports, settings=UNHURRIED)


def test_a_trunk_that_is_full_leaves_the_call_to_the_next(bench: Bench) -> None:
    """One call at a time is all that each trunk takes, and each is reached by another way."""
    port = bench.port()
    names = [f"to-{way.name}" for way in WAYS]
    tables = "".join(
        f'[trunks.{name}]\nservers = ["{uri(port, way)}"]\nmax_calls = 1\nping_seconds = 0\n'
        for name, way in zip(names, WAYS, strict=True)
    )
    tables += f'[[outbound]]\nmatch = ["+86."]\ntrunks = {json.dumps(names)}\n'
    server = serve_shared(bench, tables, "a001..a004")
    carriers = bench.each_way("carrier", port=port)
    callers = bench.each_way("call_wait", server)
    wait_until(lambda: [call["stage"] for call in server.calls] == ["talking"] * EACH, 10, "all talk")
    for caller in callers:
        caller.end()
    assert [len(carrier.said("rang")) for carrier in carriers] == [1] * EACH


def weighed_trunks(port: int) -> str:
    """A trunk for each way, which share the calls by weight."""
    trunks = "".join(
        f'[trunks.{way.name}]\nservers = ["{uri(port, way)}"]\nweight = {weight}\nping_seconds = 0\n'
        for way, weight in WEIGHTS.items()
    )
    names = json.dumps([way.name for way in WEIGHTS])
    return f'{trunks}[[outbound]]\nmatch = ["+86."]\ntrunks = {names}\nshare = "weight"\n'


def weighed_servers(port: int) -> str:
    """One trunk with a server for each way."""
    servers = "".join(
        f'[trunks.one.servers.{way.name}]\nuri = "{uri(port, way)}"\nweight = {weight}\n'
        for way, weight in WEIGHTS.items()
    )
    return f'[trunks.one]\nping_seconds = 0\n{servers}[[outbound]]\nmatch = ["+86."]\ntrunks = ["one"]\n'


@pytest.mark.parametrize("tables", [weighed_trunks, weighed_servers])
def test_calls_are_shared_by_weight(bench: Bench, tables: Callable[[int], str]) -> None:
    """Each draws its part of the calls, by six standard deviations; an equal part, or all of one, is beyond that."""
    port = bench.port()
    server = serve_shared(bench, tables(port))
    carriers = bench.each_way("agent_hangs_up", port=port, calls=None, keys={"caller": "carrier"})
    for caller in bench.each_way("call_wait", server, calls=CALLS, options=["-r", "100", "-l", str(AT_A_TIME)]):
        caller.succeed()
    drawn = [len(carrier.said("rang")) for carrier in carriers]
    assert sum(drawn) == CALLS * EACH
    for calls, weight in zip(drawn, WEIGHTS.values(), strict=True):
        part = weight / sum(WEIGHTS.values())
        assert calls > 0, drawn
        assert abs(calls - sum(drawn) * part) < 6 * sqrt(sum(drawn) * part * (1 - part)), drawn


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
    way = Way(LOOPBACK, tcp)
    one = f'[trunks.one]\nservers = ["{uri(theirs.address[1], way)}"]\n{account}\n'
    two = f'[trunks.two]\nservers = ["{uri(bench.port(), way)}"]\nping_seconds = 0\n[numbers.us]\nqueue = "lab"\n'
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
