"""The account of a leg: what its report says, call after call."""

import pytest

from media.api import FarEnd
from media.rtp.account import Account
from media.rtp.packet import Reception, Sender
from media.rtp.quality import Hearing, rate
from media.rtp.reporting import Reporter
from media.rtp.rtcp import ExtendedReport, ReceiverReport, ReportBlock, pack
from media.rtp.xr import VoipMetrics

PCMU = Hearing("PCMU", 20)


class Leg:
    """What a session has."""

    def __init__(self) -> None:
        self.sender, self.reception = Sender(5, 999, 0), Reception()
        self.reporter = Reporter(self.sender, self.reception, "leg", now=0.0, unix_offset=1e9, chance=lambda: 0.5)
        self.account = Account(self.reporter)
        self._next = 1

    def receive(self, *kept: bool) -> None:
        if self.reception.ssrc < 0:
            self.reception.start(7, self._next)
        for keep in kept:
            if keep:
                self.reception.receive(self._next, 160 * self._next, 160.0 * self._next)
            self._next += 1

    def reported(self, lost: int, highest: int, jitter: int = 0, **metrics: float) -> None:
        block = ReportBlock(5, 0, lost, highest, jitter)
        extended = ExtendedReport(9, (VoipMetrics(ssrc=5, **metrics),) if metrics else ())  # type: ignore[arg-type]
        self.reporter.receive(pack([ReceiverReport(9, (block,)), extended]), 1.0)


def test_nothing_is_known_of_a_leg_that_received_nothing() -> None:
    report = Leg().account.report(PCMU, "PCMU")
    assert (report.packets_received, report.lost, report.burst_ratio, report.round_trip_ms) == (0, 0, None, None)
    assert (report.r_factor, report.mos, report.scale, report.basis) == (None, None, None, "nothing received")
    assert report.far_end is None
    assert Leg().account.metrics(PCMU) is None


def test_loss_and_its_bursts_are_in_the_rating() -> None:
    leg = Leg()
    leg.receive(*[True] * 45, *[False] * 5, *[True] * 50)
    report = leg.account.report(PCMU, "PCMU")
    assert (report.packets_received, report.lost, report.loss_percent) == (95, 5, 5.0)
    assert report.burst_ratio == pytest.approx(5 * 0.95)
    assert report.r_factor == rate(PCMU, 5.0, 4.75).r
    assert report.scale == "narrowband"


@pytest.mark.rfc("3611-4.7.1")
def test_what_came_too_late_to_be_played_counts_as_loss_does() -> None:
    leg = Leg()
    leg.receive(*[True] * 50, False, *[True] * 49)
    heard = Hearing("PCMU", 20, buffer_ms=40, conceals=True, discarded=4)
    report = leg.account.report(heard, "PCMU")
    assert (report.lost, report.discarded, report.loss_percent) == (1, 4, 1.0)
    assert report.r_factor == rate(heard, 5.0, report.burst_ratio or 1.0).r
    metrics = leg.account.metrics(heard)
    assert metrics is not None
    assert (metrics.loss_rate, metrics.discard_rate) == (256 // 100, 4 * 256 // 100)
    leg.account.settle(heard.discarded)
    leg.receive(*[True] * 50)
    report = leg.account.report(heard._replace(discarded=5), "PCMU")
    assert (report.lost, report.discarded, report.loss_percent) == (0, 1, 0.0)


def test_each_call_on_a_leg_has_its_own_account() -> None:
    leg = Leg()
    leg.receive(*[True] * 10, False, True)
    leg.reported(4, 1019)
    assert leg.account.report(PCMU, "PCMU").far_end is not None
    leg.account.settle()
    assert leg.account.report(PCMU, "PCMU").far_end is None
    leg.receive(*[True] * 8, False, False, True)
    leg.reported(6, 1059)
    report = leg.account.report(PCMU, "PCMU")
    assert (report.packets_received, report.lost) == (9, 2)
    assert report.burst_ratio == pytest.approx(2 * (1 - 2 / 11), abs=0.001)
    assert report.far_end is not None
    assert (report.far_end.lost, report.far_end.loss_percent) == (2, 5.0)


def test_what_comes_late_after_its_call_is_no_loss_below_nothing() -> None:
    leg = Leg()
    leg.receive(*[True] * 10, False, True)
    leg.account.settle()
    leg.reception.receive(11, 160 * 11, 160.0 * 13)
    leg.receive(*[True] * 8)
    report = leg.account.report(PCMU, "PCMU")
    assert (report.lost, report.loss_percent, report.burst_ratio) == (0, 0.0, None)
    assert report.r_factor is not None


def test_the_far_end_is_rated_by_its_own_figures() -> None:
    leg = Leg()
    leg.receive(True)
    leg.reported(10, 1099, jitter=80, mos_conversational=3.2, buffer_ms=60, concealment=3)
    far = leg.account.report(PCMU, "PCMA").far_end
    there = rate(Hearing("PCMA", 20, 60, conceals=True), 10.0, jitter_ms=10.0)
    assert far == FarEnd(
        lost=10, loss_percent=10.0, jitter_ms=10.0, r_factor=there.r, mos=there.mos, scale="narrowband",
        basis=there.basis, told_mos=3.2,
    )  # fmt: skip


def test_a_far_end_that_speaks_nonsense_does_no_harm() -> None:
    leg = Leg()
    leg.receive(True)
    for lost, highest in ((0x7FFFFF, 0), (-0x800000, 0xFFFFFFFF), (0x7FFFFF, 1001), (5, 1)):
        leg.reported(lost, highest, jitter=0xFFFFFFFF)
        far = leg.account.report(PCMU, "PCMU").far_end
        assert far is not None
        assert 0 <= far.loss_percent <= 100
        assert far.mos is None or 1 <= far.mos <= 4.5
        leg.account.settle()


def test_the_quality_of_codecs_without_constants_is_unknown_and_says_so() -> None:
    leg = Leg()
    leg.receive(True, True, False, True)
    for codec in ("G722", "opus", "AMR"):
        report = leg.account.report(Hearing(codec), codec)
        assert (report.r_factor, report.mos) == (None, None)
        assert report.basis == "no published planning value for the codec"


def test_voip_metrics_tell_the_peer_how_it_is_heard() -> None:
    leg = Leg()
    leg.receive(*([True] * 30 + [False] * 4 + [True] * 30 + [False] + [True] * 35))
    metrics = leg.account.metrics(Hearing("PCMU", 20, buffer_ms=40, conceals=True))
    assert metrics is not None
    assert (metrics.ssrc, metrics.loss_rate) == (7, 256 * 5 // 100)
    assert metrics.burst_ms == pytest.approx(4 * 20, abs=20)
    assert metrics.burst_density > 200
    assert 0 < metrics.gap_density < 10
    assert (metrics.concealment, metrics.buffer_ms, metrics.end_system_ms) == (3, 40, 60)
    assert metrics.r_factor is not None
    assert 1 < (metrics.mos_conversational or 0) < 4.5
    wide = leg.account.metrics(Hearing("AMR-WB", 20, mode=8))
    assert wide is not None
    assert wide.r_factor is None, "the block has no scale for it"
