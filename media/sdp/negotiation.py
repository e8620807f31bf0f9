"""Offer and answer (RFC 3264) for one audio stream."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final, overload

import msgspec

from media.api import CannotReserve, NotAcceptable
from media.codecs.names import EVENTS
from media.rtp.stream import Dtls, Format, Ice, Stream
from media.sdp import ice
from media.sdp.audio import PACKET_MS, Audio, find_audio, parse_address
from media.sdp.description import MediaDescription, SessionDescription, attribute_values, parse
from media.sdp.formats import (
    chosen_events,
    chosen_noise,
    chosen_voice,
    common,
    describe,
    offered,
    receiving,
)
from media.sdp.local import Local
from media.sdp.parameters import compatible
from media.sdp.preconditions import OFFER_LINES, OFFERED, Preconditions, read_peers
from media.sdp.security import (
    DTLS_PROFILES,
    UNPROTECTED,
    kind_of,
    protect_answer,
    protect_offer,
    read_answer,
)

DISCARD_PORT: Final = 9
# RFC 3264 6.1: "If a stream is offered as sendonly, the corresponding stream MUST be marked as recvonly or inactive".
_MIRRORED: Final = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_SENDS: Final = ("sendrecv", "sendonly")
_RECEIVES: Final = ("sendrecv", "recvonly")
_BUNDLE: Final = "BUNDLE"
_PLAIN_LEG: Final = Local()


class Negotiation:
    """The state of offer and answer between us and one peer, during the whole dialog.

    `take_offer` and `take_answer` judge the peer's text and return the agreed `Stream`, or raise NotAcceptable and
    change nothing; `answer` and `offer` return our text. `port` must be set before either is called. With an
    `other_address` our socket is one for both families of addresses, and the peer's offer decides which is told.
    `formats` are those of our latest description, `agreed` those that both can use. Where preconditions are heeded they
    are read and answered, and the session's first offer has some if it is ours.
    """

    def __init__(
        self,
        address: str,
        session_id: int,
        *,
        other_address: str = "",
        local: Local = _PLAIN_LEG,
        heeds_preconditions: bool = False,
    ) -> None:
        self.port = 0
        self.local = local
        self.formats: tuple[Format, ...] = offered(local.offered)
        self.agreed: tuple[Format, ...] = ()
        self._followed = ""
        self.preconditions: Preconditions | None = None
        self._heeds_preconditions = heeds_preconditions
        self._addresses = {f"IP{parse_address(each).version}": each for each in (address, other_address) if each}
        self.family = next(iter(self._addresses))
        self._session_id = session_id
        self._version = session_id
        self._body: str | None = None
        self._sections: list[MediaDescription] | None = None
        self._place = 0
        self._direction = "sendrecv"
        self._refused = False
        self._profile = local.profile
        by_dtls = local.profile in DTLS_PROFILES
        self._protection = UNPROTECTED
        self._mux = by_dtls
        self._mid = "0" if by_dtls else ""
        self._bundled = by_dtls
        self._ice = ice.Credentials(local.ufrag, local.password) if by_dtls and local.ufrag else None
        self._ice_mismatch = False
        self._ice_restarts = 0
        self.stream = self._unanswered()

    def choose_family(self, family: str) -> None:
        """Have our first offer name our address of that family, "IP4" or "IP6", if there is one."""
        if family in self._addresses and self._sections is None and not self.port:
            self.family = family

    def prefer(self, other: Negotiation) -> None:
        """Order our next offer after what was agreed with another peer, so that relaying needs no transcoding."""
        voice = other.stream.send
        theirs = [format_ for format_ in other.agreed or other.formats if self._accepts(format_)]
        theirs.sort(key=lambda format_: format_ != voice)
        self.formats = offered(self.local.offered, tuple(theirs))
        self.stream = self._unanswered()

    def follow(self, other: Negotiation) -> bool:
        """Speak what the peer of `other` speaks if ours takes it too; tells whether that is another codec than before.

        An answer with several codecs lets us (RFC 3264 6.1), and what is relayed need not be transcoded then. It stays
        so after later offers that have the codec, too.
        """
        theirs = other.stream.send
        for format_ in self.agreed:
            same = (format_.name, format_.clock_rate) == (theirs.name, theirs.clock_rate)
            if same and compatible(format_, theirs) and format_.name != self.stream.send.name:
                self._followed = format_.name
                events, noise = chosen_events(self.agreed, format_), chosen_noise(self.agreed, format_)
                self.stream = msgspec.structs.replace(self.stream, send=format_, send_events=events, send_noise=noise)
                return True
        return False

    def take_offer(self, text: str) -> Stream:
        """Judge the peer's offer (RFC 3264 6): the first audio stream that we can serve is served."""
        description = parse(text)
        if self._sections is not None and _refuses(description, self._place):
            return self._take_refusal(description)
        audio = find_audio(description, self.local, self._families(), self._order(description))
        protection = protect_answer(audio.media.protocol, audio.said, self.local, self.stream.security)
        self.preconditions = self._read_preconditions(description, audio) if self._heeds_preconditions else None
        self._sections = description.media
        self._place = audio.place
        self._refused = False
        self._profile = audio.media.protocol
        self.family = audio.family
        self.formats = audio.formats
        self._direction = _MIRRORED[audio.direction]
        self._protection = protection
        self._mux = audio.mux
        self._mid = audio.mid
        self._bundled = bool(audio.mid) and _bundles(description, audio.mid)
        self._answer_ice(audio)
        self.stream = self._agree(audio, audio.formats, self._direction)
        return self.stream

    def take_answer(self, text: str) -> Stream:
        """Judge the peer's answer to our latest offer (RFC 3264 7)."""
        description = parse(text)
        count = len(self._sections) if self._sections else 1
        if len(description.media) != count:
            raise NotAcceptable(f"The answer has {len(description.media)} m= lines, the offer had {count}.")
        audio = find_audio(description, self.local, self._families(), (self._place,))
        ours = {(format_.name, format_.clock_rate): format_ for format_ in self.formats}
        agreed = common(
            tuple(
                format_
                for format_ in audio.formats
                if (mine := ours.get((format_.name, format_.clock_rate))) and compatible(mine, format_)
            ),
            self.local.codecs,
        )
        if not agreed:
            raise NotAcceptable("The answer names no codec that was offered.")
        if kind_of(audio.media.protocol) is not kind_of(self._profile):
            raise NotAcceptable(f"The answer is {audio.media.protocol}, the offer was {self._profile}.")
        security = read_answer(self._profile, audio.said, self.local, self.stream.security)
        if self.preconditions is not None:
            self.preconditions = self._read_preconditions(description, audio)
        self._protection = self._protection._replace(security=security)
        self._mux = self._mux and audio.mux
        self.stream = self._agree(audio, agreed, _MIRRORED[audio.direction])
        return self.stream

    def answer(self) -> str:
        """Return our answer to the offer taken last."""
        return self._describe(self._direction)

    def offer(self) -> str:
        """Return our offer: the sections so far in their order (RFC 3264 8), ready to speak both ways."""
        self.preconditions = OFFERED if self._heeds_preconditions and self._sections is None else None
        self._refused = False
        lines = protect_offer(self._profile, self.local, self.stream.security)
        self._protection = self._protection._replace(lines=lines)
        return self._describe("sendrecv")

    @property
    def address(self) -> str:
        """Our address in descriptions."""
        return self._addresses[self.family]

    def _accepts(self, format_: Format) -> bool:
        return format_.name == EVENTS or format_.name in self.local.codecs

    def _families(self) -> tuple[str, ...]:
        """Return the kinds of address that will do: a leg that has its socket cannot change."""
        return tuple(self._addresses) if self._sections is None and not self.port else (self.family,)

    def _order(self, description: SessionDescription) -> Sequence[int]:
        """Return the places to look for audio at: a stream keeps its place (RFC 3264 8)."""
        places = range(len(description.media))
        if self._sections is None or self._place not in places:
            return places
        return (self._place, *(place for place in places if place != self._place))

    def _take_refusal(self, description: SessionDescription) -> Stream:
        """The peer ends the stream within the session (RFC 3264 8.2), which an offer may begin again."""
        self._sections = description.media
        self._refused = True
        self.preconditions = None
        before = self.stream
        self.stream = Stream(None, 0, before.send, before.receive, sends=False, receives=False, held=True)
        return self.stream

    def _answer_ice(self, audio: Audio) -> None:
        theirs = ice.read_credentials(audio.said) if self.local.ufrag else None
        self._ice_mismatch = theirs is not None and ice.mismatches(audio.said, audio.host, audio.media.port)
        if theirs is None or self._ice_mismatch:
            self._ice = None
            return
        before = self.stream.ice
        if before is not None and before.remote_ufrag and theirs != (before.remote_ufrag, before.remote_pwd):
            self._ice_restarts += 1  # RFC 8839 4.4.1.1.1: a restart has new credentials on both sides
        suffix = str(self._ice_restarts or "")
        self._ice = ice.Credentials(self.local.ufrag + suffix, self.local.password + suffix)

    def _read_preconditions(self, description: SessionDescription, audio: Audio) -> Preconditions | None:
        try:
            return read_peers(audio.media)
        except CannotReserve as error:
            body = "".join(
                f"m={media.kind} {DISCARD_PORT} {media.protocol} {' '.join(media.formats)}\r\n{error.lines}"
                if media is audio.media
                else _refuse(media)
                for media in description.media
            )
            error.description = f"{self._head(audio.family)}{body}"
            raise

    def _agree(self, audio: Audio, agreed: tuple[Format, ...], direction: str) -> Stream:
        self.agreed = agreed
        voice, rtcp = chosen_voice(agreed, self._followed), audio.rtcp()
        return Stream(
            host=self._reached_at(audio.host),
            port=audio.media.port,
            send=voice,
            receive=receiving(agreed) | receiving(self.formats),
            send_events=chosen_events(agreed, voice),
            sends=direction in _SENDS,
            receives=direction in _RECEIVES,
            held=direction != "sendrecv",
            packet_ms=audio.packet_ms,
            rtcp=(self._reached_at(rtcp[0]), rtcp[1]) if rtcp is not None else None,
            mux=self._mux,
            security=self._protection.security,
            ice=self._agree_on_ice(audio),
            send_noise=chosen_noise(agreed, voice),
        )

    @overload
    def _reached_at(self, host: str) -> str: ...
    @overload
    def _reached_at(self, host: None) -> None: ...
    def _reached_at(self, host: str | None) -> str | None:
        """Return the peer's address as a socket for both families names it: mapped (RFC 4291 2.5.5.2)."""
        return f"::ffff:{host}" if host is not None and len(self._addresses) > 1 and ":" not in host else host

    def _agree_on_ice(self, audio: Audio) -> Ice | None:
        theirs = ice.read_credentials(audio.said)
        return None if self._ice is None or theirs is None else Ice(*self._ice, *theirs)

    def _unanswered(self) -> Stream:
        """Return what an offer of ours is open to before its answer comes."""
        credentials = None if self._ice is None else Ice(*self._ice, "", "")
        # RFC 5763 5: an offerer has to be ready for the handshake before the answer comes.
        security = Dtls("passive", ()) if self._profile in DTLS_PROFILES else None
        stream = _open_to(self.formats)
        if not (self._mux or security or credentials):
            return stream
        return msgspec.structs.replace(stream, mux=self._mux, security=security, ice=credentials)

    def _describe(self, direction: str) -> str:
        sections = self._sections or [MediaDescription("audio", 0, self._profile, [])]
        lines = f"a=group:{_BUNDLE} {self._mid}\r\n" if self._bundled and not self._refused else ""
        if self._ice is not None:
            lines += ice.LITE
        body = lines + "".join(
            self._our_section(direction) if index == self._place and not self._refused else _refuse(section)
            for index, section in enumerate(sections)
        )
        # RFC 3264 8: "the version in the origin field MUST increment by one from the previous SDP", if that changed.
        if self._body is not None and body != self._body:
            self._version += 1
        self._body = body
        return f"{self._head(self.family)}{body}"

    def _head(self, family: str) -> str:
        address = self._addresses[family]
        return (
            f"v=0\r\no=- {self._session_id} {self._version} IN {family} {address}\r\ns=-\r\n"
            f"c=IN {family} {address}\r\nt=0 0\r\n"
        )

    def _our_section(self, direction: str) -> str:
        payloads, attributes = describe(self.formats)
        status = self.preconditions
        reserved = OFFER_LINES if status is OFFERED else status.lines() if status is not None else ""
        return (
            f"m=audio {self.port} {self._profile} {payloads}\r\n{attributes}a=ptime:{PACKET_MS}\r\na={direction}\r\n"
            f"{self._transport_lines()}{reserved}"
        )

    def _transport_lines(self) -> str:
        lines = self._protection.lines
        if self._mid:
            lines += f"a=mid:{self._mid}\r\n"
        if self._mux:
            lines += "a=rtcp-mux\r\n"
        if self._ice is not None:
            lines += ice.describe(self._ice, self.address, self.port, mux=self._mux)
        elif self._ice_mismatch:
            lines += "a=ice-mismatch\r\n"
        return lines


@functools.lru_cache(maxsize=64)
def _open_to(formats: tuple[Format, ...]) -> Stream:
    return Stream(None, 0, chosen_voice(formats), receiving(formats))


def _refuses(description: SessionDescription, place: int) -> bool:
    """Tell whether an offer ends the stream at that place and begins no other audio."""
    if place >= len(description.media) or description.media[place].kind != "audio":
        return False
    return not any(media.port for media in description.media if media.kind == "audio")


def _bundles(description: SessionDescription, mid: str) -> bool:
    """Tell whether the section is in a group that shares one address (RFC 9143)."""
    groups = (value.split() for value in attribute_values(description.lines, "group"))
    return any(group[:1] == [_BUNDLE] and mid in group[1:] for group in groups)


def _refuse(section: MediaDescription) -> str:
    # RFC 3264 6: "To reject an offered stream, the port number in the corresponding stream in the answer MUST be
    # set to zero."
    mid = next(iter(section.attributes("mid")), "")
    name = f"a=mid:{mid}\r\n" if mid else ""
    return f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}\r\n{name}"
