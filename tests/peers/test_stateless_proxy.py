"""The proxy without state, between SIPp's phones."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, wait_until
from tests.peers.test_examples import run

pytestmark = pytest.mark.peer("sipp")


@pytest.mark.rfc("3261-16.11")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("onward", [False, True], ids=["to-udp", "to-tcp"])
def test_calls_with_reinvites_go_through_without_state(bench: Bench, tcp: bool, onward: bool) -> None:
    agent = bench.sipp("agent_reinvited", tcp=onward, calls=5, options=["-trace_msg"])
    proxy, address = run(bench, "stateless_proxy", f"sip:{LOOPBACK}:{agent.port}{';transport=tcp' if onward else ''}")
    bench.sipp("call_hold", remote=address, calls=5, rate=10, tcp=tcp, pause=0.1).succeed()
    agent.succeed()
    assert all(f":{address[1]}" in route for route in agent.said("route"))
    assert "Traceback" not in proxy.output


@pytest.mark.rfc("3261-16.11", "3261-16.10")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_a_refusal_and_a_cancel_find_their_way_without_state(bench: Bench, tcp: bool) -> None:
    busy = bench.sipp("agent_busy", tcp=tcp)
    _, address = run(bench, "stateless_proxy", f"sip:{LOOPBACK}:{busy.port}{';transport=tcp' if tcp else ''}")
    caller = bench.sipp("call", remote=address, tcp=tcp)
    wait_until(lambda: caller.received("486"), 10, "486")
    rings = bench.sipp("agent_rings", tcp=tcp)
    _, address = run(bench, "stateless_proxy", f"sip:{LOOPBACK}:{rings.port}{';transport=tcp' if tcp else ''}")
    bench.sipp("call_cancel", remote=address, tcp=tcp, pause=0.2).succeed()
    rings.succeed()
