"""application/dialog-info+xml: what is known of the dialogs of a user, as a document (RFC 4235 section 4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET
from xml.parsers import expat

from ims_core.errors import BadRequest
from ims_core.ua.xml_text import xml_text

DIALOG_INFO: Final = "application/dialog-info+xml"
NAMESPACE: Final = "urn:ietf:params:xml:ns:dialog-info"

# 3.7.1: the states of a dialog
TRYING: Final = "trying"
PROCEEDING: Final = "proceeding"
EARLY: Final = "early"
CONFIRMED: Final = "confirmed"
TERMINATED: Final = "terminated"
_STATES = frozenset((TRYING, PROCEEDING, EARLY, CONFIRMED, TERMINATED))

# What made it change (4.1.2)
_EVENTS = frozenset(("cancelled", "rejected", "replaced", "local-bye", "remote-bye", "error", "timeout"))

_LARGEST = 65_536  # bytes of a document that is read
_MOST_DIALOGS = 256
_MOST_ELEMENTS = 8192


class Party(NamedTuple):
    """One side of a dialog: who it is, and where it is reached."""

    identity: str = ""
    display: str = ""
    target: str = ""


class DialogState(NamedTuple):
    """One ``dialog`` element. ``id`` names it in all documents of a subscription; what is unknown is empty or None.

    ``direction`` is ``initiator`` or ``recipient``; ``event`` and ``code`` tell what led to the state (4.1.2);
    ``seconds`` how long the dialog has lasted.
    """

    id: str
    state: str
    direction: str = ""
    call_id: str = ""
    local_tag: str = ""
    remote_tag: str = ""
    event: str = ""
    code: int | None = None
    seconds: int | None = None
    local: Party = Party()
    remote: Party = Party()


class DialogInfo(NamedTuple):
    """A whole document; ``full`` unless it holds what changed only. ``version`` grows by one each time (4.3)."""

    entity: str
    version: int
    full: bool
    dialogs: tuple[DialogState, ...]


# Writing ------------------------------------------------------------------------------------------------------------


def write_dialog_info(entity: str, version: int, dialogs: Iterable[DialogState], *, full: bool) -> bytes:
    """Write a document about ``entity``, the URI of a user."""
    root = ET.Element("dialog-info", xmlns=NAMESPACE, version=str(version), entity=xml_text(entity))
    root.set("state", "full" if full else "partial")
    for dialog in dialogs:
        attributes = (
            ("id", dialog.id), ("call-id", dialog.call_id), ("local-tag", dialog.local_tag),
            ("remote-tag", dialog.remote_tag), ("direction", dialog.direction),
        )  # fmt: skip
        element = ET.SubElement(root, "dialog", {name: xml_text(value) for name, value in attributes if value})
        state = ET.SubElement(element, "state")
        state.text = dialog.state
        if dialog.event:
            state.set("event", dialog.event)
        if dialog.code is not None:
            state.set("code", str(dialog.code))
        if dialog.seconds is not None:
            ET.SubElement(element, "duration").text = str(dialog.seconds)
        for side, party in (("local", dialog.local), ("remote", dialog.remote)):
            _write_party(element, side, party)
    document: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return document


def _write_party(parent: ET.Element, side: str, party: Party) -> None:
    if party == Party():
        return
    element = ET.SubElement(parent, side)
    if party.identity:
        identity = ET.SubElement(element, "identity")
        identity.text = xml_text(party.identity)
        if party.display:
            identity.set("display", xml_text(party.display))
    if party.target:
        ET.SubElement(element, "target", uri=xml_text(party.target))


# Reading ------------------------------------------------------------------------------------------------------------


def parse_dialog_info(body: bytes) -> DialogInfo:
    """Read a document. Raises ``BadRequest`` for what is none, what is too large, and for any DTD: nothing is expanded.

    A dialog whose state is unknown or which has no id is left out; foreign elements are passed over (4.1).
    """
    root = _parse_xml(body)
    version = root.get("version", "")
    if root.tag != _tag("dialog-info") or root.get("state") not in {"full", "partial"}:
        raise BadRequest("Malformed dialog-info")
    if not version.isascii() or not version.isdigit() or len(version) > 10:
        raise BadRequest("Malformed dialog-info version")
    dialogs = [_dialog(element) for element in root.findall(_tag("dialog"))[:_MOST_DIALOGS]]
    known = tuple(dialog for dialog in dialogs if dialog.id and dialog.state in _STATES)
    return DialogInfo(root.get("entity", ""), int(version), root.get("state") == "full", known)


def _dialog(element: ET.Element) -> DialogState:
    state = element.find(_tag("state"))
    event = "" if state is None else state.get("event", "")
    return DialogState(
        id=element.get("id", ""),
        state=_content(state),
        direction=element.get("direction", ""),
        call_id=element.get("call-id", ""),
        local_tag=element.get("local-tag", ""),
        remote_tag=element.get("remote-tag", ""),
        event=event if event in _EVENTS else "",
        code=None if state is None else _number(state.get("code", "")),
        seconds=_number(_content(element.find(_tag("duration")))),
        local=_party(element.find(_tag("local"))),
        remote=_party(element.find(_tag("remote"))),
    )


def _party(element: ET.Element | None) -> Party:
    if element is None:
        return Party()
    identity, target = element.find(_tag("identity")), element.find(_tag("target"))
    return Party(
        _content(identity),
        "" if identity is None else identity.get("display", ""),
        "" if target is None else target.get("uri", ""),
    )


def _content(element: ET.Element | None) -> str:
    return "" if element is None else (element.text or "").strip()


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


class _Refused(Exception):
    """A document asks for more than is given."""


def _parse_xml(body: bytes) -> ET.Element:
    """Parse XML without a document type, so that there are no entities to expand and nothing to fetch."""
    if len(body) > _LARGEST:
        raise BadRequest("Document too large")
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    elements = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal elements
        elements += 1
        if elements > _MOST_ELEMENTS:
            raise _Refused
        builder.start(_qualified(name), attributes)

    def refuse(*_: object) -> None:
        raise _Refused

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: builder.end(_qualified(name))
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
        return builder.close()
    except (expat.ExpatError, _Refused, ValueError, LookupError, AssertionError):
        raise BadRequest("Malformed XML") from None


def _qualified(name: str) -> str:
    return "{" + name if "}" in name else name
