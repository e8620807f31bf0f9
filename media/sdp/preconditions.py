"""What a peer wants reserved before anybody is alerted: preconditions of quality of service (RFC 3312, RFC 4032).

Both sides keep a status table of each stream: for each segment of its way and each direction, whether resources are
there and how much that matters. Here it is kept as we see it: `local` is our access, `remote` the peer's, and `send`
the direction away from us. The peer's lines "represent the point of view of the entity generating the SDP description"
(RFC 3312 4), so they are turned round when they are read. Our own resources need no reservation: they are always there.
"""

from __future__ import annotations

import functools
import re
from typing import Final, NamedTuple

from media.api import CannotReserve, ReservationFailed
from media.sdp.description import MalformedSdp, MediaDescription

SEND: Final = 1
RECV: Final = 2
BOTH: Final = SEND | RECV

MANDATORY: Final = "mandatory"
_STRENGTHS: Final = (MANDATORY, "optional", "none")
_FAILURE: Final = "failure"  # what RFC 3312 8 calls desired and found impossible,
_UNKNOWN: Final = "unknown"  # and what RFC 3312 9 calls of a type that nobody knows
_TYPE: Final = "qos"
_DIRECTIONS: Final = {"none": 0, "send": SEND, "recv": RECV, "sendrecv": BOTH}
_TAGS: Final = {bits: tag for tag, bits in _DIRECTIONS.items()}
_SWAPPED: Final = (0, RECV, SEND, BOTH)
_OPPOSITE: Final = {"local": "remote", "remote": "local", "e2e": "e2e"}
# What is there of our own resources: all of our access; of the whole way, what leaves us.
_OURS: Final = {"local": BOTH, "remote": 0, "e2e": SEND}
_STATUS_LINES: Final = re.compile(r"(?:a=(?:curr|des|conf):[^\r\n]*\r\n)+")  # of one stream, as we write them
_CURRENT_FIELDS: Final = 3
_DESIRED_FIELDS: Final = 4
_LONGEST_SHOWN: Final = 60


class Segment(NamedTuple):
    """One row of the table: directions as bits, `current` where resources are there, `desired` by strength."""

    name: str
    current: int
    desired: tuple[tuple[str, int], ...] = ()

    @property
    def missing(self) -> int:
        """The directions that are mandatory and have no resources yet."""
        return dict(self.desired).get(MANDATORY, 0) & ~self.current


class Preconditions(NamedTuple):
    """The status table of a stream."""

    segments: tuple[Segment, ...]

    @property
    def met(self) -> bool:
        """Whether the session may be established: nothing mandatory is missing (RFC 3312 6)."""
        return not any(segment.missing for segment in self.segments)

    def lines(self) -> str:
        """Return the attribute lines of our answer, which ask for a confirmation of what is missing (RFC 3312 7)."""
        current = [f"a=curr:{_TYPE} {each.name} {_TAGS[each.current]}\r\n" for each in self.segments]
        desired = [
            f"a=des:{_TYPE} {strength} {each.name} {_TAGS[directions]}\r\n"
            for each in self.segments
            for strength, directions in each.desired
        ]
        confirm = [f"a=conf:{_TYPE} {each.name} {_TAGS[each.missing]}\r\n" for each in self.segments if each.missing]
        return "".join((*current, *desired, *confirm))

    def refusal(self, description: str) -> str:
        """Return a description of ours with nothing said of the status but what is missing for good (RFC 3312 8)."""
        lines = (_refused(_TYPE, _FAILURE, each.name, each.missing) for each in self.segments if each.missing)
        return _STATUS_LINES.sub("".join(lines), description)


def read_peers(media: MediaDescription) -> Preconditions | None:
    """Read the preconditions that the peer's offer or answer sets for a stream; None: none that we know of.

    Raises `CannotReserve` for a mandatory one of another type than `qos` (RFC 3312 9), `ReservationFailed` where the
    peer says that it could not reserve, MalformedSdp. What is desired of another type otherwise counts for nothing.
    """
    current, desired = media.attributes("curr"), media.attributes("des")
    return _read(tuple(current), tuple(desired)) if desired else None


# Our own offer: we need nothing and want to hear of the peer's resources. An answer may raise what is desired (5.2).
OFFERED: Final = Preconditions(
    (Segment("local", BOTH, (("optional", BOTH),)), Segment("remote", 0, (("optional", BOTH),)))
)
OFFER_LINES: Final = f"{OFFERED.lines()}a=conf:{_TYPE} remote {_TAGS[BOTH]}\r\n"


# Handsets of one make all say the same.
@functools.lru_cache(maxsize=64)
def _read(current: tuple[str, ...], desired: tuple[str, ...]) -> Preconditions | None:
    wanted: dict[str, dict[str, int]] = {}
    for value in desired:
        kind, strength, segment, directions = _fields(value, _DESIRED_FIELDS)
        if strength == _FAILURE:
            refused = _refused(kind, _FAILURE, _ours(segment, value), _turned(directions, value))
            raise ReservationFailed("The peer could not reserve what it made a precondition.", refused)
        if strength not in _STRENGTHS:
            raise MalformedSdp(f"The SDP has a precondition of unknown strength: {value[:_LONGEST_SHOWN]}")
        if kind == _TYPE:
            of_segment = wanted.setdefault(_ours(segment, value), {})
            of_segment[strength] = of_segment.get(strength, 0) | _turned(directions, value)
        elif strength == MANDATORY:
            refused = _refused(kind, _UNKNOWN, _ours(segment, value), _turned(directions, value))
            raise CannotReserve(f"The precondition {kind[:_LONGEST_SHOWN]} is not served.", refused)
    there = {name: bits for name, bits in _OURS.items() if name in wanted or _OPPOSITE[name] in wanted}
    for value in current:
        kind, segment, directions = _fields(value, _CURRENT_FIELDS)
        if kind == _TYPE and (name := _ours(segment, value)) in there:
            there[name] |= _turned(directions, value)
    segments = (Segment(name, bits, _in_order(wanted.get(name, {}))) for name, bits in there.items())
    return Preconditions(tuple(segments)) if wanted else None


def _refused(kind: str, strength: str, segment: str, directions: int) -> str:
    return f"a=des:{kind} {strength} {segment} {_TAGS[directions]}\r\n"


def _in_order(desired: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple((strength, desired[strength]) for strength in _STRENGTHS if strength in desired)


def _fields(value: str, count: int) -> list[str]:
    fields = value.lower().split()
    if len(fields) != count or len(fields[0]) > _LONGEST_SHOWN:
        raise MalformedSdp(f"The SDP has an unusable precondition: {value[:_LONGEST_SHOWN]}")
    return fields


def _ours(segment: str, value: str) -> str:
    """Return what the peer's segment is to us."""
    name = _OPPOSITE.get(segment)
    if name is None:
        raise MalformedSdp(f"The SDP has a precondition of unknown segment: {value[:_LONGEST_SHOWN]}")
    return name


def _turned(directions: str, value: str) -> int:
    """Return the peer's directions as bits of ours."""
    bits = _DIRECTIONS.get(directions)
    if bits is None:
        raise MalformedSdp(f"The SDP has a precondition of unknown direction: {value[:_LONGEST_SHOWN]}")
    return _SWAPPED[bits]
