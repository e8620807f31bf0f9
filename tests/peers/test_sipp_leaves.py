"""Callers who leave at the wrong moment, and agents who do not answer; what is left is nothing."""

from __future__ import annotations

import re

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Phone, sdp, wait_until

pytestmark = pytest.mark.peer("sipp")


@pytest.mark.rfc("3261-9.1", "3261-15.1.1")
def test_a_caller_who_hangs_up_while_the_phone_rings_leaves_the_agent_ready(bench: Bench) -> None:
    server, agents = bench.serve_lab()
    baseline = server.metrics()["acd_tasks"]
    phone = bench.sipp("agent_rings", port=agents, keys={"caller": "agent"})
    bench.sipp("call", remote=server.sip, pause=0.5).succeed()
    phone.succeed()
    assert phone.received("CANCEL") == 1
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"], cdr["agent"]) == ("abandoned", "caller", "a001")
    assert cdr["connected"] is None
    server.wait_for_agent("a001", "ready")
    server.wait_until_idle(baseline, refused=1)
    assert server.queue("lab")["abandoned"] == 1
    server.stop()


def test_a_caller_who_hangs_up_while_waiting_leaves_nothing(bench: Bench) -> None:
    server, agents = bench.serve_lab(changes={"a001..a200": "a001..a001"})
    phone = bench.sipp("agent", port=agents, keys={"caller": "agent"})
    talking = bench.sipp("call", remote=server.sip, pause=2.0)
    server.wait_for_call("talking")
    bench.sipp("call", remote=server.sip, pause=0.3, keys={"caller": "caller2"}).succeed()
    talking.succeed()
    phone.succeed()
    by_caller = {cdr["caller"]: cdr for cdr in server.wait_for_cdrs(2)}
    assert by_caller["caller1"]["outcome"] == "answered"
    assert (by_caller["caller2"]["outcome"], by_caller["caller2"]["agent"]) == ("abandoned", None)
    assert by_caller["caller2"]["waited_seconds"] > 0.2
    server.wait_until_idle()
    assert phone.received("INVITE") == 1


@pytest.mark.rfc("3261-9.2", "3261-17.1.1.3")
def test_a_caller_cancels_during_early_media(bench: Bench) -> None:
    server = bench.serve()
    bench.visit(server, scenario="call_cancel", pause=0.3).succeed()
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"]) == ("cancelled", "caller")
    server.wait_until_idle()


@pytest.mark.rfc("3261-9.2")
def test_a_cancel_on_the_heels_of_the_invite_ends_the_call_either_way(bench: Bench) -> None:
    server, agents = bench.serve_lab()
    bench.sipp("agent", port=agents, calls=None, keys={"caller": "agent"})
    with Phone(server.sip, bench.port()) as phone:
        for _ in range(10):
            phone.new_call()
            uri = phone.uri("10001")
            phone.send(phone.write("INVITE", uri, body=sdp(9)))
            invited = phone.branch
            phone.send(phone.write("CANCEL", uri, branch=invited))
            response = phone.final("INVITE")
            if response.status == 200:
                phone.take(response)
                phone.hang_up()
            else:
                assert response.status == 487
                phone.send(phone.write("ACK", uri, branch=invited, to=response.get("To")))
    cdrs = server.wait_for_cdrs(10)
    assert {cdr["ended_by"] for cdr in cdrs} == {"caller"}
    server.wait_until_idle(refused=10)
    assert server.metrics()["acd_agents{state=ready}"] == 200


@pytest.mark.parametrize(
    ("scenario", "why"), [("agent_busy", "486"), ("agent_declines", "603"), ("agent_rings", "ring_timeout")]
)
def test_an_agent_who_does_not_answer_is_passed_over_and_the_caller_keeps_the_place(
    bench: Bench, scenario: str, why: str
) -> None:
    server = bench.serve(
        settings={
            "queues.support.ring_seconds": 1,
            "queues.support.wrap_up_seconds": 0,
            "queues.support.announce_agent": False,
            "agents.1001.refuse_delay_seconds": 60,
        }
    )
    first, second = (bench.sign_in(server, agent) for agent in ("1001", "1002"))
    bench.dial_code(server, "1002", "*13")
    server.wait_for_agent("1002", "paused")
    unwilling = bench.sipp(scenario, port=first, keys={"caller": "1001"})
    willing = bench.sipp("agent", port=second, calls=2, keys={"caller": "1002"})
    one = bench.visit(server, "caller1", pause=3.0)
    server.wait_for_call("waiting")
    two = bench.visit(server, "caller2", pause=5.0)
    unwilling.succeed()
    wait_until(lambda: [call["stage"] for call in server.calls] == ["waiting"] * 2, 10, "two callers waiting")
    assert [call["position"] for call in server.calls] == [1, 2]
    bench.dial_code(server, "1002", "*14")
    for phone in (one, two, willing):
        phone.succeed()
    assert [found for line in willing.said("rang") for found in re.findall(r"<sip:(caller\d)@", line)] == [
        "caller1",
        "caller2",
    ]
    by_caller = {cdr["caller"]: cdr for cdr in server.wait_for_cdrs(4)}
    assert {by_caller[name]["outcome"] for name in ("caller1", "caller2")} == {"answered"}
    assert any(why in step["detail"] for step in by_caller["caller1"]["timeline"]), by_caller["caller1"]["timeline"]
    server.wait_until_idle(refused=1)


@pytest.mark.rfc("3261-13.3.1.2")
def test_with_nobody_logged_in_the_caller_hears_it_before_the_answer(bench: Bench) -> None:
    server = bench.serve()
    caller = bench.visit(server, scenario="call_early")
    wait_until(lambda: server.metrics()["acd_rtp_packets_total{direction=out}"] > 25, 10, "early media")
    caller.succeed()
    assert caller.said("early")[0].startswith("m=audio")
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"], cdr["answered_by_system"]) == ("no_agent", "system", None)
    server.wait_until_idle()


@pytest.mark.rfc("3326-2")
def test_with_nobody_logged_in_the_hotline_says_so_and_ends_the_call(bench: Bench) -> None:
    server = bench.serve()
    caller = bench.visit(server, scenario="call_wait", number="10000")
    caller.succeed()
    assert "cause=480" in caller.said("ended")[0]
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"]) == ("no_agent", "system")
    assert cdr["answered_by_system"] is not None
    server.wait_until_idle()
