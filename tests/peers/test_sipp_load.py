"""Load from SIPp on the lab configuration: everybody is served, in order, and nothing is left."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import GAUGES, wait_until

pytestmark = pytest.mark.peer("sipp")

CALLS, RATE = 600, 40.0


def test_600_calls_at_40_a_second_are_answered_and_leave_nothing(bench: Bench) -> None:
    server, agents = bench.serve_lab(rtp_ports="20000-29999")
    before = server.metrics()
    baseline = before["acd_tasks"]
    assert not any(before[name] for name in GAUGES)
    agent = bench.sipp("agent", port=agents, calls=None, keys={"caller": "agent"}, seconds=120)
    callers = bench.sipp("call", remote=server.sip, calls=CALLS, rate=RATE, pause=0.5, seconds=120)
    counts = callers.succeed(120)
    assert (counts.successful, counts.failed) == (CALLS, 0)

    wait_until(lambda: server.metrics()["acd_cdr_written_total"] >= CALLS, 15, f"{CALLS} CDRs")
    cdrs = server.cdrs
    assert Counter(cdr["outcome"] for cdr in cdrs) == {"answered": CALLS}
    assert len({cdr["call_id"] for cdr in cdrs}) == CALLS
    assert all(cdr["agent"] for cdr in cdrs)
    busiest = Counter(cdr["agent"] for cdr in cdrs)
    assert max(busiest.values()) <= 2 * CALLS / 200, "longest idle first: the agents take turns"
    assert len(server.logged("call.ended")) == CALLS

    server.wait_until_idle(baseline, 15)
    after = server.metrics()
    assert after["acd_agents{state=ready}"] == 200
    assert after["acd_calls_arrived_total"] == CALLS
    assert after["acd_offers_total{queue=lab}"] == CALLS
    assert after["acd_queue_answered_total{queue=lab}"] == CALLS
    assert after["acd_calls_ended_total{outcome=answered}"] == CALLS
    assert not [name for name, count in after.items() if count and name.startswith("acd_sip_dropped")]
    served = agent.finish()
    assert (served.successful, served.failed) == (CALLS, 0)
    server.stop()


def test_callers_beyond_the_number_of_agents_are_served_in_order(bench: Bench) -> None:
    server, agents = bench.serve_lab(changes={"a001..a200": "a001..a005"}, rtp_ports="20000-29999")
    users = [f"visitor{number:02}" for number in range(20)]
    phones = bench.sipp("agent", port=agents, calls=len(users), keys={"caller": "agent"})
    callers = bench.sipp("call_user", remote=server.sip, calls=len(users), rate=50, pause=0.5, users=users)
    callers.succeed()
    phones.succeed()
    cdrs = server.wait_for_cdrs(len(users))
    assert {cdr["outcome"] for cdr in cdrs} == {"answered"}
    rang = [found for line in phones.said("rang") for found in re.findall(r"<sip:(visitor\d\d)@", line)]
    queued = [cdr["caller"] for cdr in sorted(cdrs, key=lambda cdr: str(cdr["queued"]))]
    assert rang == queued
    assert sum(cdr["waited_seconds"] > 0.3 for cdr in cdrs) >= 10, "most had to wait"
    server.wait_until_idle()
