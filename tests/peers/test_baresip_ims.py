"""baresip behind a P-CSCF: a soft phone as an agent of the application server, called through all hops, and heard."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import wait_until
from tests.peers.kit.ims import DOMAIN, Core, Shape
from tests.peers.test_baresip_queue import AGENT_HZ, CALLER_HZ, hears

pytestmark = pytest.mark.peer("baresip")


@pytest.mark.rfc("TS24.229-5.2.6", "TS24.229-5.4.1.7", "TS24.229-5.7.5")
@pytest.mark.parametrize("shape", ["hops", "together"])
def test_caller_and_agent_hear_each_other_through_the_core(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape, **{"queues.service.announce_agent": False})
    engine = core.engine
    agent = bench.baresip("1001", engine, tone=AGENT_HZ, answers=True, domain=DOMAIN)
    agent.wait_until_registered()
    engine.wait_for_agent("1001", "ready")
    caller = bench.baresip("1002", engine, tone=CALLER_HZ, domain=DOMAIN)
    caller.wait_until_registered()
    caller.dial("10001")
    engine.wait_for_call("talking", 15)
    agent.wait_for("CALL_ESTABLISHED")
    talked_from = engine.metrics()["acd_rtp_packets_total{direction=in}"]
    wait_until(lambda: engine.metrics()["acd_rtp_packets_total{direction=in}"] > talked_from + 300, 15, "3 s of talk")
    caller.hang_up()
    (cdr,) = engine.wait_for_cdrs()
    agent.wait_for("CALL_CLOSED")
    engine.wait_until_idle()
    assert (cdr["outcome"], cdr["caller"], cdr["agent"]) == ("answered", "1002", "1001")
    assert cdr["asserted_identity"] == f"sip:1002@{DOMAIN}"
    hears(agent, CALLER_HZ, AGENT_HZ)
    hears(caller, AGENT_HZ, CALLER_HZ)
