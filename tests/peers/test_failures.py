"""What fails: phones that vanish, a media worker that is killed, a server that is stopped or cannot start."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, Server, Sipp, wait_until, write_tone


def talk(
    bench: Bench, server: Server, agents: int, *, scenario: str = "call_wait", talks: bool = False
) -> tuple[Sipp, Sipp]:
    """Connect a caller, who stays until the other side hangs up, to an agent."""
    write_tone(bench.directory / "tone.wav", 440, 30)
    agent = bench.sipp("agent_talks" if talks else "agent", port=agents, keys={"caller": "agent"})
    caller = bench.sipp(scenario, remote=server.sip, pause=20)
    server.wait_for_call("talking")
    return caller, agent


@pytest.mark.peer("sipp")
def test_a_caller_who_vanishes_is_missed(bench: Bench) -> None:
    server, agents = bench.serve_lab(settings={"media.rtp_timeout_seconds": 2})
    baseline = server.metrics()["acd_tasks"]
    caller, agent = talk(bench, server, agents, scenario="call_rtp", talks=True)
    wait_until(lambda: server.metrics()["acd_rtp_packets_total{direction=in}"] > 100, 10, "voice both ways")
    caller.signal(signal.SIGKILL)
    agent.succeed(30)
    assert "cause=408" in agent.said("ended")[0]
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"]) == ("peer_lost", "system")
    assert "caller" in cdr["reason"]
    server.wait_until_idle(baseline)
    assert server.agent("a001")["state"] == "ready"


@pytest.mark.peer("sipp")
@pytest.mark.rfc("3261-13.3.1.4")
def test_a_caller_who_vanishes_before_the_ack_is_missed(bench: Bench) -> None:
    server, _ = bench.serve_lab()
    caller = bench.sipp("call_unacknowledged", remote=server.sip)
    caller.succeed()
    assert caller.received("200") >= 2
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"]) == ("peer_lost", "system")


@pytest.mark.peer("sipp")
def test_a_killed_media_worker_ends_its_calls_and_is_replaced(bench: Bench) -> None:
    server, agents = bench.serve_lab()
    caller, agent = talk(bench, server, agents)
    (worker,) = server.children()
    os.kill(worker, signal.SIGKILL)
    for phone in (caller, agent):
        phone.succeed()
        assert "cause=503" in phone.said("ended")[0]
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"]) == ("media_lost", "system")
    wait_until(lambda: server.get("/readyz")[0] == 200, 10, "ready again")
    assert server.children() != [worker]
    assert server.metrics()["acd_media_worker_restarts_total"] == 1
    following = bench.sipp("agent", port=agents, keys={"caller": "agent"})
    bench.sipp("call", remote=server.sip, pause=0.2).succeed()
    following.succeed()
    assert server.wait_for_cdrs(2)[0]["outcome"] == "answered"
    server.wait_until_idle()


@pytest.mark.peer("sipp")
@pytest.mark.rfc("3261-21.5.4")
def test_a_drain_refuses_new_calls_tells_the_others_and_ends_well(bench: Bench) -> None:
    server, agents = bench.serve_lab()
    caller, agent = talk(bench, server, agents)
    assert server.get("/readyz")[0] == 200
    server.signal(signal.SIGTERM)
    wait_until(lambda: server.logged("server.draining"), 5, "the drain")
    refused = bench.sipp("call_drained", remote=server.sip)
    refused.succeed()
    assert int(refused.said("later")[0]) > 0
    assert server.get("/readyz")[0] == 503
    assert server.get("/healthz")[0] == 200
    assert server.metrics()["acd_draining"] == 1
    sent = server.metrics()["acd_rtp_packets_total{direction=out}"]
    wait_until(lambda: server.metrics()["acd_rtp_packets_total{direction=out}"] > sent + 10, 10, "the announcement")
    for phone in (caller, agent):
        phone.succeed()
        assert "cause=503" in phone.said("ended")[0]
    assert server.wait(20) == 0, server.report()
    outcomes = [line["outcome"] for line in server.logged("call.ended")]
    assert outcomes == ["drained"]
    again, _ = bench.serve_lab(sip_port=server.sip[1])
    assert [cdr["outcome"] for cdr in again.cdrs] == ["drained"]


@pytest.mark.peer("sipp")
def test_a_drain_lets_a_call_that_ends_in_time_end_by_itself(bench: Bench) -> None:
    server, agents = bench.serve_lab(settings={"server.drain_seconds": 20})
    bench.sipp("agent", port=agents, keys={"caller": "agent"})
    caller = bench.sipp("call", remote=server.sip, pause=1.5)
    server.wait_for_call("talking")
    server.signal(signal.SIGTERM)
    caller.succeed()
    assert server.wait(15) == 0
    assert [line["outcome"] for line in server.logged("call.ended")] == ["answered"]


@pytest.mark.peer("sipp")
def test_a_second_signal_ends_at_once(bench: Bench) -> None:
    server, agents = bench.serve_lab(settings={"server.drain_seconds": 60})
    talk(bench, server, agents)
    (worker,) = server.children()
    server.signal(signal.SIGTERM)
    wait_until(lambda: server.logged("server.draining"), 5, "the drain")
    started = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait(5) != 0
    assert time.monotonic() - started < 2
    wait_until(lambda: not Path(f"/proc/{worker}").exists(), 5, "the media worker gone too")


def test_a_port_in_use_is_told_in_one_line(bench: Bench) -> None:
    for option in ("sip_port", "http_port"):
        with socket.create_server((LOOPBACK, 0)) as taken:
            server = bench.serve(ready=False, **{option: taken.getsockname()[1]})
            assert server.wait(20) == 1
        lines = [line for line in server.output.splitlines() if not line.startswith("{")]
        assert len(lines) == 1, server.output
        assert "Traceback" not in server.output
        assert "in use" in lines[0]


def test_a_wrong_configuration_is_told_in_a_line_for_each_mistake(bench: Bench) -> None:
    server = bench.serve(ready=False, settings={"queues.sales.ring_seconds": "soon", "sip.colour": "red"})
    assert server.wait(20) == 2
    lines = server.output.splitlines()
    assert len(lines) == 2, lines
    assert any("queues.sales.ring_seconds" in line for line in lines)
    assert any("sip.colour" in line for line in lines)


def test_all_files_written_lie_under_the_storage_directory(bench: Bench) -> None:
    before = {path.name for path in bench.directory.iterdir()}
    server = bench.serve()
    server.stop()
    assert {path.name for path in bench.directory.iterdir()} - before == {"var", "demo.toml", server.log.name}
