"""Keys that a peer tells of by SIP INFO, the way of before telephone-events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from media.api import KEYS, LONGEST_KEY_MS

if TYPE_CHECKING:
    from media.api import MediaLeg

RELAY: Final = "application/dtmf-relay"
PLAIN: Final = "application/dtmf"
INFO_BODIES: Final = (RELAY, PLAIN)
"""What an INFO may carry; any other body is answered with 415."""
_USUAL_MS: Final = 100
_NUMBERS: Final = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}


def take_info(leg: MediaLeg | None, content_type: str, body: bytes) -> None:
    """Hand the key that an INFO tells of to the leg of its sender, as if it had come by RTP."""
    told = digit_of_info(content_type, body)
    if told is not None and leg is not None:
        digit, ms = told
        leg.receive_digit(digit, ms=ms)


def digit_of_info(content_type: str, body: bytes) -> tuple[str, int] | None:
    """Return the key that an INFO tells of, and for how many milliseconds it was pressed; None for what is no key.

    ``application/dtmf-relay`` says ``Signal=5`` and ``Duration=160``, ``application/dtmf`` just ``5``.
    """
    kind = content_type.partition(";")[0].strip().lower()
    signal = body.decode("ascii", "ignore").strip()
    duration = ""
    if kind == RELAY:
        fields = {name.strip().lower(): value.strip() for name, _, value in map(_parted, signal.splitlines())}
        signal, duration = fields.get("signal", ""), fields.get("duration", "")
    elif kind != PLAIN:
        return None
    digit = _NUMBERS.get(signal, signal).upper()
    if len(digit) != 1 or digit not in KEYS:
        return None
    ms = int(duration) if duration.isascii() and duration.isdigit() and len(duration) < 8 else _USUAL_MS
    return digit, min(ms, LONGEST_KEY_MS) or _USUAL_MS


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition("=")
