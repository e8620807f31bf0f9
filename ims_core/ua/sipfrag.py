"""message/sipfrag: a part of a SIP message as the body of another (RFC 3420).

The NOTIFY after a REFER carries the status line of what the REFER asked for (RFC 3515 section 2.4.5).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ims_core.errors import BadRequest

SIPFRAG: Final = "message/sipfrag"
_LONGEST_LINE = 512


class StatusLine(NamedTuple):
    """How far a referred request has come."""

    status: int
    reason: str


def encode_status(status: int, reason: str) -> bytes:
    """Write the fragment that consists of a status line."""
    clean = " ".join(reason.split())
    return f"SIP/2.0 {status} {clean}\r\n".encode("utf-8", "replace")


def parse_status(body: bytes) -> StatusLine:
    """Read the status line that a fragment begins with. Raises ``BadRequest`` when it begins with none."""
    line = body[:_LONGEST_LINE].lstrip(b"\r\n").partition(b"\n")[0].decode("utf-8", "replace").rstrip("\r")
    version, _, rest = line.partition(" ")
    digits, _, reason = rest.strip().partition(" ")
    if version.upper() != "SIP/2.0" or len(digits) != 3 or not digits.isascii() or not digits.isdigit():
        raise BadRequest("No status line in message/sipfrag")
    status = int(digits)
    if not 100 <= status < 700:
        raise BadRequest("No status line in message/sipfrag")
    return StatusLine(status, reason.strip())
