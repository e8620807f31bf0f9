"""What is measured is what was injected: loss, bursts, jitter and round trip over an impaired path, in memory."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtp.account import Account
from media.rtp.packet import Reception, Sender
from media.rtp.quality import Hearing
from media.rtp.reporting import Reporter
from tests.kit.impairment import Arrival, GilbertElliott, Impairments, LossOf, Path, RandomLoss

PACKET = 0.020
LINK = struct.Struct(">HI")  # sequence number and timestamp are all that matters here


def send(path: Path, packets: int, first: int = 65_000) -> None:
    for number in range(packets):
        path.send(LINK.pack((first + number) & 0xFFFF, (4_000_000_000 + 160 * number) & 0xFFFFFFFF), number * PACKET)


def receive(arrived: Sequence[Arrival], first: int = 65_000) -> Reception:
    reception = Reception()
    reception.start(7, first & 0xFFFF)
    for at, data in arrived:
        sequence, timestamp = LINK.unpack(data)
        reception.receive(sequence, timestamp, at * 8000)
    return reception


def jitter_of(arrived: Sequence[Arrival]) -> float:
    """RFC 3550 6.4.1 as it is written, in seconds: on all packets in the order of arrival."""
    jitter, before = 0.0, None
    for at, data in arrived:
        transit = at - LINK.unpack(data)[1] / 8000
        if before is not None and abs(transit - before) < 1:
            jitter += (abs(transit - before) - jitter) / 16
        before = transit
    return jitter


def burst_ratio_of(path: Path, expected: int) -> float:
    """ITU-T G.107: the mean length of a run over 1 / (1 - share)."""
    runs = path.runs(expected)
    return sum(runs) / len(runs) * (1 - len(path.lost) / expected)


@given(
    st.integers(0, 2**32),
    st.floats(0, 0.4),
    st.floats(0, 0.1),
    st.floats(0, 0.3),
    st.floats(0, 0.2),
)
def test_random_loss_jitter_reordering_and_duplicates(
    seed: int, share: float, jitter: float, reorder: float, duplicate: float
) -> None:
    impairments = Impairments(RandomLoss(share), 0.04, jitter, reorder, 0.06, duplicate)
    path = Path(impairments, seed)
    send(path, 400)
    path.lost = [number for number in path.lost if 0 < number < 399]
    arrived = path.arrive()
    sequences = [LINK.unpack(data)[0] for _, data in arrived]
    first, last = 65_000, (65_000 + 399) & 0xFFFF
    if first not in sequences[:1] or last not in sequences:
        return  # the ends cannot be known to be lost
    reception = receive(arrived)
    assert reception.lost == len(path.lost)
    assert reception.received == 400 - len(path.lost) + len(path.doubled)
    assert reception.loss_counts().duplicates == len(path.doubled)
    assert reception.jitter / 8000 == pytest.approx(jitter_of(arrived), abs=1e-6)
    if path.lost:
        ratio = reception.loss_counts().burst_ratio(reception.expected)
        assert ratio == pytest.approx(burst_ratio_of(path, 400))


@pytest.mark.parametrize(
    ("worsen", "better"), [(0.01, 0.25), (0.02, 0.5), (0.05, 0.2), (0.005, 0.1)]
)  # fmt: skip
def test_bursts_of_gilbert_and_elliott(worsen: float, better: float) -> None:
    model = GilbertElliott(worsen, better)
    path = Path(Impairments(model), seed=11)
    packets = 200_000
    send(path, packets)
    reception = receive(path.arrive(), 65_000)
    counts = reception.loss_counts()
    assert counts.lost == len([number for number in path.lost if number < packets - 1])
    assert counts.lost / packets == pytest.approx(model.share, rel=0.1)
    ratio = counts.burst_ratio(reception.expected)
    assert ratio == pytest.approx(1 / better * (1 - model.share), rel=0.05)
    burst, gap = counts.mean_lengths(reception.expected)
    assert burst > 0.9 / better
    assert gap > 16


def test_loss_between_the_states_is_that_of_their_mixture() -> None:
    model = GilbertElliott(0.02, 0.2, good=0.01, bad=0.5)
    path = Path(Impairments(model), seed=5)
    send(path, 200_000)
    assert receive(path.arrive()).lost / 200_000 == pytest.approx(model.share, rel=0.05)
    assert model.share == pytest.approx(0.02 / 0.22 * 0.5 + 0.2 / 0.22 * 0.01)


def test_chosen_packets_are_lost() -> None:
    path = Path(Impairments(LossOf(frozenset({3, 4, 9}))))
    send(path, 20)
    counts = receive(path.arrive()).loss_counts()
    assert (counts.lost, counts.runs) == (3, 2)
    assert path.runs() == [2, 1]


def test_a_steady_delay_is_no_jitter_and_an_even_one_has_a_third_of_its_width() -> None:
    steady = Path(Impairments(delay=0.3))
    send(steady, 1000)
    assert receive(steady.arrive()).jitter == pytest.approx(0, abs=1e-3)
    # The mean difference of two evenly distributed delays of width w is w / 3.
    even = Path(Impairments(delay=0.05, jitter=0.015), seed=3)
    send(even, 5000)
    values = []
    reception = Reception()
    reception.start(7, 65_000)
    for at, data in even.arrive():
        sequence, timestamp = LINK.unpack(data)
        reception.receive(sequence, timestamp, at * 8000)
        values.append(reception.jitter_ms)
    assert sum(values) / len(values) == pytest.approx(5, rel=0.05)


@pytest.mark.rfc("3550-6.4.1")
def test_both_ends_know_both_directions_by_rtcp() -> None:
    there = Path(Impairments(RandomLoss(0.05), delay=0.08, jitter=0.01), seed=1)
    back = Path(Impairments(RandomLoss(0.01), delay=0.03), seed=2)
    here, far = _end(1), _end(2)
    arrived: dict[int, list[float]] = {1: [], 2: []}
    for tick in range(60 * 50):
        now = tick * PACKET
        for end, other, path in ((here, far, there), (far, here, back)):
            end.sender.advance("voice", now)
            end.sender.packets += 1
            end.sender.octets += 172
            path.send(b"R" + LINK.pack(end.sender.sequence, end.sender.timestamp), now)
            if now >= end.deadline and end.handle_timer(now):
                path.send(b"C" + end.compose(now), now)
            for at, data in path.arrive(now):
                if data[:1] == b"C":
                    other.receive(data[1:], at)
                    continue
                sequence, timestamp = LINK.unpack(data[1:])
                if other.reception.ssrc < 0:
                    other.reception.start(end.sender.ssrc, sequence)
                other.reception.receive(sequence, timestamp, at * 8000)
                arrived[end.sender.ssrc].append(at)
    report = Account(here).report(Hearing("PCMU"), "PCMU")
    assert report.round_trip_ms == pytest.approx(115, abs=5)
    assert report.loss_percent == pytest.approx(1, abs=0.5)
    assert report.far_end is not None
    assert report.far_end.loss_percent == pytest.approx(5, abs=0.7)
    assert report.far_end.jitter_ms == pytest.approx(10 / 3, abs=1)
    assert report.far_end.mos is not None
    assert report.mos is not None
    assert report.far_end.mos < report.mos
    theirs = Account(far).report(Hearing("PCMU"), "PCMU")
    assert theirs.loss_percent == pytest.approx(report.far_end.loss_percent, abs=0.3)
    assert theirs.round_trip_ms == pytest.approx(report.round_trip_ms, abs=5)


def _end(ssrc: int) -> Reporter:
    return Reporter(
        Sender(ssrc, 100, 200),
        Reception(),
        f"end{ssrc}",
        now=0.0,
        unix_offset=1e9 + 7000 * ssrc,
        chance=iter([0.2, 0.8, 0.5, 0.1, 0.9] * 500).__next__,
    )
