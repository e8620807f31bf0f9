"""Where the packets of one speaker lie on the wall clock, whatever his codec, his clock and their way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import compress, groupby
from typing import Final, NamedTuple

import numpy as np

from media.codecs import CodecError, Decoder, Resampler, Samples, make_decoder
from media.codecs.names import PCMA, PCMU
from media.rtp.stream import Format

TICKS: Final = 8000
"""Pieces of a second in which audio is taken out: every sample rate in use is a whole multiple."""
HOLD_BACK_SECONDS: Final = 1.0
"""How long audio is kept in memory for packets that come late."""
CONCEAL_SECONDS: Final = 0.060
_WINDOW_SECONDS: Final = 3
_MAX_EARLY_SECONDS: Final = 0.25
_DRIFT_PACKETS: Final = 250
_MOST_JOINED: Final = 10
_PLAIN: Final = frozenset({PCMU, PCMA})  # an octet for each sample and tick of the clock
_MAX_DRIFT_SECONDS: Final = 0.005


class Packet(NamedTuple):
    """A received payload; `source` changes when numbers and timestamps start afresh, `arrived` is in seconds.

    `packets` is of how many it was put together; `sequence` and `timestamp` are those of the first.
    """

    coding: Format
    source: object
    sequence: int
    timestamp: int
    payload: bytes
    arrived: float
    packets: int = 1


class Track:
    """One speaker: packets in, samples out, from tick `first` on.

    `started` is where on the clock of `arrived` the recording began. A packet lies where its timestamp puts it,
    counted from the arrival of the first one. One that comes later than its place by more than the hold-back, or a
    quarter of a second before it, shows that the sender's clock was restarted (hold, another source): the track is
    anchored anew. The smallest lateness of some seconds is how far the sender's clock has run from ours, as jitter
    only ever adds to it; it is made good by a sample a packet, which nobody hears. A short loss is concealed by the
    decoder, anything longer is silence.
    """

    def __init__(self, started: float, first: int = 0) -> None:
        self.rate = TICKS
        self.concealed = self.undecodable = 0  # packets
        self.end = 0  # one past the last sample placed
        self._started = started
        self._base = first  # the sample that the window begins with
        self._window = np.zeros(_WINDOW_SECONDS * TICKS, np.int16)
        self._waiting: list[Packet] = []
        self._coding: Format | None = None
        self._decoder: Decoder | None = None
        self._resampler: Resampler | None = None
        self._resampled_to = 0
        self._source: object = None
        self._sequence = self._timestamp = self._position = 0  # of the packet placed last
        self._least_late = self._observed = self._to_slew = 0

    def add(self, packet: Packet) -> None:
        """Keep a packet until `settle`."""
        self._waiting.append(packet)

    def settle(self, before: float) -> None:
        """Place what arrived before this time, in the order in which it was sent, as decoders want it.

        What was sent before any of that is placed with it, though it arrived later.
        """
        ready = [packet for packet in self._waiting if packet.arrived <= before]
        waiting = self._waiting[len(ready) :]
        if ready and waiting:
            source, first = ready[-1].source, ready[-1].sequence
            newest = max(_order(packet, first) for packet in ready if packet.source is source)
            overtaken = [each.source is source and _order(each, first) < newest for each in waiting]
            ready += compress(waiting, overtaken)
            waiting = [packet for packet, came_late in zip(waiting, overtaken, strict=True) if not came_late]
        self._waiting = waiting
        for _, run in groupby(ready, lambda packet: id(packet.source)):
            packets = list(run)
            first = packets[0].sequence
            packets.sort(key=lambda packet: _order(packet, first))
            for packet in _joined(packets):
                self._place(packet)

    def take(self, ticks: int, rate: int) -> Samples:
        """Remove the oldest audio: so many ticks of it, at `rate`."""
        count = ticks * self.rate // TICKS
        if rate == self.rate:
            return self._shift(count)
        resampler = self._resampler
        if resampler is None or self._resampled_to != rate:
            resampler = self._resampler = Resampler(self.rate, rate)
            self._resampled_to = rate
            resampler.convert(self._window[: round(resampler.delay * self.rate)])
        ahead = round(resampler.delay * self.rate)
        converted = resampler.convert(self._window[ahead : ahead + count].copy())
        self._shift(count)
        return converted

    def _place(self, packet: Packet) -> None:
        if packet.coding != self._coding:
            self._change(packet.coding)
        decoder, rate = self._decoder, self.rate
        if decoder is None:
            self.undecodable += 1
            return
        is_same = packet.source is self._source
        sequence_step = (packet.sequence - self._sequence) & 0xFFFF
        last = packet.sequence + packet.packets - 1 & 0xFFFF
        if is_same and not sequence_step:
            return
        step = ((packet.timestamp - self._timestamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        position = self._position + step * rate // packet.coding.clock_rate
        lost = position - self.end
        try:
            if is_same and sequence_step != 1 and 0 < lost <= CONCEAL_SECONDS * rate:
                self._write(self.end, decoder.conceal(lost, packet.payload))
                self.concealed += 1
            samples = decoder.decode(packet.payload)
        except Exception:  # noqa: BLE001 - not only CodecError: strangers write what a decoder has to read
            self.undecodable += 1
            return
        if not len(samples):
            return
        wall = round((packet.arrived - self._started) * rate) - len(samples)
        late = wall - position
        if not is_same or not -_MAX_EARLY_SECONDS * rate <= late <= HOLD_BACK_SECONDS * rate:
            self._source, position, late = packet.source, wall, 0
            self._observed = self._to_slew = 0
        position = self._slew(position, late, samples, packet.packets)
        self._sequence, self._timestamp, self._position = last, packet.timestamp, position
        self._write(position, samples)
        self.end = position + len(samples)

    def _slew(self, position: int, late: int, samples: Samples, packets: int) -> int:
        """Return the position moved towards the wall clock by a sample of 8 kHz, if it has to be."""
        self._least_late = min(self._least_late, late) if self._observed else late
        self._observed += packets
        if self._observed >= _DRIFT_PACKETS:
            self._observed = 0
            self._to_slew = self._least_late if abs(self._least_late) > _MAX_DRIFT_SECONDS * self.rate else 0
        if not self._to_slew:
            return position
        pace = self.rate // TICKS
        by = max(-pace, min(pace, self._to_slew))
        self._to_slew -= by
        self._observed = 0
        if by > 0:  # the hole repeats what ends it
            self._write(position, np.repeat(samples[:1], by))
        return position + by

    def _write(self, position: int, samples: Samples) -> None:
        offset = position - self._base
        if offset < 0:
            samples, offset = samples[-offset:], 0
        room = self._window[offset : offset + len(samples)]
        room[:] = samples[: len(room)]

    def _change(self, coding: Format) -> None:
        """Decode another format from here on, at another rate if it has one."""
        if self._coding is not None and self._coding.clock_rate != coding.clock_rate:
            self._source = None
        self._coding = coding
        try:
            self._decoder = make_decoder(coding)
        except CodecError:
            self._decoder = None
            return
        rate = self._decoder.sample_rate
        if rate == self.rate:
            return
        old = self._window
        places = np.arange(_WINDOW_SECONDS * rate) * (self.rate / rate)
        self._window = np.interp(places, np.arange(len(old)), old).astype(np.int16)
        self._base, self.end, self._position = (
            number * rate // self.rate for number in (self._base, self.end, self._position)
        )
        self.rate = rate
        self._resampler = None

    def _shift(self, count: int) -> Samples:
        window = self._window
        taken = window[:count].copy()
        window[: len(window) - count] = window[count:]
        window[len(window) - count :] = 0
        self._base += count
        return taken


def _order(packet: Packet, first: int) -> int:
    """Return a number that grows with the sequence number, for packets around that of the `first`."""
    return (packet.sequence - first + 0x8000) & 0xFFFF


def _joined(packets: Iterable[Packet]) -> Iterator[Packet]:
    """Put together what follows on each other without a gap, once each: decoding and placing cost by the piece."""
    run: list[Packet] = []
    for packet in packets:
        if run:
            last = run[-1]
            if packet.sequence == last.sequence:
                continue
            if (
                packet.coding is last.coding
                and packet.sequence == (last.sequence + 1) & 0xFFFF
                and packet.timestamp == (last.timestamp + len(last.payload)) & 0xFFFFFFFF
                and packet.coding.name in _PLAIN
                and len(run) < _MOST_JOINED
            ):
                run.append(packet)
                continue
            yield _join(run)
        run = [packet]
    if run:
        yield _join(run)


def _join(run: list[Packet]) -> Packet:
    """Make one packet of several, which came when the least late of them lets it have come."""
    if len(run) == 1:
        return run[0]
    first = run[0]
    seconds = 0.0
    arrived = first.arrived
    for packet in reversed(run):
        arrived = min(arrived, packet.arrived + seconds) if seconds else packet.arrived
        seconds += len(packet.payload) / packet.coding.clock_rate
    return first._replace(payload=b"".join([packet.payload for packet in run]), arrived=arrived, packets=len(run))
