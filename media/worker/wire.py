"""One packet between the kernel and a session: the buffer that all share, its header, and the calls that move it.

This is what `wire.pyx` does in C where the worker is compiled: both have the same functions and mean the same.
"""

from __future__ import annotations

import os
import select
from typing import Final

from media.rtp.packet import HEADER

LARGEST_PACKET: Final = 2048
MOST_READY: Final = 256

packet: Final = bytearray(LARGEST_PACKET)
"""Shared by all sessions: a worker has one thread and finishes with a packet before it reads the next."""
view: Final = memoryview(packet)

_buffers: Final = (packet,)
_unpack: Final = HEADER.unpack_from
_pack: Final = HEADER.pack_into
_ready: Final[list[int]] = []


def wait(epoll: select.epoll, milliseconds: int) -> int:
    """Wait until descriptors are readable, for so long at most (below 0: without end); returns how many are."""
    _ready[:] = [descriptor for descriptor, _ in epoll.poll(milliseconds / 1000, MOST_READY)]
    return len(_ready)


def ready(place: int) -> int:
    """Return one of the descriptors that `wait` has found last, of which there are `MOST_READY` at most."""
    return _ready[place]


def receive(descriptor: int) -> int:
    """Read a datagram into `packet`; returns its size, -1 when there is none."""
    try:
        return os.readv(descriptor, _buffers)
    except OSError:
        return -1


def send(descriptor: int, size: int) -> bool:
    """Send so many octets of `packet` to the peer of a connected socket; False when the kernel does not take them."""
    try:
        os.write(descriptor, view[:size])
    except OSError:
        return False
    return True


def read_header() -> tuple[int, int, int, int, int]:
    """Return the fields of the header in `packet` (RFC 3550 5.1), as in `HEADER`."""
    return _unpack(packet)


def write_header(first: int, second: int, sequence: int, timestamp: int, ssrc: int) -> None:
    """Put the fields of a header into `packet`."""
    _pack(packet, 0, first, second, sequence, timestamp, ssrc)
