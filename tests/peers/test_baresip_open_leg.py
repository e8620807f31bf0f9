"""baresip as an agent whose phone is called once: two callers are served over one dialog, heard both ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import level, loudest_part, read_wav, wait_until
from tests.peers.test_baresip_queue import ABSENT_DB, CLEAR_DB, only

pytestmark = pytest.mark.peer("baresip")

AGENT_HZ = 620.0
CALLERS = {"caller1": 440.0, "caller2": 1030.0}


@pytest.mark.rfc("3261-12.2")
@pytest.mark.parametrize("workers", [1, 2])
def test_two_calls_are_served_over_one_dialog(bench: Bench, workers: int) -> None:
    """With two workers the callers come to another one than the leg's."""
    server = bench.serve(
        settings={
            "media.workers": workers,
            "agents.1001.open_leg": True,
            "media.rtp_timeout_seconds": 2,
            "queues.support.announce_agent": False,
            "queues.support.wrap_up_seconds": 1,
        }
    )
    agent = bench.baresip("1001", server, tone=AGENT_HZ, answers=True).wait_until_registered()
    server.wait_for_agent("1001", "ready")
    for number, (user, tone) in enumerate(CALLERS.items(), start=1):
        caller = bench.baresip(user, server, tone=tone).wait_until_registered()
        caller.dial("10001")
        server.wait_for_agent("1001", "talking")
        wait_until(lambda: server.metrics()["acd_media_recordings"] == 1, 15, "the bridge")
        before = server.metrics()["acd_rtp_packets_total{direction=in}"]
        wait_until(lambda: server.metrics()["acd_rtp_packets_total{direction=in}"] > before + 300, 15, "3 s of talk")  # noqa: B023
        caller.hang_up()
        server.wait_for_cdrs(number)
        server.wait_for_agent("1001", "ready")
        (heard,) = read_wav(caller.heard())
        only(heard, AGENT_HZ, tone)
    agent.hang_up()
    paused = server.wait_for_agent("1001", "paused")
    assert paused["reason"] == "leg closed"
    agent.wait_for("CALL_CLOSED")
    server.wait_until_idle()

    assert agent.output.count("Call established") == 1
    (heard,) = read_wav(agent.heard())
    for cdr in server.cdrs:
        tone = CALLERS[cdr["caller"]]
        (other,) = set(CALLERS.values()) - {tone}
        assert (cdr["outcome"], cdr["ended_by"], cdr["agent"]) == ("answered", "caller", "1001")
        quality = cdr["quality_agent"]
        assert quality["codec"] == "PCMU"
        assert 3.5 < quality["mos"] < 4.5
        assert quality["packets"] == pytest.approx(cdr["talked_seconds"] * 50, abs=25), "of this call only"
        left, right = read_wav(Path(cdr["recording"]))
        only(left, tone, AGENT_HZ)
        only(right, AGENT_HZ, tone)
        part = loudest_part(heard, tone, 2.0)
        assert level(part, tone) > CLEAR_DB
        assert max(level(part, other), level(part, AGENT_HZ)) < ABSENT_DB
    server.stop()
