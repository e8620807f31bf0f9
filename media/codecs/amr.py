"""AMR and AMR-WB by OpenCORE's libraries, AMR-WB encoded by VisualOn's; framed by RFC 4867."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from media.codecs import amr_payload, native
from media.codecs.amr_payload import NO_DATA, Content, Family, Frame
from media.codecs.fmtp import AmrParameters
from media.codecs.interface import CodecError, Samples

FRAME_MS: Final = 20
PACKET_MS: Final = (20, 40, 60, 80, 100)
_LARGEST_FRAME: Final = 64
_MODE_12_2: Final = 7
_MODE_12_65: Final = 2

NARROW: Final = native.load("libopencore-amrnb", "libopencore-amrnb.so.0")
WIDE: Final = native.load("libopencore-amrwb", "libopencore-amrwb.so.0")
WIDE_ENCODER: Final = native.load("libvo-amrwbenc", "libvo-amrwbenc.so.0")


class Kind(NamedTuple):
    """What the two codecs differ in, for their users."""

    family: Family
    sample_rate: int
    first_mode: int
    """The mode sent until the peer asks for one."""


AMR: Final = Kind(amr_payload.AMR, 8000, _MODE_12_2)
AMR_WB: Final = Kind(amr_payload.AMR_WB, 16000, _MODE_12_65)


class AmrDecoder:
    """Decodes the frames of one stream's packets; the codec itself conceals, and makes the noise of pauses."""

    repairs = False

    def __init__(self, kind: Kind, parameters: AmrParameters) -> None:
        self.sample_rate = kind.sample_rate
        self.mode_request: int | None = None
        self._family = kind.family
        self._octet_align = parameters.octet_align
        self._frame_samples = kind.sample_rate * FRAME_MS // 1000
        self._library, self._state = _open_decoder(kind)
        self._run: Callable[..., Any] = (
            self._library.Decoder_Interface_Decode if kind is AMR else self._library.D_IF_decode
        )
        close = self._library.Decoder_Interface_exit if kind is AMR else self._library.D_IF_exit
        weakref.finalize(self, close, self._state)
        self._spare = np.zeros(0, np.int16)

    def decode(self, payload: bytes) -> Samples:
        """Return the samples of the frames. Raises CodecError for a malformed payload, which changes nothing."""
        content = amr_payload.unpack(payload, self._family, octet_align=self._octet_align)
        if content.mode_request is not None:
            self.mode_request = content.mode_request
        self._spare = self._spare[:0]
        pcm = np.empty(self._frame_samples * len(content.frames), np.int16)
        for index, frame in enumerate(content.frames):
            self._decode(frame, pcm[index * self._frame_samples :])
        return pcm

    def conceal(self, samples: int, following: bytes | None = None) -> Samples:
        """Return what the codec puts in the place of frames that did not come: fading speech, or the pause's noise."""
        frames = -(-(samples - len(self._spare)) // self._frame_samples)
        if frames > 0:
            pcm = np.empty(self._frame_samples * frames, np.int16)
            for index in range(frames):
                self._decode(_NOTHING, pcm[index * self._frame_samples :])
            self._spare = np.concatenate((self._spare, pcm))
        pcm, self._spare = self._spare[:samples], self._spare[samples:]
        return pcm

    def _decode(self, frame: Frame, pcm: Samples) -> None:
        # 4.3.2: what is not good is "severely damaged": it is treated as lost.
        type_, data = (frame.type, frame.data) if frame.good else (NO_DATA, b"")
        stored = bytes([type_ << 3 | 0x04]) + data
        self._run(self._state, stored, native.address(pcm), 0)


class AmrEncoder:
    """Encodes packets of one or more frames in the modes that the format allows, and as the peer asks."""

    def __init__(self, kind: Kind, parameters: AmrParameters, packet_ms: int = FRAME_MS) -> None:
        if packet_ms not in PACKET_MS:
            raise CodecError(f"{kind.family.name} has no packets of {packet_ms} ms.")
        self.sample_rate = kind.sample_rate
        self._asks: int | None = None
        self._family = kind.family
        self._parameters = parameters
        self._frame_samples = kind.sample_rate * FRAME_MS // 1000
        self._frames = packet_ms // FRAME_MS
        self._library, self._state = _open_encoder(kind)
        self._run: Callable[..., Any] = (
            self._library.Encoder_Interface_Encode if kind is AMR else self._library.E_IF_encode
        )
        close = self._library.Encoder_Interface_exit if kind is AMR else self._library.E_IF_exit
        weakref.finalize(self, close, self._state)
        self._frame = ctypes.create_string_buffer(_LARGEST_FRAME)
        self._modes = parameters.modes or tuple(range(kind.family.modes))
        self._wanted = self._mode = self._allowed(kind.first_mode)
        self._count = 0

    def encode(self, pcm: Samples) -> bytes:
        """Return the payload."""
        if len(pcm) != self._frames * self._frame_samples:
            raise ValueError(f"{len(pcm)} samples were given for {self._frames} frames of {self._frame_samples}.")
        pcm = pcm.copy()  # the encoders filter in place
        frames = tuple(
            self._encode(pcm[start : start + self._frame_samples]) for start in range(0, len(pcm), self._frame_samples)
        )
        return amr_payload.pack(Content(self._asks, frames), self._family, octet_align=self._parameters.octet_align)

    def follow(self, mode_request: int | None) -> None:
        """Change to the mode asked for (CMR), as far and as fast as mode-set and mode-change-* allow."""
        if mode_request is not None:
            self._wanted = self._allowed(mode_request)

    def ask(self, mode_request: int | None) -> None:
        """Send this request (CMR) with each packet; None requests nothing."""
        self._asks = mode_request

    def _encode(self, pcm: Samples) -> Frame:
        if self._mode != self._wanted and self._count % self._parameters.change_period == 0:
            self._mode = self._next_mode()
        self._count += 1
        size = int(self._run(self._state, self._mode, native.address(pcm), self._frame, 0))
        stored = ctypes.string_at(self._frame, size)
        return Frame(stored[0] >> 3 & 0x0F, bool(stored[0] & 0x04), stored[1:])

    def _allowed(self, mode: int) -> int:
        """Return the greatest mode of the set up to this one, else the least."""
        return max((allowed for allowed in self._modes if allowed <= mode), default=self._modes[0])

    def _next_mode(self) -> int:
        if not self._parameters.change_neighbor:
            return self._wanted
        place = self._modes.index(self._mode)
        return self._modes[place + (1 if self._wanted > self._mode else -1)]


_NOTHING: Final = Frame(NO_DATA, True, b"")


def _open_decoder(kind: Kind) -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    library = NARROW if kind is AMR else WIDE
    if library is None:
        raise CodecError(f"{kind.family.name} needs OpenCORE's library.")
    create = library.Decoder_Interface_init if kind is AMR else library.D_IF_init
    create.restype = ctypes.c_void_p
    return library, ctypes.c_void_p(create())


def _open_encoder(kind: Kind) -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    library = NARROW if kind is AMR else WIDE_ENCODER
    if library is None:
        raise CodecError(f"{kind.family.name} needs an encoder's library.")
    create = library.Encoder_Interface_init if kind is AMR else library.E_IF_init
    create.restype = ctypes.c_void_p
    return library, ctypes.c_void_p(create(0))
