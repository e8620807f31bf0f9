"""What is done with any datagrams that come to RTP and RTCP ports: a whole worker receives them.

``consume`` raises on whatever is not meant to be: an exception, a packet that is no RTP or not part of the one stream
of its leg, anything sent to somebody who is no peer, and state that grows with what is received.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from unittest import mock

from media.codecs.playout import Playout
from media.rtp.jitter import CAPACITY
from media.rtp.latching import MOST_STRANGERS
from media.rtp.packet import HEADER, payload_range
from media.worker.session import Session

from .rtp_lab import FORMATS, HOST, Lab

MODULES = tuple(f"media.worker.{name}" for name in ("session", "incoming", "worker", "rtcp"))
STRANGERS = (("203.0.113.9", 4000), ("198.51.100.1", 1), (HOST, 6000))


def datagrams(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut bytes into datagrams: an octet that says to whom, from whom and when, two of length, the datagram."""
    while len(data) > 3:
        size = int.from_bytes(data[1:3], "big") % 3000
        yield data[0], data[3 : 3 + size]
        data = data[3 + size :]


def pack(head: int, datagram: bytes) -> bytes:
    """Return the bytes that `datagrams` makes this of."""
    return bytes([head]) + len(datagram).to_bytes(2, "big") + datagram


def consume(data: bytes) -> None:
    """Have a worker receive the datagrams, and look at what it did."""
    lab = Lab()
    with ExitStack() as patches:
        for module in MODULES:
            patches.enter_context(mock.patch(f"{module}._monotonic", lab.clock))
        for head, datagram in datagrams(data):
            leg = head % 5
            source = lab.phone(leg) if head & 0x40 else STRANGERS[head % len(STRANGERS)]
            lab.deliver(leg, datagram, source, rtcp=bool(head & 0x80))
            if head & 0x20:
                lab.tick()
        check(lab)
        lab.worker.heartbeat()
        lab.close()


def check(lab: Lab) -> None:
    """Look at what was sent, and at what is kept."""
    for leg in range(5):
        allowed = {lab.phone(leg), *(STRANGERS if lab.wires[lab.ports[leg]].peer in STRANGERS else ())}
        assert {address for _, address in lab.sent(leg)} <= allowed
        check_stream([data for data, _ in lab.sent(leg)])
    for session in lab.worker._sessions.values():
        check_state(session)


def check_stream(packets: list[bytes]) -> None:
    """All RTP that a leg hears is one stream, of formats that it takes."""
    rtp = [data for data in packets if not 192 <= data[1] <= 223]
    assert all(payload_range(data, len(data)) is not None for data in rtp)
    headers = [HEADER.unpack_from(data) for data in rtp]
    assert {second & 0x7F for _, second, *_ in headers} <= {each.payload for each in FORMATS}
    assert len({ssrc for *_, ssrc in headers}) <= 2  # another is taken once when ours is used by the peer


def check_state(session: Session) -> None:
    """What a session keeps is bounded, whatever it was sent."""
    assert len(session._socket._probation._strangers) <= MOST_STRANGERS
    assert len(session.keys._receivers) <= 3
    if session.decoding is not None:
        playout: Playout = session.decoding.playout
        assert len(playout.buffer) <= CAPACITY
        assert len(playout._decoders) <= len(FORMATS)
