"""Runs of losses, bursts and gaps, from sequence numbers (RFC 3611 A.2, ITU-T G.107 7.4)."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtp.losses import LossCounts
from media.rtp.packet import Reception
from media.rtp.xr import GMIN


def receive(sequences: list[int]) -> Reception:
    reception = Reception()
    for sequence in sequences:
        if reception.ssrc != 7:
            reception.start(7, sequence & 0xFFFF)
        reception.receive(sequence & 0xFFFF, 0, 0.0)
    return reception


def counted_one_by_one(kept: list[bool]) -> LossCounts:
    """Appendix A.2 for packets in order, with the ends of bursts told from the beginning of the call."""
    lost = runs = c11 = c13 = c14 = c22 = c23 = c33 = in_burst = since = 0

    def end() -> None:
        nonlocal c13, c14
        c13, c14 = c13 + (in_burst > 1), c14 + (in_burst == 1)

    before = True
    for keep in kept:
        if keep:
            since += 1
        else:
            lost += 1
            runs += before
            if since >= GMIN:
                end()
                in_burst, c11 = 1, c11 + since
            else:
                in_burst += 1
                if since:
                    c23, c22 = c23 + 1, c22 + since - 1
                else:
                    c33 += 1
            since = 0
        before = keep
    if since >= GMIN:
        end()
        c11 += since
    else:
        c22 += since
    return LossCounts(lost, runs, 0, c11, c13, c14, c22, c23, c33)


LINES = st.lists(
    st.tuples(st.booleans(), st.integers(1, 40)), min_size=1, max_size=40
).map(lambda runs: [True, *(kept for kept, length in runs for _ in range(length)), True])  # fmt: skip


@pytest.mark.rfc("3611-A.2")
@given(LINES, st.integers(0, 0xFFFF))
def test_runs_are_counted_as_packets_one_by_one(kept: list[bool], first: int) -> None:
    reception = receive([first + number for number, keep in enumerate(kept) if keep])
    assert reception.loss_counts() == counted_one_by_one(kept)


@given(LINES, st.integers(0, 0xFFFF), st.integers(0, 2**32))
def test_reordered_and_doubled_packets_change_nothing(kept: list[bool], first: int, seed: int) -> None:
    chance = random.Random(seed)
    arriving = [number for number, keep in enumerate(kept) if keep]
    late = sorted(arriving[1:], key=lambda number: number + chance.choice((0, 0, 0, 7, 40)))
    doubled = [number for number in late for _ in range(chance.choice((1, 1, 1, 2)))]
    reception = receive([first + number for number in (0, *doubled)])
    counts = reception.loss_counts()
    assert counts.lost == kept.count(False)
    assert counts._replace(duplicates=0) == counted_one_by_one(kept)
    assert counts.duplicates == len(doubled) - len(late)
    assert reception.received == 1 + len(doubled)


def test_a_packet_later_than_that_is_lost() -> None:
    sequences = [1, *range(3, 104), 2]
    assert receive(sequences).lost == 1
    assert receive([*sequences[:-3], 2]).lost == 0


def test_a_burst_and_single_losses_are_told_apart() -> None:
    # 100 received, 1 lost, 100 received, then 3 lost, 2 received, 2 lost, and 100 received.
    kept = [True] * 100 + [False] + [True] * 100 + [False] * 3 + [True] * 2 + [False] * 2 + [True] * 100
    counts = receive([number for number, keep in enumerate(kept) if keep]).loss_counts()
    assert (counts.lost, counts.runs, counts.c13, counts.c14) == (6, 3, 1, 1)
    assert counts.burst_density() == pytest.approx(5 / 7, abs=0.05)
    assert counts.gap_density() == 1 / 301
    burst, gap = counts.mean_lengths(len(kept))
    assert burst == pytest.approx(7, abs=1)
    assert gap == pytest.approx(302, abs=1)


def test_the_burst_ratio_of_single_and_of_grouped_losses() -> None:
    single = LossCounts(lost=10, runs=10)
    assert single.burst_ratio(100) == 0.9
    grouped = LossCounts(lost=10, runs=2)
    assert grouped.burst_ratio(100) == 4.5
    assert LossCounts().burst_ratio(100) is None


def test_random_loss_has_a_burst_ratio_of_one() -> None:
    chance = random.Random(1)
    reception = receive([0, *(number for number in range(1, 200_000) if chance.random() >= 0.1)])
    ratio = reception.loss_counts().burst_ratio(reception.expected)
    assert ratio == pytest.approx(1, abs=0.01)
