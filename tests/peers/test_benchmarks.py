"""The loads of the benchmarks against the peers they compare with, for a moment each."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import loads, peers
from benchmarks.sampling import Sampler, Scale

BRIEF = Scale(rounds=1, share=0.01)


@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(
            loads.registrations(peers.kamailio),
            marks=[pytest.mark.peer("sipp", "kamailio")],
            id="register",
        ),
        pytest.param(
            loads.proxied_calls(peers.kamailio),
            marks=[pytest.mark.peer("sipp", "kamailio")],
            id="proxy",
        ),
        pytest.param(
            loads.queued_calls(peers.sippy, "10001"),
            marks=[
                pytest.mark.peer("sipp"),
                pytest.mark.skipif(find_spec("sippy") is None, reason="sippy is not installed"),
            ],
            id="queue",
        ),
        pytest.param(
            loads.relayed_packets(peers.rtpengine, 5),
            marks=[pytest.mark.peer("rtpengine")],
            id="relay",
        ),
    ],
)
def test_the_peer_does_the_work_it_is_measured_by(sampler: Sampler, tmp_path: Path) -> None:
    sample = sampler(tmp_path, BRIEF)
    assert sample.units > 100
    assert sample.cpu_seconds > 0
    assert not [doubt for doubt in sample.doubts if "failed" in doubt or "did not come back" in doubt]
