"""Opus (RFC 6716) in RTP (RFC 7587), by libopus: 48 kHz, mono."""

from __future__ import annotations

import ctypes
import weakref
from typing import Final

import numpy as np

from media.codecs import native
from media.codecs.fmtp import OpusParameters
from media.codecs.interface import CodecError, Samples
from media.codecs.silence import SilenceDetector

SAMPLE_RATE: Final = 48000
PACKET_MS: Final = (10, 20, 40, 60)
"""What can be sent; received is anything from 2.5 to 120 ms."""
LIBRARY: Final = native.load("libopus", "libopus.so.0")

_LONGEST: Final = SAMPLE_RATE * 120 // 1000
_SHORTEST_CONCEALED: Final = SAMPLE_RATE // 400
_MOST_CONCEALED: Final = SAMPLE_RATE * 60 // 1000
_FULL_MS, _FADED_MS = 20, 120
_FADED_LEVEL: Final = 150.0
"""What is concealed falls from 20 ms on and within 100 ms to this level (-47 dBov) where it is above: libopus itself
takes a steady sound for the background and would go on with it for ever."""
_FADE_IN: Final = SAMPLE_RATE // 200
_LARGEST_PACKET: Final = 1275
_LARGEST_DTX_PACKET: Final = 2
_APPLICATION_VOIP: Final = 2048
_COMPLEXITY: Final = 5
_EXPECTED_LOSS_PERCENT: Final = 10
_USUAL_BITRATE: Final = 32_000
_BANDWIDTHS: Final = ((8000, 1101), (12000, 1102), (16000, 1103), (24000, 1104), (48000, 1105))  # RFC 7587 6.1
_SET_BITRATE, _SET_MAX_BANDWIDTH, _SET_VBR, _SET_COMPLEXITY = 4002, 4004, 4006, 4010
_SET_INBAND_FEC, _SET_PACKET_LOSS, _SET_DTX = 4012, 4014, 4016

if LIBRARY is not None:
    LIBRARY.opus_encoder_create.restype = ctypes.c_void_p
    LIBRARY.opus_decoder_create.restype = ctypes.c_void_p


