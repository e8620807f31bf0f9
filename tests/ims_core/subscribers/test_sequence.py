"""Sequence numbers: always higher, over restarts and clocks set back (TS 33.102 Annex C)."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.subscribers.sequence import AHEAD, LARGEST_SEQ, SequenceNumbers

NOON = 1_800_000_000.0


class Memory:
    """A ledger that outlives its ``SequenceNumbers``."""

    def __init__(self) -> None:
        self.tick = 0
        self.ticks: dict[str, int] = {}
        self.writes = 0
        self.is_full = False

    def reserved(self) -> int:
        return self.tick

    def differences(self) -> Iterable[tuple[str, int]]:
        return self.ticks.items()

    def reserve(self, tick: int) -> bool:
        self.writes += 1
        if not self.is_full:
            self.tick = tick
        return not self.is_full

    def differ(self, private: str, ticks: int) -> None:
        self.ticks[private] = ticks


def unix(now: float) -> float:
    return now


def seq_of(sqn: bytes) -> int:
    return int.from_bytes(sqn, "big") >> 5


@pytest.mark.rfc("TS33.102-C.1.1.3")
def test_numbers_follow_a_clock_of_tenths_of_a_second() -> None:
    numbers = SequenceNumbers(unix)
    assert [seq_of(numbers.take("a", NOON + after)) for after in (0, 0.1, 60)] == [
        int(NOON) * 10,
        int(NOON) * 10 + 1,
        int(NOON) * 10 + 600,
    ]


@pytest.mark.rfc("TS33.102-C.1.1.1", "TS33.102-C.2.2")
def test_the_index_goes_through_all_its_values() -> None:
    numbers = SequenceNumbers(unix)
    assert {numbers.take("a", NOON)[-1] & 31 for _ in range(32)} == set(range(32))


def test_a_number_serves_once_however_often_one_is_asked_for() -> None:
    numbers = SequenceNumbers(unix)
    taken = [numbers.take("a", NOON + number / 1000) for number in range(2000)]
    assert taken == sorted(set(taken))
    assert seq_of(numbers.take("b", NOON)) <= int(NOON + 2) * 10  # of another subscriber


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("take"), st.floats(-1e6, 1e6)),
            st.tuples(st.just("many"), st.floats(-10, 10)),
            st.tuples(st.just("ahead"), st.floats(0, 1e9)),
            st.tuples(st.just("restart"), st.floats(-1e6, 1e6)),
        ),
        max_size=30,
    )
)
def test_numbers_rise_over_restarts_with_any_clock(steps: list[tuple[str, float]]) -> None:
    memory = Memory()
    numbers, last = SequenceNumbers(unix, memory), b""
    for step, value in steps:
        now = NOON + (0 if step == "ahead" else value)
        if step == "restart":
            numbers = SequenceNumbers(unix, memory)
        elif step == "ahead":
            sqn_ms = (int.from_bytes(last, "big") + (int(value) << 5)).to_bytes(6, "big")
            assert numbers.resynchronise("a", sqn_ms, now)
            last = max(last, sqn_ms)
        for _ in range(2 * AHEAD if step == "many" else 1):
            taken = numbers.take("a", now)
            assert taken > last
            last = taken


def test_little_is_written() -> None:
    memory = Memory()
    numbers = SequenceNumbers(unix, memory)
    for second in range(600):
        numbers.take(f"user{second % 7}", NOON + second)
    assert memory.writes <= 600 / (AHEAD / 10) + 1
    assert not memory.ticks


def test_who_asks_faster_than_the_clock_does_not_drive_the_others_ahead() -> None:
    memory = Memory()
    numbers = SequenceNumbers(unix, memory)
    for _ in range(10 * AHEAD):
        numbers.take("hasty", NOON)
    numbers = SequenceNumbers(unix, memory)
    assert seq_of(numbers.take("calm", NOON)) <= NOON * 10 + 2 * AHEAD + 1
    assert seq_of(numbers.take("hasty", NOON)) > NOON * 10 + 10 * AHEAD


@pytest.mark.rfc("TS33.102-6.3.5")
@pytest.mark.parametrize("seq_ms", [0, 7, int(NOON) * 10 + 1, int(NOON) * 10 + 123_456_789, LARGEST_SEQ - 1])
def test_after_a_resynchronisation_the_usim_takes_the_next_number(seq_ms: int) -> None:
    memory = Memory()
    numbers = SequenceNumbers(unix, memory)
    numbers.take("a", NOON)
    assert numbers.resynchronise("a", (seq_ms << 5).to_bytes(6, "big"), NOON)
    assert seq_ms < seq_of(numbers.take("a", NOON)) <= seq_ms + AHEAD
    if seq_ms + 10 * AHEAD < LARGEST_SEQ:
        later = SequenceNumbers(unix, memory)
        assert seq_ms + 1 < seq_of(later.take("a", NOON)) <= seq_ms + 1 + 3 * AHEAD


@pytest.mark.rfc("TS33.102-6.3.5")
def test_a_usim_that_takes_the_next_number_changes_nothing() -> None:
    """It may have been shown an old challenge by somebody else."""
    memory = Memory()
    numbers = SequenceNumbers(unix, memory)
    taken = numbers.take("a", NOON)
    assert numbers.resynchronise("a", taken, NOON)
    assert seq_of(numbers.take("a", NOON + 10)) == int(NOON + 10) * 10
    assert not memory.ticks


def test_a_usim_without_numbers_left_cannot_be_helped() -> None:
    assert not SequenceNumbers(unix).resynchronise("a", b"\xff" * 6, NOON)


def test_what_cannot_be_written_is_tried_again_after_a_second() -> None:
    memory = Memory()
    memory.is_full = True
    numbers = SequenceNumbers(unix, memory)
    for after in (0, 0.5, 0.9, 1.2, 1.5):
        numbers.take("a", NOON + after)
    assert memory.writes == 2
    memory.is_full = False
    numbers.take("a", NOON + 3)
    assert memory.tick > (NOON + 3) * 10
