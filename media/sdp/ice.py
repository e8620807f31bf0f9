"""ICE in descriptions (RFC 8839), for a side that is lite: it answers checks and makes none (RFC 8445 2.5)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from media.sdp.security import Attributes

_CHARACTERS: Final = re.compile(r"[A-Za-z0-9+/]+")
_SHORTEST_UFRAG: Final = 4
_SHORTEST_PASSWORD: Final = 22
_LONGEST: Final = 256
# RFC 8445 5.1.2.1: type preference 126 of a host candidate, the only address, component 1 or 2.
_PRIORITY: Final = (126 << 24) + (65_535 << 8)
_LITE: Final = "ice-lite"
LITE: Final = f"a={_LITE}\r\n"


class Credentials(NamedTuple):
    """What each side's connectivity checks are signed with."""

    ufrag: str
    password: str


def read_credentials(said: Attributes) -> Credentials | None:
    """Return the peer's, None where it does not do ICE, says so unusably, or is lite as well.

    Two that are lite make no checks; they send to each other's default address (RFC 8445 6.2), as without ICE.
    """
    if "ice-ufrag" not in said or _LITE in said:
        return None
    ufrag, password = (next(iter(said.get(name, ())), "") for name in ("ice-ufrag", "ice-pwd"))
    if not _SHORTEST_UFRAG <= len(ufrag) <= _LONGEST or not _SHORTEST_PASSWORD <= len(password) <= _LONGEST:
        return None
    if not _CHARACTERS.fullmatch(ufrag) or not _CHARACTERS.fullmatch(password):
        return None
    return Credentials(ufrag, password)


def mismatches(said: Attributes, host: str | None, port: int) -> bool:
    """Tell whether something on the way has changed the address but not the candidates (RFC 8839 4.2.5).

    One that is not known yet, as while candidates still trickle in (RFC 8840 4.1.1), is no mismatch.
    """
    candidates = [value.split() for value in said.get("candidate", ())]
    if host is None or not candidates:
        return False
    return not any(fields[4:6] == [host, str(port)] for fields in candidates)


def describe(credentials: Credentials, address: str, port: int, *, mux: bool) -> str:
    """Return our credentials and our candidates: one address, with RTCP on the port above unless it is muxed."""
    components = (1,) if mux else (1, 2)
    candidates = "".join(
        f"a=candidate:1 {component} UDP {_PRIORITY + 256 - component} {address} {port + component - 1} typ host\r\n"
        for component in components
    )
    return f"a=ice-ufrag:{credentials.ufrag}\r\na=ice-pwd:{credentials.password}\r\n{candidates}"
