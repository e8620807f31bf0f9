"""One peer's packets played as a steady signal: put in order, decoded, concealed, at one sample rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from media.codecs.catalogue import make_decoder
from media.codecs.interface import CodecError, Decoder, Samples
from media.codecs.names import CN
from media.codecs.resampling import Resampler
from media.codecs.shortening import shortened
from media.rtp.jitter import NOT_YET, JitterBuffer, Missing, Packet

if TYPE_CHECKING:
    from media.rtp.stream import Format

_MOST_FORMATS: Final = 8
_LONGEST_PAUSE_SECONDS: Final = 2.0
"""After so long without a packet nothing is supposed any more; senders that pause tell sooner of their noise."""
_NOTHING: Final = np.zeros(0, np.int16)


class Playout:
    """Plays what one peer sends at `sample_rate`, as much at a time as is asked for, whatever came of it.

    A packet that cannot be decoded counts in `undecodable` and is concealed. The peer may change its format (among
    those that have a decoder here) and its source at any packet.
    """

    __slots__ = (
        "_buffer",
        "_clock_rate",
        "_decoder",
        "_decoders",
        "_discarded",
        "_heard_at",
        "_latest",
        "_pieces",
        "_ready",
        "_resamplers",
        "_source",
        "sample_rate",
        "undecodable",
    )

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.undecodable = 0
        self._decoders: dict[Format, Decoder] = {}
        self._resamplers: dict[int, Resampler] = {}
        self._clock_rate = 0
        self._source: object = None
        self._latest: Format | None = None
        self._discarded = 0
        self._buffer: JitterBuffer[tuple[Format, bytes]] = JitterBuffer(8000)
        self._begin(8000)

    def _begin(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._discarded = self.discarded
        self._buffer = JitterBuffer(clock_rate)
        self._decoder: Decoder | None = None
        self._heard_at = 0.0
        self._pieces: list[Samples] = []
        self._ready = 0

    @property
    def buffer(self) -> JitterBuffer[tuple[Format, bytes]]:
        """What waits to be played, with its counts; another object after the peer's clock rate has changed."""
        return self._buffer

    @property
    def delay_ms(self) -> float:
        """How long what is played has waited beyond the quickest packet: the jitter buffer's part of Ta (G.107)."""
        return self._buffer.delay_ms

    @property
    def discarded(self) -> int:
        """Packets that came and are not played, since the beginning: too late, too early or stray."""
        return self._discarded + self._buffer.late + self._buffer.discarded

    @property
    def mode_request(self) -> int | None:
        """The mode that the peer asked our encoder for last."""
        return self._decoder.mode_request if self._decoder is not None else None

    def put(  # noqa: PLR0917 - one call a packet
        self, format_: Format, source: object, sequence: int, timestamp: int, payload: bytes, now: float
    ) -> None:
        """Take a packet; `source` is another object after each restart of the peer (`Reception.source`)."""
        if format_.clock_rate != self._clock_rate:
            self._begin(format_.clock_rate)
        elif source is not self._source:
            self._buffer.restart()
        self._source = source
        self._buffer.put(sequence, timestamp, (format_, payload), now)

    def pass_over(self, sequence: int) -> None:
        """Know of a packet that is no audio (a telephone-event): it is not missing."""
        self._buffer.pass_over(sequence)

    def pull(self, samples: int, now: float) -> Samples:
        """Return the next samples of what the peer says; silence while it has said nothing yet."""
        while self._ready < samples:
            piece = self._next(samples - self._ready, now)
            self._pieces.append(piece)
            self._ready += len(piece)
        signal = np.concatenate(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        self._pieces = [signal[samples:]]
        self._ready -= samples
        return signal[:samples]

    def _next(self, wanted: int, now: float) -> Samples:
        item = self._buffer.get(now)
        if isinstance(item, Packet):
            self._heard_at = now
            return self._resampled(self._decoded(*item.payload))
        decoder = self._decoder
        if decoder is None:
            return np.zeros(wanted, np.int16)
        if decoder.repairs and self._buffer.lost:
            self._buffer.look_ahead()
        if item is NOT_YET:
            if now - self._heard_at > _LONGEST_PAUSE_SECONDS and self._latest is not None and self._latest.name != CN:
                return np.zeros(wanted, np.int16)
            return self._resampled(decoder.conceal(-(-wanted * decoder.sample_rate // self.sample_rate)))
        following = self._following(item)
        return self._resampled(decoder.conceal(item.duration * decoder.sample_rate // self._clock_rate, following))

    def _following(self, missing: Missing[tuple[Format, bytes]]) -> bytes | None:
        if missing.following is None or missing.following[0] != self._latest:
            return None
        return missing.following[1]

    def _decoded(self, format_: Format, payload: bytes) -> Samples:
        decoder = self._decoders.get(format_)
        try:
            if decoder is None:
                if len(self._decoders) == _MOST_FORMATS:
                    self._decoders.clear()
                decoder = self._decoders[format_] = make_decoder(format_)
            pcm = decoder.decode(payload)
        except CodecError:
            self.undecodable += 1
            return _NOTHING
        self._decoder, self._latest = decoder, format_
        excess = self._buffer.excess * decoder.sample_rate / self._clock_rate
        return shortened(pcm, decoder.sample_rate, excess) if excess and format_.name != CN else pcm

    def _resampled(self, pcm: Samples) -> Samples:
        decoder = self._decoder
        if decoder is None or decoder.sample_rate == self.sample_rate:
            return pcm
        resampler = self._resamplers.get(decoder.sample_rate)
        if resampler is None:
            resampler = self._resamplers[decoder.sample_rate] = Resampler(decoder.sample_rate, self.sample_rate)
        return resampler.convert(pcm)
