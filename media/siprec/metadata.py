"""Metadata of a recording session (RFC 7865): who takes part in a call and which stream is whose, as XML."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

CONTENT_TYPE: Final = "application/rs-metadata+xml"
DISPOSITION: Final = "recording-session"
"""The Content-Disposition of the metadata (RFC 7866 9.1)."""
NAMESPACE: Final = "urn:ietf:params:xml:ns:recording:1"
_NO_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")


def unique_id(random: Callable[[int], int]) -> str:
    """Return a new id: a UUID in base64 (RFC 7865 6.10). `random` returns that many random bits."""
    number = random(128) & ~(0xF << 76) & ~(0x3 << 62)
    return base64.b64encode((number | 4 << 76 | 2 << 62).to_bytes(16, "big")).decode()  # RFC 9562 5.4


@dataclass
class Participant:
    """Somebody in the call: the address of record, and the name if there is one. `left` is None while he is there."""

    id: str
    aor: str
    name: str
    joined: float
    left: float | None = None


@dataclass
class _Stream:
    """A media stream to the recording server, by the label of its m= section (RFC 4574), and who is heard in it."""

    id: str
    label: str
    sender: Participant | None = None
    associations: list[tuple[Participant, float, float | None]] = field(default_factory=list)


class Metadata:
    """The state of one call as a recording server is told of it. Times are in unix seconds.

    Every document is a whole snapshot ("complete"), so that none depends on another (RFC 7866 9.1).
    """

    def __init__(self, labels: Sequence[str], now: float, random: Callable[[int], int], sip_session: str = "") -> None:
        self._random = random
        self._began = now
        self._ended: float | None = None
        self._sip_session = sip_session
        self._group_id, self._session_id = unique_id(random), unique_id(random)
        self._participants: list[Participant] = []
        self._streams = {label: _Stream(unique_id(random), label) for label in labels}

    def join(self, aor: str, name: str, label: str, now: float) -> Participant:
        """Somebody takes part, and is heard in the stream of this label from here on, in place of whoever was."""
        participant = Participant(unique_id(self._random), aor, name, now)
        self._participants.append(participant)
        self.hear(label, participant, now)
        return participant

    def leave(self, participant: Participant, now: float) -> None:
        """Somebody hangs up, or is transferred away."""
        participant.left = now
        for stream in self._streams.values():
            if stream.sender is participant:
                self.hear(stream.label, None, now)

    def hear(self, label: str, participant: Participant | None, now: float) -> None:
        """From now on that stream has what this participant says; None: nobody (hold, a pause of the recording)."""
        stream = self._streams[label]
        if stream.sender is not None:
            sender, since, _ = stream.associations.pop()
            stream.associations.append((sender, since, now))
        stream.sender = participant
        if participant is not None:
            stream.associations.append((participant, now, None))

    def end(self, now: float) -> None:
        """The call is over."""
        for participant in self._participants:
            if participant.left is None:
                self.leave(participant, now)
        self._ended = now

    def document(self) -> str:
        """Return the snapshot of what is known now."""
        root = ET.Element("recording", xmlns=NAMESPACE)
        _text(root, "datamode", "complete")
        group = ET.SubElement(root, "group", group_id=self._group_id)
        _span(group, self._began, self._ended)
        session = ET.SubElement(root, "session", session_id=self._session_id)
        if self._sip_session:
            _text(session, "sipSessionID", self._sip_session)
        _text(session, "group-ref", self._group_id)
        _text(session, "start-time", instant(self._began))
        if self._ended is not None:
            _text(session, "stop-time", instant(self._ended))
        self._write_parties(root)
        self._write_associations(root)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}'

    def _write_parties(self, root: ET.Element) -> None:
        for participant in self._participants:
            element = ET.SubElement(root, "participant", participant_id=participant.id)
            name_id = ET.SubElement(element, "nameID", aor=_uri(participant.aor))
            if participant.name:
                _text(name_id, "name", participant.name)
        for stream in self._streams.values():
            element = ET.SubElement(root, "stream", stream_id=stream.id, session_id=self._session_id)
            _text(element, "label", stream.label)

    def _write_associations(self, root: ET.Element) -> None:
        element = ET.SubElement(root, "sessionrecordingassoc", session_id=self._session_id)
        _span(element, self._began, self._ended)
        for participant in self._participants:
            element = ET.SubElement(
                root, "participantsessionassoc", participant_id=participant.id, session_id=self._session_id
            )
            _span(element, participant.joined, participant.left)
        for participant in self._participants:
            for stream in self._streams.values():
                for sender, since, until in stream.associations:
                    if sender is participant:
                        element = ET.SubElement(root, "participantstreamassoc", participant_id=participant.id)
                        _text(element, "send", stream.id)
                        _span(element, since, until)
            heard = [stream.id for stream in self._streams.values() if stream.sender not in (None, participant)]
            if heard and participant.left is None:
                element = ET.SubElement(root, "participantstreamassoc", participant_id=participant.id)
                for stream_id in heard:
                    _text(element, "recv", stream_id)


def instant(unix: float) -> str:
    """Return an xs:dateTime in UTC, to the millisecond."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _uri(text: str) -> str:
    """Escape what cannot stand in a URI."""
    return _NO_ESCAPE.sub("%25", quote(text, safe=":;?@&=+$,/%-_.!~*'()", errors="replace"))


def _text(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = "".join(character for character in text if character.isprintable())


def _span(element: ET.Element, since: float, until: float | None) -> None:
    _text(element, "associate-time", instant(since))
    if until is not None:
        _text(element, "disassociate-time", instant(until))
