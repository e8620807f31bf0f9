"""Session descriptions, RFC 8866: text to lines and back, with every line kept that we do not understand."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from media.api import NotAcceptable

MAX_LENGTH: Final = 65_536
DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
_ORIGIN_FIELDS: Final = 6
_MEDIA_FIELDS: Final = 4

Line = tuple[str, str]


class MalformedSdp(NotAcceptable):
    """The text is no session description."""


@dataclass(slots=True)
class MediaDescription:
    """One m= section: `m=<kind> <port>[/<port_count>] <protocol> <formats>` and the lines below it."""

    kind: str
    port: int
    protocol: str
    formats: list[str]
    port_count: str = ""
    lines: list[Line] = field(default_factory=list)

    def attributes(self, name: str) -> list[str]:
        """Return the values of every `a=<name>:<value>` (RFC 8866 5.13: attribute names are case-sensitive)."""
        return attribute_values(self.lines, name)


@dataclass(slots=True)
class SessionDescription:
    """A whole description: session-level lines in their order, then the m= sections."""

    lines: list[Line]
    media: list[MediaDescription] = field(default_factory=list)

    def connection(self, media: MediaDescription) -> tuple[str, str] | None:
        """Return (address type, address) for that section: its own c= line or else the session's."""
        for letter, value in (*media.lines, *self.lines):
            if letter == "c":
                network, _, rest = value.partition(" ")
                family, _, address = rest.partition(" ")
                if network != "IN" or family not in ("IP4", "IP6") or not address or " " in address:
                    raise MalformedSdp(f"The SDP has an unusable connection line: c={value[:80]}")
                return family, address
        return None

    def direction(self, media: MediaDescription) -> str:
        """Return the section's direction, else the session's, else sendrecv (RFC 8866 6.7)."""
        for lines in (media.lines, self.lines):
            for letter, value in lines:
                if letter == "a" and value in DIRECTIONS:
                    return value
        return "sendrecv"

    def serialise(self) -> str:
        """Return the text with CRLF line ends."""
        out = [f"{letter}={value}\r\n" for letter, value in self.lines]
        for media in self.media:
            count = f"/{media.port_count}" if media.port_count else ""
            out.append(f"m={media.kind} {media.port}{count} {media.protocol} {' '.join(media.formats)}\r\n")
            out.extend(f"{letter}={value}\r\n" for letter, value in media.lines)
        return "".join(out)


def attribute_values(lines: list[Line], name: str) -> list[str]:
    """Return the values of every `a=<name>:<value>` among the lines."""
    prefix = name + ":"
    return [value[len(prefix) :] for letter, value in lines if letter == "a" and value.startswith(prefix)]


def parse(text: str) -> SessionDescription:
    """Parse a description; CRLF and bare LF both end a line. Raises MalformedSdp with one sentence."""
    if len(text) > MAX_LENGTH:
        raise MalformedSdp("The SDP is longer than 64 KiB.")
    description = SessionDescription([])
    lines = description.lines
    for line in _LINE.findall(text) if _PLAIN.fullmatch(text) else _read_lines(text):
        if line[0] == "m":
            media = _parse_media(line[1])
            description.media.append(media)
            lines = media.lines
        else:
            lines.append(line)
    _check_session_lines(description.lines)
    return description


# Nearly all descriptions: nothing but lines of the right form.
_PLAIN: Final = re.compile(r"(?:[A-Za-z]=[^\r\n]*\r?\n)*")
_LINE: Final = re.compile(r"([A-Za-z])=([^\r\n]*)\r?\n")


def _read_lines(text: str) -> list[Line]:
    """Read a description with empty lines, an unfinished last line, or a mistake to be named."""
    lines = []
    for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not raw:
            continue
        letter, equals, value = raw.partition("=")
        if not equals or len(letter) != 1 or not letter.isascii() or not letter.isalpha() or "\r" in value:
            raise MalformedSdp(f"Line {number} of the SDP is not of the form <type>=<value>.")
        lines.append((letter, value))
    return lines


def _check_session_lines(lines: list[Line]) -> None:
    if not lines or lines[0] != ("v", "0"):
        raise MalformedSdp("The SDP does not begin with v=0.")
    origins = [value for letter, value in lines if letter == "o"]
    if len(origins) != 1 or len(origins[0].split(" ")) != _ORIGIN_FIELDS:
        raise MalformedSdp("The SDP needs one o= line of six fields.")


def _parse_media(value: str) -> MediaDescription:
    fields = value.split(" ")
    if len(fields) < _MEDIA_FIELDS or "" in fields:
        raise MalformedSdp(f"The SDP has an m= line with too few fields: m={value[:80]}")
    port, slash, count = fields[1].partition("/")
    if not is_number(port, 65_535) or (slash and not is_number(count, 65_535)):
        raise MalformedSdp(f"The SDP has an m= line without a usable port: m={value[:80]}")
    return MediaDescription(fields[0], int(port), fields[2], fields[3:], count)


def is_number(text: str, largest: int) -> bool:
    """Tell whether the text is a plain decimal number in 0..largest."""
    return text.isascii() and text.isdigit() and len(text) <= len(str(largest)) and int(text) <= largest
