"""Subscribers call each other by name through the proxy; agents dial their codes."""

from __future__ import annotations

import signal

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import level, loudest_part, read_wav, wait_until

pytestmark = pytest.mark.peer("sipp")


@pytest.mark.rfc("3261-16.6", "3261-16.12.1.1")
@pytest.mark.parametrize("ender", ["caller", "callee"])
def test_a_call_by_name_is_proxied_and_ended_by_either_side(bench: Bench, ender: str) -> None:
    server = bench.serve()
    bob = bench.sipp(
        "agent" if ender == "caller" else "agent_hangs_up",
        port=bench.register(server, "bob"),
        pause=0.3,
        keys={"caller": "bob"},
    )
    alice = bench.visit(server, "alice", "call" if ender == "caller" else "call_wait", number="bob", pause=0.3)
    alice.succeed()
    bob.succeed()
    assert not server.cdrs, "the call does not go through the B2BUA"
    assert bob.received("ACK sip:") == 1
    for phone in (alice, bob):
        assert all(server.uri_host in route and ";lr" in route for route in phone.said("route"))
        assert phone.said("route")
    server.wait_until_idle()


@pytest.mark.rfc("3261-16.12")
def test_a_call_by_name_outlives_a_crash_of_the_server(bench: Bench) -> None:
    server = bench.serve()
    bob = bench.sipp("agent", port=bench.register(server, "bob"), keys={"caller": "bob"})
    alice = bench.visit(server, "alice", number="bob", pause=1.0)
    wait_until(lambda: bob.received("ACK sip:"), 10, "the call")
    server.signal(signal.SIGKILL)
    server.wait(10)
    again = bench.serve(sip_port=server.sip[1])
    alice.succeed()  # who repeats the BYE until somebody answers
    bob.succeed()
    assert bob.received("BYE sip:") == 1
    again.stop()


@pytest.mark.rfc("3261-16.10", "3261-9.1")
def test_a_caller_cancels_while_the_other_phone_rings(bench: Bench) -> None:
    server = bench.serve()
    bob = bench.sipp("agent_rings", port=bench.register(server, "bob"), keys={"caller": "bob"})
    bench.visit(server, "alice", "call_cancel", number="bob", pause=0.3).succeed()
    bob.succeed()
    assert bob.received("CANCEL") == 1
    server.wait_until_idle(refused=1)


@pytest.mark.rfc("3261-16.7")
def test_a_busy_subscriber_is_told_as_busy(bench: Bench) -> None:
    server = bench.serve()
    bob = bench.sipp("agent_busy", port=bench.register(server, "bob"), keys={"caller": "bob"})
    alice = bench.visit(server, "alice", "call", number="bob")
    wait_until(lambda: alice.received("486 Busy"), 10, "486")
    bob.succeed()
    assert not alice.received("200 OK")


@pytest.mark.rfc("3261-16.7")
def test_an_overload_behind_us_is_not_told_as_ours(bench: Bench) -> None:
    server = bench.serve()
    bob = bench.sipp("agent_overloaded", port=bench.register(server, "bob"), keys={"caller": "bob"})
    alice = bench.visit(server, "alice", "call", number="bob")
    wait_until(lambda: alice.received("500 "), 10, "500")
    bob.succeed()
    assert not alice.received("503")


@pytest.mark.peer("baresip")
@pytest.mark.rfc("3261-18.1.1")
def test_two_softphones_on_different_transports_hear_each_other(bench: Bench) -> None:
    server = bench.serve()
    bob = bench.baresip("bob", server, tone=620.0, transport="tcp", answers=True)
    alice = bench.baresip("alice", server, tone=440.0, transport="udp")
    for phone in (alice, bob):
        phone.wait_until_registered()
    alice.dial("bob")
    for phone in (alice, bob):
        phone.wait_for("CALL_ESTABLISHED")
    wait_until(lambda: all(phone.heard_bytes() > 2.5 * 16_000 for phone in (alice, bob)), 15, "2.5 s heard")
    bob.hang_up()
    for phone in (alice, bob):
        phone.wait_for("CALL_CLOSED")
    for phone, wanted, other in ((alice, 620.0, 440.0), (bob, 440.0, 620.0)):
        (heard,) = read_wav(phone.heard())
        part = loudest_part(heard, wanted, 1.5)
        assert level(part, wanted) > -1.0
        assert level(part, other) < -25.0
    assert not server.cdrs
    server.wait_until_idle()


