"""Where the packets of one speaker lie on the wall clock, whatever his codec, his clock and their way."""

from __future__ import annotations

from itertools import groupby
from typing import Final

import numpy as np

from media.codecs import CodecError, Decoder, Resampler, Samples, make_decoder
from media.codecs.names import PCMA, PCMU
from media.recording.packet import Packet
from media.recording.stretch import Stretch
from media.rtp.stream import Format

TICKS: Final = 8000
"""Pieces of a second in which audio is taken out: every sample rate in use is a whole multiple."""
HOLD_BACK_SECONDS: Final = 1.0
"""How long audio is kept in memory for packets that come late."""
CONCEAL_SECONDS: Final = 0.060
_WINDOW_SECONDS: Final = 3
_MAX_EARLY_SECONDS: Final = 0.25
_DRIFT_PACKETS: Final = 250
_PLAIN: Final = frozenset({PCMU, PCMA})  # an octet for each sample and tick of the clock
_MAX_DRIFT_SECONDS: Final = 0.005


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
        self._waiting: list[Stretch] = []
        self._coding: Format | None = None
        self._decoder: Decoder | None = None
        self._resampler: Resampler | None = None
        self._resampled_to = 0
        self._source: object = None
        self._sequence = self._timestamp = self._position = 0  # of the packet placed last
        self._least_late = self._observed = self._to_slew = 0

    def add(self, stretch: Stretch) -> None:
        """Keep packets until `settle`."""
        if self._waiting and stretch.follows(self._waiting[-1]):
            self._waiting[-1].extend(stretch)
        else:
            self._waiting.append(stretch)

    def settle(self, before: float) -> None:
        """Place what arrived before this time, in the order in which it was sent, as decoders want it.

        What was sent before any of that is placed with it, though it arrived later.
        """
        for _, run in groupby(self._ready(before), lambda stretch: stretch.source):
            stretches = list(run)
            if len(stretches) > 1:
                self._place_mixed(stretches)
                continue
            (stretch,) = stretches
            stretch.sort()
            assert stretch.coding is not None
            for packet in stretch.joined() if stretch.coding.name in _PLAIN else stretch.packets():
                self._place(packet)

    def _ready(self, before: float) -> list[Stretch]:
        """Take out what arrived before this time."""
        ready: list[Stretch] = []
        while self._waiting and self._waiting[0].arrivals[0] <= before:
            ready.append(self._waiting[0].cut(before))
            if self._waiting[0]:
                break
            del self._waiting[0]
        return ready

    def _place_mixed(self, stretches: list[Stretch]) -> None:
        """Place what one source has sent in several codings."""
        packets = [packet for stretch in stretches for packet in stretch.packets()]
        first = packets[0].sequence
        for packet in sorted(packets, key=lambda packet: (packet.sequence - first + 0x8000) & 0xFFFF):
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
        is_same = packet.source == self._source
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
