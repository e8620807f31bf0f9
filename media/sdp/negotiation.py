"""Offer and answer (RFC 3264) for one audio stream of G.711 and telephone-events."""

from __future__ import annotations

import functools
import ipaddress
from typing import Final, NamedTuple

from media.api import CannotReserve, NotAcceptable
from media.codecs.g711 import PCMA, PCMU
from media.rtp.stream import EVENTS, Format, Stream
from media.sdp.description import MalformedSdp, MediaDescription, SessionDescription, is_number, parse
from media.sdp.preconditions import OFFER_LINES, OFFERED, Preconditions, read_peers

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

STATIC_PAYLOADS: Final = {0: PCMU, 8: PCMA}
PROFILES: Final = ("RTP/AVP", "RTP/AVPF")
PACKET_MS: Final = 20
DISCARD_PORT: Final = 9
DEFAULT_EVENT_PAYLOAD: Final = 101
_CODECS: Final = {"pcmu": PCMU, "pcma": PCMA, "telephone-event": EVENTS}
# RFC 3264 6.1: "If a stream is offered as sendonly, the corresponding stream MUST be marked as recvonly or inactive".
_MIRRORED: Final = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
# RFC 3264 8.4: c=0.0.0.0 is how RFC 2543 placed a call on hold, "neither RTP nor RTCP should be sent to the peer".
_NULL_HOLD: Final = {"sendrecv": "sendonly", "sendonly": "sendonly", "recvonly": "inactive", "inactive": "inactive"}
_NULL_HOSTS: Final = ("0.0.0.0", "::")
_SENDS: Final = ("sendrecv", "sendonly")
_RECEIVES: Final = ("sendrecv", "recvonly")


DEFAULT_FORMATS: Final = (Format(0, PCMU), Format(8, PCMA), Format(DEFAULT_EVENT_PAYLOAD, EVENTS))


class _Audio(NamedTuple):
    """The peer's audio section, read."""

    place: int
    media: MediaDescription
    formats: tuple[Format, ...]
    direction: str
    host: str | None


