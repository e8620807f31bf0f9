"""An Ogg Opus file in the making (RFC 7845), in whole pages, so that it can be played wherever it breaks off."""

from __future__ import annotations

import struct
import zlib
from typing import Final

import av
import numpy as np

from media.codecs import Samples

GRANULE_RATE: Final = 48_000
_FRAME_MS: Final = 60
_BITS: Final = {8_000: 16_000, 16_000: 24_000}  # a second and channel
_BEGINS, _ENDS = 2, 4
_MOST_SEGMENTS: Final = 200
_PAGE: Final = struct.Struct("<4sBBqIIIB")
_CHECKSUM_AT: Final = 22
_PRE_SKIP_AT: Final = 10
_FAMILY_AT: Final = 18
_REVERSED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


class OggOpusEncoder:
    """Samples to the octets of a file. `serial` tells its stream from others (RFC 3533 section 6).

    Channels are streams of their own: where Opus couples them, one is heard in the other as much as 30 dB down.
    """

    def __init__(self, channels: int, rate: int, serial: int) -> None:
        self._channels = channels
        self._rate = rate
        self._serial = serial
        self._pages = 0
        self._waiting = np.zeros((0, channels), np.int16)
        self._packets: list[bytes] = []
        self._taken = self._encoded = 0  # samples
        codec = av.CodecContext.create("libopus", "w")
        codec.sample_rate = rate
        codec.layout = "stereo" if channels == 2 else "mono"
        codec.format = av.AudioFormat("s16")
        codec.bit_rate = channels * _BITS[rate]
        codec.options = {"application": "voip", "frame_duration": str(_FRAME_MS), "mapping_family": "255"}
        codec.open()
        self._codec = codec
        self._frame = rate * _FRAME_MS // 1000
        head = bytearray(codec.extradata or b"")
        head[_FAMILY_AT] = 1  # the same mapping as one for stereo that any player plays (RFC 7845 section 5.1.1)
        self._head = bytes(head)
        self._pre_skip = int.from_bytes(self._head[_PRE_SKIP_AT : _PRE_SKIP_AT + 2], "little")

    def begin(self) -> bytes:
        """Return the two header pages (RFC 7845 section 3)."""
        vendor = b"ims-acd"
        tags = b"OpusTags" + len(vendor).to_bytes(4, "little") + vendor + bytes(4)
        return self._page([self._head], 0, _BEGINS) + self._page([tags], 0)

    def encode(self, samples: Samples) -> bytes:
        """Return the pages that these samples complete."""
        self._taken += len(samples)
        self._waiting = np.concatenate((self._waiting, samples.reshape(-1, self._channels)))
        return self._encode_whole_frames()

    def end(self) -> bytes:
        """Return the last page, which tells the exact length (RFC 7845 section 4)."""
        wanted = self._taken + self._pre_skip * self._rate // GRANULE_RATE
        missing = wanted - self._encoded - len(self._waiting)
        padding = max(0, missing) + self._frame
        self._waiting = np.concatenate((self._waiting, np.zeros((padding, self._channels), np.int16)))
        body = self._encode_whole_frames(keep_last=True)
        length = self._pre_skip + self._taken * GRANULE_RATE // self._rate
        return body + self._page(self._packets, length, _ENDS)

    def patch(self) -> bytes:
        """Return nothing: pages are never changed."""
        return b""

    def _encode_whole_frames(self, *, keep_last: bool = False) -> bytes:
        whole = len(self._waiting) // self._frame
        frames = self._waiting[: whole * self._frame]
        self._waiting = self._waiting[whole * self._frame :]
        pages = b""
        for number in range(whole):
            samples = frames[number * self._frame : (number + 1) * self._frame]
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples).reshape(1, -1), "s16", self._codec.layout.name
            )
            frame.sample_rate = self._rate
            frame.pts = self._encoded
            self._encoded += self._frame
            self._packets += [bytes(packet) for packet in self._codec.encode(frame)]
            if sum(len(packet) // 255 + 1 for packet in self._packets) > _MOST_SEGMENTS - 10:
                pages += self._flush()
        return pages if keep_last else pages + self._flush()

    def _flush(self) -> bytes:
        if not self._packets:
            return b""
        packets, self._packets = self._packets, []
        return self._page(packets, self._encoded * GRANULE_RATE // self._rate)

    def _page(self, packets: list[bytes], granule: int, flags: int = 0) -> bytes:
        lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
        header = _PAGE.pack(b"OggS", 0, flags, granule, self._serial, self._pages, 0, len(lacing))
        self._pages += 1
        page = bytearray(header + lacing + b"".join(packets))
        page[_CHECKSUM_AT : _CHECKSUM_AT + 4] = checksum(page).to_bytes(4, "little")
        return bytes(page)


def checksum(page: bytes | bytearray) -> int:
    """Return the CRC of RFC 3533 section 6: zlib's polynomial, but from the most significant bit and from zero."""
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")