@pytest.mark.peer("baresip")
def test_the_echo_service_sends_the_tone_back(bench: Bench) -> None:
    server = bench.serve()
    phone = bench.baresip("alice", server, tone=440.0).wait_until_registered()
    phone.dial("10002")
    phone.wait_for("CALL_ESTABLISHED")
    wait_until(lambda: phone.heard_bytes() > 2.5 * 16_000, 15, "2.5 s heard")
    phone.hang_up()
    phone.wait_for("CALL_CLOSED")
    (heard,) = read_wav(phone.heard())
    assert level(loudest_part(heard, 440.0, 1.5), 440.0) > -1.0
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"]) == ("served", "caller")


@pytest.mark.peer("baresip")
def test_the_announcement_plays_and_hangs_up_by_itself(bench: Bench) -> None:
    server = bench.serve()
    phone = bench.baresip("alice", server, tone=440.0).wait_until_registered()
    phone.dial("10003")
    phone.wait_for("CALL_ESTABLISHED")
    phone.wait_for("CALL_CLOSED", 30)
    (heard,) = read_wav(phone.heard())
    loud = sum(bool((abs(part) > 0.02).any()) for part in (heard[at : at + 800] for at in range(0, len(heard), 800)))
    assert loud > 10, "more than a second of speech"
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"]) == ("served", "system")


def test_an_agent_pauses_logs_out_and_comes_back_by_codes(bench: Bench) -> None:
    server = bench.serve()
    port = bench.sign_in(server, "1001")
    for code, state in (
        ("*13", "paused"), ("*14", "ready"), ("*12", "logged_out"), ("*14", "ready"), ("*12", "logged_out"),
        ("*11", "ready"), ("*13", "paused"), ("*11", "ready"),
    ):  # fmt: skip
        bench.sipp("call", remote=server.sip, port=port, number=code, pause=0.1, keys={"caller": "1001"}).succeed()
        server.wait_for_agent("1001", state)
    changes = len(server.logged("agent.changed"))
    bench.register(server, "1001", port=port)
    assert server.agent("1001")["state"] == "ready"
    assert len(server.logged("agent.changed")) == changes, "a refresh changes nothing"


def test_a_registration_does_not_undo_what_the_agent_wished(bench: Bench) -> None:
    server = bench.serve()
    port = bench.sign_in(server, "1001")
    bench.dial_code(server, "1001", "*12")
    server.wait_for_agent("1001", "logged_out")
    bench.register(server, "1001", port=port)
    bench.register(server, "1001", port=port, keys={"caller": "1001", "expires": 0})
    wait_until(lambda: server.metrics()["acd_sip_bindings"] == 0, 5, "no binding")
    bench.register(server, "1001", port=port)
    assert server.agent("1001")["state"] == "logged_out"
    bench.dial_code(server, "1001", "*11")
    server.wait_for_agent("1001", "ready")


def test_the_last_binding_gone_means_logged_out(bench: Bench) -> None:
    server = bench.serve()
    ports = [bench.sign_in(server, "1001"), bench.register(server, "1001")]
    gone = {"caller": "1001", "expires": 0}
    bench.register(server, "1001", port=ports[0], keys=gone)
    assert server.metrics()["acd_sip_bindings"] == 1
    assert server.agent("1001")["state"] == "ready"
    bench.register(server, "1001", port=ports[1], keys=gone)
    server.wait_for_agent("1001", "logged_out")


def test_a_code_is_for_agents(bench: Bench) -> None:
    server = bench.serve()
    alice = bench.visit(server, "alice", number="*11")
    wait_until(lambda: alice.received("403"), 10, "403")
    assert not alice.received("200 OK")


@pytest.mark.rfc("6086-1")
def test_a_key_told_by_info_chooses_the_queue(bench: Bench) -> None:
    server = bench.serve()
    bench.sipp("agent", port=bench.sign_in(server, "1001"), keys={"caller": "1001"})
    bench.register(server, "caller1")
    port = bench.register(server, "caller2")
    caller = bench.sipp(
        "call_info", remote=server.sip, port=port, number="10000", pause=2.0, keys={"caller": "caller2", "digit": 1}
    )
    caller.succeed()
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["queue"], cdr["agent"], cdr["outcome"]) == ("sales", "1001", "answered")
    assert [step["detail"] for step in cdr["timeline"] if step["event"] == "caller.pressed"] == ["1"]