class Negotiation:
    """The state of offer and answer between us and one peer, during the whole dialog.

    `take_offer` and `take_answer` judge the peer's text and return the agreed `Stream`, or raise NotAcceptable and
    change nothing; `answer` and `offer` return our text. `port` must be set before either is called. Where
    preconditions are heeded they are read and answered, and the session's first offer has some if it is ours.
    """

    def __init__(self, address: str, session_id: int, *, heeds_preconditions: bool = False) -> None:
        self.port = 0
        self.formats: tuple[Format, ...] = DEFAULT_FORMATS
        self.stream = Stream(None, 0, DEFAULT_FORMATS[0], _receiving(DEFAULT_FORMATS))
        self.preconditions: Preconditions | None = None
        self._heeds_preconditions = heeds_preconditions
        self._address = address
        self._family = f"IP{_parse_address(address).version}"
        self._session_id = session_id
        self._version = session_id
        self._body: str | None = None
        self._sections: list[MediaDescription] | None = None
        self._audio_index = 0
        self._offered: tuple[Format, ...] = DEFAULT_FORMATS
        self._direction = "sendrecv"
        self._profile = PROFILES[0]

    def prefer(self, other: Negotiation) -> None:
        """Order our next offer after what was agreed with another peer, so that relaying needs no transcoding."""
        agreed = sorted(DEFAULT_FORMATS[:2], key=lambda f: f.name != other.stream.codec)
        events = next((f for f in other.formats if f.name == EVENTS), DEFAULT_FORMATS[2])
        self.formats = (*agreed, events)
        self.stream = Stream(None, 0, agreed[0], _receiving(self.formats))

    def take_offer(self, text: str) -> Stream:
        """Judge the peer's offer (RFC 3264 6): the first audio stream with a codec of ours is served."""
        description = parse(text)
        audio = self._find_audio(description)
        common = _one_each(audio.formats)
        self.preconditions = self._read_preconditions(description, audio) if self._heeds_preconditions else None
        self._sections = description.media
        self._audio_index = audio.place
        self._profile = audio.media.protocol
        self.formats = common
        self._direction = _MIRRORED[audio.direction]
        self.stream = self._agree(audio, common, self._direction)
        return self.stream

    def take_answer(self, text: str) -> Stream:
        """Judge the peer's answer to our latest offer (RFC 3264 7)."""
        description = parse(text)
        count = len(self._sections) if self._sections else 1
        if len(description.media) != count:
            raise NotAcceptable(f"The answer has {len(description.media)} m= lines, the offer had {count}.")
        audio = self._find_audio(description, only=self._audio_index)
        names = {f.name for f in self._offered}
        if not any(f.name in names for f in audio.formats if f.name != EVENTS):
            raise NotAcceptable("The answer names no codec that was offered.")
        agreed = tuple(f for f in audio.formats if f.name in names)
        if self.preconditions is not None:
            self.preconditions = self._read_preconditions(description, audio)
        self.stream = self._agree(audio, agreed, _MIRRORED[audio.direction])
        return self.stream

    def answer(self) -> str:
        """Return our answer to the offer taken last."""
        return self._describe(self._direction)

    def offer(self) -> str:
        """Return our offer: the sections so far in their order (RFC 3264 8), ready to speak both ways."""
        self._offered = self.formats
        self.preconditions = OFFERED if self._heeds_preconditions and self._sections is None else None
        return self._describe("sendrecv")

    def _read_preconditions(self, description: SessionDescription, audio: _Audio) -> Preconditions | None:
        try:
            return read_peers(audio.media)
        except CannotReserve as error:
            body = "".join(
                f"m={media.kind} {DISCARD_PORT} {media.protocol} {' '.join(media.formats)}\r\n{error.lines}"
                if media is audio.media
                else _refused(media)
                for media in description.media
            )
            error.description = f"{self._head()}{body}"
            raise

    def _find_audio(self, description: SessionDescription, only: int | None = None) -> _Audio:
        reason = "The SDP has no audio stream."
        for index, media in enumerate(description.media):
            if media.kind != "audio" or (only is not None and index != only):
                continue
            if media.port == 0:
                reason = "The audio stream is refused (port 0)."
                continue
            if media.protocol not in PROFILES:
                reason = f"The audio stream uses {media.protocol[:40]}, which is not served."
                continue
            formats = read_formats(media)
            if not any(f.name != EVENTS for f in formats):
                reason = "The audio stream has no codec in common with PCMU and PCMA."
                continue
            host = self._host_of(description, media)
            direction = description.direction(media)
            if host in _NULL_HOSTS:
                direction = _NULL_HOLD[direction]
                host = None
            return _Audio(index, media, formats, direction, host)
        raise NotAcceptable(reason)

    def _host_of(self, description: SessionDescription, media: MediaDescription) -> str | None:
        connection = description.connection(media)
        if connection is None:
            raise MalformedSdp("The SDP has no connection line (c=) for the audio stream.")
        family, text = connection
        if family != self._family:
            raise NotAcceptable(f"The audio stream is {family}, but only {self._family} is served.")
        try:
            return _read_host(family, text)
        except ValueError:  # a host name: the first packet tells where the peer is
            return None

    def _agree(self, audio: _Audio, formats: tuple[Format, ...], direction: str) -> Stream:
        return Stream(
            host=audio.host,
            port=audio.media.port,
            send=next(f for f in formats if f.name != EVENTS),
            receive=_receiving(self.formats) | _receiving(formats),
            send_events=next((f for f in formats if f.name == EVENTS), None),
            sends=direction in _SENDS,
            receives=direction in _RECEIVES,
            held=direction != "sendrecv",
        )

    def _describe(self, direction: str) -> str:
        sections = self._sections or [MediaDescription("audio", 0, PROFILES[0], [])]
        body = "".join(
            self._our_section(direction) if index == self._audio_index else _refused(section)
            for index, section in enumerate(sections)
        )
        if self._body is not None and body != self._body:
            self._version += 1
        self._body = body
        return f"{self._head()}{body}"

    def _head(self) -> str:
        return (
            f"v=0\r\no=- {self._session_id} {self._version} IN {self._family} {self._address}\r\ns=-\r\n"
            f"c=IN {self._family} {self._address}\r\nt=0 0\r\n"
        )

    def _our_section(self, direction: str) -> str:
        payloads, attributes = _described(self.formats)
        status = self.preconditions
        reserved = OFFER_LINES if status is OFFERED else status.lines() if status is not None else ""
        return f"m=audio {self.port} {self._profile} {payloads}\r\n{attributes}a={direction}\r\n{reserved}"


