"""Topology hiding: SIPp outside, by each way at once, learns nothing of SIPp inside, and talks to it all the same."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, SIX, WAYS, Sipp, Way

pytestmark = pytest.mark.peer("sipp")

OUTSIDE = "127.0.0.2"


def seen_from_outside(way: Way) -> Way:
    """The same way from an address of its own, where there is another."""
    return way if way.host == SIX else way._replace(host=OUTSIDE)


def assert_told_nothing(outside: Sipp, start: str, inside: int) -> None:
    """No header of what came out names the port of who is inside, and only we have been on the way."""
    for message in outside.heard(start):
        head = message.split("\n\n")[0].splitlines()
        assert [line for line in head if f":{inside}" in line and not line.startswith(f"{start} ")] == []
        assert len([line for line in head if line.startswith("Via:")]) == 1, message
        assert len([line for line in head if line.startswith("Record-Route:")]) <= 2


@pytest.mark.rfc("TS24.229-5.10.4")
def test_outside_nobody_learns_who_is_inside_and_calls_go_both_ways(bench: Bench) -> None:
    ways = [seen_from_outside(way) for way in WAYS]
    port = bench.port()
    domains = ", ".join(f'"{way.name}.lab.example" = "{way.uri("", port).replace("@", "")}"' for way in ways)
    server = bench.serve(
        changes={"# relay = {}": f"relay = {{ {domains} }}"},
        settings={
            "sip.authentication": "off",
            "sip.hide_topology": True,
            "trunks.outside.sources": [OUTSIDE, SIX],
        },
    )
    inside = Way(LOOPBACK)
    phones = []
    for way in ways:
        keys = {"caller": way.name, "at": bench.port()}
        bench.sipp("register_open", remote=server.at(inside), way=inside, keys=keys).succeed()
        phones.append(bench.sipp("agent_hangs_up", port=keys["at"], way=inside, keys=keys, pause=0.1))
    callers = [
        bench.sipp("call_wait", remote=server.at(there), way=way, number=way.name, options=["-trace_msg"])
        for there, way in zip(WAYS, ways, strict=True)
    ]
    for caller, phone in zip(callers, phones, strict=True):
        caller.succeed()
        phone.succeed()
        assert_told_nothing(caller, "SIP/2.0 200", phone.port)
        assert_told_nothing(caller, "BYE", phone.port)

    agents = [bench.sipp("agent", port=port, way=way, keys={"caller": "out"}, options=["-trace_msg"]) for way in ways]
    for way in ways:
        way.wait_for_listener(port)
    dialling = [
        bench.sipp(
            "call_by_name",
            remote=server.at(inside),
            way=inside,
            number="out",
            keys={"caller": "alice", "domain": f"{way.name}.lab.example"},
            pause=0.1,
        )
        for way in ways
    ]
    for caller, agent in zip(dialling, agents, strict=True):
        caller.succeed()
        agent.succeed()
        for start in ("INVITE", "BYE"):
            assert_told_nothing(agent, start, caller.port)
    server.wait_until_idle()
