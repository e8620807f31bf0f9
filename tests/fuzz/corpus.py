"""Where the search begins: the messages of the torture tests, and the words of the grammar."""

from __future__ import annotations

from pathlib import Path

from ims_core.messages.message import METHODS
from ims_core.messages.names import KEYS
from tests.ims_core.torture import test_rfc4475_invalid as invalid
from tests.ims_core.torture import test_rfc4475_semantics as semantics
from tests.ims_core.torture import test_rfc4475_valid as valid
from tests.ims_core.torture import test_rfc5118 as ipv6
from tests.ims_core.torture.lab import INVITE_BOB

MESSAGES = [INVITE_BOB, *(case.data for part in (valid, invalid, semantics, ipv6) for case in part.CASES)]
WORDS = [
    *sorted(METHODS),
    *sorted({f"{spelling}: " for spelling in KEYS if spelling.istitle() or len(spelling) == 1}),
    *(
        "SIP/2.0",
        "sip:",
        "sips:",
        "tel:",
        "\r\n",
        "\r\n\r\n",
        ";tag=",
        ";branch=z9hG4bK",
        ";rport",
        ";received=",
        ";lr",
    ),
    *("<sip:", ">", '"', "\\", ",", ";", "[2001:db8::1]", "*", "%00", "?", "@", "\x00", " 200 OK", "application/sdp"),
    *("multipart/mixed;boundary=b", "--b", "--b--", "expires=0", "sip:10001@ims.example", "sip:bob@ims.example"),
]


def write(folder: Path) -> Path:
    """Write the messages, one a file, into ``folder`` and the words beside it; return the file of the words."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(MESSAGES):
        (folder / f"torture-{number:03}").write_bytes(data)
    words = folder.with_suffix(".dict")
    escaped = ("".join(f"\\x{octet:02x}" for octet in word.encode()) for word in WORDS)
    words.write_text("".join(f'"{word}"\n' for word in escaped), encoding="ascii")
    return words
