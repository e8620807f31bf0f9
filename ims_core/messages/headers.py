"""Typed header values, parsed only when asked for (RFC 3261 sections 20 and 25.1)."""

from __future__ import annotations

import re
from typing import Final

from mypy_extensions import mypyc_attr

from ims_core.errors import BadRequest
from ims_core.messages.uri import Uri, parse_uri, split_host_port
from ims_core.remembering import Remembered
from ims_core.structs import Value

TOKEN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")


@mypyc_attr(acyclic=True)
class Via:
    """One Via value: the hop that sent the request and where it wants the response (20.42).

    ``branch`` is the transaction id that the hop set, empty when it set none; ``tail`` the text of all parameters as it
    came, each with its semicolon.
    """

    __slots__ = ("branch", "host", "port", "tail", "transport")

    def __init__(self, transport: str, host: str, port: int | None, branch: str, tail: str) -> None:
        self.transport = transport
        self.host = host
        self.port = port
        self.branch = branch
        self.tail = tail

    @property
    def params(self) -> dict[str, str]:
        """The parameters by their lower-case names."""
        return _params_of_via(self.tail)

    @property
    def has_rport(self) -> bool:
        """Whether the hop wants the response at the port it sent from (RFC 3581)."""
        tail = self.tail
        if tail.endswith(";rport") and '"' not in tail:  # as most write it
            return True
        return "rport" in tail.lower() and "rport" in self.params


def parse_via(text: str) -> Via:
    """Parse one Via value. Raises ``BadRequest``. What stands before the parameters is that of a peer: remembered."""
    protocol_and_host = text.partition(";")[0]
    short = len(protocol_and_host) <= _REMEMBERED_LENGTH
    transport, host, port = _HOPS.of(protocol_and_host) if short else _parse_hop(protocol_and_host)
    tail = text[len(protocol_and_host) :]
    branch = tail.partition(";branch=")[2].partition(";")[0]
    if not branch or '"' in tail or " " in tail or "\t" in tail or ";;" in tail or tail.endswith(";"):
        branch = _params_of_via(tail).get("branch", "")  # written in another way, or within quotes, or malformed
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
    # 25.1: any name and version will do, so that who speaks another one can be told
    if not (name and version and transport and TOKEN.issuperset(name + version + transport)):
        raise BadRequest("Malformed Via")
    return transport.upper(), *split_host_port(sent_by.strip().replace(" ", ""))


def _via_parts(text: str) -> list[str]:
    """Name, version, transport and sent-by of a Via with white space in unusual places."""
    parts = [part.strip() for part in text.replace("\t", " ").split("/", 2)]
    transport, _, sent_by = parts[-1].partition(" ")
    if len(parts) != 3:
        raise BadRequest("Malformed Via")
    return [*parts[:2], transport, sent_by]


class CSeq(Value):
    """The order of a request within its dialog, and its method (20.16)."""

    number: int
    method: str


def parse_cseq(text: str) -> CSeq:
    """Parse a CSeq value; the number must be below 2**31 (8.1.1.5). Raises ``BadRequest``."""
    return _CSEQS.of(text) if len(text) <= _REMEMBERED_LENGTH else _parse_cseq(text)


def _parse_cseq(text: str) -> CSeq:
    digits, _, method = text.replace("\t", " ").partition(" ")
    method = method.strip()
    if method and TOKEN.issuperset(method) and digits.isascii() and digits.isdigit():
        number = int(digits.lstrip("0")[:11] or 0)
        if number < 2**31:
            return CSeq(number, method)
    raise BadRequest("Malformed CSeq")


class NameAddr(Value):
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
    return _ADDRESSES.of(text)


# Most addresses: nothing escaped, nothing quoted but a display name, no white space elsewhere.
_PLAIN_ADDRESS: Final = re.compile(
    r"""(?:"([^"\\]*+)"\s*+|([\w .!%*+`'~-]*+))<([^\s"<>]++)>((?:;[^\s"<>;,=]++(?:=[^\s"<>;,]*+)?)*+)"""
)
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
# Quoted strings, what is in angle brackets (either may lack its end), and the separators outside both.
_QUOTED_ANYHOW = r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_PIECES: Final = {
    separator: re.compile(f'{_QUOTED_ANYHOW}|<(?:[^">]++|{_QUOTED_ANYHOW})*+>?|{separator}', re.DOTALL)
    for separator in ",;"
}
_NEVER_IN_ADDRESS: Final = re.compile(r'[\s"<>\x80-\U0010ffff]')


