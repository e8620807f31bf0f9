"""Refer-To: what a REFER asks for (RFC 3515 section 2.1; RFC 3261 section 19.1.5 for the header fields in a URI)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from ims_core.errors import BadRequest
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.uri import parse_uri
from ims_core.ua.replaces import Replaces, parse_replaces

if TYPE_CHECKING:
    from ims_core.messages.message import Request

# 19.1.5: an element "SHOULD NOT honor" what could make it lie about itself; only these are worth having
_HONOURED = {
    name.lower(): name
    for name in ("Replaces", "Require", "Subject", "Priority", "Accept-Contact", "Reject-Contact", "Call-Info")
}


class ReferTo(NamedTuple):
    """Whom to contact, by which method, with which header fields.

    ``uri`` has neither the method nor the header fields any more: it is what the new request is sent to.
    """

    uri: str
    method: str = "INVITE"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def replaces(self) -> Replaces | None:
        """The call that the new one is to replace. Raises ``BadRequest``."""
        return next((parse_replaces(value) for name, value in self.headers if name == "Replaces"), None)


def refer_to_of(request: Request) -> ReferTo:
    """Return what a REFER asks for. Raises ``BadRequest`` unless there is exactly one Refer-To (2.4.2)."""
    values = request.whole_values("Refer-To")
    if len(values) != 1:
        raise BadRequest("REFER must have one Refer-To")
    return parse_refer_to(values[0])


def parse_refer_to(text: str) -> ReferTo:
    """Parse a Refer-To value. Raises ``BadRequest``; ``UnsupportedScheme`` for what is no SIP or tel URI."""
    address = parse_name_addr(text)
    whole = parse_uri(address.uri_text)
    if whole.scheme == "tel":
        return ReferTo(address.uri_text)
    base, _, tail = address.uri_text.partition("?")
    method = whole.params.get("method", "INVITE").upper()
    if "method" in whole.params:
        head, *params = base.split(";")
        base = ";".join([head, *(param for param in params if param.partition("=")[0].lower() != "method")])
    return ReferTo(base, method, tuple(_headers(tail)))


def _headers(tail: str) -> list[tuple[str, str]]:
    found = []
    for field in tail.split("&") if tail else ():
        name, equals, value = field.partition("=")
        honoured = _HONOURED.get(unquote(name).lower())
        value = unquote(value)
        if not equals or any(character < " " for character in value):
            raise BadRequest("Malformed Refer-To")
        if honoured is not None:
            found.append((honoured, value))
    return found
