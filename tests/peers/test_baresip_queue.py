"""baresip dials the hotline, presses 2 and talks to an agent on baresip: tones prove who hears whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Baresip, Samples, level, loudest_part, read_wav, wait_until

pytestmark = pytest.mark.peer("baresip")

CALLER_HZ, AGENT_HZ = 440.0, 620.0
CLEAR_DB = -1.0  # of the whole power, at least, is in the tone: nearly 80 %
ABSENT_DB = -25.0


@pytest.mark.rfc("3550-5.1", "4733-2.5", "3261-22.4")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_hotline_bridges_caller_and_agent_and_records_both(bench: Bench, transport: str) -> None:
    server = bench.serve()
    agent = bench.baresip("1001", server, tone=AGENT_HZ, transport=transport, answers=True)
    caller = bench.baresip("caller1", server, tone=CALLER_HZ, transport=transport)
    for phone in (agent, caller):
        phone.wait_until_registered()
    server.wait_for_agent("1001", "ready")

    caller.dial("10000")
    caller.wait_for("CALL_ESTABLISHED")
    server.wait_for_call("menu")
    caller.press("2")
    server.wait_for_call("talking", 15)
    agent.wait_for("CALL_ESTABLISHED")
    wait_until(lambda: server.metrics()["acd_media_recordings"] == 1, 15, "the bridge")
    talked_from = server.metrics()["acd_rtp_packets_total{direction=in}"]
    wait_until(lambda: server.metrics()["acd_rtp_packets_total{direction=in}"] > talked_from + 300, 15, "3 s of talk")
    caller.hang_up()
    (cdr,) = server.wait_for_cdrs()
    agent.wait_for("CALL_CLOSED")
    server.wait_until_idle()

    assert (cdr["outcome"], cdr["ended_by"]) == ("answered", "caller")
    assert (cdr["dialled"], cdr["caller"], cdr["queue"], cdr["agent"]) == ("10000", "caller1", "support", "1001")
    assert [step["detail"] for step in cdr["timeline"] if step["event"] == "caller.pressed"] == ["2"]
    assert cdr["talked_seconds"] > 3
    for side in ("quality_caller", "quality_agent"):
        assert cdr[side]["codec"] == "PCMU"
        assert 3.5 < cdr[side]["mos"] < 4.5
    left, right = read_wav(Path(cdr["recording"]))
    only(left, CALLER_HZ, AGENT_HZ)
    only(right, AGENT_HZ, CALLER_HZ)
    hears(agent, CALLER_HZ, AGENT_HZ)
    hears(caller, AGENT_HZ, CALLER_HZ)
    server.stop()


@pytest.mark.rfc("3264-8.4")
def test_a_hold_neither_shortens_the_recording_nor_ends_the_call(bench: Bench) -> None:
    server = bench.serve(settings={"media.rtp_timeout_seconds": 1, "queues.support.announce_agent": False})
    agent = bench.baresip("1001", server, tone=AGENT_HZ, answers=True).wait_until_registered()
    caller = bench.baresip("caller1", server, tone=CALLER_HZ).wait_until_registered()
    server.wait_for_agent("1001", "ready")
    caller.dial("10001")
    server.wait_for_call("talking", 15)
    wait_until(lambda: agent.heard_bytes() > 16_000, 10, "a second of talk")
    caller.command("hold")
    server.wait_for_agent("1001", "hold")
    rang = server.metrics()["acd_rtp_packets_total{direction=in}"]
    wait_until(lambda: server.metrics()["acd_rtp_packets_total{direction=in}"] > rang + 200, 15, "4 s of hold")
    caller.command("resume")
    server.wait_for_agent("1001", "talking")
    heard = agent.heard_bytes()
    wait_until(lambda: agent.heard_bytes() > heard + 24_000, 10, "talk again")
    agent.hang_up()
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"]) == ("answered", "agent")
    left, right = read_wav(Path(cdr["recording"]))
    assert len(left) == len(right)
    assert abs(len(left) / 8000 - cdr["talked_seconds"]) < 0.4
    quiet = [at for at in range(0, len(left) - 800, 800) if level(left[at : at + 800], CALLER_HZ) < ABSENT_DB]
    assert len(quiet) >= 15, "the caller is silent while holding"
    assert level(loudest_part(left, CALLER_HZ, 1.0), CALLER_HZ) > CLEAR_DB
    assert level(left[-8000:-1600], CALLER_HZ) > CLEAR_DB, "and is heard again afterwards"


def hears(phone: Baresip, wanted: float, other: float) -> None:
    """Check what the phone itself kept of the other side's voice."""
    (heard,) = read_wav(phone.heard())
    only(heard, wanted, other)


def only(samples: Samples, wanted: float, other: float) -> None:
    """Check that 2 s on end are one tone, clearly, and the other is not in them."""
    part = loudest_part(samples, wanted, 2.0)
    assert len(part) == 16_000
    assert level(part, wanted) > CLEAR_DB, level(part, wanted)
    assert level(part, other) < ABSENT_DB, level(part, other)
