"""RTCP of one session with one peer (RFC 3550 6): when to report, what to tell, and what the peer has told.

Time is given in seconds of a clock that never steps back; `unix_offset` makes unix time of it. Chance is given too.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from media.rtp.packet import HEADER_SIZE, Reception, Sender
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
from media.rtp.xr import Delays, ReferenceTime, VoipMetrics, XrBlock

SHORTEST_SECONDS: Final = 5.0
BANDWIDTH: Final = 0.05 * 80_000 / 8
"""Octets of RTCP a second: a twentieth of a G.711 stream (6.2)."""
_SENDERS_SHARE: Final = 0.25
_COMPENSATION: Final = 2.71828 - 1.5
_LOWER_LAYERS: Final = 28
_PROBABLE_SIZE: Final = 160.0 + _LOWER_LAYERS
_UNIX_EPOCH: Final = 2_208_988_800  # in NTP time, which begins in 1900
_MASK: Final = 0xFFFFFFFF
_KEPT: Final = 8
_CONFLICT_SECONDS: Final = 10 * SHORTEST_SECONDS
_HALF: Final = 0x8000
_LOOP: Final = 500  # ten seconds of packets


def interval(
    *, members: int, senders: int, bandwidth: float, we_sent: bool, size: float, initial: bool, chance: float
) -> float:
    """Return the seconds to the next report (6.3.1, A.7); `chance` is of 0 to 1, `size` the mean size in octets."""
    shortest = SHORTEST_SECONDS / 2 if initial else SHORTEST_SECONDS
    sharing = members
    if senders <= members * _SENDERS_SHARE:
        share = _SENDERS_SHARE if we_sent else 1 - _SENDERS_SHARE
        bandwidth *= share
        sharing = senders if we_sent else members - senders
    return max(size * sharing / bandwidth, shortest) * (chance + 0.5) / _COMPENSATION


def ntp_time(unix: float) -> int:
    """Return the 64 bits of NTP time for unix time."""
    return int((unix + _UNIX_EPOCH) * (1 << 32))


class Reporter:
    """Reports on what is sent and received, and keeps what the peer reports.

    The owner must call `handle_timer` at `deadline`, and send what `compose` returns if that says so; hand each
    datagram of RTCP to `receive`; and send what `end` returns when the session or its SSRC ends.

    `reports` counts the peer's reports. `far` is the latest on the stream that it hears, `far_seen` counts those,
    `far_at` is when it last heard anything new, and `far_metrics` are its VoIP metrics of it. `round_trips` counts
    measurements whose sum is `round_trip_sum` in seconds. `far_expected` is how many packets of ours the peer has seen
    pass, lost ones included.
    """

    __slots__ = (
        "_average_size",
        "_chance",
        "_expected_before",
        "_far_highest",
        "_initial",
        "_members",
        "_moved_at",
        "_ntp_offset",
        "_packets_before",
        "_peer_reference",
        "_peer_report",
        "_received_before",
        "_reported_at",
        "_sent",
        "_sent_before",
        "_source",
        "cname",
        "deadline",
        "far",
        "far_at",
        "far_expected",
        "far_metrics",
        "far_seen",
        "peer",
        "peer_cname",
        "reception",
        "reports",
        "round_trip",
        "round_trip_sum",
        "round_trips",
        "sender",
    )

    def __init__(
        self,
        sender: Sender,
        reception: Reception,
        cname: str,
        *,
        now: float,
        unix_offset: float,
        chance: Callable[[], float],
    ) -> None:
        self.cname = cname
        self.peer: int | None = None
        self.peer_cname: str | None = None
        self.far: ReportBlock | None = None
        self.far_metrics: VoipMetrics | None = None
        self.far_seen = self.reports = self.far_expected = 0
        self.far_at = now
        self.round_trip: float | None = None
        self.round_trip_sum = 0.0
        self.round_trips = 0
        self.sender = sender
        self.reception = reception
        self._chance = chance
        self._ntp_offset = unix_offset
        self._far_highest = sender.sequence
        self._packets_before = (sender.packets, sender.packets)
        self._source: object = None
        self._expected_before = self._received_before = 0
        self._peer_report = self._peer_reference = (0, 0.0)  # the middle of its NTP time, and when it came
        self._sent: deque[int] = deque(maxlen=_KEPT)
        self._sent_before = (0, 0)  # packets and octets, under another SSRC
        self._moved_at = -math.inf
        self._members = 1
        self._average_size = _PROBABLE_SIZE
        self._initial = True
        self._reported_at = now
        self.deadline = now + self._interval()

    @property
    def members(self) -> int:
        """Who takes part, as far as we know (6.2.1)."""
        return 1 if self.peer is None else 2

    def handle_timer(self, now: float) -> bool:
        """Tell whether a report is due; if not, `deadline` has moved (timer reconsideration, 6.3.6)."""
        due = self._reported_at + self._interval()
        if due > now:
            self.deadline = due
            self._members = self.members
            return False
        return True

    def compose(self, now: float, metrics: VoipMetrics | None = None) -> bytes:
        """Return the report of this moment, and set the next deadline."""
        blocks: list[XrBlock] = [ReferenceTime(self._ntp(now))]
        reference, came_at = self._peer_reference
        if reference and self.peer is not None:
            blocks.append(Delays(self.peer, reference, _fraction(now - came_at)))
        if metrics is not None:
            blocks.append(metrics)
        ssrc = self.sender.ssrc
        packets = [self._report(now), Description(ssrc, self.cname), ExtendedReport(ssrc, tuple(blocks))]
        data = self._packed(packets, now)
        self._initial = False
        self._reported_at = now
        self._members = self.members
        self.deadline = now + self._interval()
        return data

    def end(self, now: float, reason: str = "") -> bytes:
        """Return the goodbye of our SSRC (6.3.7): of less than 50 members everybody may leave at once."""
        ssrc = self.sender.ssrc
        return self._packed([self._report(now), Description(ssrc, self.cname), Bye((ssrc,), reason)], now)

    def take_other_ssrc(self, now: float) -> bytes:
        """Have another SSRC from now on, since somebody else has ours (8.2); returns the goodbye of the old one."""
        data = self.end(now, "SSRC collision")
        self._moved_at = now
        sender = self.sender
        sender.ssrc = int(self._chance() * (1 << 32)) & _MASK
        self.far = self.far_metrics = None
        self.far_expected = 0
        self._far_highest = sender.sequence
        self._packets_before = (sender.packets, sender.packets)
        self._sent_before = sender.packets, sender.octets - HEADER_SIZE * sender.packets
        self._sent.clear()
        return data

    def collides(self, sequence: int, now: float) -> bool:
        """Tell whether a packet with our SSRC is to make us take another (8.2).

        Not one of our own that somebody sends back, nor one of who follows us to the new one: ten intervals are long
        enough for others to do so too.
        """
        looped = (self.sender.sequence - sequence) & 0xFFFF < _LOOP
        return not looped and now - self._moved_at > _CONFLICT_SECONDS

    @property
    def has_sent(self) -> bool:
        """Tell whether the peer may know of us: who never sent anything says no goodbye (6.3.7)."""
        return self.sender.packets > 0 or bool(self._sent)

    def receive(self, data: bytes, now: float) -> None:
        """Take a compound packet of the peer's. Raises MalformedRtcp."""
        packets = read(data)
        self._average_size += (len(data) + _LOWER_LAYERS - self._average_size) / 16
        for packet in packets:
            match packet:
                case SenderReport() | ReceiverReport():
                    if packet.ssrc == self.sender.ssrc:
                        return  # our own, sent back
                    self._take_report(packet, now)
                case Description(ssrc, cname):
                    if ssrc == self.peer and cname is not None:
                        self.peer_cname = cname
                case ExtendedReport():
                    if packet.ssrc == self.peer:
                        self._take_blocks(packet.blocks, now)
                case Bye(ssrcs):
                    if self.peer in ssrcs:
                        self._lose_peer(now)

    # Inside -------------------------------------------------------------------------------------------------

    def _ntp(self, now: float) -> int:
        return ntp_time(now + self._ntp_offset)

    def _report(self, now: float) -> Packet:
        sender = self.sender
        blocks = self._blocks(now)
        before, self._packets_before = self._packets_before, (self._packets_before[1], sender.packets)
        if sender.packets == before[0] or sender.sent_at < 0:  # nothing since the report before the last (6.4)
            return ReceiverReport(sender.ssrc, blocks)
        # "corresponds to the same time as the NTP timestamp", which need not be that of a packet
        timestamp = sender.timestamp + round((now - sender.sent_at) * sender.clock_rate)
        octets = sender.octets - HEADER_SIZE * sender.packets
        packets, octets = sender.packets - self._sent_before[0], octets - self._sent_before[1]
        return SenderReport(sender.ssrc, self._ntp(now), timestamp & _MASK, packets & _MASK, octets & _MASK, blocks)

    def _blocks(self, now: float) -> tuple[ReportBlock, ...]:
        """Report on the peer's stream if anything of it came since the last report (6.4)."""
        reception = self.reception
        if reception.source is not self._source:
            self._source = reception.source
            self._expected_before = self._received_before = 0
        expected, received = reception.expected_now, reception.received_now
        expected_lately, received_lately = expected - self._expected_before, received - self._received_before
        self._expected_before, self._received_before = expected, received
        if received_lately <= 0:
            return ()
        lost_lately = expected_lately - received_lately
        fraction = 0 if expected_lately <= 0 or lost_lately <= 0 else (lost_lately << 8) // expected_lately
        last_report, came_at = self._peer_report
        return (
            ReportBlock(
                reception.ssrc,
                fraction,
                expected - received,
                reception.highest,
                int(reception.jitter) & _MASK,
                last_report,
                _fraction(now - came_at) if last_report else 0,
            ),
        )

    def _packed(self, packets: list[Packet], now: float) -> bytes:
        self._sent.append(self._ntp(now) >> 16 & _MASK)
        data = pack(packets)
        self._average_size += (len(data) + _LOWER_LAYERS - self._average_size) / 16
        return data

    def _interval(self) -> float:
        we_sent = self.sender.packets != self._packets_before[0]
        peer_sent = self.peer is not None and self.reception.received_now > self._received_before
        return interval(
            members=self.members,
            senders=we_sent + peer_sent,
            bandwidth=BANDWIDTH,
            we_sent=we_sent,
            size=self._average_size,
            initial=self._initial,
            chance=self._chance(),
        )

    def _take_report(self, report: SenderReport | ReceiverReport, now: float) -> None:
        self.peer = report.ssrc
        self.reports += 1
        if isinstance(report, SenderReport):
            self._peer_report = (report.ntp >> 16 & _MASK, now)
        for block in report.blocks:
            if block.ssrc == self.sender.ssrc:
                if self.far is None or block.highest != self.far.highest:
                    self.far_at = now
                self._count_expected(block.highest)
                self.far = block
                self.far_seen += 1
                self._measure(block.last_report, block.delay, now)

    def _count_expected(self, highest: int) -> None:
        """Count how far the peer has come: by 16 bits where it counts no cycles, or there is another receiver now."""
        step = highest - self._far_highest
        if step < 0:
            step &= 0xFFFF
        if highest > self._far_highest or step < _HALF:
            self._far_highest = highest
            self.far_expected += step

    def _take_blocks(self, blocks: tuple[XrBlock, ...], now: float) -> None:
        for block in blocks:
            match block:
                case ReferenceTime(ntp):
                    self._peer_reference = (ntp >> 16 & _MASK, now)
                case Delays(ssrc, last_reference, delay):
                    # Where the peer answers our sender reports as well, this is the same round trip.
                    if ssrc == self.sender.ssrc and (self.far is None or not self.far.last_report):
                        self._measure(last_reference, delay, now)
                case VoipMetrics():
                    if block.ssrc == self.sender.ssrc:
                        self.far_metrics = block

    def _measure(self, sent: int, delay: int, now: float) -> None:
        """Reckon the round trip (6.4.1, figure 2) from a time that we told lately."""
        if sent not in self._sent:
            return
        ticks = ((self._ntp(now) >> 16 & _MASK) - sent - delay) & _MASK
        if ticks >> 31:
            return
        self.round_trip = ticks / 65536
        self.round_trip_sum += self.round_trip
        self.round_trips += 1

    def _lose_peer(self, now: float) -> None:
        """The peer has left: reverse reconsideration (6.3.4)."""
        self.peer = None
        share = self.members / max(self._members, 1)
        self.deadline = now + share * max(0.0, self.deadline - now)
        self._reported_at = now - share * (now - self._reported_at)
        self._members = self.members


def _fraction(seconds: float) -> int:
    """Return seconds in units of 1/65536."""
    return min(_MASK, max(0, int(seconds * 65536)))
