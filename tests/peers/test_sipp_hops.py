"""What a proxy takes note of, CANCEL and ACK that come too late, answers that fork: SIPp by each way at once."""

from __future__ import annotations

from functools import partial

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Server, Sipp, wait_until

pytestmark = pytest.mark.peer("sipp")

EACH = len(WAYS)
OPEN = {"sip.authentication": "off"}
PLAIN = {"hops": 70, "more": "X-Unknown: as it is"}


def register(bench: Bench, server: Server, ports: list[int]) -> None:
    """Register a contact at these ports for the user of each way, who is named after it."""
    for way, port in zip(WAYS, ports, strict=True):
        keys = {"caller": way.name, "at": port}
        bench.sipp("register_open", remote=server.at(way), way=way, keys=keys).succeed()


def ask(bench: Bench, server: Server, **keys: object) -> list[Sipp]:
    """Send each user a request, on his way."""
    return [
        bench.sipp("frob", remote=server.at(way), way=way, number=way.name, keys={"caller": "alice", **PLAIN, **keys})
        for way in WAYS
    ]


def told(asked: list[Sipp], status: str) -> bool:
    return all(sipp.received(f"SIP/2.0 {status} ") for sipp in asked)


@pytest.mark.rfc("3261-16.3", "5393-5.3.3")
def test_what_may_not_go_on_is_told(bench: Bench) -> None:
    server = bench.serve(settings=OPEN)
    phones = bench.each_way("agent_frobs")
    register(bench, server, [phone.port for phone in phones])
    for status, asked in (
        ("483", ask(bench, server, hops=0)),
        ("420", ask(bench, server, more="Proxy-Require: frobbing")),
        ("440", ask(bench, server, more="Max-Breadth: 0")),
    ):
        wait_until(partial(told, asked, status), 10, status)
    assert [phone.received("FROB") for phone in phones] == [0] * EACH


@pytest.mark.rfc("3261-16.3", "5393-4.2")
def test_a_loop_is_found(bench: Bench) -> None:
    server = bench.serve(settings=OPEN)
    register(bench, server, [server.sip[1]] * EACH)
    asked = ask(bench, server)
    wait_until(lambda: told(asked, "482"), 10, "482")


@pytest.mark.rfc("3261-16.3", "3261-16.6")
def test_an_unknown_method_goes_on_with_what_it_brings(bench: Bench) -> None:
    server = bench.serve(settings=OPEN)
    phones = bench.each_way("agent_frobs")
    register(bench, server, [phone.port for phone in phones])
    for sipp in (*ask(bench, server), *phones):
        sipp.succeed()
    assert [phone.said("frobbed") for phone in phones] == [["69  as it is"]] * EACH
    server.wait_until_idle()


def serve_calls(bench: Bench, scenario: str, agent: str = "agent") -> tuple[Server, list[Sipp], list[Sipp]]:
    """Have callers run the scenario with agents; returns both."""
    server, port = bench.serve_each_way()
    agents = bench.each_way(agent, port=port, pause=0.2, keys={"caller": "agent"})
    callers = bench.each_way(scenario, server, pause=0.3)
    for sipp in (*callers, *agents):
        sipp.succeed()
    assert {cdr["outcome"] for cdr in server.wait_for_cdrs(EACH)} == {"answered"}
    return server, callers, agents


@pytest.mark.rfc("3261-9.2")
def test_a_cancel_after_the_answer_gets_200_and_the_call_goes_on(bench: Bench) -> None:
    server, callers, _ = serve_calls(bench, "call_cancel_late")
    assert all(len(caller.said("cancelled")) == 1 for caller in callers)
    server.wait_until_idle()


@pytest.mark.rfc("3261-13.2.2.4", "3261-12.1")
def test_an_agent_behind_a_proxy_that_forks_is_talked_to_by_the_fork_that_answers(bench: Bench) -> None:
    server, _, agents = serve_calls(bench, "call", "agent_forked")
    assert [agent.received("ACK sip:") for agent in agents] == [1] * EACH
    server.wait_until_idle()


@pytest.mark.rfc("3261-13.3.1.4")
def test_callers_who_never_acknowledge_are_given_up(bench: Bench) -> None:
    server, port = bench.serve_each_way()
    for way in WAYS:
        bench.sipp("agent", port=port, way=way, calls=None, keys={"caller": "agent"})
        way.wait_for_listener(port)
    callers = bench.each_way("call_unacknowledged", server)
    for caller in callers:
        caller.succeed()
        assert caller.received("200") >= 2
    assert {cdr["outcome"] for cdr in server.wait_for_cdrs(EACH)} == {"peer_lost"}
    server.wait_until_idle()
