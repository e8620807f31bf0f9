"""What a=fmtp says of each codec, and what of it both sides must agree on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from media.codecs.names import AMR, AMR_WB, EVENTS, OPUS
from media.rtp.stream import Format
from media.sdp.description import is_number

KEYPAD: Final = frozenset(range(12))  # 0 to 9, * and # (RFC 4733 3.2)
_ALL_EVENTS: Final = "0-15"
_LARGEST_EVENT: Final = 255
_LARGEST_VALUE: Final = 1_000_000_000
_LAST_MODE: Final = {AMR: 7, AMR_WB: 8}
# RFC 4867 8.1: what changes the payload format, and is not served.
_REFUSED_IN_AMR: Final = ("crc", "robust-sorting")
_MODE_CHANGES: Final = {"mode-change-period": ("2",), "mode-change-neighbor": ("1",)}
_OF_OPUS: Final = ("maxplaybackrate", "maxaveragebitrate", "stereo", "cbr", "useinbandfec", "usedtx")


def settle(format_: Format) -> Format | None:
    """Return the peer's format with those of its parameters that we heed, or None where we cannot serve it so."""
    judge = _JUDGES.get(format_.name)
    if judge is None:
        return format_ if not format_.parameters else _with(format_, "")
    parameters = judge(format_)
    return None if parameters is None else _with(format_, parameters)


def compatible(offered: Format, answered: Format) -> bool:
    """Tell whether the peer's answer means what we offered: the configuration of AMR is symmetric (RFC 4867 8.3.1)."""
    return offered.name not in _LAST_MODE or _configuration(offered) == _configuration(answered)


def ours(format_: Format) -> str:
    """Return the parameters that we say of a format: those that must be the peer's, and what we can take."""
    if format_.name == EVENTS:
        return _ALL_EVENTS
    if format_.name == OPUS:
        return "useinbandfec=1"
    return format_.parameters if format_.name in _LAST_MODE else ""


def read(parameters: str) -> dict[str, str]:
    """Return "name=value;name=value" as a mapping, names in lower case; the first of two values counts."""
    found: dict[str, str] = {}
    for item in parameters.split(";"):
        name, _, value = item.partition("=")
        found.setdefault(name.strip().lower(), value.strip())
    found.pop("", None)
    return found


def _with(format_: Format, parameters: str) -> Format:
    return Format(format_.payload, format_.name, format_.clock_rate, format_.channels, parameters)


def _judge_events(format_: Format) -> str | None:
    """Serve events that have the keypad among them; without a list they are 0 to 15 (RFC 4733 2.4.1)."""
    text = format_.parameters.replace(" ", "") or _ALL_EVENTS
    events: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if is_number(first, _LARGEST_EVENT) and is_number(last or first, _LARGEST_EVENT):
            events.update(range(int(first), int(last or first) + 1))
    return text if events >= KEYPAD else None


def _judge_opus(format_: Format) -> str:
    """Keep what the peer's receiver prefers (RFC 7587 6.1); all of it is declarative, so that nothing is refused."""
    said = read(format_.parameters)
    kept = ((name, said[name]) for name in _OF_OPUS if is_number(said.get(name, ""), _LARGEST_VALUE))
    return ";".join(f"{name}={int(value)}" for name, value in kept)


def _judge_amr(format_: Format) -> str | None:
    """Serve both framings, without CRCs, robust sorting and interleaving, one channel (RFC 4867 8.1)."""
    said = read(format_.parameters)
    if "interleaving" in said or any(said.get(name, "0") != "0" for name in _REFUSED_IN_AMR):
        return None
    aligned = said.get("octet-align", "0")
    if aligned not in ("0", "1"):
        return None
    kept = ["octet-align=1"] if aligned == "1" else []
    if "mode-set" in said:
        modes = said["mode-set"].replace(" ", "").split(",")
        if not all(is_number(mode, _LAST_MODE[format_.name]) for mode in modes):
            return None
        kept.append(f"mode-set={','.join(sorted(set(modes)))}")
    kept.extend(f"{name}={said[name]}" for name, values in _MODE_CHANGES.items() if said.get(name) in values)
    return ";".join(kept)


def _configuration(format_: Format) -> tuple[str | None, str | None]:
    said = read(format_.parameters)
    return said.get("octet-align"), said.get("mode-set")


_JUDGES: Final[dict[str, Callable[[Format], str | None]]] = {
    EVENTS: _judge_events,
    OPUS: _judge_opus,
    AMR: _judge_amr,
    AMR_WB: _judge_amr,
}
