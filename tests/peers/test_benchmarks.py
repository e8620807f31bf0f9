"""The loads of the benchmarks against the peers they compare with, for a moment each."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import ims, loads, peers
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


@pytest.mark.peer("sipp")
@pytest.mark.parametrize("apart", [pytest.param(True, id="hops"), pytest.param(False, id="together")])
@pytest.mark.parametrize(
    "load",
    [
        pytest.param(ims.registrations, id="aka"),
        pytest.param(ims.calls, id="ims_call"),
        pytest.param(partial(ims.calls, number=ims.ECHO_NUMBER), id="service_call"),
    ],
)
def test_the_ims_core_does_the_work_it_is_measured_by(
    load: Callable[[ims.StartCore], Sampler], tmp_path: Path, *, apart: bool
) -> None:
    sample = load(ims.start_core({}, apart=apart))(tmp_path, BRIEF)
    assert sample.units > 100
    assert len(sample.by_process) == (len(ims.HOPS) if apart else 1)
    assert sum(sample.by_process) == sample.cpu_seconds > 0
    assert not [doubt for doubt in sample.doubts if "failed" in doubt]
