"""Two phones talk for longer than they may: who is reminded hears it for a moment, and nobody misses more than that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Samples, level, read_wav

pytestmark = pytest.mark.peer("baresip")

CALLER_HZ, AGENT_HZ, REMINDER_HZ = 440.0, 620.0, 1000.0
BLOCK = 800  # samples: 0.1 s
CLEAR_DB = -1.0
SLACK = 4  # of these: a machine that runs many tests at once may let a packet come late


def blocks_of(samples: Samples, hertz: float) -> list[int]:
    """The tenths of a second that are this tone, clearly."""
    count = len(samples) // BLOCK
    return [at for at in range(count) if level(samples[at * BLOCK : (at + 1) * BLOCK], hertz) > CLEAR_DB]


def gaps(blocks: list[int]) -> int:
    """How many tenths of a second are not, between the first and the last of them."""
    return blocks[-1] - blocks[0] + 1 - len(blocks)


@pytest.mark.rfc("3550-5.1")
def test_a_reminder_is_heard_by_the_caller_alone_and_the_talk_ends_after_its_time(bench: Bench) -> None:
    talk = {"reminder_seconds": 2, "reminder_for": "caller", "longest_seconds": 5}
    settings = {f"queues.support.talk.{key}": value for key, value in talk.items()}
    server = bench.serve(settings={"queues.support.announce_agent": False, **settings})
    agent = bench.baresip("1001", server, tone=AGENT_HZ, answers=True).wait_until_registered()
    caller = bench.baresip("caller1", server, tone=CALLER_HZ).wait_until_registered()
    server.wait_for_agent("1001", "ready")
    caller.dial("10001")
    server.wait_for_call("talking", 15)
    for phone in (caller, agent):
        phone.wait_for("CALL_CLOSED", 15)
    (cdr,) = server.wait_for_cdrs()
    server.wait_until_idle()

    assert (cdr["outcome"], cdr["ended_by"], cdr["reason"]) == ("time_limit", "system", "talk time over")
    assert cdr["talked_seconds"] >= 5
    assert "talk.reminded" in [step["event"] for step in cdr["timeline"]]
    (heard_by_caller,), (heard_by_agent,) = (read_wav(phone.heard()) for phone in (caller, agent))
    left, right = read_wav(Path(cdr["recording"]))

    reminder, voice = blocks_of(heard_by_caller, REMINDER_HZ), blocks_of(heard_by_caller, AGENT_HZ)
    assert 1 <= len(reminder) <= 4
    assert voice[0] < reminder[0] <= reminder[-1] < voice[-1], "the agent is heard before and after"
    assert len(voice) > 25
    assert gaps(voice) <= SLACK + 6, "no longer than the reminder"
    for samples, tone in ((heard_by_agent, CALLER_HZ), (left, CALLER_HZ), (right, AGENT_HZ)):
        assert blocks_of(samples, REMINDER_HZ) == []
        blocks = blocks_of(samples, tone)
        assert len(blocks) > 25
        assert gaps(blocks) <= SLACK, "nothing is missing"
    server.stop()
