"""When a figure must not be trusted, and how it stands to its mark."""

from dataclasses import replace

import pytest

from benchmarks.report import Single, marks, table, verdict
from benchmarks.rtp_load import Report, judge
from benchmarks.sampling import Figure, Result, Sample, Side
from benchmarks.sipp import Counts


def figure(mark: float | None, *, higher_is_better: bool = False) -> Figure:
    def never(*_: object) -> Sample:
        raise AssertionError

    def value(sample: Sample) -> float:
        return sample.per_cpu_second if higher_is_better else sample.cost

    hops = "near", "far"
    return Figure("f", "a figure", "peer", "unit", mark, never, never, value, higher_is_better, hops)


def result(figure: Figure, ours: list[float], theirs: list[float]) -> Result:
    """Runs of 1,000 units that took these CPU seconds."""
    found = Result(figure)
    found.samples[Side.OURS] = [Sample(cpu, 1000, 1.0, by_process=[0.25 * cpu, 0.75 * cpu]) for cpu in ours]
    found.samples[Side.PEER] = [Sample(cpu, 1000, 1.0) for cpu in theirs]
    return found


@pytest.mark.parametrize(
    ("counts", "doubt"),
    [
        (Counts(1000, 0, 0, 10.2), None),
        (Counts(999, 1, 0, 10.2), "1 of 1000 calls failed"),
        (Counts(990, 0, 0, 10.2), "10 of 1000 calls failed"),
        (Counts(1000, 0, 1, 10.2), None),
        (Counts(1000, 0, 2, 10.2), "2 retransmissions in 1000 calls"),
        (Counts(1000, 0, 0, 12.0), "sender late: 83/s instead of 100/s"),
    ],
)
def test_a_load_that_was_not_as_meant_is_doubted(counts: Counts, doubt: str | None) -> None:
    sample = Sample(1.0)
    sample.judge_calls(counts, 1000, 100.0)
    assert sample.doubts == ([doubt] if doubt else [])
    assert sample.units == counts.completed


def test_only_calls_completed_by_the_agents_are_units() -> None:
    sample = Sample(1.0)
    sample.judge_calls(Counts(100, 0, 0, 1.0), 100, 100.0)
    sample.judge_agents(Counts(98, 0, 0, 1.0))
    assert sample.units == 98
    assert sample.doubts == ["the agents completed 98 of 100 calls"]


@pytest.mark.parametrize(
    ("report", "counted", "doubt"),
    [
        (Report(1000, 1000, 0, 1.0, 0, 1.0), 1000, None),
        (Report(1000, 990, 0, 1.0, 0, 1.0), 1000, "10 of 1000 packets did not come back"),
        (Report(1000, 1000, 11, 30.0, 0, 1.0), 1000, "sender late: 11 of 1000 packets by more than 10 ms"),
        (Report(1000, 1000, 0, 1.0, 1, 1.0), 1000, "1 phones heard nothing"),
        (Report(1000, 1000, 0, 1.0, 0, 1.0), 0, "the relay counted 0 of 1000 packets"),
    ],
)
def test_a_relay_or_sender_that_falls_behind_is_doubted(report: Report, counted: int, doubt: str | None) -> None:
    sample = Sample(1.0)
    judge(sample, report, counted)
    assert sample.doubts == ([doubt] if doubt else [])
    assert sample.units == report.received


def test_the_ratio_is_taken_of_medians() -> None:
    found = result(figure(1.5), ours=[0.3, 0.2, 0.21], theirs=[0.1, 0.14, 0.12])
    assert found.median(Side.OURS) == pytest.approx(210)
    assert found.ratio == pytest.approx(0.21 / 0.12)
    assert found.met is False


def test_a_rate_must_reach_its_mark_from_above() -> None:
    found = result(figure(2.5, higher_is_better=True), ours=[0.1], theirs=[0.3])
    assert found.ratio == pytest.approx(3.0)
    assert found.met is True


def test_a_doubted_run_marks_the_verdict() -> None:
    found = result(figure(1.5), ours=[0.1], theirs=[0.1])
    assert verdict(found) == "reached"
    found.samples[Side.PEER][0].doubts.append("7 retransmissions")
    assert verdict(found) == "reached, NOT TO BE TRUSTED"
    assert found.doubts() == ["peer, run 1: 7 retransmissions"]


def test_runs_that_differ_too_much_are_doubted() -> None:
    found = result(figure(1.5), ours=[0.1, 0.1, 0.16], theirs=[0.1, 0.1, 0.14])
    assert found.doubts() == ["ims-acd: runs differ by more than 1.5 ×"]


def test_a_side_that_failed_leaves_no_ratio() -> None:
    found = result(figure(1.5), ours=[], theirs=[0.1])
    found.errors[Side.OURS] = "does not start"
    assert found.ratio is None
    assert verdict(found) == "not measured"
    assert found.doubts() == ["ims-acd: does not start"]


def test_a_figure_without_a_mark_only_tells() -> None:
    found = result(figure(None), ours=[0.2], theirs=[0.1])
    assert found.ratio == pytest.approx(2.0)
    assert found.met is None
    assert verdict(found) == ""
    found.samples[Side.OURS][0].doubts.append("7 retransmissions")
    assert verdict(found) == "NOT TO BE TRUSTED"


def test_each_hop_is_told_of() -> None:
    found = result(figure(None), ours=[0.3, 0.2, 0.1], theirs=[0.1])
    assert found.by_hop == pytest.approx({"near": 50.0, "far": 150.0})
    assert "\n  f, by hop: near 50.0, far 150 unit\n" in table([found], [Single("s", "a single", "", 1.0)])
    assert result(figure(None), ours=[], theirs=[0.1]).by_hop == {}


@pytest.mark.parametrize(
    ("single", "told"),
    [
        (Single("s", "a single", "unit", 5.0), "a single: 5.0 unit"),
        (Single("s", "a single", "unit", 5.0, mark=6), "a single: 5.0 unit, mark ≤ 6, reached"),
        (Single("s", "a single", "unit", 7.0, mark=6), "a single: 7.0 unit, mark ≤ 6, missed"),
        (Single("s", "a single", "unit", 7.0, mark=6, higher_is_better=True), "a single: 7.0 unit, mark ≥ 6, reached"),
        (Single("s", "a single", "unit", None, "no SIPp", 6), "a single: not measured: no SIPp"),
    ],
)
def test_a_figure_without_a_peer_stands_to_its_mark_as_well(single: Single, told: str) -> None:
    assert table([], [single]) == told


def test_marks_are_counted_and_those_missed_are_named() -> None:
    reached, missed, idle = (
        result(figure(1.5), [0.1], [0.1]),
        result(figure(1.5), [0.2], [0.1]),
        result(figure(1.5), [], []),
    )
    for each, name in ((reached, "near"), (missed, "far"), (idle, "idle")):
        each.figure = replace(each.figure, name=name)
    unmarked = result(figure(None), [0.2], [0.1])
    unmarked.samples[Side.OURS][0].doubts.append("7 retransmissions")
    own = [Single("own", "", "", 5.0, mark=6), Single("own_far", "", "", 7.0, mark=6), Single("told", "", "", 1.0)]
    assert marks([reached, unmarked], own[::2]) == "Marks: 2 reached"
    missed.samples[Side.PEER][0].doubts.append("7 retransmissions")
    assert marks([reached, missed, idle, unmarked], own) == (
        "Marks: 2 reached, 2 missed (far, own_far), 1 not measured (idle), 1 not to be trusted (far)"
    )
