"""What several legs say, each sent on in a stream of its own: one description with a labelled section for each.

The streams are legs like any others, which only hear. So they are relayed packet by packet where the recording server
takes the codec, are transcoded where it does not, and bear RTCP.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from media.api import NotAcceptable, Protection
from media.sdp.description import DIRECTIONS, MediaDescription, SessionDescription, parse

if TYPE_CHECKING:
    from media.api import Media, MediaEvent, MediaLeg

_SENDING, _SILENT = "sendonly", "inactive"
_EVENTS: Final = " telephone-event/"


class Fork:
    """Streams to a recording server. Its owner must call `close`, and `connect` once an answer was accepted."""

    def __init__(self, legs: Sequence[MediaLeg]) -> None:
        self.labels = tuple(str(number) for number in range(1, len(legs) + 1))
        self._legs = tuple(legs)
        self._served = (False,) * len(legs)
        self._offered: str | None = None
        self._version = 0

    def offer(self, *, paused: bool = False) -> str:
        """Return our offer: sections of one direction, `a=label` on each (RFC 7866 7.1); none while it is paused."""
        descriptions = [parse(leg.local_sdp) for leg in self._legs]
        direction = _SILENT if paused else _SENDING
        sections = [
            _section(each.media[0], label, direction) for each, label in zip(descriptions, self.labels, strict=True)
        ]
        lines = descriptions[0].lines
        body = SessionDescription([line for line in lines if line[0] != "o"], sections).serialise()
        if self._offered is not None and body != self._offered:
            self._version += 1  # RFC 3264 8
        self._offered = body
        return SessionDescription([_origin(line, self._version) for line in lines], sections).serialise()

    def accept(self, answer: str) -> None:
        """Take the recording server's answer; streams that it refuses are not sent. Raises NotAcceptable for all."""
        description = parse(answer)
        if len(description.media) != len(self._legs):
            raise NotAcceptable(f"The answer has {len(description.media)} m= lines, the offer had {len(self._legs)}.")
        served = []
        for leg, media in zip(self._legs, description.media, strict=True):
            if media.port:
                leg.accept(SessionDescription(description.lines, [media]).serialise())
            served.append(media.port > 0)
        if not any(served):
            raise NotAcceptable("The recording server refuses every stream.")
        self._served = tuple(served)

    def gains(self, speakers: Sequence[MediaLeg]) -> dict[tuple[MediaLeg, MediaLeg], float]:
        """Return what to add to the matrix of a conversation, so that these are heard, in the order of the labels."""
        heard = zip(speakers, self._legs, self._served, strict=True)
        return {(speaker, leg): 1.0 for speaker, leg, served in heard if served}

    async def close(self) -> None:
        """Free the ports."""
        for leg in self._legs:
            await leg.close()


async def open_fork(
    media: Media,
    name: str,
    speakers: Sequence[MediaLeg],
    *,
    protection: Protection = Protection.NONE,
    family: str = "",
) -> Fork:
    """Return streams for what these say; the rest as for `Media.open`. Raises MediaError, and leaves nothing open."""
    legs: list[MediaLeg] = []
    try:
        for number, speaker in enumerate(speakers, 1):
            leg = await media.open(f"{name}-{number}", _ignore, like=speaker, protection=protection, family=family)
            legs.append(leg)
    except BaseException:
        await Fork(legs).close()
        raise
    return Fork(legs)


def _section(media: MediaDescription, label: str, direction: str) -> MediaDescription:
    """Return a section that only sends, without digits, which may be secrets."""
    digits = {value.partition(" ")[0] for value in media.attributes("rtpmap") if _EVENTS in value}
    kept = [line for line in media.lines if line[1] not in DIRECTIONS and not _is_of(line, digits)]
    formats = [number for number in media.formats if number not in digits]
    lines = [*kept, ("a", direction), ("a", f"label:{label}")]
    return MediaDescription(media.kind, media.port, media.protocol, formats, media.port_count, lines)


def _is_of(line: tuple[str, str], numbers: set[str]) -> bool:
    name, _, rest = line[1].partition(":")
    return name in ("rtpmap", "fmtp") and rest.partition(" ")[0] in numbers


def _origin(line: tuple[str, str], version: int) -> tuple[str, str]:
    if line[0] != "o":
        return line
    user, number, first, *rest = line[1].split(" ")
    return "o", " ".join((user, number, str(int(first) + version), *rest))


def _ignore(_: MediaEvent) -> None:
    """Take what a recording server's stream tells: it only hears."""
