"""How long the set-up of calls takes: measured where they end, where they begin, and where they pass."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from ims_core.setup import STAGES, SetUp, Stage
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.session_events import Reanswered
from tests.acd.house import LATENCY, SDP, House, Phone

Figures = dict[str, tuple[int, float]]


def figures(house: House, role: str) -> Figures:
    """How often each stage was reached, and the sum of the seconds."""
    found: dict[str, float] = {}
    for family in house.engine.metrics.registry.collect():
        if family.name == "acd_sip_setup_seconds":
            for sample in family.samples:
                if sample.labels["role"] == role and sample.labels["hop"] == "node":
                    found[sample.labels["stage"] + sample.name.removeprefix(family.name)] = sample.value
    return {stage: (int(found[f"{stage}_count"]), found[f"{stage}_sum"]) for stage in STAGES}


def near(count: int, seconds: float) -> object:
    return (count, pytest.approx(seconds, abs=0.01))


def test_each_stage_is_told_once_by_what_comes_first() -> None:
    told: list[tuple[Stage, float]] = []
    set_up = SetUp("proxy", "a@b", 10.0, lambda _, stage, seconds: told.append((stage, seconds)))
    for status, now in ((100, 10.1), (183, 11.0), (180, 12.0), (180, 13.0), (486, 14.0), (200, 15.0), (200, 16.0)):
        set_up.take(status, now)
    assert told == [("progress", 1.0), ("ringing", 2.0), ("answered", 5.0)]
    assert (set_up.progress, set_up.ringing, set_up.answered) == (1.0, 2.0, 5.0)


def test_an_answer_without_anything_before_is_a_stage_of_its_own() -> None:
    told: list[Stage] = []
    set_up = SetUp("caller", "a@b", 0.0, lambda _, stage, __: told.append(stage))
    set_up.take(200, 0.5)
    assert told == ["answered"]
    assert set_up.progress is None


def test_a_call_to_an_agent_is_measured_on_both_legs() -> None:
    with House() as house, capture_logs() as lines:
        house.agent("1001")
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        caller.hang_up()
        house.settle()
        assert figures(house, "callee") == {"progress": (0, 0), "ringing": (0, 0), "answered": near(1, 5 * LATENCY)}
        assert figures(house, "caller") == {
            "progress": near(1, 2 * LATENCY),
            "ringing": near(1, 2 * LATENCY),
            "answered": near(1, 0.5),
        }
        assert figures(house, "proxy") == dict.fromkeys(STAGES, (0, 0))
    (ended,) = [line for line in lines if line["event"] == "call.ended"]
    assert ended["alerted_after"] is None
    assert ended["answered_after"] == pytest.approx(5 * LATENCY, abs=0.002)
    (leg,) = [line for line in lines if line["event"] == "call.set_up"]
    assert (leg["hop"], leg["role"], leg["log_level"]) == ("node", "caller", "debug")
    assert leg["alerted_after"] < leg["answered_after"] == pytest.approx(0.502, abs=0.01)


def test_a_call_between_phones_is_measured_as_it_passes() -> None:
    def progress_then_ring(bob: Phone, call: IncomingCall) -> None:
        call.progress(183)

        def ring() -> None:
            call.progress(180)
            bob.answer(call)
            bob.flush()

        house.loop.call_later(1.0, ring)

    with House() as house, capture_logs() as lines:
        bob, alice = house.agent("bob"), house.phone("alice")
        bob.on_invite = lambda call: progress_then_ring(bob, call)
        alice.dial("bob")
        house.run(3.0)
        assert alice.outcome == "Answered"
        assert alice.call is not None
        call_id = alice.call.dialog_id[0]
        alice.hang_up()
        house.settle()
        assert figures(house, "proxy") == {
            "progress": near(1, 2 * LATENCY),
            "ringing": near(1, 1.0),
            "answered": near(1, 1.5),
        }
        house.assert_nothing_left()
    (line,) = [line for line in lines if line["event"] == "call.set_up"]
    assert (line["role"], line["sip_call_id"]) == ("proxy", call_id)
    assert line["answered_after"] == pytest.approx(1.502, abs=0.01)


def test_a_call_that_is_given_up_has_no_answer() -> None:
    with House() as house:
        bob, alice = house.agent("bob"), house.phone("alice")
        bob.on_invite = bob.ring_for_ever
        alice.dial("bob")
        house.run(2.0)
        alice.hang_up()
        house.settle()
        assert {stage: count for stage, (count, _) in figures(house, "proxy").items()} == {
            "progress": 1,
            "ringing": 1,
            "answered": 0,
        }


def test_a_change_of_a_session_is_no_set_up() -> None:
    with House() as house:
        house.agent("bob")
        alice = house.phone("alice")
        alice.dial("bob")
        house.run(2.0)
        assert alice.call is not None
        alice.call.reinvite(SDP)
        alice.flush()
        house.run(2.0)
        assert any(isinstance(event, Reanswered) for event in alice.events)
        alice.hang_up()
        house.settle()
        assert figures(house, "proxy")["answered"][0] == 1