class OpusDecoder:
    """Decodes mono and stereo packets to mono; conceals with what the codec knows, or with a later packet's FEC."""

    sample_rate = SAMPLE_RATE
    mode_request = None
    repairs = True

    def __init__(self) -> None:
        if LIBRARY is None:
            raise CodecError("Opus needs libopus.")
        self._library = LIBRARY
        error = ctypes.c_int()
        # RFC 6716 4.2.8: a decoder of one channel mixes stereo down.
        self._state = ctypes.c_void_p(LIBRARY.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(error)))
        if error.value:
            raise CodecError(f"libopus made no decoder: error {error.value}.")
        weakref.finalize(self, LIBRARY.opus_decoder_destroy, self._state)
        self._concealed = 0
        self._level = self._gain = 1.0

    def decode(self, payload: bytes) -> Samples:
        """Return the packet's samples. Raises CodecError."""
        if not payload:
            raise CodecError("An Opus packet is empty.")
        pcm = np.empty(_LONGEST, np.int16)
        pcm = pcm[: self._decode(payload, pcm, _LONGEST, fec=0)]
        if self._gain < 1:
            length = min(len(pcm), _FADE_IN)
            pcm[:length] = pcm[:length] * np.linspace(self._gain, 1, length, dtype=np.float32)
        self._gain, self._concealed = 1.0, 0
        return pcm

    def conceal(self, samples: int, following: bytes | None = None) -> Samples:
        """Return what the following packet repeats, else what the codec supposes, falling to a low noise."""
        wanted = -(-samples // _SHORTEST_CONCEALED) * _SHORTEST_CONCEALED
        pcm = np.zeros(wanted, np.int16)
        try:
            if following and wanted <= _MOST_CONCEALED:
                self._decode(following, pcm, wanted, fec=1)
                return pcm[:samples]
            for start in range(0, wanted, _MOST_CONCEALED):
                piece = pcm[start : start + _MOST_CONCEALED]
                self._decode(None, piece, len(piece), fec=0)
        except CodecError:
            pass  # the packet to follow is broken: it is counted when its turn comes
        return self._fade(pcm[:samples])

    def _fade(self, pcm: Samples) -> Samples:
        level = float(np.sqrt(np.mean(np.square(pcm, dtype=np.float32)))) if len(pcm) else 0.0
        if not self._concealed:
            self._level = level
        self._concealed += len(pcm)
        faded = self._concealed * 1000 / SAMPLE_RATE - _FULL_MS
        share = min(1.0, max(0.0, faded / (_FADED_MS - _FULL_MS)))
        most = self._level + share * (min(_FADED_LEVEL, self._level) - self._level)
        before, self._gain = self._gain, min(1.0, most / level) if level else 1.0
        if before == self._gain == 1.0:
            return pcm
        quieter: Samples = np.rint(pcm * np.linspace(before, self._gain, len(pcm), dtype=np.float32)).astype(np.int16)
        return quieter

    def _decode(self, payload: bytes | None, pcm: Samples, samples: int, *, fec: int) -> int:
        size = len(payload) if payload is not None else 0
        count = int(self._library.opus_decode(self._state, payload, size, native.address(pcm), samples, fec))
        if count < 0:
            raise CodecError(f"An Opus packet is malformed: error {count}.")
        return count


class OpusEncoder:
    """Encodes mono speech within what the receiver told in its parameters."""

    sample_rate = SAMPLE_RATE

    def __init__(self, parameters: OpusParameters, packet_ms: int = 20) -> None:
        if LIBRARY is None:
            raise CodecError("Opus needs libopus.")
        if packet_ms not in PACKET_MS:
            raise CodecError(f"Opus has no packets of {packet_ms} ms.")
        self._library = LIBRARY
        self._samples = SAMPLE_RATE * packet_ms // 1000
        self._packet = ctypes.create_string_buffer(_LARGEST_PACKET)
        self._dtx = False
        error = ctypes.c_int()
        self._state = ctypes.c_void_p(
            LIBRARY.opus_encoder_create(SAMPLE_RATE, 1, _APPLICATION_VOIP, ctypes.byref(error))
        )
        if error.value:
            raise CodecError(f"libopus made no encoder: error {error.value}.")
        weakref.finalize(self, LIBRARY.opus_encoder_destroy, self._state)
        limit = parameters.max_average_bitrate
        bandwidth = next(code for rate, code in _BANDWIDTHS if parameters.max_playback_rate <= rate)
        self._set(_SET_COMPLEXITY, _COMPLEXITY)
        self._set(_SET_BITRATE, min(_USUAL_BITRATE, limit) if limit is not None else _USUAL_BITRATE)
        self._set(_SET_MAX_BANDWIDTH, bandwidth)
        self._set(_SET_VBR, int(not parameters.cbr))
        self._set(_SET_INBAND_FEC, int(parameters.use_inband_fec))
        self._set(_SET_PACKET_LOSS, _EXPECTED_LOSS_PERCENT if parameters.use_inband_fec else 0)
        self._silence = SilenceDetector() if parameters.use_dtx else None

    def encode(self, pcm: Samples) -> bytes:
        """Return the packet, or nothing in silence where the receiver wants DTX."""
        if len(pcm) != self._samples:
            raise ValueError(f"{len(pcm)} samples were given for a packet of {self._samples}.")
        pcm = np.ascontiguousarray(pcm)
        dtx = self._silence is not None and self._silence.is_silence(pcm)
        if dtx is not self._dtx:
            # Left to itself, libopus takes a dialling tone for silence as well.
            self._dtx = dtx
            self._set(_SET_DTX, int(dtx))
        size = int(
            self._library.opus_encode(self._state, native.address(pcm), self._samples, self._packet, _LARGEST_PACKET)
        )
        if size < 0:
            raise CodecError(f"libopus encoded nothing: error {size}.")
        # A packet of two octets or less need not be sent, says opus_encode's description.
        return b"" if dtx and size <= _LARGEST_DTX_PACKET else ctypes.string_at(self._packet, size)

    def follow(self, mode_request: int | None) -> None:
        """Do nothing: Opus has no modes to be asked for."""

    def ask(self, mode_request: int | None) -> None:
        """Do nothing, likewise."""

    def _set(self, control: int, value: int) -> None:
        self._library.opus_encoder_ctl(self._state, control, ctypes.c_int(value))