def read_formats(media: MediaDescription) -> tuple[Format, ...]:
    """Return the formats of an audio section that we know, in the peer's order.

    Dynamic numbers come from a=rtpmap, whose encoding names are compared without case (RFC 8866 6.6, RFC 4855 3);
    the static numbers of RFC 3551 need no rtpmap.
    """
    return _read_formats(tuple(media.formats), tuple(media.attributes("rtpmap")))


# Phones of one make all say the same, hence the memories of what was read and written.
@functools.lru_cache(maxsize=64)
def _read_formats(formats: tuple[str, ...], rtpmaps: tuple[str, ...]) -> tuple[Format, ...]:
    names: dict[int, str | None] = dict(STATIC_PAYLOADS)
    for value in rtpmaps:
        number, _, encoding = value.partition(" ")
        if is_number(number, 127):
            name, _, rate = encoding.strip().lower().partition("/")
            names[int(number)] = _CODECS.get(name) if rate in ("8000", "8000/1") else None
    found = []
    for text in formats:
        name_known = names.get(int(text)) if is_number(text, 127) else None
        if name_known is not None and Format(int(text), name_known) not in found:
            found.append(Format(int(text), name_known))
    return tuple(found)


@functools.lru_cache(maxsize=64)
def _described(formats: tuple[Format, ...]) -> tuple[str, str]:
    """Return the payload numbers for our m= line, and the attribute lines for the formats."""
    lines = []
    for f in formats:
        lines.append(f"a=rtpmap:{f.payload} {f.name}/{f.clock_rate}\r\n")
        if f.name == EVENTS:
            lines.append(f"a=fmtp:{f.payload} 0-15\r\n")
    lines.append(f"a=ptime:{PACKET_MS}\r\n")
    return " ".join(str(f.payload) for f in formats), "".join(lines)


@functools.lru_cache(maxsize=1024)
def _read_host(family: str, text: str) -> str:
    """Return the address of a c= line. Raises ValueError for a host name, NotAcceptable."""
    address = _parse_address(text.partition("/")[0])
    if f"IP{address.version}" != family:
        raise MalformedSdp(f"The SDP has an unusable connection line: c=IN {family} {text[:60]}")
    if address.is_multicast or "/" in text:
        raise NotAcceptable("The audio stream is multicast, which is not served.")
    return str(address)


@functools.lru_cache(maxsize=1024)
def _parse_address(text: str) -> _Address:
    return ipaddress.ip_address(text)


def _one_each(formats: tuple[Format, ...]) -> tuple[Format, ...]:
    """Keep the first payload number of each codec, in the peer's order."""
    first: dict[str, Format] = {}
    for f in formats:
        first.setdefault(f.name, f)
    return tuple(first.values())


def _receiving(formats: tuple[Format, ...]) -> dict[int, Format]:
    return {f.payload: f for f in formats}


def _refused(section: MediaDescription) -> str:
    # RFC 3264 6: "To reject an offered stream, the port number in the corresponding stream in the answer MUST be
    # set to zero."
    return f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}\r\n"
