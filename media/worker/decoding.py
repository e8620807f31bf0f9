"""What a leg says as samples, for those to whom it cannot be relayed."""

from __future__ import annotations

from typing import Final

import numpy as np

from media.codecs import CodecError, Decoder, Resampler, Samples, make_decoder
from media.codecs.names import AMR, AMR_WB, CN, EVENTS, OPUS
from media.rtp.jitter import NOT_YET, JitterBuffer, Packet
from media.rtp.stream import Format
from media.worker.speech import TICKS_PER_SECOND

_CONCEALED_TICKS: Final = {CN: None, AMR: 50, AMR_WB: 50, OPUS: 50}
"""For how long nothing may come until that is silence; the descriptions of noise that these codecs send last."""
_FADED_TICKS: Final = 3
_QUIET: Final = 200
_NOTHING: Final = np.zeros(0, np.int16)


class Decoding:
    """A tap that orders, decodes and conceals, and gives out 20 ms each tick.

    `frame` holds what `tick` has found: samples at `sample_rate`, or None in silence. `resting` is the comfort noise
    that the leg asks for meanwhile, as the payload of RFC 3389, or b"".
    """

    __slots__ = (
        "_buffer",
        "_coding",
        "_concealed",
        "_converted",
        "_decoder",
        "_decoders",
        "_pcm",
        "_resamplers",
        "_source",
        "frame",
        "resting",
        "sample_rate",
    )

    def __init__(self) -> None:
        self.frame: Samples | None = None
        self.resting = b""
        self.sample_rate = 8000
        self._source: object = None
        self._coding: Format | None = None
        self._buffer: JitterBuffer[tuple[Decoder, Format, bytes]] | None = None
        self._decoder: Decoder | None = None
        self._decoders: dict[Format, Decoder] = {}
        self._pcm = _NOTHING
        self._concealed = 0
        self._resamplers: dict[tuple[int, int], Resampler] = {}
        self._converted: dict[int, Samples] = {}

    @property
    def mode_request(self) -> int | None:
        """The mode in which the peer wants to be spoken to (RFC 4867 4.3.1)."""
        return self._decoder.mode_request if self._decoder is not None else None

    @property
    def delay_ms(self) -> float:
        """How long packets wait here."""
        return self._buffer.delay_ms if self._buffer is not None else 0.0

    def take(  # noqa: PLR0917 - a tap
        self, coding: Format, source: object, sequence: int, timestamp: int, payload: bytes, now: float, /
    ) -> None:
        """Keep a packet until it is due; an event has a number, but nothing to be heard."""
        if coding.name == EVENTS:
            if self._buffer is not None:
                self._buffer.pass_over(sequence)
            self._decoder = None
            return
        decoder = self._decoders.get(coding)
        if decoder is None:
            try:
                decoder = self._decoders[coding] = make_decoder(coding)
            except CodecError:
                return
        if self._buffer is None or (self._coding is not None and self._coding.clock_rate != coding.clock_rate):
            self._buffer = JitterBuffer(coding.clock_rate)
        elif source is not self._source:
            self._buffer.restart()
        self._source, self._coding = source, coding
        self._buffer.put(sequence, timestamp, (decoder, coding, payload), now)

    def tick(self, now: float) -> None:
        """Find what the leg says in the next 20 ms."""
        self._converted.clear()
        while len(self._pcm) < self.sample_rate // TICKS_PER_SECOND:
            if self._buffer is None or not self._next(self._buffer, now):
                break
        wanted = self.sample_rate // TICKS_PER_SECOND
        missing = wanted - len(self._pcm)
        if missing > 0:
            self._conceal(missing)
        if len(self._pcm) < wanted:
            self.frame = None
            return
        self.frame, self._pcm = self._pcm[:wanted], self._pcm[wanted:]

    def at(self, rate: int) -> Samples | None:
        """Return `frame` at another rate; to be asked each tick by those who want it at all."""
        if rate == self.sample_rate or self.frame is None:
            return self.frame
        converted = self._converted.get(rate)
        if converted is None:
            rates = (self.sample_rate, rate)
            resampler = self._resamplers.get(rates)
            if resampler is None:
                resampler = self._resamplers[rates] = Resampler(*rates)
            converted = self._converted[rate] = resampler.convert(self.frame)
        return converted

    def _next(self, buffer: JitterBuffer[tuple[Decoder, Format, bytes]], now: float) -> bool:
        """Add what is due to the samples; False if nothing is."""
        due = buffer.get(now)
        if due is NOT_YET:
            return False
        if not isinstance(due, Packet):
            self._add_missing(due.duration, due.following, buffer)
            return True
        decoder, coding, payload = due.payload
        if decoder.sample_rate != self.sample_rate:
            self.sample_rate, self._pcm = decoder.sample_rate, _NOTHING
        self._decoder, self._concealed = decoder, 0
        self._coding = coding
        self.resting = payload if coding.name == CN else b""
        try:
            pcm = decoder.decode(payload)
        except CodecError:
            return True
        if not (buffer.excess and _is_quiet(pcm)):
            self._add(pcm)
        return True

    def _conceal(self, missing: int) -> None:
        """Bridge what is late or not sent, until that is silence."""
        decoder, coding = self._decoder, self._coding
        if decoder is not None and coding is not None:
            limit = _CONCEALED_TICKS.get(coding.name, _FADED_TICKS)
            if limit is None or self._concealed < limit:
                self._concealed += 1
                self._add(decoder.conceal(missing))
                return
            self._decoder = None
        if len(self._pcm):
            self._add(np.zeros(missing, np.int16))

    def _add_missing(
        self,
        duration: int,
        following: tuple[Decoder, Format, bytes] | None,
        buffer: JitterBuffer[tuple[Decoder, Format, bytes]],
    ) -> None:
        if self._decoder is None or self._coding is None or buffer.excess:
            return
        payload = following[2] if following is not None and following[0] is self._decoder else None
        self._add(self._decoder.conceal(duration * self.sample_rate // self._coding.clock_rate, payload))

    def _add(self, pcm: Samples) -> None:
        self._pcm = np.concatenate((self._pcm, pcm)) if len(self._pcm) else pcm


def _is_quiet(pcm: Samples) -> bool:
    return bool(len(pcm)) and int(pcm.max()) < _QUIET and int(pcm.min()) > -_QUIET
