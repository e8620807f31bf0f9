"""What the examples promise, with phones that are not ours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, WAYS, Program, Way, by_each_way, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.peer("sipp")

EACH = len(WAYS)


def run(bench: Bench, name: str, *arguments: str) -> tuple[Program, tuple[str, int]]:
    """Run an example on a port of its own, by all ways; returns its IPv4 address as well."""
    port = bench.port()
    listen = [f"{'tcp' if way.tcp else 'udp'}:{way.written}:{port}" for way in WAYS]
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments, *listen]
    program = Program(command, bench.directory / f"{name}.log", cwd=EXAMPLES.parent)
    bench.keep(program)
    wait_until(lambda: str(port) in program.output, what=f"{name} is ready")
    return program, (LOOPBACK, port)


@pytest.mark.rfc("3261-10.3", "3261-22.4")
def test_the_registrar_takes_who_knows_the_password(bench: Bench) -> None:
    registrar, (_, port) = run(bench, "registrar")
    keys = {"caller": "alice", "domain": "lab.example"}
    known, wrong = (
        [
            bench.sipp(
                scenario,
                remote=(way.host, port),
                way=way,
                keys=keys,
                options=["-au", "alice", "-ap", password, "-auth_uri", f"{way.written}:{port}"],
            )
            for way in WAYS
        ]
        for scenario, password in (("register", "wonderland"), ("register_refused", "x"))
    )
    for sipp in (*known, *wrong):
        sipp.succeed()
    assert registrar.output.count("BindingAdded(aor='sip:alice@lab.example'") == EACH
    bench.sipp("call", remote=(LOOPBACK, port), keys=keys).wait(20.0)
    assert registrar.running


@pytest.mark.rfc("3261-16.6", "3261-16.12")
@by_each_way
@pytest.mark.parametrize("name", ["proxy", "stateless_proxy"])
def test_the_proxies_stay_in_the_path(bench: Bench, name: str, way: Way) -> None:
    agent = bench.sipp("agent", way=way)
    way.wait_for_listener(agent.port)
    proxy, (_, port) = run(bench, name, way.uri("next", agent.port))
    caller = bench.sipp("call", remote=(way.host, port), way=way)
    caller.succeed()
    assert agent.finish().successful == 1
    assert str(port) in agent.said("route")[0]
    assert proxy.running


@pytest.mark.rfc("3261-13.2", "3261-15.1.1")
def test_the_b2bua_makes_one_call_of_two(bench: Bench) -> None:
    agent = bench.sipp("agent", calls=20)
    b2bua, (_, port) = run(bench, "b2bua", f"{LOOPBACK}:{agent.port}")
    callers = [bench.sipp("call", remote=(way.host, port), way=way, calls=20 // EACH, rate=20 / EACH) for way in WAYS]
    for caller in callers:
        caller.succeed()
    assert agent.wait(10.0) == 0
    assert agent.counts().successful == 20
    assert not agent.said("route")[0].strip("[]")
    assert "Traceback" not in b2bua.output


def test_the_b2bua_passes_on_a_refusal_and_a_change_of_mind(bench: Bench) -> None:
    busy = bench.sipp("agent_busy")
    _, address = run(bench, "b2bua", f"{LOOPBACK}:{busy.port}")
    caller = bench.sipp("call", remote=address)
    caller.wait(20.0)
    assert caller.received("486 ") == 1
    ringing = bench.sipp("agent_rings")
    _, address = run(bench, "b2bua", f"{LOOPBACK}:{ringing.port}")
    bench.sipp("call_cancel", remote=address, pause=0.5).succeed()
    assert ringing.finish().successful == 1


@pytest.mark.rfc("TS24.229-5.7.3", "7044-10.3", "5806-5.2")
@by_each_way
def test_call_forwarding_sends_calls_to_one_number_on_to_another(bench: Bench, way: Way) -> None:
    """Over ISC: who is called changes, the way back to the S-CSCF stays."""
    scscf = bench.sipp("agent_isc", way=way, calls=2)
    way.wait_for_listener(scscf.port)
    other = "sip:+8613800000009@ims.example"
    example, (_, port) = run(bench, "call_forwarding", "+8613800000002", other)
    back = way.uri("odi.1", scscf.port)
    keys = {"server": way.uri("as", port), "back": back}
    for number in ("+8613800000002", "+8613800000003"):
        bench.sipp("call_isc", remote=(way.host, port), way=way, number=number, keys=keys).succeed()
    scscf.succeed()
    assert scscf.said("for") == [other, "sip:+8613800000003@ims.example"]
    assert scscf.said("by") == [f"<{back};lr>"] * 2
    called = "<sip:+8613800000002@ims.example>"
    assert scscf.said("diversion") == [f"{called};reason=unconditional;counter=1", ""]
    assert scscf.said("history") == [f"{called};index=1, <{other}>;index=1.1;mp=1", ""]
    stranger = bench.sipp("call", remote=(way.host, port), way=way, number="+8613800000002")
    stranger.wait(20.0)
    assert stranger.received("403 Not from an S-CSCF") == 1
    assert "Traceback" not in example.output