def _parse_name_addr(text: str) -> NameAddr:
    plain = _PLAIN_ADDRESS.fullmatch(text)
    if plain is not None:
        quoted, display, uri, tail = plain.groups()
        if not uri.isascii():
            raise BadRequest("Malformed address")
        display = display.strip() if quoted is None else quoted
        return NameAddr(readable(display), uri, parse_params(tail.split(";")[1:]) if tail else {})
    text = text.strip()
    opening = _outside_quotes(text, "<") if '"' in text else text.find("<")
    if opening < 0:
        return _parse_addr_spec(text)
    uri, closing, tail = text[opening + 1 :].partition(">")
    tail = tail.lstrip()
    if not closing or not uri or _NEVER_IN_ADDRESS.search(uri) or (tail and not tail.startswith(";")):
        raise BadRequest("Malformed address")
    return NameAddr(_parse_display(text[:opening].strip()), uri, parse_params(split_params(tail)[1:]))


def _parse_addr_spec(text: str) -> NameAddr:
    """Parse an address without angle brackets, whose parameters belong to the header (20.10)."""
    uri, *params = split_params(text)
    uri = uri.rstrip()
    # "the name-addr form MUST be used if the addr-spec contains a comma, semicolon, or question mark"
    if not uri or "?" in uri or _NEVER_IN_ADDRESS.search(uri):
        raise BadRequest("Malformed address")
    return NameAddr("", uri, parse_params(params))


def _parse_display(text: str) -> str:
    """Undo a display name. Unquoted, it may hold tokens only, by the grammar; of other scripts we take it as well."""
    if text.startswith('"'):
        if _QUOTED.fullmatch(text) is None:
            raise BadRequest("Malformed display name")
        text = unquote_string(text)
    elif not all(character in TOKEN or character in " \t" or character > "\x7f" for character in text):
        raise BadRequest("Malformed display name")
    return readable(text)


def readable(text: str) -> str:
    """Return text for people: what is no UTF-8 in it, kept byte for byte until here, is replaced."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


_REMEMBERED_LENGTH: Final = 256
_ADDRESSES: Final = Remembered(_parse_name_addr, 32768)
_HOPS: Final = Remembered(_parse_hop, 4096)
_CSEQS: Final = Remembered(_parse_cseq, 16384)


def split_values(text: str) -> list[str]:
    """Split a comma-separated header value, heeding quoted strings and angle brackets (7.3.1)."""
    if "," not in text:
        return [text.strip()]
    parts = _split(text, ",") if '"' in text or "<" in text else text.split(",")
    return [value for value in map(str.strip, parts) if value] or [""]


def first_value_end(text: str) -> int:
    """Return where the first value of a comma-separated list ends: its comma, or the end of the text."""
    if "," not in text:
        return len(text)
    return len(_split(text, ",", at_most=1)[0])


def split_params(text: str) -> list[str]:
    """Split at semicolons outside quoted strings; the first item is what stands before them."""
    return _split(text, ";") if '"' in text else text.split(";")


def parse_params(params: list[str]) -> dict[str, str]:
    """Turn ``name[=value]`` items into a dictionary with lower-case names; quoted values are unquoted.

    Raises ``BadRequest`` where there is nothing between two separators.
    """
    parsed: dict[str, str] = {}
    for param in params:
        name, _, value = param.partition("=")
        value = value.strip()
        parsed[name.strip().lower()] = unquote_string(value) if value.startswith('"') else value
    if "" in parsed:
        raise BadRequest("Empty parameter")
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
    if not text.isprintable():
        text = "".join(character if character >= " " else " " for character in text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _split(text: str, separator: str, at_most: int = -1) -> list[str]:
    """Split outside quoted strings and angle brackets; after ``at_most`` separators the rest stays in one piece."""
    parts, start = [], 0
    for piece in _PIECES[separator].finditer(text):
        position = piece.start()
        if text[position] == separator:
            parts.append(text[start:position])
            start = position + 1
            if len(parts) == at_most:
                break
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
