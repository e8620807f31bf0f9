"""RTCP between two ends on a virtual clock (RFC 3550 6)."""

import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtp.packet import Reception, Sender
from media.rtp.reporting import Reporter, interval, ntp_time
from media.rtp.rtcp import (
    Bye,
    Description,
    ExtendedReport,
    Packet,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    pack,
    read,
)
from media.rtp.xr import Delays, MalformedRtcp, ReferenceTime, VoipMetrics

UNIX = 1_700_000_000.0


class End:
    """One end of a session, whose packets reach the other at once unless a test says otherwise."""

    def __init__(self, ssrc: int, *, skew: float = 0.0, chance: Callable[[], float] = lambda: 0.5) -> None:
        self.sender = Sender(ssrc, 1000, 5000)
        self.reception = Reception()
        self.skew = skew
        self.reporter = Reporter(
            self.sender, self.reception, f"end{ssrc}@example", now=100.0, unix_offset=UNIX + skew, chance=chance
        )

    def talk(self, other: "End", now: float, packets: int = 1, lost: int = 0) -> float:
        """Send packets, 20 ms apart, the last ones of which get lost; returns the time of the next."""
        for number in range(packets):
            self.sender.advance("voice", now)
            self.sender.packets += 1
            self.sender.octets += 172
            if number < packets - lost:
                other.hear(self, now)
            now += 0.020
        return now

    def hear(self, other: "End", now: float) -> None:
        if self.reception.ssrc != other.sender.ssrc:
            self.reception.start(other.sender.ssrc, other.sender.sequence)
        self.reception.receive(other.sender.sequence, other.sender.timestamp, now * 8000)

    def report(self, now: float) -> list[Packet]:
        return read(self.reporter.compose(now))


@pytest.mark.rfc("3550-6.3.1")
@given(st.floats(0, 1), st.booleans(), st.booleans(), st.integers(0, 2))
def test_two_members_report_each_five_seconds_give_or_take(
    chance: float, we_sent: bool, initial: bool, senders: int
) -> None:
    shortest = 2.5 if initial else 5
    seconds = interval(
        members=2, senders=senders, bandwidth=500, we_sent=we_sent, size=150, initial=initial, chance=chance
    )
    assert seconds == pytest.approx(shortest * (chance + 0.5) / 1.21828)


@pytest.mark.rfc("3550-A.7")
def test_many_members_share_the_bandwidth_a_quarter_for_senders() -> None:
    def average(*, senders: int, we_sent: bool) -> float:
        return interval(
            members=100, senders=senders, bandwidth=500, we_sent=we_sent, size=200, initial=False, chance=0.71828
        )

    assert average(senders=10, we_sent=True) == pytest.approx(10 * 200 / 125)
    assert average(senders=10, we_sent=False) == pytest.approx(90 * 200 / 375)
    assert average(senders=50, we_sent=True) == pytest.approx(100 * 200 / 500)


@pytest.mark.rfc("3550-6.3.6")
def test_reports_come_at_random_intervals_whose_mean_is_the_deterministic_one() -> None:
    chance = random.Random(4).random
    one, other = End(1, chance=chance), End(2)
    one.reporter.receive(other.reporter.compose(100.0), 100.0)
    now, times = 100.0, []
    for _ in range(3000):
        one.talk(other, now)
        now = max(one.reporter.deadline, now)
        if one.reporter.handle_timer(now):
            one.reporter.compose(now)
            times.append(now)
    assert 100 + 2.5 * 0.5 / 1.21828 <= times[0] <= 100 + 2.5 * 1.5 / 1.21828
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= 2.5 / 1.21828
    assert max(gaps) <= 7.5 / 1.21828 + 0.001
    assert sum(gaps) / len(gaps) == pytest.approx(5, rel=0.02)


