"""RTCP packets (RFC 3550 6.4 to 6.6): octets to structs and back.

Each packet is put into a compound packet behind a report, and is read from one. What the blocks of extended reports
mean is told in `media.rtp.xr`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from media.rtp.xr import MalformedRtcp, XrBlock, pack_block, read_blocks

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
DESCRIPTION: Final = 202
BYE: Final = 203
EXTENDED: Final = 207
_KNOWN: Final = range(SENDER_REPORT, EXTENDED + 1)
FIRST_TYPE: Final = 192  # payload types of RTCP when it shares a port with RTP (RFC 5761 4)
LAST_TYPE: Final = 223

_HEADER: Final = struct.Struct(">BBHI")  # V P count, type, length in words minus one, SSRC
_SENDER_INFO: Final = struct.Struct(">QIII")  # NTP, RTP timestamp, packets, octets
_BLOCK: Final = struct.Struct(">IIIIII")
_CNAME: Final = 1
_WORD: Final = 4
_LOST_BITS: Final = 24
_MOST_BLOCKS: Final = 31
_LONGEST_TEXT: Final = 255


class ReportBlock(msgspec.Struct, frozen=True):
    """What the reporter received of the source `ssrc` (6.4.1).

    `fraction_lost` is in 256ths since its last report, `lost` counts from the beginning and is negative where there
    were duplicates, `highest` is the extended highest sequence number, `jitter` in timestamp units; `last_report` and
    `delay` (in 65536ths of a second) let the source reckon the round trip.
    """

    ssrc: int
    fraction_lost: int = 0
    lost: int = 0
    highest: int = 0
    jitter: int = 0
    last_report: int = 0
    delay: int = 0


class SenderReport(msgspec.Struct, frozen=True):
    """SR: the instant `ntp` (64 bits of NTP time) is `timestamp` in the stream; what was sent; what is received."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()


