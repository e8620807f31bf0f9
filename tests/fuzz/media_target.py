"""What is done with any bytes that reach the media: they are read as a description, a datagram, a peer's packets.

``consume`` raises on whatever is not meant to be: an exception that a reader does not promise, an answer that is no
description, a stream that grows or stands still.
"""

from __future__ import annotations

from contextlib import suppress

from media.api import MediaError
from media.codecs import DECODABLE
from media.codecs.playout import Playout
from media.rtp import rtcp
from media.rtp.events import EventReceiver
from media.rtp.jitter import CAPACITY
from media.rtp.packet import HEADER, Reception, payload_range
from media.rtp.stream import EVENTS, Format
from media.rtp.xr import MalformedRtcp
from media.sdp.description import parse
from media.sdp.negotiation import Negotiation
from media.secure import stun
from media.secure.guard import Guard
from tests.media.secure.conftest import CREDENTIALS, dtls, sdes
from tests.media.secure.test_dtls import Place

FORMATS = [
    format_
    for format_ in (
        Format(0, "PCMU"),
        Format(9, "G722"),
        Format(13, "CN"),
        Format(96, "opus", 48000, 2),
        Format(97, "AMR"),
        Format(98, "AMR", parameters="octet-align=1"),
        Format(99, "AMR-WB", 16000),
        Format(100, "AMR-WB", 16000, parameters="octet-align=1"),
        Format(101, EVENTS),
    )
    if format_.name in DECODABLE | {EVENTS}
]
PEER = ("192.0.2.1", 4000)
SECURED = ((sdes(), None), (dtls(), None), (dtls(), CREDENTIALS))
RECORD = 3  # octets before each payload: format and pause, number, length
MOST_PACKETS = 60


def consume(data: bytes) -> None:
    """Take the bytes as all of these."""
    negotiate(data.decode("utf-8", "surrogateescape"))
    receive(data)
    be_guarded(data)
    hear(data)


def negotiate(text: str) -> None:
    """An offer is answered with a description or refused; as an answer it agrees or is refused."""
    answering = Negotiation("127.0.0.1", 1, heeds_preconditions=True)
    answering.port = 20000
    with suppress(MediaError):
        answering.take_offer(text)
        offered, answered = parse(text), parse(answering.answer())
        assert len(answered.media) == len(offered.media)
    offering = Negotiation("127.0.0.1", 1)
    offering.port = 20000
    offering.offer()
    with suppress(MediaError):
        offering.take_answer(text)


def receive(data: bytes) -> None:
    """A datagram is RTP, RTCP, STUN or nothing."""
    span = payload_range(data, len(data))
    if span is not None:
        assert 12 <= span[0] <= span[1] <= len(data)
        _, _, sequence, timestamp, ssrc = HEADER.unpack_from(data)
        reception = Reception()
        reception.start(ssrc, sequence)
        reception.receive(sequence, timestamp, 0.0)
        assert (reception.received, reception.lost) == (1, 0)
    with suppress(MalformedRtcp):
        for packet in rtcp.read(data):
            rtcp.pack([packet])
    with suppress(stun.Malformed):
        stun.read(data).has_integrity(b"secret")


def be_guarded(data: bytes) -> None:
    """Datagrams to a secured leg, from strangers: nothing is heard, and nobody else becomes the peer."""
    for security, ice in SECURED:
        place = Place()
        guard = Guard(place, (0, 0, 0, 0))
        guard.configure(security, ice, PEER)
        remote, rest = guard.remote, data
        for port in range(1, 20):
            size = rest[0] if rest else 0
            assert guard.receive(rest[1 : 1 + size], ("203.0.113.9", port)) is None
            rest = rest[1 + size :]
        assert guard.receive(data, ("203.0.113.9", 9)) is None
        assert (guard.remote, place.failures) == (remote, [])
        guard.close()


def hear(data: bytes) -> None:
    """Packets of every format, in any order and at any time, are played for exactly as long as is asked for."""
    playout, events = Playout(8000), EventReceiver()
    now, sequence, timestamp = 100.0, 65530, 2**32 - 3000
    for _ in range(MOST_PACKETS):
        head, data = data[:RECORD], data[RECORD:]
        if len(head) < RECORD:
            break
        payload, data = data[: head[2]], data[head[2] :]
        format_ = FORMATS[head[0] % len(FORMATS)]
        step = (head[1] & 0x7F) - 60 if head[1] & 0x80 else 1
        sequence = sequence + step & 0xFFFF
        timestamp = timestamp + step * format_.clock_rate // 50 * (1 + (head[0] >> 6)) & 0xFFFFFFFF
        now += 0.01 * (head[0] >> 4)
        if format_.name == EVENTS:
            events.receive(payload, timestamp, marker=bool(head[1] & 1))
            playout.pass_over(sequence)
        else:
            playout.put(format_, playout, sequence, timestamp, payload, now)
        assert len(playout.pull(160, now)) == 160
        assert len(playout.buffer) <= CAPACITY
    for tick in range(8):
        assert len(playout.pull(160, now + 0.02 * tick)) == 160
    assert playout.undecodable <= MOST_PACKETS
