"""The formats of an audio section: which numbers stand for what, and which of them both sides can use."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final, NamedTuple

from media.codecs.names import AMR, AMR_WB, CN, EVENTS, G722, OPUS, PCMA, PCMU
from media.rtp.stream import Format
from media.sdp import parameters
from media.sdp.description import is_number

NARROW: Final = 8000
DEFAULT_EVENT_PAYLOAD: Final = 101
_FIRST_DYNAMIC: Final = 96
_LAST_PAYLOAD: Final = 127
_ANY_CLOCK: Final = (8000, 16000, 48000)


class _Encoding(NamedTuple):
    clock_rates: tuple[int, ...]
    channels: int = 1
    static_payload: int | None = None  # RFC 3551 6


_ENCODINGS: Final = {
    PCMU: _Encoding((8000,), static_payload=0),
    PCMA: _Encoding((8000,), static_payload=8),
    G722: _Encoding((8000,), static_payload=9),
    OPUS: _Encoding((48000,), channels=2),  # RFC 7587 7: always 48000/2, whatever is inside
    AMR: _Encoding((8000,)),
    AMR_WB: _Encoding((16000,)),
    CN: _Encoding(_ANY_CLOCK, static_payload=13),
    EVENTS: _Encoding(_ANY_CLOCK),
}
_NAMES: Final = {name.lower(): name for name in _ENCODINGS}
_STATIC: Final = {
    encoding.static_payload: Format(encoding.static_payload, name, encoding.clock_rates[0], encoding.channels)
    for name, encoding in _ENCODINGS.items()
    if encoding.static_payload is not None
}


def is_voice(format_: Format) -> bool:
    """Tell whether the format carries speech: not digits, not comfort noise."""
    return format_.name not in (EVENTS, CN)


# Phones of one make all say the same, hence the memories of what was read and written.
@functools.lru_cache(maxsize=256)
def read_formats(payloads: tuple[str, ...], rtpmaps: tuple[str, ...], fmtps: tuple[str, ...]) -> tuple[Format, ...]:
    """Return the formats of an audio section that we know, in the peer's order.

    Dynamic numbers come from a=rtpmap, whose encoding names are compared without case (RFC 8866 6.6, RFC 4855 3);
    the static numbers of RFC 3551 need no rtpmap.
    """
    known: dict[int, Format | None] = dict(_STATIC)
    for value in rtpmaps:
        number, _, encoding = value.partition(" ")
        if is_number(number, _LAST_PAYLOAD):
            known[int(number)] = _read_encoding(int(number), encoding)
    said = dict(reversed([value.split(" ", 1) for value in fmtps if " " in value]))
    found: dict[int, Format] = {}
    for text in payloads:
        format_ = known.get(int(text)) if is_number(text, _LAST_PAYLOAD) else None
        if format_ is None or format_.payload in found:
            continue
        settled = parameters.settle(
            Format(format_.payload, format_.name, format_.clock_rate, format_.channels, said.get(text, "").strip())
        )
        if settled is not None:
            found[settled.payload] = settled
    return tuple(found.values())


def _read_encoding(payload: int, text: str) -> Format | None:
    """Return what "<name>/<clock rate>[/<channels>]" means, None where that is not served."""
    spelled, _, rest = text.strip().lower().partition("/")
    rate, _, channels = rest.partition("/")
    name = _NAMES.get(spelled)
    if name is None or not is_number(rate, _ANY_CLOCK[-1]):
        return None
    encoding = _ENCODINGS[name]
    if int(rate) not in encoding.clock_rates or (channels or "1") != str(encoding.channels):
        return None
    return Format(payload, name, int(rate), encoding.channels)


@functools.lru_cache(maxsize=256)
def common(theirs: tuple[Format, ...], codecs: tuple[str, ...]) -> tuple[Format, ...]:
    """Return what both can use, in the peer's order and each codec once; nothing when that leaves no voice.

    Events and comfort noise belong to a codec of the same clock rate (RFC 4733 2.1, RFC 3389 4); events of 8 kHz are
    also taken beside a codec of another rate, as phones without any others send them so.
    """
    first: dict[tuple[str, int], Format] = {}
    for format_ in theirs:
        if format_.name in codecs or format_.name == EVENTS:
            first.setdefault((format_.name, format_.clock_rate), format_)
    clocks = {format_.clock_rate for format_ in first.values() if is_voice(format_)}
    if not clocks:
        return ()
    return tuple(
        format_
        for format_ in first.values()
        if is_voice(format_) or format_.clock_rate in clocks or (format_.name, format_.clock_rate) == (EVENTS, NARROW)
    )


@functools.lru_cache(maxsize=256)
def offered(codecs: tuple[str, ...], agreed: tuple[Format, ...] = ()) -> tuple[Format, ...]:
    """Return what to offer: what was agreed with another peer first, as it was, then the others of `codecs`.

    Events come last, one for each clock rate.
    """
    formats = [format_ for format_ in agreed if is_voice(format_)]
    taken = {format_.payload for format_ in agreed} | _STATIC.keys()
    names = {format_.name for format_ in formats}
    added = (name for name in codecs if name not in names and name != CN)
    formats.extend(_numbered(name, _ENCODINGS[name].clock_rates[0], taken) for name in added)
    clocks = dict.fromkeys(format_.clock_rate for format_ in formats)
    for name in (CN, EVENTS) if CN in codecs else (EVENTS,):
        theirs = {format_.clock_rate: format_ for format_ in agreed if format_.name == name}
        formats.extend(theirs.get(clock) or _numbered(name, clock, taken) for clock in clocks)
    return tuple(formats)


def _numbered(name: str, clock_rate: int, taken: set[int]) -> Format:
    """Return a new format under its static number, else one that is not taken yet."""
    encoding = _ENCODINGS[name]
    payload = encoding.static_payload if clock_rate == encoding.clock_rates[0] else None
    if payload is None:
        usual = (DEFAULT_EVENT_PAYLOAD,) if (name, clock_rate) == (EVENTS, NARROW) else ()
        reserved = taken if usual else taken | {DEFAULT_EVENT_PAYLOAD}
        dynamic = (*usual, *range(_FIRST_DYNAMIC, _LAST_PAYLOAD + 1))
        payload = next(number for number in dynamic if number not in reserved)
    taken.add(payload)
    return Format(payload, name, clock_rate, encoding.channels)


def chosen_voice(formats: Iterable[Format], wanted: str = "") -> Format:
    """Return what is spoken: of those agreed the codec that is wanted, else the first."""
    voices = [format_ for format_ in formats if is_voice(format_)]
    return next((format_ for format_ in voices if format_.name == wanted), voices[0])


def chosen_events(formats: Iterable[Format], voice: Format) -> Format | None:
    """Return the events sent beside a codec: those of its clock rate, else any."""
    events = [format_ for format_ in formats if format_.name == EVENTS]
    events.sort(key=lambda format_: format_.clock_rate != voice.clock_rate)
    return events[0] if events else None


def chosen_noise(formats: Iterable[Format], voice: Format) -> Format | None:
    """Return the comfort noise sent beside a codec, of its clock rate (RFC 3389 4)."""
    return next((each for each in formats if (each.name, each.clock_rate) == (CN, voice.clock_rate)), None)


def receiving(formats: Iterable[Format]) -> dict[int, Format]:
    """Return the formats by their numbers."""
    return {format_.payload: format_ for format_ in formats}


@functools.lru_cache(maxsize=256)
def describe(formats: tuple[Format, ...]) -> tuple[str, str]:
    """Return the payload numbers for our m= line, and the attribute lines for the formats."""
    lines = []
    for format_ in formats:
        channels = f"/{format_.channels}" if format_.channels > 1 else ""
        lines.append(f"a=rtpmap:{format_.payload} {format_.name}/{format_.clock_rate}{channels}\r\n")
        if said := parameters.ours(format_):
            lines.append(f"a=fmtp:{format_.payload} {said}\r\n")
    return " ".join(str(format_.payload) for format_ in formats), "".join(lines)
