"""The proxy without state, between SIPp's phones."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Way, by_each_way, wait_until
from tests.peers.test_examples import run

pytestmark = pytest.mark.peer("sipp")

EACH = len(WAYS)


def onward(way: Way, port: int) -> str:
    return way.uri("", port).replace("@", "")


@pytest.mark.rfc("3261-16.11")
@pytest.mark.parametrize("far", WAYS, ids=[f"to-{way.name}" for way in WAYS])
def test_calls_with_reinvites_go_through_without_state(bench: Bench, far: Way) -> None:
    agent = bench.sipp("agent_reinvited", way=far, calls=2 * EACH, options=["-trace_msg"])
    far.wait_for_listener(agent.port)
    proxy, (_, port) = run(bench, "stateless_proxy", onward(far, agent.port))
    callers = [bench.sipp("call_hold", remote=(way.host, port), calls=2, rate=10, way=way, pause=0.1) for way in WAYS]
    for sipp in (*callers, agent):
        sipp.succeed()
    assert all(f":{port}" in route for route in agent.said("route"))
    assert "Traceback" not in proxy.output


@pytest.mark.rfc("3261-16.11", "3261-16.10")
@by_each_way
def test_a_refusal_and_a_cancel_find_their_way_without_state(bench: Bench, way: Way) -> None:
    busy = bench.sipp("agent_busy", way=way)
    _, (_, port) = run(bench, "stateless_proxy", onward(way, busy.port))
    caller = bench.sipp("call", remote=(way.host, port), way=way)
    wait_until(lambda: caller.received("486"), 10, "486")
    rings = bench.sipp("agent_rings", way=way)
    _, (_, port) = run(bench, "stateless_proxy", onward(way, rings.port))
    bench.sipp("call_cancel", remote=(way.host, port), way=way, pause=0.2).succeed()
    rings.succeed()
