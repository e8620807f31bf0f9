"""Typed header values, parsed only when asked for (RFC 3261 sections 20 and 25.1)."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from ims_core.errors import BadRequest
from ims_core.messages.uri import Uri, parse_uri, split_host_port


class Via(Struct, frozen=True, gc=False):
    """One Via value: the hop that sent the request and where it wants the response (20.42).

    ``branch`` is the transaction id that the hop set, empty when it set none; ``tail`` the text of all parameters as it
    came, each with its semicolon.
    """

    transport: str
    host: str
    port: int | None
    branch: str
    tail: str

    @property
    def params(self) -> dict[str, str]:
        """The parameters by their lower-case names."""
        return _params_of_via(self.tail)

    @property
    def has_rport(self) -> bool:
        """Whether the hop wants the response at the port it sent from (RFC 3581)."""
        return "rport" in self.tail.lower() and "rport" in self.params


def parse_via(text: str) -> Via:
    """Parse one Via value. Raises ``BadRequest``. What stands before the parameters is that of a peer: remembered."""
    protocol_and_host = text.partition(";")[0]
    short = len(protocol_and_host) <= _REMEMBERED_LENGTH
    transport, host, port = (_remembered_hop if short else _parse_hop)(protocol_and_host)
    tail = text[len(protocol_and_host) :]
    branch = tail.partition(";branch=")[2].partition(";")[0].strip()
    if not branch or '"' in tail:  # written in another way, or within quotes
        branch = _params_of_via(tail).get("branch", "")
    return Via(transport, host, port, branch, tail)


def _params_of_via(tail: str) -> dict[str, str]:
    return parse_params(split_params(tail)[1:])


def _parse_hop(text: str) -> tuple[str, str, int | None]:
    """Return transport, host and port of a Via."""
    protocol, _, sent_by = text.strip().partition(" ")
    if "/" in sent_by or "\t" in text:  # white space is legal around the slashes
        name, version, transport, sent_by = _via_parts(text)
        protocol = f"{name}/{version}/{transport}"
    name, _, version_and_transport = protocol.partition("/")
    version, _, transport = version_and_transport.partition("/")
    if name.upper() != "SIP" or version != "2.0" or not transport or '"' in transport:
        raise BadRequest("Malformed Via")
    return transport.upper(), *split_host_port(sent_by.strip().replace(" ", ""))


def _via_parts(text: str) -> list[str]:
    """Name, version, transport and sent-by of a Via with white space in unusual places."""
    parts = [part.strip() for part in text.replace("\t", " ").split("/", 2)]
    transport, _, sent_by = parts[-1].partition(" ")
    if len(parts) != 3:
        raise BadRequest("Malformed Via")
    return [*parts[:2], transport, sent_by]


class CSeq(Struct, frozen=True, gc=False):
    """The order of a request within its dialog, and its method (20.16)."""

    number: int
    method: str


def parse_cseq(text: str) -> CSeq:
    """Parse a CSeq value; the number must be below 2**31 (8.1.1.5). Raises ``BadRequest``."""
    return _remembered_cseq(text) if len(text) <= _REMEMBERED_LENGTH else _parse_cseq(text)


def _parse_cseq(text: str) -> CSeq:
    digits, _, method = text.replace("\t", " ").partition(" ")
    method = method.strip()
    if method and len(digits) <= 10 and digits.isascii() and digits.isdigit():
        number = int(digits)
        if number < 2**31:
            return CSeq(number, method)
    raise BadRequest("Malformed CSeq")


class NameAddr(Struct, frozen=True, gc=False):
    """A ``name-addr`` or ``addr-spec`` with its header parameters: From, To, Contact, Route … (20.10)."""

    display: str
    uri_text: str
    params: dict[str, str]

    @property
    def uri(self) -> Uri:
        """The URI, parsed. Raises ``BadRequest`` or ``UnsupportedScheme``."""
        return parse_uri(self.uri_text)

    @property
    def tag(self) -> str:
        """The ``tag`` parameter, empty when there is none."""
        return self.params.get("tag", "")


def parse_name_addr(text: str) -> NameAddr:
    """Parse one From, To, Contact, Route or Record-Route value. Raises ``BadRequest``.

    Values without a tag come again and again, in To and Contact of every refresh: they are remembered.
    """
    if len(text) > _REMEMBERED_LENGTH or "tag=" in text:
        return _parse_name_addr(text)
    return _parse_remembered(text)


# Most addresses: nothing escaped, nothing quoted but a display name, no white space elsewhere.
_PLAIN_ADDRESS = re.compile(r'(?:"([^"\\]*)"\s*|([^"<>;,:]*))<([^\s"<>]+)>((?:;[^\s"<>;,]+)*)')


def _parse_name_addr(text: str) -> NameAddr:
    plain = _PLAIN_ADDRESS.fullmatch(text)
    if plain is not None:
        quoted, display, uri, tail = plain.groups()
        display = display.strip() if quoted is None else quoted
        return NameAddr(display, uri, parse_params(tail.split(";")[1:]) if tail else {})
    text = text.strip()
    opening = _outside_quotes(text, "<") if '"' in text else text.find("<")
    if opening < 0:  # without angle brackets, parameters belong to the header (20.10)
        uri, *params = split_params(text)
        if not uri.strip() or '"' in uri:
            raise BadRequest("Malformed address")
        return NameAddr("", uri.strip(), parse_params(params))
    closing = text.find(">", opening)
    if closing < 0 or closing == opening + 1:
        raise BadRequest("Malformed address")
    display = text[:opening].strip()
    if display.startswith('"'):
        if len(display) < 2 or not display.endswith('"'):
            raise BadRequest("Malformed display name")
        display = unquote_string(display)
    tail = text[closing + 1 :].lstrip()
    if tail and not tail.startswith(";"):
        raise BadRequest("Malformed address")
    return NameAddr(display, text[opening + 1 : closing].strip(), parse_params(split_params(tail)[1:]))


_REMEMBERED_LENGTH = 256
_parse_remembered = lru_cache(maxsize=32768)(_parse_name_addr)
_remembered_hop = lru_cache(maxsize=4096)(_parse_hop)
_remembered_cseq = lru_cache(maxsize=16384)(_parse_cseq)


def split_values(text: str) -> list[str]:
    """Split a comma-separated header value, heeding quoted strings and angle brackets (7.3.1)."""
    if "," not in text:
        return [text.strip()]
    return [value for value in (part.strip() for part in _split(text, ",")) if value]


def split_params(text: str) -> list[str]:
    """Split at semicolons outside quoted strings; the first item is what stands before them."""
    return _split(text, ";") if '"' in text else text.split(";")


def parse_params(params: list[str]) -> dict[str, str]:
    """Turn ``name[=value]`` items into a dictionary with lower-case names; quoted values are unquoted."""
    parsed: dict[str, str] = {}
    for param in params:
        name, _, value = param.partition("=")
        value = value.strip()
        parsed[name.strip().lower()] = unquote_string(value) if value.startswith('"') else value
    return parsed


def unquote_string(text: str) -> str:
    r"""Undo a quoted-string: the quotes go, ``\x`` becomes ``x`` (25.1)."""
    inner = text[1:-1] if text.endswith('"') else text[1:]
    if "\\" not in inner:
        return inner
    out, escaped = [], False
    for character in inner:
        if escaped or character != "\\":
            out.append(character)
            escaped = False
        else:
            escaped = True
    return "".join(out)


def quote_string(text: str) -> str:
    """Return ``text`` as a quoted-string; control characters, which it cannot hold, become spaces."""
    clean = "".join(character if character >= " " else " " for character in text)
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _split(text: str, separator: str) -> list[str]:
    parts, start, quoted, escaped, bracketed = [], 0, False, False, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = character == "\\"
            quoted = character != '"'
        elif character == '"':
            quoted = True
        elif character == "<":
            bracketed = True
        elif character == ">":
            bracketed = False
        elif character == separator and not bracketed:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return parts


def _outside_quotes(text: str, wanted: str) -> int:
    quoted = escaped = False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = character == "\\"
            quoted = character != '"'
        elif character == '"':
            quoted = True
        elif character == wanted:
            return position
    return -1
