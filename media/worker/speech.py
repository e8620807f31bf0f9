"""What we say to a peer ourselves: samples that become packets of its codec."""

from __future__ import annotations

from typing import Final

import numpy as np

from media.codecs import CodecError, Encoder, Samples, fitting_packet_ms, make_encoder, sample_rate_of
from media.codecs.comfort_noise import NoiseSender
from media.rtp.packet import MARKER
from media.worker.outgoing import Outgoing

FRAME_MS: Final = 20
_NOTHING: Final = np.zeros(0, np.int16)
_SMALLEST, _LARGEST = -32768, 32767


class Speech:
    """Takes 20 ms of samples at `sample_rate` each tick; a packet leaves when it is full, of whatever length SDP wants.

    One encoder serves all that is said in turn. `volume` is the gain at which the peer wants to hear what it hears.
    To a peer that takes comfort noise silence is only described (RFC 3389).
    """

    __slots__ = (
        "_encoder",
        "_format",
        "_noise",
        "_outgoing",
        "_packet_samples",
        "_pending",
        "_rests",
        "_source",
        "_timestamps",
        "packet_ms",
        "sample_rate",
        "volume",
    )

    def __init__(self, outgoing: Outgoing) -> None:
        self.volume = 1.0
        self.packet_ms = 0
        self._outgoing = outgoing
        self._format = outgoing.stream.send
        self._source: object = None
        self.configure()

    def configure(self) -> None:
        """Speak the codec that SDP has agreed by now."""
        stream = self._outgoing.stream
        self._noise = NoiseSender() if self._outgoing.noise is not None else None
        packet_ms = fitting_packet_ms(stream.send, stream.packet_ms)
        if (stream.send, packet_ms) == (self._format, self.packet_ms):
            return
        self._format, self.packet_ms = stream.send, packet_ms
        self._encoder: Encoder | None = None
        self._pending = _NOTHING
        self._rests = False
        self.sample_rate = sample_rate_of(stream.send)
        self._packet_samples = self.sample_rate * packet_ms // 1000
        self._timestamps = self._format.clock_rate * packet_ms // 1000

    @property
    def in_frames(self) -> bool:
        """Tell whether frames of 20 ms may be sent as they are, made for the codec by others."""
        return self.packet_ms == FRAME_MS and self.volume == 1

    def follow(self, mode_request: int | None) -> None:
        """Speak in the mode that the peer asks for (RFC 4867 4.3.1)."""
        if mode_request is not None and self._encoder is not None:
            self._encoder.follow(mode_request)

    def ask(self, mode_request: int | None) -> None:
        """Ask the peer to speak in a mode, or not any more (RFC 4867 4.3.1)."""
        if self._encoder is not None:
            self._encoder.ask(mode_request)

    def say(self, source: object, pcm: Samples, now: float) -> None:
        """Say samples that follow those that `source` has said before."""
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
        """Say what does not fill a packet, with silence behind it."""
        if source is self._source and len(self._pending):
            self.say(source, np.zeros(self._packet_samples - len(self._pending), np.int16), now)

    def _send(self, encoder: Encoder, pcm: Samples, now: float) -> None:
        payload, number = None, self._format.payload
        if self._noise is not None and self._outgoing.noise is not None:
            payload, number = self._noise.take(pcm), self._outgoing.noise.payload
        if payload is None:
            # RFC 3551 4.1: the marker distinguishes "the first packet of a talkspurt".
            number = self._format.payload | (MARKER if self._rests else 0)
            try:
                payload = encoder.encode(pcm)
            except CodecError:
                self._outgoing.unsent += 1
                payload = b""
            self._rests = not payload
        else:
            self._rests = True
        if payload:
            self._outgoing.send(self._source, number, payload, self._timestamps, now)
        else:
            self._outgoing.sender.pause(self._source, self._timestamps)

    def _make_encoder(self) -> Encoder | None:
        try:
            self._encoder = make_encoder(self._format, self.packet_ms)
        except CodecError:
            return None
        return self._encoder


def amplify(pcm: Samples, gain: float) -> Samples:
    """Return the samples at another volume, no louder than can be."""
    if gain == 1:
        return pcm
    amplified: Samples = np.clip(pcm * gain, _SMALLEST, _LARGEST).astype(np.int16)
    return amplified