@pytest.mark.rfc("3550-6.4.1")
def test_a_sender_report_tells_which_timestamp_is_this_instant() -> None:
    one, other = End(1), End(2)
    after = one.talk(other, 100.0, packets=50)
    (report, description, _) = one.report(after + 0.105)
    assert isinstance(report, SenderReport)
    assert (report.packets, report.octets) == (50, 50 * 160)
    assert report.ntp == ntp_time(UNIX + after + 0.105)
    # The next packet would bear the timestamp after the last one's; 105 ms are 840 samples.
    assert report.timestamp == one.sender.timestamp + 160 + 840
    assert description == Description(1, "end1@example")


@pytest.mark.rfc("3550-6.4.1")
def test_the_timestamp_follows_the_clock_of_the_stream() -> None:
    one, other = End(1), End(2)
    one.sender.set_clock(48_000)
    one.talk(other, 100.0)
    (report, *_) = one.report(101.0)
    assert isinstance(report, SenderReport)
    assert report.timestamp == (one.sender.timestamp + 48_000) & 0xFFFFFFFF


@pytest.mark.rfc("3550-6.4")
def test_who_sent_nothing_since_the_report_before_the_last_is_a_receiver() -> None:
    one, other = End(1), End(2)
    assert isinstance(one.report(100.0)[0], ReceiverReport)
    one.talk(other, 101.0)
    kinds = [type(one.report(now)[0]) for now in (105.0, 110.0, 115.0)]
    assert kinds == [SenderReport, SenderReport, ReceiverReport]


