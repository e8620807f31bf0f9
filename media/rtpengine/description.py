"""What rtpengine is told of a leg: a call of two sides, the peer and the link to another leg.

The peer's own description is judged by `media.sdp`, as for every backend; rtpengine gets a description of what was
agreed, and says where each side is to send. To bridge two legs each one's link is told to send to the other's: so they
may belong to different rtpengines, and what the two peers do not have in common is transcoded in one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from media.api import MediaError
from media.codecs.names import PCMU
from media.rtp.stream import Format, Stream
from media.rtpengine.protection import lines_of, profile_of
from media.sdp.description import parse
from media.sdp.local import PLAIN

PEER, LINK = "peer", "link"  # the tags of the two sides
FIRST_DYNAMIC_PAYLOAD: Final = 96
DISCARD: Final = 9
_NO_TAGS: Final[Mapping[str, int]] = MappingProxyType({})
_DIRECTIONS: Final = {
    (True, True): "sendrecv",
    (True, False): "sendonly",
    (False, True): "recvonly",
    (False, False): "inactive",
}


class Place(NamedTuple):
    """Where a side of a leg receives."""

    host: str
    port: int


class Told(NamedTuple):
    """What rtpengine is to know of a leg: a description of each side, the codecs to convert, whether ICE is spoken."""

    peer: str
    link: str
    transcode: tuple[str, ...]
    ice: bool = False


def describe(
    stream: Stream, here: str, other: Place | None, codec: Format | None, tags: Mapping[str, int] = _NO_TAGS
) -> Told:
    """Describe a leg whose peer agreed on `stream`; `other` is where its link sends, speaking `codec`.

    Without `other` nobody is at the other end of the link, which is named after our address, `here`. `tags` are the
    numbers of rtpengine's keys for the peer.
    """
    codec = codec or stream.send
    events = () if stream.send_events is None else (stream.send_events,)
    peer = _description(
        stream.host or ("::" if ":" in here else "0.0.0.0"),
        stream.port or DISCARD,
        (stream.send, *events),
        sends=stream.receives,
        receives=stream.sends,
        profile=profile_of(stream),
        more=("a=rtcp-mux\r\n" if stream.mux else "") + lines_of(stream, tags),
    )
    link = _description(
        other.host if other else here,
        other.port if other else DISCARD,
        (codec, *events),
        sends=stream.sends,  # what there is to play is sent as if it came from here
        receives=stream.receives and other is not None,
    )
    transcode = () if codec.name == stream.codec else (_full_name(codec),)
    return Told(peer, link, transcode, stream.ice is not None)


def codec_between(one: Stream, other: Stream) -> Format:
    """Choose what two links speak: what both peers do, else what one of them does, so that only one side converts."""
    ours, theirs = one.send, other.send
    if (ours.name, ours.payload, ours.parameters) == (theirs.name, theirs.payload, theirs.parameters):
        return ours
    return min(
        (each for each in (ours, theirs) if each.payload < FIRST_DYNAMIC_PAYLOAD),
        key=lambda each: each.payload,
        default=Format(0, PCMU),
    )


def offer_to_peer(here: str, formats: tuple[Format, ...]) -> str:
    """Describe a link that offers these formats, for rtpengine to find a place for the peer."""
    return _description(here, DISCARD, formats, sends=True, receives=True)


def place_in(text: str) -> Place:
    """Return where the description that rtpengine wrote has its audio sent to. Raises MediaError."""
    description = parse(text)
    if not description.media or not description.media[0].port:
        raise MediaError("rtpengine gave no port for the audio.")
    connection = description.connection(description.media[0])
    if connection is None:
        raise MediaError("rtpengine gave no address for the audio.")
    return Place(connection[1], description.media[0].port)


def _description(
    host: str,
    port: int,
    formats: tuple[Format, ...],
    *,
    sends: bool,
    receives: bool,
    profile: str = PLAIN,
    more: str = "",
) -> str:
    family = "IP6" if ":" in host else "IP4"
    lines = "".join(
        f"a=rtpmap:{each.payload} {_full_name(each)}\r\n"
        + (f"a=fmtp:{each.payload} {each.parameters}\r\n" if each.parameters else "")
        for each in formats
    )
    return (
        f"v=0\r\no=- 0 0 IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n"
        f"m=audio {port} {profile} {' '.join(str(each.payload) for each in formats)}\r\n{lines}"
        f"a={_DIRECTIONS[sends, receives]}\r\n{more}"
    )


def _full_name(codec: Format) -> str:
    return f"{codec.name}/{codec.clock_rate}" + (f"/{codec.channels}" if codec.channels > 1 else "")
