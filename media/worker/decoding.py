"""What a leg says as samples, for those to whom it cannot be relayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from media.codecs import Resampler, Samples
from media.codecs.names import EVENTS
from media.codecs.playout import Playout

if TYPE_CHECKING:
    from media.rtp.stream import Format

TICKS_PER_SECOND: Final = 50


class Decoding:
    """A tap that gives out what the leg says in 20 ms each tick, in order, decoded and concealed."""

    __slots__ = ("_converted", "_frame", "_resamplers", "playout")

    def __init__(self, sample_rate: int) -> None:
        self.playout = Playout(sample_rate)
        self._resamplers: dict[int, Resampler] = {}
        self._converted: dict[int, Samples] = {}

    def take(  # noqa: PLR0917 - a tap
        self, coding: Format, source: object, sequence: int, timestamp: int, payload: bytes, now: float, /
    ) -> None:
        """Keep a packet until it is due; an event has a number, but nothing to be heard."""
        if coding.name == EVENTS:
            self.playout.pass_over(sequence)
        else:
            self.playout.put(coding, source, sequence, timestamp, payload, now)

    def tick(self, now: float) -> None:
        """Go on to the next 20 ms."""
        playout = self.playout
        self._converted = {playout.sample_rate: playout.pull(playout.sample_rate // TICKS_PER_SECOND, now)}

    def at(self, rate: int) -> Samples:
        """Return these 20 ms at a sample rate; to be asked each tick by those who want that rate at all."""
        converted = self._converted.get(rate)
        if converted is None:
            present = self.playout.sample_rate
            resampler = self._resamplers.get(rate)
            if resampler is None:
                resampler = self._resamplers[rate] = Resampler(present, rate)
            converted = self._converted[rate] = resampler.convert(self._converted[present])
        return converted
