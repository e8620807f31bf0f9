"""The RTP payload formats of AMR and AMR-WB (RFC 4867): octet-aligned and bandwidth-efficient."""

from __future__ import annotations

from typing import Final, NamedTuple

from media.codecs.interface import CodecError

NO_REQUEST: Final = 15
SPEECH_LOST: Final = 14
NO_DATA: Final = 15
MOST_FRAMES: Final = 12
"""Frames that a packet may carry here, 240 ms: one octet could ask for 20 ms of sound otherwise."""

_CMR_BITS: Final = 4
_ENTRY_BITS: Final = 6


class Family(NamedTuple):
    """AMR or AMR-WB: the bits of each frame type that has a length, by type; the types that carry speech are modes."""

    name: str
    modes: int
    bits: dict[int, int]

    @property
    def silence(self) -> int:
        """The frame type of silence descriptors (SID)."""
        return self.modes


# TS 26.101 and TS 26.201 tell the bits of each type.
AMR: Final = Family(
    "AMR",
    8,
    {0: 95, 1: 103, 2: 118, 3: 134, 4: 148, 5: 159, 6: 204, 7: 244, 8: 39, NO_DATA: 0},
)
AMR_WB: Final = Family(
    "AMR-WB",
    9,
    {
        0: 132,
        1: 177,
        2: 253,
        3: 285,
        4: 317,
        5: 365,
        6: 397,
        7: 461,
        8: 477,
        9: 40,
        SPEECH_LOST: 0,
        NO_DATA: 0,
    },
)


class Frame(NamedTuple):
    """20 ms of speech: its type, whether it is undamaged (Q), and its bits, filled up to whole octets."""

    type: int
    good: bool
    data: bytes


class Content(NamedTuple):
    """What a packet carries: the mode that its sender asks for, None for no request, and the frames in order."""

    mode_request: int | None
    frames: tuple[Frame, ...]


def unpack(payload: bytes, family: Family, *, octet_align: bool) -> Content:
    """Read a payload. Raises CodecError for one that the format does not allow."""
    if not payload:
        raise CodecError(f"A payload of {family.name} is empty.")
    request = payload[0] >> 4
    read = _unpack_aligned if octet_align else _unpack_efficient
    # 4.3.1: values that stand for no mode are no request.
    return Content(request if request < family.modes else None, read(payload, family))


def pack(content: Content, family: Family, *, octet_align: bool) -> bytes:
    """Return the payload of frames whose data have the length of their types."""
    request = NO_REQUEST if content.mode_request is None else content.mode_request
    last = len(content.frames) - 1
    entries = [
        (index < last) << 5 | frame.type << 1 | frame.good  # F, FT, Q
        for index, frame in enumerate(content.frames)
    ]
    if octet_align:
        data = b"".join(frame.data for frame in content.frames)
        return bytes([request << 4, *(entry << 2 for entry in entries)]) + data
    bits, length = request, _CMR_BITS
    for entry in entries:
        bits, length = bits << _ENTRY_BITS | entry, length + _ENTRY_BITS
    for frame in content.frames:
        size = family.bits[frame.type]
        bits = bits << size | int.from_bytes(frame.data, "big") >> 8 * len(frame.data) - size
        length += size
    padding = -length % 8
    return (bits << padding).to_bytes((length + padding) // 8, "big")


def _unpack_aligned(payload: bytes, family: Family) -> tuple[Frame, ...]:
    """4.4: the request in an octet, an octet for each entry of the table, each frame in whole octets."""
    entries: list[tuple[int, bool]] = []
    place, follows = 1, True
    while follows:
        if place >= len(payload):
            raise _too_short(family)
        entry = payload[place] >> 2
        follows = bool(entry >> 5)
        entries.append(_read_entry(entry, family, len(entries)))
        place += 1
    frames = []
    for type_, good in entries:
        end = place + (family.bits[type_] + 7) // 8
        if end > len(payload):
            raise _too_short(family)
        frames.append(Frame(type_, good, payload[place:end]))
        place = end
    if place != len(payload):
        raise _too_long(family)
    return tuple(frames)


def _unpack_efficient(payload: bytes, family: Family) -> tuple[Frame, ...]:
    """4.3: request, table and frames without gaps; only the end is filled up to a whole octet."""
    bits = int.from_bytes(payload, "big")
    left = 8 * len(payload) - _CMR_BITS
    entries: list[tuple[int, bool]] = []
    follows = True
    while follows:
        left -= _ENTRY_BITS
        if left < 0:
            raise _too_short(family)
        entry = bits >> left & 0x3F
        follows = bool(entry >> 5)
        entries.append(_read_entry(entry, family, len(entries)))
    frames = []
    for type_, good in entries:
        size = family.bits[type_]
        left -= size
        if left < 0:
            raise _too_short(family)
        octets = (size + 7) // 8
        speech = (bits >> left & (1 << size) - 1) << 8 * octets - size
        frames.append(Frame(type_, good, speech.to_bytes(octets, "big")))
    if left >= 8:
        raise _too_long(family)
    return tuple(frames)


def _read_entry(entry: int, family: Family, before: int) -> tuple[int, bool]:
    type_ = entry >> 1 & 0x0F
    if type_ not in family.bits:
        # 4.3.2: a packet with a frame type that is not used is to be discarded.
        raise CodecError(f"A payload of {family.name} has a frame of the unused type {type_}.")
    if before == MOST_FRAMES:
        raise CodecError(f"A payload of {family.name} has more than {MOST_FRAMES} frames.")
    return type_, bool(entry & 1)


def _too_short(family: Family) -> CodecError:
    return CodecError(f"A payload of {family.name} is shorter than its table of contents tells.")


def _too_long(family: Family) -> CodecError:
    return CodecError(f"A payload of {family.name} is longer than its table of contents tells.")