class ReceiverReport(msgspec.Struct, frozen=True):
    """RR: of somebody who sent nothing lately."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


class Description(msgspec.Struct, frozen=True):
    """SDES of one source: its canonical name; None where only other items were given."""

    ssrc: int
    cname: str | None = None


class Bye(msgspec.Struct, frozen=True):
    """BYE: these sources are no more."""

    ssrcs: tuple[int, ...]
    reason: str = ""


class ExtendedReport(msgspec.Struct, frozen=True):
    """XR (RFC 3611): blocks of those kinds that we know."""

    ssrc: int
    blocks: tuple[XrBlock, ...] = ()


Packet = SenderReport | ReceiverReport | Description | Bye | ExtendedReport


def pack(packets: Sequence[Packet]) -> bytes:
    """Return a compound packet; the first must be an SR or RR (6.1)."""
    return b"".join([_PACK[type(packet)](packet) for packet in packets])


def _pack_sender_report(report: SenderReport) -> bytes:
    info = _SENDER_INFO.pack(report.ntp, report.timestamp, report.packets, report.octets)
    return _framed(SENDER_REPORT, len(report.blocks), report.ssrc, info + _pack_blocks(report.blocks))


def _pack_receiver_report(report: ReceiverReport) -> bytes:
    return _framed(RECEIVER_REPORT, len(report.blocks), report.ssrc, _pack_blocks(report.blocks))


def _pack_description(description: Description) -> bytes:
    name = (description.cname or "").encode()[:_LONGEST_TEXT]
    items = bytes((_CNAME, len(name))) + name
    # "each chunk starts on a 32-bit boundary", after at least one null octet (6.5)
    return _framed(DESCRIPTION, 1, description.ssrc, items + bytes(_WORD - len(items) % _WORD))


def _pack_bye(bye: Bye) -> bytes:
    rest = b"".join(ssrc.to_bytes(4, "big") for ssrc in bye.ssrcs[1:])
    reason = bye.reason.encode()[:_LONGEST_TEXT]
    if reason:
        rest += bytes((len(reason),)) + reason + bytes(-(1 + len(reason)) % _WORD)
    return _framed(BYE, len(bye.ssrcs), bye.ssrcs[0], rest)


def _pack_extended(report: ExtendedReport) -> bytes:
    return _framed(EXTENDED, 0, report.ssrc, b"".join([pack_block(block) for block in report.blocks]))


_PACK: Final[dict[type[Packet], Callable[..., bytes]]] = {
    SenderReport: _pack_sender_report,
    ReceiverReport: _pack_receiver_report,
    Description: _pack_description,
    Bye: _pack_bye,
    ExtendedReport: _pack_extended,
}


def _framed(kind: int, count: int, ssrc: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, 1 + len(body) // _WORD, ssrc) + body


def _pack_blocks(blocks: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(
        _BLOCK.pack(
            block.ssrc,
            block.fraction_lost << _LOST_BITS | max(-0x800000, min(block.lost, 0x7FFFFF)) & 0xFFFFFF,
            block.highest,
            block.jitter,
            block.last_report,
            block.delay,
        )
        for block in blocks[:_MOST_BLOCKS]
    )


def read(data: bytes) -> list[Packet]:
    """Read a compound packet; packets of unknown types are passed over (6.1). Raises MalformedRtcp (A.2).

    It should begin with a report, but phones open their way through a NAT with an APP packet alone, and RFC 5506 has
    other packets come alone too.
    """
    size = len(data)
    if size < _HEADER.size or data[1] not in _KNOWN:
        raise MalformedRtcp("No RTCP packet.")
    packets: list[Packet] = []
    start = 0
    while start < size:
        if size - start < _WORD:
            raise MalformedRtcp("Octets are left over.")
        first, kind = data[start], data[start + 1]
        end = start + _WORD * (1 + int.from_bytes(data[start + 2 : start + 4], "big"))
        if first & 0xC0 != 0x80 or end > size:
            raise MalformedRtcp("A packet of another version, or longer than its datagram.")
        last = end
        if first & 0x20:
            # "padding should only be required on one individual packet", the last
            padding = data[end - 1]
            if end != size or start == 0 or not 0 < padding <= end - start - _WORD or padding % _WORD:
                raise MalformedRtcp("Padding in the wrong place.")
            last = end - padding
        packet = _read_one(kind, first & 0x1F, data[start + _WORD : last])
        if packet is not None:
            packets.append(packet)
        start = end
    return packets


def _read_one(kind: int, count: int, body: bytes) -> Packet | None:
    if kind == BYE:
        return _read_bye(count, body)
    if kind == DESCRIPTION and not count:
        return None
    if kind not in (SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, EXTENDED):
        return None
    if len(body) < _WORD:
        raise MalformedRtcp("A packet without a source.")
    ssrc = int.from_bytes(body[:_WORD], "big")
    match kind:
        case 200:
            if len(body) < _WORD + _SENDER_INFO.size:
                raise MalformedRtcp("A sender report without its numbers.")
            ntp, timestamp, packets, octets = _SENDER_INFO.unpack_from(body, _WORD)
            blocks = _read_blocks(body, _WORD + _SENDER_INFO.size, count)
            return SenderReport(ssrc, ntp, timestamp, packets, octets, blocks)
        case 201:
            return ReceiverReport(ssrc, _read_blocks(body, _WORD, count))
        case 202:
            return Description(ssrc, _read_cname(body))
        case _:
            return ExtendedReport(ssrc, tuple(read_blocks(body[_WORD:])))


def _read_blocks(body: bytes, start: int, count: int) -> tuple[ReportBlock, ...]:
    if start + count * _BLOCK.size > len(body):
        raise MalformedRtcp("A report with fewer blocks than it counts.")
    blocks = []
    for number in range(count):
        ssrc, losses, highest, jitter, last_report, delay = _BLOCK.unpack_from(body, start + number * _BLOCK.size)
        lost = losses & 0xFFFFFF
        lost -= (lost & 0x800000) << 1
        blocks.append(ReportBlock(ssrc, losses >> _LOST_BITS, lost, highest, jitter, last_report, delay))
    return tuple(blocks)


def _read_cname(body: bytes) -> str | None:
    """Return the name of the first source."""
    at = _WORD
    while at < len(body) and body[at]:
        if at + 1 >= len(body) or at + 2 + body[at + 1] > len(body):
            raise MalformedRtcp("An item longer than its packet.")
        end = at + 2 + body[at + 1]
        if body[at] == _CNAME:
            return body[at + 2 : end].decode(errors="replace")
        at = end
    return None


def _read_bye(count: int, body: bytes) -> Bye:
    if count * _WORD > len(body):
        raise MalformedRtcp("A BYE with fewer sources than it counts.")
    ssrcs = tuple(int.from_bytes(body[at : at + _WORD], "big") for at in range(0, count * _WORD, _WORD))
    rest = body[count * _WORD :]
    return Bye(ssrcs, rest[1 : 1 + rest[0]].decode(errors="replace") if rest else "")
