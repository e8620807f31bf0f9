"""RTP (RFC 3550): the fixed header, what a receiver counts, and a sender without breaks.

Plain objects: arrival times are handed in, first sequence numbers and SSRC are drawn by the caller.
"""

from __future__ import annotations

import math
import struct
from typing import Final

from media.rtp.losses import LATEST, LossCounts, Losses

HEADER: Final = struct.Struct(">BBHII")
"""First octet (V, P, X, CC), second (M, PT), sequence number, timestamp, SSRC."""
HEADER_SIZE: Final = HEADER.size
PLAIN: Final = 0x80
"""First octet of version 2 without padding, extension or contributing sources."""
MARKER: Final = 0x80
CLOCK_RATE: Final = 8000

MAX_DROPOUT: Final = 3000
MAX_MISORDER: Final = LATEST


def payload_range(packet: bytes | bytearray, size: int) -> tuple[int, int] | None:
    """Return where the payload begins and ends in the first `size` octets, None when it is no RTP packet.

    Skips contributing sources and a header extension, leaves padding out (RFC 3550 5.1, 5.3.1, A.1).
    """
    if size < HEADER_SIZE or packet[0] & 0xC0 != PLAIN:
        return None
    first = packet[0]
    start = HEADER_SIZE + 4 * (first & 0x0F)
    if first & 0x10:
        if start + 4 > size:
            return None
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    end = size
    if first & 0x20:
        padding = packet[size - 1]
        if padding == 0:
            return None
        end -= padding
    return (start, end) if start <= end else None


