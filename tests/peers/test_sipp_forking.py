"""Forking by q to SIPp's phones, over UDP and TCP."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Server, Sipp, wait_until

pytestmark = pytest.mark.peer("sipp")

TRANSPORTS = pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])


class Desk:
    """A server on which whoever likes registers, and phones of bob."""

    def __init__(self, bench: Bench, *, tcp: bool, fork_seconds: float = 20.0) -> None:
        self.bench = bench
        self.tcp = tcp
        settings = {"sip.authentication": "off", "sip.fork_seconds": fork_seconds}
        self.server: Server = bench.serve(settings=settings)

    def phone(self, scenario: str, q: float, pause: float = 0.0) -> Sipp:
        """Register a phone of bob that answers by this scenario."""
        port = self.bench.port()
        keys = {"caller": "bob", "q": q, "at": port}
        self.bench.sipp("register_open", remote=self.server.sip, tcp=self.tcp, keys=keys).succeed()
        return self.bench.sipp(scenario, port=port, tcp=self.tcp, keys=keys, pause=pause, options=["-trace_msg"])

    def call(self, **options: object) -> Sipp:
        """Call bob."""
        keys = {"caller": "alice"}
        return self.bench.sipp(
            "call", remote=self.server.sip, number="bob", tcp=self.tcp, pause=0.2, keys=keys, **options
        )


@TRANSPORTS
@pytest.mark.rfc("3261-16.6", "3261-16.7")
def test_phones_are_tried_in_the_order_of_q(bench: Bench, tcp: bool) -> None:
    desk = Desk(bench, tcp=tcp)
    last = desk.phone("agent_rings", 0.1)
    second = desk.phone("agent", 0.5, pause=0.2)
    first = desk.phone("agent_busy", 1.0)
    desk.call().succeed()
    first.succeed()
    second.succeed()
    assert first.received("INVITE") == second.received("INVITE") == 1
    assert last.received("INVITE") == 0
    assert second.received("ACK") == 1, "the ACK to the 2xx is relayed once"
    desk.server.wait_until_idle(refused=1)


@TRANSPORTS
@pytest.mark.rfc("3261-16.7", "3326-2")
def test_phones_of_one_q_ring_together_and_the_loser_is_told_why(bench: Bench, tcp: bool) -> None:
    desk = Desk(bench, tcp=tcp)
    loser = desk.phone("agent_rings", 1.0)
    winner = desk.phone("agent", 1.0, pause=0.5)
    desk.call().succeed()
    winner.succeed()
    loser.succeed()
    (cancel,) = set(loser.heard("CANCEL "))
    assert 'Reason: SIP;cause=200;text="Call completed elsewhere"' in cancel
    desk.server.wait_until_idle(refused=1)


@TRANSPORTS
@pytest.mark.rfc("3261-16.8")
def test_a_phone_that_only_rings_is_left_for_the_next(bench: Bench, tcp: bool) -> None:
    desk = Desk(bench, tcp=tcp, fork_seconds=0.5)
    second = desk.phone("agent", 0.5, pause=0.1)
    first = desk.phone("agent_rings", 1.0)
    desk.call().succeed()
    first.succeed()
    second.succeed()
    assert first.received("CANCEL") == 1
    desk.server.wait_until_idle(refused=1)


@TRANSPORTS
@pytest.mark.rfc("3261-16.7")
def test_a_6xx_spares_the_other_phones(bench: Bench, tcp: bool) -> None:
    desk = Desk(bench, tcp=tcp)
    other = desk.phone("agent_rings", 0.5)
    first = desk.phone("agent_declines", 1.0)
    alice = desk.call()
    wait_until(lambda: alice.received("603"), 10, "603")
    first.succeed()
    assert other.received("INVITE") == 0
