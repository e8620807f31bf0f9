"""Captures of RTP over Ethernet, as SIPp plays them back: what a phone would send, and when."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from media.codecs.g711 import encode
from media.dtmf.tones import tone
from media.rtp.events import DIGITS, EventWriter

ETHERNET = 1
FRAME = 160
_FILE = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, ETHERNET)


class Rtp(NamedTuple):
    """A packet and when it is to leave, in milliseconds."""

    at: int
    payload_type: int
    timestamp: int
    payload: bytes
    marker: bool = False


def write_playback(path: Path, packets: Iterable[Rtp]) -> Path:
    """Write packets with the numbers and the one source of a stream; SIPp puts in the addresses."""
    records = [_FILE]
    for number, packet in enumerate(packets, start=1000):
        second = packet.payload_type | (0x80 if packet.marker else 0)
        rtp = struct.pack(">BBHII", 0x80, second, number & 0xFFFF, packet.timestamp & 0xFFFFFFFF, 4711) + packet.payload
        udp = struct.pack(">HHHH", 10_000, 10_000, 8 + len(rtp), 0) + rtp
        size = 20 + len(udp)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, size, number & 0xFFFF, 0, 64, 17, 0, bytes(4), bytes(4)) + udp
        frame = bytes(12) + b"\x08\x00" + ip
        records.append(struct.pack("<IIII", packet.at // 1000, packet.at % 1000 * 1000, len(frame), len(frame)) + frame)
    path.write_bytes(b"".join(records))
    return path


def audio(samples: npt.NDArray[np.int16], law: str, payload_type: int, at: int = 0) -> Iterator[Rtp]:
    """Yield the packets of samples at 8 kHz, 20 ms in each."""
    for begin in range(0, len(samples) // FRAME * FRAME, FRAME):
        payload = encode(samples[begin : begin + FRAME].tobytes(), law)
        yield Rtp(at + begin // 8, payload_type, 8 * at + begin, payload, begin == 0)


def tones(digits: str, ms: int = 80, pause_ms: int = 80) -> npt.NDArray[np.int16]:
    """Return the sound of keys, each after a pause, and another pause."""
    pause = np.zeros(8 * pause_ms, np.int16)
    return np.concatenate([piece for digit in digits for piece in (pause, tone(digit, 0, 8 * ms))] + [pause] * 3)


def events(digits: str, payload_type: int = 101, ms: int = 100, pause_ms: int = 100, at: int = 0) -> Iterator[Rtp]:
    """Yield the packets of presses: one each 20 ms, the last one three times (RFC 4733 2.5.1.4)."""
    for digit in digits:
        at += pause_ms
        writer = EventWriter(DIGITS.index(digit), 8 * at)
        steps = [(passed, False) for passed in range(20, ms, 20)] + [(ms, True)] * 3
        for place, (passed, ended) in enumerate(steps, start=1):
            for payload, timestamp, marker in writer.write(8 * passed, ended=ended):
                yield Rtp(at + 20 * place, payload_type, timestamp, payload, marker)
        at += ms + 40
