"""SIP and tel URIs (RFC 3261 section 19.1, RFC 3966)."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import unquote

from ims_core.errors import BadRequest, UnsupportedScheme
from ims_core.remembering import Remembered
from ims_core.structs import Value

DEFAULT_PORTS: Final = {"sip": 5060, "sips": 5061}


class Uri(Value):
    """A parsed URI; ``text`` is what was on the wire and what is sent on.

    ``host`` is lower case: a name without a dot at its end, or an IPv6 reference without its brackets and in its
    shortest spelling; ``user`` is unescaped. For ``tel:`` the number, without visual separators, is ``user`` and
    ``host`` is empty. ``headers`` is what follows the question mark, as it came: see ``header_fields``.
    """

    text: str
    scheme: str
    user: str
    host: str
    port: int | None
    params: dict[str, str]
    headers: str = ""

    @property
    def transport(self) -> str:
        """The transport asked for, upper case, as in a Via; UDP when none is named.

        ``sips`` is TLS, over a WebSocket ``WSS``; with UDP there is none, and ``UDP`` it is called (RFC 3261 26.2.1).
        """
        named = self.params.get("transport", "").upper()
        if self.scheme == "sips":
            return _SECURED.get(named, named)
        return named or "UDP"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, the port defaulted by scheme and transport (RFC 3261 19.1.2, RFC 7118 5.2.4)."""
        return self.host, self.port or (
            _PORTS_BY_TRANSPORT.get(self.transport, 5060) if self.params else DEFAULT_PORTS.get(self.scheme, 5060)
        )

    @property
    def is_loose_router(self) -> bool:
        """Whether the ``lr`` parameter is present (RFC 3261 section 19.1.1)."""
        return "lr" in self.params

    @property
    def has_ip_host(self) -> bool:
        """Whether the host is an address, so that no name look-up is needed."""
        return is_ip_address(self.host)

    @property
    def same_resource(self) -> tuple[str, str, str, int | None]:
        """What two URIs of one contact have in common: a key for comparison (RFC 3261 section 19.1.4)."""
        return self.scheme, self.user, self.host, self.port

    @property
    def header_fields(self) -> list[tuple[str, str]]:
        """The header fields to put into a request made from this URI, unescaped, in order (19.1.1)."""
        fields = (field.partition("=") for field in self.headers.split("&") if field)
        return [(unquote(name), unquote(value)) for name, _, value in fields]

    def __str__(self) -> str:
        return self.text


def parse_uri(text: str) -> Uri:
    """Parse a ``sip:``, ``sips:`` or ``tel:`` URI.

    Raises ``BadRequest`` for bad syntax and ``UnsupportedScheme`` (416) for any other scheme.
    """
    return _URIS.of(text) if len(text) <= _REMEMBERED_LENGTH else _parse(text)


def _parse(text: str) -> Uri:
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        scheme, user, host, port, loose = plain.groups()
        known = _LOOSE if loose else _NO_PARAMS
        if port is None:
            return Uri(text, scheme, user, host.lower(), None, known)
        if 0 < int(port) < 65536:
            return Uri(text, scheme, user, host.lower(), int(port), known)
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or not rest:
        raise BadRequest("Malformed URI")
    if scheme not in DEFAULT_PORTS and scheme != "tel":
        if not scheme.isascii() or not scheme.replace("+", "").replace("-", "").replace(".", "").isalnum():
            raise BadRequest("Malformed URI")
        raise UnsupportedScheme
    if not text.isascii() or not _NEVER_IN_URI.isdisjoint(text):
        raise BadRequest("Malformed URI")
    if scheme == "tel":
        number, *params = rest.split(";")
        return Uri(text, scheme, number.translate(_VISUAL_SEPARATORS), "", None, _parse_params(params))
    # a user part may hold "?" and ";", no part may hold a bare "@" (25.1)
    userinfo, at, hostpart = rest.partition("@") if "@" in rest else ("", "", rest)
    hostpart, _, headers = hostpart.partition("?")
    hostport, *params = hostpart.split(";")
    if at and not userinfo:
        raise BadRequest("Malformed URI")
    user = unquote(userinfo.partition(":")[0])
    host, port = split_host_port(hostport)
    return Uri(text, scheme, user, host, port, _parse_params(params), headers)


def same_uri(one: Uri, other: Uri) -> bool:
    """Whether two URIs are equal as contacts are compared (RFC 3261 section 19.1.4); escapes are undone already."""
    if one.text == other.text:
        return True
    if one.same_resource != other.same_resource:
        return False
    ours, theirs = one.params, other.params
    return all(
        ours[name].lower() == theirs[name].lower() if name in ours and name in theirs else name not in _NEVER_IGNORED
        for name in ours.keys() | theirs.keys()
    )


