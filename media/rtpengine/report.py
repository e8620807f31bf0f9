"""How a leg fared, as far as rtpengine tells of it."""

from __future__ import annotations

from typing import Final, NamedTuple

from media.api import LegReport
from media.rtp.stream import Dtls, Sdes, Stream
from media.rtpengine.bencode import Value
from media.rtpengine.description import LINK, PEER
from media.rtpengine.ng import Answer

UNTOLD: Final = "rtpengine tells of no loss where no RTCP was heard"
FROM_RTCP: Final = "rtpengine, from the RTCP of the peer"
LOST: Final = "the rtpengine was lost"
_MOS_SCALE: Final = 10


class Tally(NamedTuple):
    """What rtpengine counted for a leg so far: RTP from the peer, RTP for it, and the peer's mean MOS by RTCP."""

    received: int = 0
    forwarded: int = 0
    octets: int = 0
    mos: float | None = None
    loss_percent: float = 0.0
    jitter_ms: float = 0.0

    def plus(self, other: Tally) -> Tally:
        """Return the sum of what was counted."""
        return Tally(self.received + other.received, self.forwarded + other.forwarded, self.octets + other.octets)


def tally(answer: Answer) -> Tally:
    """Read the answer to `query` or `delete`; what is not there counts as nothing."""
    peer, link = _stream(answer, PEER), _stream(answer, LINK)
    received = _at(peer, "stats", "packets")
    said = _at(answer, "SSRC", str(_at(peer, "SSRC")), "average MOS")
    heard = isinstance(said, dict) and _at(said, "samples") != 0
    return Tally(
        _number(received),
        _number(_at(link, "stats", "packets")),
        _number(_at(peer, "stats", "bytes")),
        _number(_at(said, "MOS")) / _MOS_SCALE if heard else None,
        float(_number(_at(said, "packet loss"))),
        float(_number(_at(said, "jitter"))),
    )


def report(stream: Stream, since: Tally, now: Tally, played: int) -> LegReport:
    """Tell how the leg fared from one tally to another; `played` are the packets of prompts that it was sent."""
    received = now.received - since.received
    mos = now.mos if received else None
    return LegReport(
        codec=stream.codec,
        packets_sent=now.forwarded - since.forwarded + played,
        packets_received=received,
        loss_percent=now.loss_percent if mos is not None else 0.0,
        jitter_ms=now.jitter_ms if mos is not None else 0.0,
        mos=mos,
        security=_protected(stream),
        basis="nothing received" if not received else UNTOLD if mos is None else FROM_RTCP,
    )


def _protected(stream: Stream) -> str | None:
    """Say whence the keys are, and how they are used if that is known."""
    if isinstance(stream.security, Sdes):
        return f"SDES {stream.security.suite}"
    return "DTLS" if isinstance(stream.security, Dtls) else None


def _stream(answer: Answer, tag: str) -> Value | None:
    """Return the RTP stream of one side."""
    medias = _at(answer, "tags", tag, "medias")
    streams = _at(medias[0], "streams") if isinstance(medias, list) and medias else None
    return streams[0] if isinstance(streams, list) and streams else None


def _at(value: Value | None, *path: str) -> Value | None:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _number(value: Value | None) -> int:
    return value if isinstance(value, int) else 0
