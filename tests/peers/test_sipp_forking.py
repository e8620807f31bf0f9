"""Forking by q to SIPp's phones, over UDP and TCP, IPv4 and IPv6, all at once."""

from __future__ import annotations

from itertools import chain

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Server, Sipp, wait_until

pytestmark = pytest.mark.peer("sipp")


class Desk:
    """A server on which whoever likes registers; each way there is a user of its own, named after it."""

    def __init__(self, bench: Bench, *, fork_seconds: float = 20.0) -> None:
        self.bench = bench
        settings = {"sip.authentication": "off", "sip.fork_seconds": fork_seconds}
        self.server: Server = bench.serve(settings=settings)

    def phones(self, scenario: str, q: float, pause: float = 0.0) -> list[Sipp]:
        """Register a phone of each user that answers by this scenario."""
        ports = [self.bench.port() for _ in WAYS]
        keys = [{"caller": way.name, "q": q, "at": port} for way, port in zip(WAYS, ports, strict=True)]
        for way, named in zip(WAYS, keys, strict=True):
            self.bench.sipp("register_open", remote=self.server.at(way), way=way, keys=named).succeed()
        waiting = []
        for way, port, named in zip(WAYS, ports, keys, strict=True):
            options = ["-trace_msg"]
            waiting.append(self.bench.sipp(scenario, port=port, way=way, keys=named, pause=pause, options=options))
            way.wait_for_listener(port)
        return waiting

    def call(self, scenario: str = "call") -> list[Sipp]:
        """Call each user on his way."""
        return [
            self.bench.sipp(
                scenario, remote=self.server.at(way), number=way.name, way=way, pause=0.2, keys={"caller": "alice"}
            )
            for way in WAYS
        ]


def succeed(*groups: list[Sipp]) -> None:
    for sipp in chain(*groups):
        sipp.succeed()


def received(phones: list[Sipp], start: str) -> list[int]:
    return [phone.received(start) for phone in phones]


EACH = len(WAYS)


@pytest.mark.rfc("3261-16.6", "3261-16.7")
def test_phones_are_tried_in_the_order_of_q(bench: Bench) -> None:
    desk = Desk(bench)
    last = desk.phones("agent_rings", 0.1)
    second = desk.phones("agent", 0.5, pause=0.2)
    first = desk.phones("agent_busy", 1.0)
    succeed(desk.call(), first, second)
    assert received(first, "INVITE") == received(second, "INVITE") == [1] * EACH
    assert received(last, "INVITE") == [0] * EACH
    assert received(second, "ACK") == [1] * EACH, "the ACK to the 2xx is relayed once"
    desk.server.wait_until_idle(refused=EACH)


@pytest.mark.rfc("3261-16.7", "3326-2")
def test_phones_of_one_q_ring_together_and_the_loser_is_told_why(bench: Bench) -> None:
    desk = Desk(bench)
    losers = desk.phones("agent_rings", 1.0)
    winners = desk.phones("agent", 1.0, pause=1.0)
    succeed(desk.call(), winners, losers)
    for loser in losers:
        (cancel,) = set(loser.heard("CANCEL "))
        assert 'Reason: SIP;cause=200;text="Call completed elsewhere"' in cancel
    assert received(winners, "ACK") == [1] * EACH, "the ACK to the 2xx is relayed once, not to every branch"
    desk.server.wait_until_idle(refused=EACH)


@pytest.mark.rfc("3261-16.8")
def test_a_phone_that_only_rings_is_left_for_the_next(bench: Bench) -> None:
    desk = Desk(bench, fork_seconds=0.5)
    second = desk.phones("agent", 0.5, pause=0.1)
    first = desk.phones("agent_rings", 1.0)
    succeed(desk.call(), first, second)
    assert received(first, "CANCEL") == [1] * EACH
    desk.server.wait_until_idle(refused=EACH)


@pytest.mark.rfc("3261-16.7")
def test_a_6xx_spares_the_other_phones(bench: Bench) -> None:
    desk = Desk(bench)
    others = desk.phones("agent_rings", 0.5)
    first = desk.phones("agent_declines", 1.0)
    callers = desk.call()
    wait_until(lambda: all(received(callers, "603")), 10, "603")
    succeed(first)
    assert received(others, "INVITE") == [0] * EACH
