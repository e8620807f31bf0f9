"""The set-up of calls as each hop of an IMS core measures it, with SIPp as handsets."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit.ims import NUMBERS, SHAPES, Core, Handset, Shape

pytestmark = pytest.mark.peer("sipp")


Place = tuple[str, str]


def measured(core: Core, stage: str) -> tuple[Counter[Place], dict[Place, float]]:
    """How many calls came to the stage, and the seconds that took, by hop and role."""
    counts, seconds = Counter[Place](), defaultdict[Place, float](float)
    for server in core.servers:
        metrics = server.metrics()
        for hop in ("pcscf", "scscf", "as", "node"):
            for role in ("callee", "caller", "proxy"):
                labels = f"{{hop={hop},role={role},stage={stage}}}"
                counts[hop, role] += int(metrics.get(f"acd_sip_setup_seconds_count{labels}", 0))
                seconds[hop, role] += metrics.get(f"acd_sip_setup_seconds_sum{labels}", 0.0)
    return +counts, seconds


@pytest.mark.parametrize("shape", SHAPES)
def test_every_hop_measures_how_long_it_takes_from_there(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape)
    caller, callee = Handset(core, 1), Handset(core, 2)
    caller.register()
    caller.calls("10002")
    core.engine.wait_until_idle()
    counts, seconds = measured(core, "answered")
    if shape == "together":
        assert counts == {("node", "callee"): 1}
    else:
        assert counts == {("pcscf", "proxy"): 1, ("scscf", "proxy"): 1, ("as", "callee"): 1}
        nearer, between, farther = seconds["as", "callee"], seconds["scscf", "proxy"], seconds["pcscf", "proxy"]
        assert nearer <= between <= farther, "what is before counts"
    (ended,) = core.engine.logged("call.ended")
    here = ("node" if shape == "together" else "as", "callee")
    assert ended["answered_after"] == pytest.approx(seconds[here], abs=0.001)

    callee.register()
    phone = callee.waits()
    caller.calls(NUMBERS[1])
    phone.succeed()
    for stage in ("ringing", "answered"):
        passed, _ = measured(core, stage)
        before = 1 if stage == "answered" else 0
        if shape == "together":
            assert passed["node", "proxy"] == 1
        else:  # once on its way to the S-CSCF, once on its way to the handset
            assert (passed["pcscf", "proxy"], passed["scscf", "proxy"]) == (2 + before, 1 + before)
