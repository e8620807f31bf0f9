"""baresip and we report to each other by RTCP: round trip, the other direction, and who spoke, in the call's record."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import wait_until

pytestmark = pytest.mark.peer("baresip")


@pytest.mark.rfc("3550-6.4")
def test_the_record_tells_both_directions_of_both_legs(bench: Bench) -> None:
    server = bench.serve(settings={"queues.support.announce_agent": False})
    agent = bench.baresip("1001", server, tone=620.0, answers=True).wait_until_registered()
    caller = bench.baresip("caller1", server, tone=440.0).wait_until_registered()
    server.wait_for_agent("1001", "ready")
    caller.dial("10001")
    server.wait_for_call("talking", 15)
    wait_until(lambda: server.metrics()["acd_rtcp_packets_total{direction=in}"] >= 6, 40, "RTCP of both phones")
    wait_until(lambda: server.metrics()["acd_rtcp_packets_total{direction=out}"] >= 6, 40, "RTCP of ours")
    caller.hang_up()
    (cdr,) = server.wait_for_cdrs()
    agent.wait_for("CALL_CLOSED")
    assert server.metrics()["acd_rtcp_discarded_packets_total"] <= 1, "what came before the agent's address was known"
    for side in ("quality_caller", "quality_agent"):
        quality = cdr[side]
        assert quality["lost"] == 0, quality
        assert 0 <= quality["round_trip_ms"] < 500, quality
        assert quality["far_loss_percent"] == 0, quality
        assert quality["far_mos"] > 4, quality
        assert quality["scale"] == "narrowband"
        assert quality["troubles"] == []
        assert "round trip by RTCP" in quality["basis"]
    speech = cdr["speech"]
    assert speech["connected_seconds"] > 2
    assert speech["talk_over_seconds"] == pytest.approx(speech["connected_seconds"], abs=1.5), "both play a tone"
    assert speech["agent_share"] == pytest.approx(0.5, abs=0.05)
    assert speech["dead_air_seconds"] == 0
    server.stop()
