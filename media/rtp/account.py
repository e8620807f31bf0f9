"""The account of a leg: what was received and sent, and how good that was, in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from media.api import FarEnd, LegReport
from media.rtp.losses import LossCounts
from media.rtp.quality import (
    NARROWBAND,
    NOTHING_RECEIVED,
    Hearing,
    Impairment,
    impairment,
    mos,
    one_way_delay,
    rate,
    score,
)
from media.rtp.xr import VoipMetrics

if TYPE_CHECKING:
    from media.rtp.reporting import Reporter

_STANDARD_CONCEALMENT = 3


class _Numbers(NamedTuple):
    """What has been counted at one moment."""

    expected: int = 0
    received: int = 0
    losses: LossCounts = LossCounts()
    sent: int = 0
    far_expected: int = 0
    far_lost: int = 0
    far_seen: int = 0
    round_trips: int = 0
    round_trip_sum: float = 0.0
    discarded: int = 0


class Account:
    """Reports on a leg since it was settled last, or opened: on a leg that outlives calls each call has its own.

    Packets are counted by differences. Jitter goes on, because it is a mean that forgets within some dozens of packets.
    """

    __slots__ = ("_before", "_reception", "_reporter", "_sender")

    def __init__(self, reporter: Reporter) -> None:
        self._reception = reporter.reception
        self._sender = reporter.sender
        self._reporter = reporter
        self._before = _Numbers()

    def report(self, hearing: Hearing, spoken: str | None) -> LegReport:
        """Tell how the leg fared; `spoken` is the codec that is sent."""
        before, now = self._before, self._numbers(hearing.discarded)
        losses = now.losses.since(before.losses)
        lost = max(0, losses.lost)  # what was lost to the report before may have come late
        expected, received = now.expected - before.expected, now.received - before.received
        loss = _percent(lost, expected)
        discarded = now.discarded - before.discarded
        unheard = _percent(min(expected, lost + discarded), expected)
        burst_ratio = losses.burst_ratio(expected)
        trips = now.round_trips - before.round_trips
        round_trip_ms = (now.round_trip_sum - before.round_trip_sum) / trips * 1000 if trips else None
        jitter_ms = self._reception.jitter_ms
        rating = NOTHING_RECEIVED
        if received:
            rating = rate(hearing, unheard, burst_ratio, jitter_ms=jitter_ms, round_trip_ms=round_trip_ms)
        return LegReport(
            codec=hearing.codec,
            packets_sent=now.sent - before.sent,
            packets_received=received,
            lost=lost,
            duplicates=losses.duplicates,
            discarded=discarded,
            jitter_ms=round(jitter_ms, 2),
            loss_percent=round(loss, 3),
            burst_ratio=None if burst_ratio is None else round(burst_ratio, 3),
            round_trip_ms=None if round_trip_ms is None else round(round_trip_ms, 1),
            r_factor=rating.r,
            mos=rating.mos,
            scale=rating.scale,
            basis=rating.basis,
            far_end=self._far_end(hearing._replace(codec=spoken), now, round_trip_ms),
        )

    def metrics(self, hearing: Hearing) -> VoipMetrics | None:
        """Return what is received as the peer is told it (RFC 3611 4.7), None while there is nothing."""
        reception, reporter = self._reception, self._reporter
        expected = reception.expected
        if not reception.received or not expected:
            return None
        losses = reception.loss_counts()
        round_trip_ms = None if reporter.round_trip is None else reporter.round_trip * 1000
        discarded = min(hearing.discarded, expected)
        loss, burst_ratio = _percent(min(expected, losses.lost + discarded), expected), losses.burst_ratio(expected)
        delay = one_way_delay(hearing, reception.jitter_ms, None)
        values, listening, conversational = impairment(hearing), None, None
        if values is not None:
            listening = score(values, 0, loss, burst_ratio)
            conversational = score(values, delay + (round_trip_ms or 0) / 2, loss, burst_ratio)
        is_narrow = values is not None and values.scale is NARROWBAND  # of wideband the block has no scale
        burst, gap = losses.mean_lengths(expected)
        return VoipMetrics(
            ssrc=reception.ssrc,
            loss_rate=min(255, int(256 * losses.lost / expected)),
            discard_rate=min(255, int(256 * discarded / expected)),
            burst_density=min(255, int(256 * losses.burst_density())),
            gap_density=min(255, int(256 * losses.gap_density())),
            burst_ms=round(burst * hearing.packet_ms),
            gap_ms=round(gap * hearing.packet_ms),
            round_trip_ms=round(round_trip_ms or 0),
            end_system_ms=round(delay),
            r_factor=max(0, round(conversational)) if is_narrow and conversational is not None else None,
            mos_listening=_mos(listening, values),
            mos_conversational=_mos(conversational, values),
            concealment=_STANDARD_CONCEALMENT if hearing.conceals else 0,
            buffer_ms=round(hearing.buffer_ms or 0),
            buffer_maximum_ms=round(hearing.buffer_ms or 0),
        )

    def settle(self, discarded: int = 0) -> None:
        """Begin anew; so many packets have been discarded by now (`Hearing`)."""
        self._before = self._numbers(discarded)

    def _numbers(self, discarded: int) -> _Numbers:
        reception, reporter = self._reception, self._reporter
        return _Numbers(
            reception.expected,
            reception.received,
            reception.loss_counts(),
            self._sender.packets,
            reporter.far_expected,
            reporter.far.lost if reporter.far is not None else 0,
            reporter.far_seen,
            reporter.round_trips,
            reporter.round_trip_sum,
            discarded,
        )

    def _far_end(self, spoken: Hearing, now: _Numbers, round_trip_ms: float | None) -> FarEnd | None:
        """Tell what the peer said of the stream that it hears, None where it said nothing."""
        before, far = self._before, self._reporter.far
        if far is None or now.far_seen == before.far_seen:
            return None
        restarted = now.far_expected < before.far_expected
        expected = now.far_expected - (0 if restarted else before.far_expected)
        lost = max(0, now.far_lost - (0 if restarted else before.far_lost))
        loss = min(100.0, _percent(lost, expected))
        jitter_ms = far.jitter * 1000 / self._sender.clock_rate
        metrics = self._reporter.far_metrics
        buffer_ms = metrics.buffer_ms if metrics is not None and metrics.buffer_ms else None
        # Whether its decoder conceals is known from its VoIP metrics only.
        conceals = metrics is not None and metrics.concealment > 1
        there = spoken._replace(buffer_ms=buffer_ms, conceals=conceals)
        rating = rate(there, loss, jitter_ms=jitter_ms, round_trip_ms=round_trip_ms) if expected else NOTHING_RECEIVED
        return FarEnd(
            lost=lost,
            loss_percent=round(loss, 3),
            jitter_ms=round(jitter_ms, 2),
            r_factor=rating.r,
            mos=rating.mos,
            scale=rating.scale,
            basis=rating.basis,
            told_mos=metrics.mos_conversational if metrics is not None else None,
        )


def _mos(r: float | None, values: Impairment | None) -> float | None:
    return None if r is None or values is None else mos(r / values.scale.divisor)


def _percent(lost: int, expected: int) -> float:
    return 100 * lost / expected if expected > 0 else 0.0