class Reception:
    """Sequence, loss and jitter of what is received from one peer (RFC 3550 A.1, A.3, A.8).

    There is no probation (MIN_SEQUENTIAL): the session is known from SDP and the kernel filters other senders.
    A new SSRC starts afresh; what was counted until then stays in the totals. `source` is another object after each
    start, so that those who follow the numbers notice.
    """

    __slots__ = (
        "_bad_sequence",
        "_base_sequence",
        "_cycles",
        "_expected_before",
        "_received_before",
        "_transit",
        "clock_rate",
        "jitter",
        "losses",
        "max_sequence",
        "received_now",
        "source",
        "ssrc",
    )

    def __init__(self) -> None:
        self.ssrc = -1
        self.source: object = None
        self.max_sequence = 0
        self.received_now = 0
        self.clock_rate = CLOCK_RATE
        self.jitter = 0.0
        self.losses = Losses()
        self._base_sequence = 0
        self._cycles = 0
        self._bad_sequence = -1
        self._expected_before = 0
        self._received_before = 0
        self._transit = math.nan  # as long as it is not known

    def start(self, ssrc: int, sequence: int) -> None:
        """Begin a new source with its first sequence number; `receive` that packet next."""
        self._expected_before += self.expected_now
        self._received_before += self.received_now
        self.losses.restart(self._cycles + self.max_sequence + 1, sequence)
        self.ssrc = ssrc
        self.source = object()
        self._base_sequence = sequence
        self.max_sequence = (sequence - 1) & 0xFFFF
        self._cycles = -0x10000 if sequence == 0 else 0
        self._bad_sequence = -1
        self.received_now = 0
        self._transit = math.nan

    def receive(self, sequence: int, timestamp: int, arrival: float) -> None:
        """Count a packet; `arrival` is in timestamp units (seconds x clock rate)."""
        if sequence and (sequence - self.max_sequence) & 0xFFFF == 1:
            self.max_sequence = sequence
            self.received_now += 1
        else:
            self.receive_event(sequence)
        transit = arrival - timestamp
        # "J(i) = J(i-1) + (|D(i-1,i)| - J(i-1))/16"; a step of a second is a restarted clock, not jitter.
        difference = abs(transit - self._transit)
        if difference < self.clock_rate:
            self.jitter += (difference - self.jitter) * 0.0625
        self._transit = transit

    def receive_event(self, sequence: int) -> None:
        """Count a packet whose timestamp tells nothing about jitter (all packets of an RFC 4733 event share one)."""
        step = (sequence - self.max_sequence) & 0xFFFF
        if step < MAX_DROPOUT:
            if step > 1:
                highest = self._cycles + self.max_sequence
                self.losses.miss(highest + 1, highest + step)
            elif not step:
                self.losses.come_late(self._cycles + sequence)
            if sequence < self.max_sequence:
                self._cycles += 0x10000
            self.max_sequence = sequence
        elif step <= 0x10000 - MAX_MISORDER:
            # "Two sequential packets -- assume that the other side restarted without telling us".
            if sequence != self._bad_sequence:
                self._bad_sequence = (sequence + 1) & 0xFFFF
                return
            self.start(self.ssrc, sequence)
            self.max_sequence = sequence
            self._cycles = 0
        else:
            self.losses.come_late(self._cycles + self.max_sequence + step - 0x10000)
        self.received_now += 1

    @property
    def expected_now(self) -> int:
        """Packets of the present source that should have come."""
        if not self.received_now:
            return 0
        return self._cycles + self.max_sequence - self._base_sequence + 1

    @property
    def highest(self) -> int:
        """The extended highest sequence number received (RFC 3550 6.4.1)."""
        return (self._cycles + self.max_sequence) & 0xFFFFFFFF

    @property
    def expected(self) -> int:
        """Packets that should have come, from the sequence numbers."""
        return self._expected_before + self.expected_now

    @property
    def received(self) -> int:
        """Packets that came, duplicates included."""
        return self._received_before + self.received_now

    def loss_counts(self) -> LossCounts:
        """Return how the losses lie."""
        return self.losses.counts(self._cycles + self.max_sequence + 1)

    @property
    def lost(self) -> int:
        """Packets lost: A.3 with duplicates left out, which would hide losses."""
        return self.losses.lost

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter in milliseconds."""
        return self.jitter * 1000 / self.clock_rate

    def set_clock(self, clock_rate: int) -> None:
        """Count timestamps of another clock from the next packet on."""
        if clock_rate != self.clock_rate:
            self.jitter *= clock_rate / self.clock_rate
            self.clock_rate = clock_rate
            self._transit = math.nan


class Sender:
    """What one receiver hears as one unbroken stream: one SSRC, consecutive numbers, advancing timestamps.

    Whatever feeds the stream (prompt, music, another leg, a mix) is its `source`. `join` aligns a new source behind
    what was sent before; relayed packets then keep their own steps, shifted, so that the receiver sees the real losses.
    Up to `floor` numbers are taken, so that a relayed packet that comes late may find its own gone. `samples` is how
    long a packet lasts, in units of the RTP clock.
    """

    __slots__ = (
        "_samples",
        "clock_rate",
        "floor",
        "octets",
        "packets",
        "sent_at",
        "sequence",
        "sequence_shift",
        "source",
        "ssrc",
        "timestamp",
        "timestamp_shift",
    )

    def __init__(self, ssrc: int, sequence: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self.sequence = sequence & 0xFFFF
        self.timestamp = timestamp & 0xFFFFFFFF
        self.clock_rate = CLOCK_RATE
        self.sequence_shift = 0
        self.timestamp_shift = 0
        self.floor = self.sequence
        self.sent_at = -1.0  # below 0: never
        self.source: object = None
        self.packets = 0
        self.octets = 0
        self._samples = 0

    def set_clock(self, clock_rate: int) -> None:
        """Let timestamps advance at this rate from what was sent last (RFC 7160 4.1)."""
        if clock_rate != self.clock_rate:
            self._samples = self._samples * clock_rate // self.clock_rate
            self.clock_rate = clock_rate
            self.source = None

    def join(self, source: object, sequence: int, timestamp: int, now: float, samples: int = 160) -> None:
        """Let `source` feed the stream, whose next packet bears these numbers. `now` is in seconds.

        The timestamp advances by the time passed since the last packet, in whole packets of `samples`, and never into
        what that packet held.
        """
        passed = 0 if self.sent_at < 0 else round((now - self.sent_at) * self.clock_rate / samples)
        next_timestamp = (self.timestamp + max(passed * samples, self._samples or samples)) & 0xFFFFFFFF
        next_sequence = (self.sequence + 1) & 0xFFFF
        self.source = source
        self.sequence_shift = (next_sequence - sequence) & 0xFFFF
        self.floor = self.sequence
        self.timestamp_shift = (next_timestamp - timestamp) & 0xFFFFFFFF
        self._samples = samples

    def advance(self, source: object, now: float, samples: int = 160) -> int:
        """Step to the next packet of our own making; returns MARKER for the first one of a source, else 0."""
        marker = 0
        if source is self.source:
            self.timestamp = (self.timestamp + self._samples) & 0xFFFFFFFF
            self._samples = samples
        else:
            self.join(source, 0, 0, now, samples)
            self.timestamp = self.timestamp_shift
            marker = MARKER
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.sent_at = now
        return marker

    def pause(self, source: object, samples: int) -> None:
        """Let time pass without a packet: `source` has nothing to say for that long."""
        if source is self.source:
            self._samples += samples

    def insert(self) -> int:
        """Take the next number for a packet beside those of the source, which go on; returns it."""
        self.sequence = self.floor = (self.sequence + 1) & 0xFFFF
        self.sequence_shift = (self.sequence_shift + 1) & 0xFFFF
        return self.sequence

    def leave_out(self, source: object, sequence: int) -> None:
        """Pass over a number of the source on purpose: the receiver must not count it as lost."""
        if source is self.source and 0 < (sequence + self.sequence_shift - self.sequence) & 0xFFFF < 0x8000:
            self.sequence_shift = (self.sequence_shift - 1) & 0xFFFF
            self.floor = self.sequence

    def admits(self, sequence: int) -> bool:
        """Tell whether a packet of the source may be sent under this number, which is not one of the next.

        A late one may unless its number was taken for another. One of an absurd number may not, as in RFC 3550 A.1;
        if the source goes on there, it goes on right behind what was sent before.
        """
        late = (self.sequence - sequence) & 0xFFFF
        if late > MAX_DROPOUT:
            self.source = None
        return late < MAX_MISORDER <= (self.floor - sequence) & 0xFFFF

    def upcoming(self, now: float) -> int:
        """Return the timestamp of what happens `now`: not before what was sent last is over."""
        if self.sent_at < 0:
            self.sent_at = now
        samples = self.clock_rate // 50
        passed = round((now - self.sent_at) * self.clock_rate / samples) * samples
        return (self.timestamp + max(passed, self._samples or samples)) & 0xFFFFFFFF
