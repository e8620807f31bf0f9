"""The soak, for a moment and over a network that loses nothing: it ends, and all that it looks at is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.__main__ import MIX, SAMPLES, Load, World

TOO_SHORT = "memory grew", "for a while"  # what a moment is too short for
CALLS = 20
NOBODY = "404"
LASTING = "call_cancel"  # Timer D holds its transactions for 32 seconds


@pytest.mark.peer("sipp")
def test_a_moment_of_all_calls_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mix = [part for part in MIX if part.scenario != LASTING]
    with World(tmp_path, Load(seconds=2.0, rate=CALLS / 2.0, loss=0.0, spoil=0.0, mix=mix)) as world:
        faults = world.soak()
    assert [fault for fault in faults if not fault.startswith(TOO_SHORT)] == []
    told = capsys.readouterr().out.splitlines()
    assert sum(line.endswith("answered") for line in told) == SAMPLES
    assert sum(line.startswith("network:") for line in told) == 3
    assert not world.server.running
    for part, caller in zip(mix, world.callers, strict=True):
        assert caller.counts().successful == (0 if part.number == NOBODY else max(1, round(CALLS * part.share))), part
