"""Blocks of extended reports (RFC 3611): receiver reference time, DLRR, VoIP metrics."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import msgspec

REFERENCE_TIME: Final = 4
DELAYS: Final = 5
VOIP_METRICS: Final = 7
UNKNOWN: Final = 127
"""What stands for a level, R or MOS that is not known."""
GMIN: Final = 16
"""So many packets received between two losses make a gap of what would be a burst (4.7.2)."""

_BLOCK_HEADER: Final = struct.Struct(">BBH")
_METRICS: Final = struct.Struct(">IBBBBHHHHbbBBBBBBBxHHH")
_DELAY: Final = struct.Struct(">III")


class MalformedRtcp(ValueError):
    """Octets that are no compound RTCP packet."""


class ReferenceTime(msgspec.Struct, frozen=True):
    """The NTP time at which a receiver reported, to be answered by a `Delays` (4.4)."""

    ntp: int


class Delays(msgspec.Struct, frozen=True):
    """The answer (4.5) to receiver `ssrc`: the middle of its reference time, and how many 65536ths of a second ago."""

    ssrc: int
    last_reference: int
    delay: int


class VoipMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """How the voice of source `ssrc` was received (4.7). What is None is not known.

    Rates and densities are in 256ths, durations and delays in milliseconds; `r_factor` is on the scale of 0 to 100.
    `concealment` is 0 unspecified, 1 disabled, 2 enhanced, 3 standard.
    """

    ssrc: int
    loss_rate: int = 0
    discard_rate: int = 0
    burst_density: int = 0
    gap_density: int = 0
    burst_ms: int = 0
    gap_ms: int = 0
    round_trip_ms: int = 0
    end_system_ms: int = 0
    r_factor: int | None = None
    mos_listening: float | None = None
    mos_conversational: float | None = None
    concealment: int = 0
    buffer_ms: int = 0
    buffer_maximum_ms: int = 0
    gmin: int = GMIN


XrBlock = ReferenceTime | Delays | VoipMetrics


def pack_block(block: XrBlock) -> bytes:
    """Return the octets of a block."""
    if isinstance(block, ReferenceTime):
        return _BLOCK_HEADER.pack(REFERENCE_TIME, 0, 2) + block.ntp.to_bytes(8, "big")
    if isinstance(block, Delays):
        return _BLOCK_HEADER.pack(DELAYS, 0, 3) + _DELAY.pack(block.ssrc, block.last_reference, block.delay)
    return _BLOCK_HEADER.pack(VOIP_METRICS, 0, 8) + _pack_metrics(block)


def _pack_metrics(block: VoipMetrics) -> bytes:
    return _METRICS.pack(
        block.ssrc,
        block.loss_rate,
        block.discard_rate,
        block.burst_density,
        block.gap_density,
        _milliseconds(block.burst_ms),
        _milliseconds(block.gap_ms),
        _milliseconds(block.round_trip_ms),
        _milliseconds(block.end_system_ms),
        UNKNOWN,  # signal level
        UNKNOWN,  # noise level
        UNKNOWN,  # residual echo return loss
        block.gmin,
        UNKNOWN if block.r_factor is None else block.r_factor,
        UNKNOWN,  # external R factor
        UNKNOWN if block.mos_listening is None else round(block.mos_listening * 10),
        UNKNOWN if block.mos_conversational is None else round(block.mos_conversational * 10),
        block.concealment << 6,
        _milliseconds(block.buffer_ms),
        _milliseconds(block.buffer_maximum_ms),
        _milliseconds(block.buffer_maximum_ms),
    )


def read_blocks(data: bytes) -> Iterator[XrBlock]:
    """Read the blocks of a report; those of other kinds or sizes are passed over. Raises MalformedRtcp."""
    start = 0
    while start < len(data):
        if len(data) - start < _BLOCK_HEADER.size:
            raise MalformedRtcp("Octets are left over in an extended report.")
        kind, _, words = _BLOCK_HEADER.unpack_from(data, start)
        body = data[start + _BLOCK_HEADER.size : start + _BLOCK_HEADER.size + 4 * words]
        if len(body) != 4 * words:
            raise MalformedRtcp("A block longer than its report.")
        start += _BLOCK_HEADER.size + len(body)
        if kind == REFERENCE_TIME and len(body) == 8:
            yield ReferenceTime(int.from_bytes(body, "big"))
        elif kind == DELAYS:
            for at in range(0, len(body) - _DELAY.size + 1, _DELAY.size):
                yield Delays(*_DELAY.unpack_from(body, at))
        elif kind == VOIP_METRICS and len(body) == _METRICS.size:
            yield _read_metrics(body)


def _read_metrics(body: bytes) -> VoipMetrics:
    ssrc, loss_rate, discard_rate, burst_density, gap_density, *durations = _METRICS.unpack(body)
    burst_ms, gap_ms, round_trip_ms, end_system_ms, _signal, _noise, _echo, *rest = durations
    gmin, r_factor, _external, listening, conversational, configuration, buffer_ms, buffer_maximum_ms, _ = rest
    return VoipMetrics(
        ssrc=ssrc,
        loss_rate=loss_rate,
        discard_rate=discard_rate,
        burst_density=burst_density,
        gap_density=gap_density,
        burst_ms=burst_ms,
        gap_ms=gap_ms,
        round_trip_ms=round_trip_ms,
        end_system_ms=end_system_ms,
        r_factor=r_factor if r_factor <= 100 else None,  # "values other than 127 and the valid range"
        mos_listening=_mos(listening),
        mos_conversational=_mos(conversational),
        concealment=configuration >> 6,
        buffer_ms=buffer_ms,
        buffer_maximum_ms=buffer_maximum_ms,
        gmin=gmin,
    )


def _mos(tenths: int) -> float | None:
    """Return the score of 1 to 5."""
    return tenths / 10 if 10 <= tenths <= 50 else None


def _milliseconds(value: int) -> int:
    return max(0, min(value, 0xFFFF))
