"""Reads application/reginfo+xml (RFC 3680 section 5) as registrars write it: what is missing or odd is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ims_core.ua.reg_info import WILDCARD_NAMESPACE, ContactState, RegistrationState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

_DIGITS = 10  # of the numbers that are read: xs:unsignedInt has no more


class RegInfoError(ValueError):
    """A body that is no registration information."""


class RegInfo(NamedTuple):
    """A document: ``full`` unless it holds what changed only (5.1)."""

    version: int | None
    full: bool
    registrations: tuple[RegistrationState, ...]


def read_reg_info(data: bytes) -> RegInfo:
    """Read a document. Raises ``RegInfoError`` for what is not XML, has a document type or is something else."""
    root = _parse(data)
    namespace, name = _split(root.tag)
    if name != "reginfo":
        raise RegInfoError(f"The root is {name[:40]!r}")
    registrations = tuple(_registration(element, namespace) for element in _children(root, namespace, "registration"))
    return RegInfo(_number(root, "version"), root.get("state") != "partial", registrations)


def _parse(data: bytes) -> Element:
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except ParseError as error:
        raise RegInfoError(f"Not well-formed ({error})") from None
    except DefusedXmlException:
        raise RegInfoError("With a document type") from None
    except (ValueError, LookupError):
        raise RegInfoError("Of an encoding that nobody knows") from None
    return root


def _registration(element: Element, namespace: str) -> RegistrationState:
    return RegistrationState(
        element.get("id", ""),
        element.get("aor", "").strip(),
        element.get("state", ""),
        tuple(_contact(each, namespace) for each in _children(element, namespace, "contact")),
        _text(element, WILDCARD_NAMESPACE, "wildcardedIdentity"),
    )


def _contact(element: Element, namespace: str) -> ContactState:
    return ContactState(
        element.get("id", ""),
        _text(element, namespace, "uri"),
        element.get("state", ""),
        element.get("event", ""),
        expires=_number(element, "expires"),
        retry_after=_number(element, "retry-after"),
        duration=_number(element, "duration-registered"),
        q=_quality(element.get("q", "")),
        call_id=element.get("callid", ""),
        cseq=_number(element, "cseq"),
        display=_text(element, namespace, "display-name"),
        params=tuple(
            (each.get("name", ""), each.text or "") for each in _children(element, namespace, "unknown-param")
        ),
    )


def _children(element: Element, namespace: str, name: str) -> Iterator[Element]:
    return (child for child in element if _split(child.tag) == (namespace, name))


def _text(element: Element, namespace: str, name: str) -> str:
    child = next(_children(element, namespace, name), None)
    return "" if child is None else (child.text or "").strip()


def _split(tag: str) -> tuple[str, str]:
    namespace, _, name = tag.rpartition("}")
    return namespace.removeprefix("{"), name


def _number(element: Element, name: str) -> int | None:
    text = element.get(name, "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


def _quality(text: str) -> float | None:
    try:
        q = float(text)
    except ValueError:
        return None
    return q if 0.0 <= q <= 1.0 else None
