"""Where the search for datagrams begins: what phones send."""

from __future__ import annotations

from pathlib import Path

from media.rtp.packet import HEADER

from .rtp_lab import AMR, EVENTS, G722, NOISE, OPUS, PCMA, PCMU
from .rtp_target import pack

PEER, TICKS, RTCP = 0x40, 0x20, 0x80
_PAYLOADS = {
    PCMU: bytes(160),
    PCMA: bytes(160),
    G722: bytes(160),
    AMR: b"\xf0\x3c" + bytes(31),
    OPUS: b"\xf8\xff\xfe",
    NOISE: b"\x28\x50",
}
_SENDER_REPORT = bytes.fromhex("80c8000600000001e000000000000000000003200000000a00000640")
_GOODBYE = bytes.fromhex("80c900010000000181cb000100000001")
_STUN = bytes.fromhex("000100002112a442000102030405060708090a0b")


def rtp(payload_type: int, sequence: int, timestamp: int, payload: bytes, first: int = 0x80) -> bytes:
    """Return a packet."""
    return HEADER.pack(first, payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, 1) + payload


def _talk(leg: int) -> bytes:
    return b"".join(
        pack(PEER | TICKS | leg, rtp(coding.payload, 65_530 + number, 0xFFFFFF00 + 160 * number, payload))
        for coding, payload in _PAYLOADS.items()
        for number in range(4)
    )


def _key(leg: int) -> bytes:
    events = [bytes([5, 0x0A, 0, 160]), bytes([5, 0x0A, 1, 64]), *[bytes([5, 0x8A, 1, 224])] * 3]
    packets = (rtp(EVENTS.payload, 100 + number, 16_000, payload) for number, payload in enumerate(events))
    return b"".join(pack(PEER | TICKS | leg, data) for data in packets)


SEEDS = [
    *(_talk(leg) for leg in range(5)),
    *(_key(leg) for leg in range(5)),
    pack(PEER | 1, rtp(0, 1, 1, bytes(160))) + pack(PEER | 1, _SENDER_REPORT) + pack(PEER | 1, _GOODBYE) + _talk(1),
    pack(PEER, rtp(0, 1, 1, bytes(160))) + pack(PEER | RTCP, _SENDER_REPORT) + pack(PEER | RTCP, _GOODBYE) + _talk(0),
    b"".join(pack(leg, rtp(0, 7, 7, bytes(160))) * 5 for leg in range(5)),
    pack(PEER, rtp(0, 1, 1, b"\xbe\xde\x00\x01" + bytes(164), 0x90))
    + pack(PEER, rtp(0, 2, 161, bytes(159) + b"\x04", 0xA0)),
    pack(PEER, rtp(0, 1, 1, bytes(160), 0x40)) + pack(PEER, bytes(2900)) + pack(PEER, _STUN) + pack(PEER, b""),
]


def write(folder: Path) -> None:
    """Write the seeds, one a file, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(SEEDS):
        (folder / f"rtp-{number:03}").write_bytes(data)
