"""The names of header fields, in all their spellings (RFC 3261 section 7.3.3)."""

from __future__ import annotations

from typing import Final

_NAMES = (
    "Via From To Call-ID CSeq Contact Max-Forwards Route Record-Route Content-Type Content-Length Expires Allow "
    "Supported Require Proxy-Require Unsupported User-Agent Server Authorization WWW-Authenticate Proxy-Authorization "
    "Proxy-Authenticate Authentication-Info Path Service-Route Subject Reason Retry-After Accept Accept-Encoding "
    "Accept-Language Alert-Info Call-Info Date Event Allow-Events Subscription-State Refer-To Referred-By Replaces "
    "RSeq RAck Session-Expires Min-SE Min-Expires P-Asserted-Identity P-Preferred-Identity P-Access-Network-Info "
    "P-Associated-URI P-Visited-Network-ID P-Charging-Vector P-Called-Party-ID Privacy Organization Priority "
    "Warning Timestamp Content-Encoding Content-Disposition Content-Language MIME-Version History-Info Diversion "
    "Security-Client Security-Server Security-Verify Max-Breadth"
).split()
_COMPACT = {
    "v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length", "c": "content-type",
    "e": "content-encoding", "k": "supported", "s": "subject", "o": "event", "u": "allow-events", "r": "refer-to",
    "b": "referred-by", "x": "session-expires", "a": "accept-contact", "j": "reject-contact",
    "d": "request-disposition", "y": "identity",
}  # fmt: skip
KEYS: Final[dict[str, str]] = {
    **{spelling: name.lower() for name in _NAMES for spelling in (name, name.lower(), name.upper())},
    **{spelling: name for short, name in _COMPACT.items() for spelling in (short, short.upper())},
}


def canonical(name: str) -> str:
    """Return the name that ``keys`` has for a header field, whatever its spelling (7.3.3)."""
    return KEYS.get(name) or KEYS.get(name.lower()) or name.lower()
