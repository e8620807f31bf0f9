"""The peer's audio section, read: what RTP needs to know of it."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable
from typing import Final, NamedTuple

from media.api import NotAcceptable
from media.rtp.stream import Format
from media.sdp import formats
from media.sdp.description import Line, MalformedSdp, MediaDescription, SessionDescription, is_number
from media.sdp.local import Local
from media.sdp.security import can_protect

PACKET_MS: Final = 20
_SHORTEST_PACKET_MS: Final = 10
_LONGEST_PACKET_MS: Final = 60
_LARGEST_TIME: Final = 99_999
_LARGEST_PORT: Final = 65_535
# RFC 3264 8.4: c=0.0.0.0 is how RFC 2543 placed a call on hold, "neither RTP nor RTCP should be sent to the peer".
_NULL_HOLD: Final = {"sendrecv": "sendonly", "sendonly": "sendonly", "recvonly": "inactive", "inactive": "inactive"}
_NULL_HOSTS: Final = ("0.0.0.0", "::")
_RTCP_FIELDS: Final = 4
# RFC 5761 4: with the marker these cannot be told from RTCP.
_TAKEN_FOR_RTCP: Final = frozenset(str(number) for number in range(64, 96))
# Attributes that hold for a section unless it has its own (RFC 8122 5, RFC 8839 5.4, RFC 4145 4).
_INHERITED: Final = ("fingerprint", "setup", "ice-ufrag", "ice-pwd", "ice-lite")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Audio(NamedTuple):
    """An audio section that can be served, as the peer sees it; `formats` are those that both sides can use.

    `reports` tells whether bandwidth is left for RTCP.
    """

    place: int
    media: MediaDescription
    said: dict[str, list[str]]
    formats: tuple[Format, ...]
    family: str
    host: str | None
    direction: str
    reports: bool = True

    @property
    def mid(self) -> str:
        """The name of the section, "" if it has none (RFC 5888)."""
        return next(iter(self.said.get("mid", ())), "")

    @property
    def mux(self) -> bool:
        """Whether RTCP may come and go on the port of RTP (RFC 5761 5.1.1)."""
        return "rtcp-mux" in self.said

    @property
    def packet_ms(self) -> int:
        """How much audio the peer wants in a packet, as a=ptime and a=maxptime allow: 10 to 60 ms, in tens.

        What a codec makes of it is told by `media.codecs.fitting_packet_ms`.
        """
        said = self.said
        return _packet_ms(
            said["ptime"][0] if "ptime" in said else "", said["maxptime"][0] if "maxptime" in said else ""
        )

    def rtcp(self) -> tuple[str, int] | None:
        """Return where RTCP goes: where a=rtcp says (RFC 3605), else the port above, or the same if muxed.

        None where there is to be none: no bandwidth is left for it (RFC 3556 2).
        """
        if self.host is None or not self.reports:
            return None
        if self.mux:
            return self.host, self.media.port
        if "rtcp" not in self.said:
            return (self.host, self.media.port + 1) if self.media.port < _LARGEST_PORT else None
        port, *rest = self.said["rtcp"][0].split()[:_RTCP_FIELDS] or ("",)
        if not is_number(port, _LARGEST_PORT) or int(port) == 0:
            return (self.host, self.media.port + 1) if self.media.port < _LARGEST_PORT else None
        try:
            host = read_host(rest[1], rest[2]) if len(rest) == _RTCP_FIELDS - 1 else self.host
        except (ValueError, NotAcceptable):
            host = self.host
        return host, int(port)


def find_audio(description: SessionDescription, local: Local, families: Iterable[str], places: Iterable[int]) -> Audio:
    """Return the first section of those places that can be served. Raises NotAcceptable saying what is wrong."""
    reason = "The SDP has no audio stream."
    for place in places:
        media = description.media[place]
        if media.kind != "audio":
            continue
        said = attributes_of(description, media)
        if media.port == 0:
            reason = "The audio stream is refused (port 0)."
        elif not can_protect(media.protocol, said, local):
            reason = f"The audio stream uses {media.protocol[:40]}, which is not served as it is."
        elif not (usable := usable_formats(media, said, local.codecs)):
            reason = f"The audio stream has no codec in common with {' and '.join(local.codecs)}."
        else:
            family, host = _host_of(description, media, families)
            direction = description.direction(media)
            if host in _NULL_HOSTS:
                # An address still to be found by ICE is null as well (RFC 8840 4.1.1), which holds nothing.
                direction = direction if "ice-ufrag" in said else _NULL_HOLD[direction]
                host = None
            return Audio(place, media, said, usable, family, host, direction, _leaves_reports(description, media))
    raise NotAcceptable(reason)


def _leaves_reports(description: SessionDescription, media: MediaDescription) -> bool:
    """Tell whether anybody may send RTCP; what the section says of bandwidth goes before the session's (RFC 3556 2)."""
    said = dict(
        value.split(":", 1) for letter, value in (*description.lines, *media.lines) if letter == "b" and ":" in value
    )
    return not said.get("RS") == said.get("RR") == "0"


