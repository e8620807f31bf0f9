"""baresip calls in each codec it has; the agent's baresip speaks G.711: tones prove that both are understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Baresip, Samples, level, loudest_part, read_wav, wait_until

pytestmark = pytest.mark.peer("baresip")

CALLER_HZ, AGENT_HZ = 440.0, 620.0
CLEAR_DB, ABSENT_DB = -1.0, -25.0

# What baresip calls the codec, its module, and the name that our records give it.
CODECS = [
    pytest.param("G722/16000/1", ["g722"], "G722", marks=pytest.mark.rfc("3551-4.5.2"), id="G722"),
    pytest.param("opus/48000/2", ["opus"], "opus", marks=pytest.mark.rfc("7587-7"), id="opus"),
    pytest.param("AMR/8000/1", ["amr"], "AMR", marks=pytest.mark.rfc("4867-8.3"), id="AMR"),
    pytest.param("AMR-WB/16000/1", ["amr"], "AMR-WB", marks=pytest.mark.rfc("4867-8.3"), id="AMR-WB"),
]


@pytest.mark.parametrize(("codec", "modules", "name"), CODECS)
def test_a_caller_talks_to_an_agent_who_speaks_another_codec(
    bench: Bench, codec: str, modules: list[str], name: str
) -> None:
    server = bench.serve(settings={"queues.support.announce_agent": False})
    agent = bench.baresip("1001", server, tone=AGENT_HZ, answers=True).wait_until_registered()
    config = [*(f"module {module}.so" for module in modules), "audio_channels 1-2"]
    caller = bench.baresip("caller1", server, tone=CALLER_HZ, codecs=codec, config=config).wait_until_registered()
    server.wait_for_agent("1001", "ready")
    caller.dial("10001")
    server.wait_for_call("talking", 15)
    wait_until(lambda: agent.heard_bytes() > 64_000, 15, "4 s of talk")
    caller.hang_up()
    (cdr,) = server.wait_for_cdrs()
    server.wait_until_idle()
    assert (cdr["outcome"], cdr["quality_caller"]["codec"], cdr["quality_agent"]["codec"]) == ("answered", name, "PCMU")
    hears(agent, CALLER_HZ, AGENT_HZ)
    hears(caller, AGENT_HZ, CALLER_HZ)
    left, right = read_wav(Path(cdr["recording"]))
    rate = rate_of(Path(cdr["recording"]))
    only(left, CALLER_HZ, AGENT_HZ, rate)
    only(right, AGENT_HZ, CALLER_HZ, rate)
    server.stop()


def hears(phone: Baresip, wanted: float, other: float) -> None:
    """Check what the phone itself kept of the other side's voice."""
    heard = read_wav(phone.heard())[0]
    only(heard, wanted, other, rate_of(phone.heard()))


def rate_of(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[24:28], "little")


def only(samples: Samples, wanted: float, other: float, rate: int) -> None:
    """Check that 2 s on end are one tone, clearly, and the other is not in them."""
    part = loudest_part(samples, wanted, 2.0, rate)
    assert len(part) == 2 * rate
    assert level(part, wanted, rate) > CLEAR_DB, level(part, wanted, rate)
    assert level(part, other, rate) < ABSENT_DB, level(part, other, rate)
