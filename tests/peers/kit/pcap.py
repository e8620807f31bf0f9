"""Capture files (the classic pcap format) of datagrams, as a tool that reads them expects."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_FILE = struct.Struct("<IHHiIII")
_PACKET = struct.Struct("<IIII")
_RAW_IP = 101
_MAGIC = 0xA1B2C3D4


class Datagram(NamedTuple):
    """UDP from one port of 192.0.2.1 to one of 192.0.2.2, seen at `at` seconds."""

    at: float
    source: int
    target: int
    data: bytes


def write_pcap(path: Path, datagrams: Iterable[Datagram]) -> None:
    """Write them in their order."""
    with path.open("wb") as file:
        file.write(_FILE.pack(_MAGIC, 2, 4, 0, 0, 65_535, _RAW_IP))
        for datagram in datagrams:
            packet = _ip(datagram)
            microseconds = round(datagram.at * 1_000_000)
            file.write(_PACKET.pack(*divmod(microseconds, 1_000_000), len(packet), len(packet)))
            file.write(packet)


def _ip(datagram: Datagram) -> bytes:
    udp = struct.pack(">HHHH", datagram.source, datagram.target, 8 + len(datagram.data), 0) + datagram.data
    addresses = bytes((192, 0, 2, 1, 192, 0, 2, 2))
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses + udp
