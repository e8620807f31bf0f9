"""SIPp calls the queue: with and without RTP, without an offer, held, challenged; agents who do not answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Server, Sipp, wait_until, write_tone

pytestmark = pytest.mark.peer("sipp")


def agent_phone(bench: Bench, port: int, scenario: str = "agent", *, calls: int | None = 1, ring: float = 0.0) -> Sipp:
    """Wait for calls to agents."""
    return bench.sipp(scenario, port=port, calls=calls, pause=ring, keys={"caller": "agent"}, options=["-rtp_echo"])


def dial(
    bench: Bench,
    server: Server,
    scenario: str = "call",
    *,
    talk: float = 0.3,
    options: Sequence[str] = (),
    **keys: object,
) -> Sipp:
    """Call 10001."""
    return bench.sipp(scenario, remote=server.sip, pause=talk, keys=keys, options=options)


@pytest.mark.rfc("3261-13.3.1", "3261-15.1")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_a_call_without_rtp_is_answered_by_an_agent_and_recorded_in_its_cdr(bench: Bench, tcp: bool) -> None:
    server, agents = bench.serve_lab()
    baseline = server.metrics()["acd_tasks"]
    agent = agent_phone(bench, agents)
    bench.sipp("call", remote=server.sip, pause=0.5, keys={"caller": "visitor"}, tcp=tcp).succeed()
    agent.succeed()
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"]) == ("answered", "caller")
    assert (cdr["dialled"], cdr["caller"], cdr["queue"], cdr["agent"]) == ("10001", "visitor", "lab", "a001")
    assert 0.4 < cdr["talked_seconds"] < 5
    assert cdr["waited_seconds"] < 2
    assert cdr["recording"] is None
    instants = [cdr[name] for name in ("arrived", "answered_by_system", "queued", "offered", "connected", "ended")]
    assert instants == sorted(instants)
    assert all(instant.endswith(("Z", "+00:00")) for instant in instants)
    assert agent.said("rang")[0].startswith('"Lab" <sip:visitor@ims.example>')  # the queue and the caller
    assert agent.said("ended")[0].startswith("Q.850;cause=16")
    (line,) = server.logged("call.ended")
    steps = [event for _, event, _ in line["timeline"]]
    assert steps == [
        "call.arrived", "call.answered", "call.queued", "agent.offered", "agent.connected", "call.bridged", "call.ended"
    ]  # fmt: skip
    server.wait_until_idle(baseline)
    server.stop()


def test_rtp_of_the_caller_comes_back_from_the_agent_who_echoes_it(bench: Bench) -> None:
    server, agents = bench.serve_lab()
    agent = agent_phone(bench, agents)
    write_tone(bench.directory / "tone.wav", 440, 20)
    caller = dial(bench, server, "call_rtp", talk=2.0)
    server.wait_for_call("talking")
    wait_until(lambda: server.metrics()["acd_rtp_packets_total{direction=in}"] > 100, 10, "RTP both ways")
    caller.succeed()
    agent.succeed()
    (cdr,) = server.wait_for_cdrs()
    assert cdr["outcome"] == "answered"
    for side in ("quality_caller", "quality_agent"):
        assert cdr[side]["codec"] == "PCMU"
        assert cdr[side]["packets"] > 50
        assert cdr[side]["mos"] > 3.5, cdr[side]
    server.wait_until_idle()


@pytest.mark.rfc("3261-13.2.1", "3264-5")
def test_an_invite_without_offer_gets_it_in_the_200_and_answers_in_the_ack(bench: Bench) -> None:
    server, agents = bench.serve_lab()
    agent = agent_phone(bench, agents)
    caller = dial(bench, server, "call_without_offer")
    caller.succeed()
    agent.succeed()
    assert caller.said("offer")[0].startswith("m=audio")
    (cdr,) = server.wait_for_cdrs()
    assert cdr["outcome"] == "answered"
    server.wait_until_idle()


@pytest.mark.rfc("3264-8.4", "3261-14.2")
def test_a_held_call_is_answered_in_the_other_direction_and_resumed(bench: Bench) -> None:
    server, agents = bench.serve_lab()
    agent = agent_phone(bench, agents)
    caller = dial(bench, server, "call_hold", talk=0.5)
    server.wait_for_agent("a001", "hold")
    server.wait_for_agent("a001", "talking")
    caller.succeed()
    agent.succeed()
    assert caller.said("answer") == ["recvonly", "sendrecv"]
    (cdr,) = server.wait_for_cdrs()
    assert cdr["outcome"] == "answered"
    assert cdr["talked_seconds"] > 1.3
    server.wait_until_idle()


def test_a_held_call_outlives_the_time_without_rtp(bench: Bench) -> None:
    server, agents = bench.serve_lab(settings={"media.rtp_timeout_seconds": 1})
    write_tone(bench.directory / "tone.wav", 440, 20)
    agent = bench.sipp("agent_talks", port=agents, keys={"caller": "agent"})
    caller = bench.sipp("call_held", remote=server.sip, pause=3.0)
    caller.succeed()
    agent.succeed()
    (cdr,) = server.wait_for_cdrs()
    assert cdr["outcome"] == "answered"
    assert cdr["talked_seconds"] > 2.5


@pytest.mark.rfc("3261-22.3")
def test_a_caller_who_is_not_registered_is_challenged_and_served(bench: Bench) -> None:
    server = bench.serve()
    credentials = ["-au", "alice", "-auth_uri", f"10003@{server.uri_host}"]
    dialled = {"remote": server.sip, "number": "10003", "pause": 0.3}
    bench.sipp("call_digest", options=[*credentials, "-ap", "demo"], **dialled).succeed()
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["caller"]) == ("served", "alice")
    wrong = bench.sipp("call_digest", options=[*credentials, "-ap", "wrong"], **dialled)
    wait_until(lambda: wrong.received("407") >= 2, 10, "challenged again")
    assert wrong.received("200") == 0
    assert len(server.cdrs) == 1


@pytest.mark.rfc("3261-15.1.1")
def test_the_agent_hangs_up(bench: Bench) -> None:
    server, agents = bench.serve_lab()
    agent = bench.sipp("agent_hangs_up", port=agents, pause=0.5, keys={"caller": "agent"})
    caller = dial(bench, server, "call_wait")
    caller.succeed()
    agent.succeed()
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"]) == ("answered", "agent")
    server.wait_until_idle()
