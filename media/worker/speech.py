"""What we say to a peer ourselves: samples that become packets of its codec."""

from __future__ import annotations

from typing import Final

import numpy as np

from media.codecs import CodecError, Encoder, Samples, make_encoder, sample_rate_of
from media.rtp.packet import MARKER
from media.worker.outgoing import Outgoing

TICKS_PER_SECOND: Final = 50
_NOISE_TICKS: Final = 25
_USUAL_NOISE: Final = bytes([70])  # -70 dBov, RFC 3389 3.1
_NOTHING: Final = np.zeros(0, np.int16)


class Speech:
    """Takes 20 ms of samples at `sample_rate` each tick; a packet leaves when it is full, of whatever length SDP wants.

    One encoder serves all that is said in turn. `volume` is the gain at which the peer wants to hear what it hears.
    """

    __slots__ = (
        "_encoder",
        "_format",
        "_outgoing",
        "_packet_ms",
        "_packet_samples",
        "_pending",
        "_rested",
        "_source",
        "sample_rate",
        "volume",
    )

    def __init__(self, outgoing: Outgoing) -> None:
        self.volume = 1.0
        self._outgoing = outgoing
        self._format = outgoing.stream.send
        self._packet_ms = 0
        self._encoder: Encoder | None = None
        self._pending = _NOTHING
        self._rested = 0
        self._source: object = None
        self.configure()

    def configure(self) -> None:
        """Speak the codec that SDP has agreed by now."""
        stream = self._outgoing.stream
        if (stream.send, stream.packet_ms) == (self._format, self._packet_ms):
            return
        self._format, self._packet_ms = stream.send, stream.packet_ms
        self._encoder = None
        self._pending = _NOTHING
        self.sample_rate = sample_rate_of(stream.send)
        self._packet_samples = self.sample_rate * stream.packet_ms // 1000

    @property
    def takes_noise(self) -> bool:
        """Tell whether the peer takes descriptions of noise in place of silence."""
        return self._outgoing.noise is not None

    @property
    def in_frames(self) -> bool:
        """Tell whether frames of 20 ms may be sent as they are, made for the codec by others."""
        return self._packet_ms * TICKS_PER_SECOND == 1000 and self.volume == 1.0

    def follow(self, mode_request: int | None) -> None:
        """Speak in the mode that the peer asks for (RFC 4867 4.3.1)."""
        if mode_request is not None and self._encoder is not None:
            self._encoder.follow(mode_request)

    def say(self, source: object, pcm: Samples, now: float) -> None:
        """Say 20 ms that follow what `source` has said before."""
        encoder = self._encoder or self._make_encoder()
        if encoder is None:
            self._outgoing.unsent += 1
            return
        if source is not self._source:
            self._source, self._pending = source, _NOTHING
        if len(self._pending):
            pcm = np.concatenate((self._pending, pcm))
        size = self._packet_samples
        while len(pcm) >= size:
            self._send(encoder, pcm[:size], now)
            pcm = pcm[size:]
        self._pending = pcm

    def finish(self, source: object, now: float) -> None:
        """Say what does not fill a packet."""
        if source is self._source and len(self._pending):
            self.say(source, np.zeros(self._packet_samples - len(self._pending), np.int16), now)

    def rest(self, source: object, noise: bytes, now: float) -> None:
        """Say nothing for 20 ms but what noise there is (RFC 3389), when that begins and from time to time."""
        self.finish(source, now)
        self._source = source
        samples = self._format.clock_rate // TICKS_PER_SECOND
        if self._rested % _NOISE_TICKS:
            self._outgoing.sender.pause(source, samples)
        elif self._outgoing.noise is not None:
            self._outgoing.send(source, self._outgoing.noise.payload, noise or _USUAL_NOISE, samples, now)
        self._rested += 1

    def _send(self, encoder: Encoder, pcm: Samples, now: float) -> None:
        samples = self._format.clock_rate * self._packet_ms // 1000
        payload = encoder.encode(pcm)
        if payload:
            second = self._format.payload | (MARKER if self._rested else 0)
            self._rested = 0
            self._outgoing.send(self._source, second, payload, samples, now)
        else:
            self._rested += 1
            self._outgoing.sender.pause(self._source, samples)

    def _make_encoder(self) -> Encoder | None:
        try:
            self._encoder = make_encoder(self._format, self._packet_ms)
        except CodecError:
            return None
        return self._encoder


def amplify(pcm: Samples, gain: float) -> Samples:
    """Return the samples at another volume, as loud as they can be."""
    if gain == 1:
        return pcm
    amplified: Samples = np.clip(pcm * gain, -32768, 32767).astype(np.int16)
    return amplified