def usable_formats(media: MediaDescription, said: dict[str, list[str]], codecs: tuple[str, ...]) -> tuple[Format, ...]:
    """Return the formats of the section that both sides can use; nothing when there is no voice among them."""
    rtpmaps, fmtps = said.get("rtpmap", ()), said.get("fmtp", ())
    numbers = tuple(media.formats)
    if "rtcp-mux" in said:
        numbers = tuple(number for number in numbers if number not in _TAKEN_FOR_RTCP)
    return formats.common(formats.read_formats(numbers, tuple(rtpmaps), tuple(fmtps)), codecs)


def attributes_of(description: SessionDescription, media: MediaDescription) -> dict[str, list[str]]:
    """Return the values of the section's attributes by name, with those of the session that it inherits."""
    said = _index(media.lines)
    session = _index(description.lines)
    if session:
        for name in _INHERITED:
            if name in session:
                said.setdefault(name, session[name])
    return said


def _index(lines: list[Line]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for letter, value in lines:
        if letter == "a":
            name, _, rest = value.partition(":")
            found.setdefault(name, []).append(rest)
    return found


@functools.lru_cache(maxsize=64)
def _packet_ms(wanted: str, longest: str) -> int:
    most = min(_milliseconds(wanted, PACKET_MS), _milliseconds(longest, _LONGEST_PACKET_MS), _LONGEST_PACKET_MS)
    return max(_SHORTEST_PACKET_MS, most // _SHORTEST_PACKET_MS * _SHORTEST_PACKET_MS)


def _milliseconds(value: str, default: int) -> int:
    """Return the time of a=ptime or a=maxptime; "20.0" is seen as well."""
    whole = value.strip().partition(".")[0]
    return int(whole) if is_number(whole, _LARGEST_TIME) and int(whole) else default


def _host_of(
    description: SessionDescription, media: MediaDescription, families: Iterable[str]
) -> tuple[str, str | None]:
    connection = description.connection(media)
    if connection is None:
        raise MalformedSdp("The SDP has no connection line (c=) for the audio stream.")
    family, text = connection
    if family not in families:
        raise NotAcceptable(f"The audio stream is {family}, but only {' and '.join(families)} is served.")
    try:
        return family, read_host(family, text)
    except ValueError:  # a host name: the first packet tells where the peer is
        return family, None


@functools.lru_cache(maxsize=1024)
def read_host(family: str, text: str) -> str:
    """Return the address of a c= line. Raises ValueError for a host name, NotAcceptable."""
    address = parse_address(text.partition("/")[0])
    if f"IP{address.version}" != family:
        raise MalformedSdp(f"The SDP has an unusable connection line: c=IN {family} {text[:60]}")
    if address.is_multicast or "/" in text:
        raise NotAcceptable("The audio stream is multicast, which is not served.")
    return str(address)


@functools.lru_cache(maxsize=1024)
def parse_address(text: str) -> _Address:
    """Return the address. Raises ValueError."""
    return ipaddress.ip_address(text)