def is_sips(uri: str) -> bool:
    """Whether the text of a URI is of the scheme ``sips``, of which case does not matter (RFC 3261 19.1.4)."""
    return uri[:5].lower() == "sips:"


def is_sos(uri: str) -> bool:
    """Whether the text of a URI is the URN of an emergency service, in any case (RFC 5031 section 4.2)."""
    return uri[:4].lower() == "urn:" and _SOS.match(uri) is not None


def split_host_port(text: str) -> tuple[str, int | None]:
    """Split ``host[:port]``, with IPv6 hosts in brackets. Raises ``BadRequest``."""
    return _HOST_PORTS.of(text) if len(text) <= _REMEMBERED_LENGTH else _split_host_port(text)


def _split_host_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, tail = text[1:].partition("]")
        if ":::" in host and "." in host:  # RFC 5118 section 4.10: RFC 3261's grammar lets a colon too many stand there
            host = host.replace(":::", "::", 1)
        colon, port = tail[:1], tail[1:]
        if not bracket or (tail and colon != ":") or ":" not in host or not is_ip_address(host):
            raise BadRequest("Malformed host")
        host = _shortest(ipaddress.IPv6Address(host))  # RFC 5954 section 4.2: what counts is the value
    else:
        host, colon, port = text.partition(":")
        if not host or not _HOST_CHARACTERS.issuperset(host):
            raise BadRequest("Malformed host")
        host = host.lower()
        if host[-1] == ".":
            host = _without_dot(host)
    if not colon:
        return host, None
    digits = port.lstrip("0")
    if not (port.isascii() and port.isdigit() and 0 < len(digits) <= 5 and int(digits) < 65536):
        raise BadRequest("Malformed port")
    return host, int(digits)


def _without_dot(host: str) -> str:
    """Take off the dot that may end a name (25.1: ``hostname``): it changes nothing of what that names."""
    name = host[:-1]
    return name if name and name[-1] != "." and not is_ip_address(name) else host


def _shortest(address: ipaddress.IPv6Address) -> str:
    """Return an address as systems write it (RFC 5952)."""
    mapped = address.ipv4_mapped
    return address.compressed if mapped is None else f"::ffff:{mapped}"


def is_ip_address(host: str) -> bool:
    """Whether ``host`` (without brackets) is an IPv4 or IPv6 address; zones have no meaning to others (25.1)."""
    return len(host) <= _LONGEST_ADDRESS and "%" not in host and _IP_ADDRESSES.of(host)


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _parse_params(params: list[str]) -> dict[str, str]:
    parsed = {}
    for param in params:
        name, _, value = param.partition("=")
        parsed[unquote(name.strip()).lower()] = unquote(value.strip())
    return parsed


# What peers send fills the caches, so longer texts, which are rare, are not remembered.
_REMEMBERED_LENGTH: Final = 256
_URIS: Final = Remembered(_parse, 32768)
_HOST_PORTS: Final = Remembered(_split_host_port, 4096)
_IP_ADDRESSES: Final = Remembered(_is_ip_address, 4096)
# Most URIs: nothing escaped, no parameter but that of a proxy, no IPv6 address, no dot after the name. What else there
# is takes the long way.
_PLAIN: Final = re.compile(r"(sips?):([\w.!~*'()&=+$,/#-]+)@([A-Za-z0-9.-]+(?<!\.))(?::([0-9]{1,5}))?(;lr)?", re.ASCII)
_SOS: Final = re.compile(r"urn:service:sos(?:\.|$)", re.IGNORECASE)
_NO_PARAMS: dict[str, str] = {}
_LOOSE: Final = {"lr": ""}
# 19.1.4: what must not stand in one of two equal URIs only
_NEVER_IGNORED: Final = frozenset(("transport", "user", "ttl", "method", "maddr"))
_SECURED: Final = {"": "TLS", "TCP": "TLS", "WS": "WSS"}
_PORTS_BY_TRANSPORT: Final = {"TLS": 5061, "WS": 80, "WSS": 443}
_NEVER_IN_URI: Final = frozenset((*map(chr, range(0x21)), *'<>"\x7f'))
_LONGEST_ADDRESS: Final = 45  # of IPv6 with an IPv4 address at its end, all digits written
_VISUAL_SEPARATORS: Final = str.maketrans("", "", "-.()")
_HOST_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
