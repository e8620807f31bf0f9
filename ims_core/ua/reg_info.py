"""application/reginfo+xml: who is registered with which contacts, as a document (RFC 3680 section 5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET

from ims_core.ua.xml_text import xml_text

REGINFO: Final = "application/reginfo+xml"
NAMESPACE: Final = "urn:ietf:params:xml:ns:reginfo"
WILDCARD_NAMESPACE: Final = "urn:3gpp:ns:extRegExp:1.0"  # TS 24.229 section 7.10.2

# The states of a registration, and of a contact (5.1); one that never was anything yet is not told of.
ACTIVE: Final = "active"
TERMINATED: Final = "terminated"


class ContactState(NamedTuple):
    """One ``contact`` element. ``id`` names it in all documents of a subscription; what is unknown is empty or None.

    ``event`` is what led to the state (5.2). ``expires``, ``retry_after`` and ``duration``, for which it has been
    registered, are seconds; ``params`` are what its Contact said besides, as it is written there, "" where a parameter
    has no value.
    """

    id: str
    uri: str
    state: str
    event: str
    expires: int | None = None
    retry_after: int | None = None
    duration: int | None = None
    q: float | None = None
    call_id: str = ""
    cseq: int | None = None
    display: str = ""
    params: tuple[tuple[str, str], ...] = ()


class RegistrationState(NamedTuple):
    """One ``registration`` element: of ``aor``, or of all that the ``wildcard`` stands for, ``aor`` being one of them.

    ``id`` names it in all documents of a subscription.
    """

    id: str
    aor: str
    state: str
    contacts: tuple[ContactState, ...] = ()
    wildcard: str = ""


def write_reg_info(version: int, registrations: Iterable[RegistrationState], *, full: bool) -> bytes:
    """Write a document; ``full`` unless it holds what changed only (5.1)."""
    told = tuple(registrations)
    root = ET.Element("reginfo", {"xmlns": NAMESPACE})
    if any(registration.wildcard for registration in told):
        root.set("xmlns:ere", WILDCARD_NAMESPACE)
    root.set("version", str(version))
    root.set("state", "full" if full else "partial")
    for registration in told:
        element = ET.SubElement(
            root, "registration", aor=_uri(registration.aor), id=registration.id, state=registration.state
        )
        for contact in registration.contacts:
            _write_contact(element, contact)
        if registration.wildcard:
            ET.SubElement(element, "ere:wildcardedIdentity").text = xml_text(registration.wildcard)
    document: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return document


def _write_contact(parent: ET.Element, contact: ContactState) -> None:
    attributes = (
        ("id", contact.id),
        ("state", contact.state),
        ("event", contact.event),
        ("duration-registered", contact.duration),
        ("expires", contact.expires),
        ("retry-after", contact.retry_after),
        ("q", None if contact.q is None else f"{contact.q:.3g}"),
        ("callid", contact.call_id or None),
        ("cseq", contact.cseq),
    )
    element = ET.SubElement(
        parent, "contact", {name: xml_text(str(value)) for name, value in attributes if value is not None}
    )
    ET.SubElement(element, "uri").text = _uri(contact.uri)
    if contact.display:
        ET.SubElement(element, "display-name").text = xml_text(contact.display)
    for name, value in contact.params:
        ET.SubElement(element, "unknown-param", name=xml_text(name)).text = xml_text(value)


def _uri(text: str) -> str:
    """Return a URI as a document may have it: SIP allows more in parameters than RFC 3986, and we are lenient."""
    return _IN_URIS.sub(lambda found: found[1] or quote(found[2], safe=""), xml_text(text))


_IN_URIS: Final = re.compile(
    r"((?<=[@:])\[[0-9A-Fa-f:.]+\]|%[0-9A-Fa-f]{2}|[A-Za-z0-9._~:/?@!$&'()*+,;=-])|(.)", re.DOTALL
)
