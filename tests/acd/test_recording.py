"""Recordings as the engine sees them: paused by HTTP, told in the record, named after what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from acd.cdr import Cdr, Gap, Recorded
from acd.control import NotNow, NotThere
from media.api import LegReport
from media.recording import report
from media.testing import FakeLeg
from tests.acd.house import House


def only(house: House) -> Cdr:
    (cdr,) = house.records.cdrs
    return cdr


def said(leg: FakeLeg) -> list[str]:
    return [call.method for call in leg.calls if call.method.endswith("_recording")]


def test_a_talk_is_paused_and_resumed() -> None:
    with House() as house:
        house.agent("1001")
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        (call,) = house.engine.calls.values()
        leg = house.caller_leg
        shown = [call.recording]
        for paused in (True, True, False, False, True):
            house.control.pause_recording(call.id, paused=paused)
            shown.append(call.recording)
        assert said(leg) == ["pause_recording", "resume_recording", "pause_recording"]
        assert shown == ["on", "paused", "paused", "on", "on", "paused"]
        gap = report.Gap(1.0, 2.0004, "paused")
        path = leg.recording
        assert path is not None
        leg.report = LegReport(recorded=report.Recorded((path,), 3.5, (gap,), 0.25))
        caller.hang_up()
        house.settle()
        cdr = only(house)
        assert [step.event for step in cdr.timeline if step.event.startswith("recording")] == [
            "recording.paused",
            "recording.resumed",
            "recording.paused",
        ]
        assert cdr.recording == path
        assert cdr.recorded == Recorded(files=(path,), seconds=3.5, gaps=(Gap(1.0, 2.0, "paused"),), lost_seconds=0.25)


@pytest.mark.parametrize("is_there", [True, False])
def test_the_recording_of_a_lost_worker_is_told_if_it_is_there(tmp_path: Path, is_there: bool) -> None:
    with House(f"storage.dir={tmp_path}") as house:
        house.agent("1001")
        house.phone("alice").dial("10001")
        house.run(5.0)
        path = house.caller_leg.recording
        assert path is not None
        if is_there:
            Path(path).parent.mkdir(parents=True)
            Path(path).write_bytes(b"RIFF")
        house.do(house.caller_leg.lose)
        house.settle()
        assert only(house).recording == (path if is_there else None)


def test_what_is_not_recorded_cannot_be_paused() -> None:
    with House("queues.support.record=false") as house:
        with pytest.raises(NotThere, match="no call 'c9' is under way"):
            house.control.pause_recording("c9", paused=True)
        house.agent("1001")
        caller = house.phone("alice")
        caller.dial("10001")
        for seconds in (0.1, 5.0):
            house.run(seconds)
            (call,) = house.engine.calls.values()
            with pytest.raises(NotNow, match="the call is not recorded"):
                house.control.pause_recording(call.id, paused=True)
        assert call.stage == "talking"
        assert call.recording is None
        assert house.caller_leg.recording is None
        caller.hang_up()
        house.settle()
        assert only(house).recorded is None


@pytest.mark.parametrize(
    ("settings", "suffix"),
    [
        ((), ".wav"),
        (("recording.format=opus",), ".opus"),
        (("recording.key=k1:" + "ab" * 32,), ".wav.sealed"),
    ],
)
def test_recordings_are_named_by_what_they_are(settings: tuple[str, ...], suffix: str) -> None:
    with House(*settings) as house:
        house.agent("1001")
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        path = house.caller_leg.recording
        assert path is not None
        (call,) = house.engine.calls
        assert path.endswith(f"-{call}{suffix}")
        caller.hang_up()
        house.settle()


@pytest.mark.parametrize("leg_stays_open", [False, True])
def test_an_agent_pauses_by_a_key_during_the_talk(leg_stays_open: bool) -> None:
    settings = ["recording.pause_key=*", *(["agents.1001.open_leg=true"] if leg_stays_open else [])]
    with House(*settings) as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        house.run(3.0)
        caller.dial("10001")
        house.run(5.0)
        (call,) = house.engine.calls.values()
        assert call.agent is not None
        leg = call.agent.media
        assert isinstance(leg, FakeLeg)
        shown = []
        for key in "1*2*":
            leg.press(key)
            shown.append(call.recording)
        assert shown == ["on", "paused", "paused", "on"]
        house.caller_leg.press("*")
        assert call.recording == "on", "the caller's keys are his own"
        caller.hang_up()
        house.settle()
        told = [(step.event, step.detail) for step in only(house).timeline if step.event.startswith("recording")]
        assert told == [("recording.paused", "agent"), ("recording.resumed", "agent")]
        assert agent.events