@pytest.mark.rfc("3550-A.3")
def test_the_block_tells_losses_since_the_last_report_and_of_all() -> None:
    one, other = End(1), End(2)
    now = one.talk(other, 100.0, packets=100)
    other.report(now)
    now = one.talk(other, now, packets=60, lost=20)
    now = one.talk(other, now, packets=20)
    (report, *_) = other.report(now)
    assert isinstance(report, ReceiverReport)
    (block,) = report.blocks
    assert (block.ssrc, block.fraction_lost, block.lost) == (1, (20 << 8) // 80, 20)
    assert block.highest == one.sender.sequence
    assert other.report(now + 5)[0] == ReceiverReport(2)


@pytest.mark.rfc("3550-6.4.1")
@pytest.mark.parametrize(("there", "back", "held"), [(0.010, 0.030, 4.0), (0.2, 0.3, 0.0), (0.0, 0.0, 1.0)])
def test_the_round_trip_is_known_though_clocks_differ(there: float, back: float, held: float) -> None:
    one, other = End(1), End(2, skew=-3000.0)
    one.talk(other, 100.0)
    one.reporter.peer = 2
    report = one.reporter.compose(101.0)
    other.reporter.receive(report, 101.0 + there)
    answer = other.reporter.compose(101.0 + there + held)
    one.reporter.receive(answer, 101.0 + there + held + back)
    assert one.reporter.round_trip == pytest.approx(there + back, abs=0.0001)
    assert one.reporter.round_trips == 1


@pytest.mark.rfc("3611-4.5")
def test_who_only_listens_learns_the_round_trip_from_extended_reports() -> None:
    one, other = End(1), End(2)
    other.talk(one, 100.0)
    first = one.report(101.0)
    assert isinstance(first[0], ReceiverReport)
    other.reporter.receive(pack(first), 101.05)
    answer = other.reporter.compose(103.0)
    assert Delays(1, ntp_time(UNIX + 101.0) >> 16 & 0xFFFFFFFF, int(1.95 * 65536)) in _blocks(answer)
    one.reporter.receive(answer, 103.02)
    assert one.reporter.round_trip == pytest.approx(0.07, abs=0.0001)


def test_a_round_trip_that_we_never_began_is_not_believed() -> None:
    one = End(1)
    one.report(101.0)
    for last_report in (1, 0xFFFFFFFF, (ntp_time(UNIX + 102.0) >> 16) & 0xFFFFFFFF):
        one.reporter.receive(pack([ReceiverReport(2, (ReportBlock(1, last_report=last_report),))]), 103.0)
    sent = ntp_time(UNIX + 101.0) >> 16 & 0xFFFFFFFF
    one.reporter.receive(pack([ReceiverReport(2, (ReportBlock(1, last_report=sent, delay=99 << 16),))]), 103.0)
    assert one.reporter.round_trip is None


def test_the_far_end_tells_of_the_stream_that_it_hears() -> None:
    one, other = End(1), End(2)
    now = one.talk(other, 100.0, packets=90)
    metrics = VoipMetrics(ssrc=1, r_factor=80, buffer_ms=40)
    one.reporter.receive(other.reporter.compose(now, metrics), now)
    assert one.reporter.far_expected == 90
    assert one.reporter.far_metrics == metrics
    assert one.reporter.peer_cname == "end2@example"
    foreign = pack([ReceiverReport(2, (ReportBlock(99, lost=7),)), ExtendedReport(2, (VoipMetrics(ssrc=99),))])
    one.reporter.receive(foreign, now)
    assert one.reporter.far is not None
    assert one.reporter.far.lost == 0
    assert one.reporter.far_metrics == metrics


@pytest.mark.rfc("3550-6.3.7")
def test_the_goodbye_stands_behind_a_report_and_a_name() -> None:
    one, other = End(1), End(2)
    one.talk(other, 100.0)
    report, description, bye = read(one.reporter.end(101.0, "the call is over"))
    assert isinstance(report, SenderReport)
    assert description == Description(1, "end1@example")
    assert bye == Bye((1,), "the call is over")


@pytest.mark.rfc("3550-6.3.4")
def test_who_has_left_is_no_member_any_more() -> None:
    one, other = End(1), End(2)
    one.reporter.receive(other.reporter.compose(100.5), 100.5)
    one.reporter.compose(101.0)
    before = one.reporter.deadline
    assert one.reporter.members == 2
    one.reporter.receive(other.reporter.end(102.0), 102.0)
    assert one.reporter.members == 1
    assert one.reporter.deadline == pytest.approx(102.0 + (before - 102.0) / 2)
    one.reporter.receive(pack([ReceiverReport(3), Bye((77,))]), 102.0)
    assert one.reporter.members == 2


@pytest.mark.rfc("3550-8.2")
def test_another_ssrc_of_ours_begins_unreported() -> None:
    one, other = End(1), End(2)
    now = one.talk(other, 100.0, packets=10)
    one.reporter.receive(other.reporter.compose(now), now)
    bye = read(one.reporter.take_other_ssrc(now))[-1]
    assert bye == Bye((1,), "SSRC collision")
    assert one.sender.ssrc == 1 << 31
    assert one.reporter.far_expected == 0
    now = one.talk(other, now, packets=7)
    one.reporter.receive(other.reporter.compose(now), now)
    assert one.reporter.far_expected == 7
    report = one.report(now)[0]
    assert isinstance(report, SenderReport)
    assert (report.packets, report.octets) == (7, 7 * 160), "6.4.1: the counts begin anew with the SSRC"


@pytest.mark.rfc("3550-6.4.1")
@pytest.mark.parametrize(
    "highest",
    [(1040, 65_530, 65_546), (1040, 65_530, 10), (0, 1040, 65_530, 10), (0x1_0410, 0x1_FFFA, 10, 0x1_FFFF, 10)],
    ids=["cycles counted", "no cycles", "nothing at first", "another receiver"],
)
def test_the_far_end_goes_on_though_the_sequence_begins_anew(highest: tuple[int, ...]) -> None:
    one = End(1)
    for each in highest:
        one.reporter.receive(pack([ReceiverReport(2, (ReportBlock(1, highest=each),))]), 101.0)
    assert one.reporter.far_expected & 0xFFFF == 65_546 - 1000


@given(
    st.lists(st.binary(max_size=120) | st.builds(lambda tail: pack([ReceiverReport(2)]) + tail, st.binary(max_size=80)))
)
def test_any_octets_leave_the_reporter_at_work(datagrams: list[bytes]) -> None:
    one = End(1)
    for data in datagrams:
        try:
            one.reporter.receive(data, 101.0)
        except MalformedRtcp:
            continue
    assert isinstance(one.report(102.0)[0], ReceiverReport)


def _blocks(data: bytes) -> list[ReferenceTime | Delays | VoipMetrics]:
    return [block for packet in read(data) if isinstance(packet, ExtendedReport) for block in packet.blocks]
