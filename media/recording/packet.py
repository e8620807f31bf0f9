"""What a recording takes from a received packet."""

from __future__ import annotations

from typing import NamedTuple

from media.rtp.stream import Format


class Packet(NamedTuple):
    """A received payload; `source` changes when numbers and timestamps start afresh, `arrived` is in seconds.

    `packets` is of how many it was put together; `sequence` and `timestamp` are those of the first.
    """

    coding: Format
    source: object
    sequence: int
    timestamp: int
    payload: bytes
    arrived: float
    packets: int = 1
