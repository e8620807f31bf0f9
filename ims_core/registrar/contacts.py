"""What a REGISTER says of each contact (RFC 3261 sections 10.3 and 20.10, RFC 5626 section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Final

from ims_core.errors import BadRequest, UnsupportedScheme
from ims_core.messages.headers import TOKEN, parse_name_addr, quote_string
from ims_core.structs import Value

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.headers import NameAddr, Via
    from ims_core.messages.message import Request
    from ims_core.messages.uri import Uri
    from ims_core.registrar.location import Binding

_BROWSERS: Final = frozenset(("WS", "WSS"))
_FIELDS: Final = frozenset(("q", "expires", "+sip.instance", "reg-id"))


class Wish(Value):
    """What a request asks for one contact: ``held`` is its binding if there is one, ``lifetime`` in seconds."""

    uri: Uri
    held: Binding | None
    lifetime: int
    q: float | None = None
    instance: str = ""
    reg_id: int = 0


def contact_uri(contact: NameAddr) -> Uri:
    """The URI of a contact. Raises ``BadRequest``."""
    try:
        return contact.uri
    except UnsupportedScheme:
        raise BadRequest("Unsupported scheme in Contact") from None


def features(binding: Binding) -> list[tuple[str, str]]:
    """The parameters that a contact came with, besides those that have a field of their own in its binding.

    Each with its value as it can be written, empty when it had none. Nothing is known of a contact that came among
    others, or before a restart.
    """
    if not binding.written:
        return []
    params = parse_name_addr(binding.written).params
    return [(name, as_written(value)) for name, value in params.items() if name not in _FIELDS]


def as_written(value: str) -> str:
    """Write the value of a parameter, quoted unless it is a token."""
    return value if TOKEN.issuperset(value) else quote_string(value)


def ends_with_uri(contact: str) -> bool:
    """Whether a contact is sure to have no parameters of its own, and no other behind it."""
    return 0 <= contact.find(">") == len(contact) - 1


def names_sender(contact: Uri, via: Via, flow: Flow) -> bool:
    """Whether a contact is the phone's own idea of the address that it sends from.

    Then requests take the flow, which also works through a NAT that the phone knows nothing of; otherwise the contact
    is meant as it stands. A web browser cannot be reached in any other way (RFC 7118 section 5).
    """
    if flow.transport in _BROWSERS:
        return True
    if contact.transport != flow.transport or contact.host != via.host:
        return False
    return flow.reliable or (contact.port or 5060) == (via.port or 5060)


def came_directly(request: Request) -> bool:
    """Whether the sender is the user agent itself: the registrar is the first hop."""
    keys = request.keys
    return keys.count("via") == 1 and "," not in request.lines[keys.index("via")]


def path_of(request: Request) -> tuple[str, ...]:
    """The proxies that requests to the contacts are to pass, the first hop first. Raises ``BadRequest``."""
    if "path" not in request.keys:
        return ()
    path = tuple(request.values("Path"))
    for value in path:
        try:
            leads_on = parse_name_addr(value).uri.scheme != "tel"
        except UnsupportedScheme:
            leads_on = False
        if not leads_on:
            raise BadRequest("Unsupported scheme in Path")
    return path


def passed_an_edge(path: Sequence[str]) -> bool:
    """Whether the proxy nearest to the user agent keeps its flow: its URI in the Path has ``ob``."""
    return bool(path) and "ob" in parse_name_addr(path[-1]).uri.params


def preference(contact: NameAddr) -> float | None:
    """The ``qvalue`` of a contact (25.1): 0 to 1 with at most three decimals. Raises ``BadRequest``."""
    text = contact.params.get("q")
    if text is None:
        return None
    whole, _, decimals = text.partition(".")
    if whole not in {"0", "1"} or len(decimals) > 3 or (decimals and not (decimals.isascii() and decimals.isdigit())):
        raise BadRequest("Malformed q")
    q = float(text)
    if q > 1:
        raise BadRequest("Malformed q")
    return q


def registration_id(contact: NameAddr) -> int:
    """The ``reg-id`` of a contact, from 1 to 2**31 - 1; 0 when it names none. Raises ``BadRequest``."""
    text = contact.params.get("reg-id")
    if text is None:
        return 0
    number = seconds(text)
    if not number or number >= 2**31:
        raise BadRequest("Malformed reg-id")
    return number


def seconds_left(end: float, now: float) -> int:
    """Return the whole seconds until ``end``, the one that has begun included; floats that are a hair off add none."""
    return ceil(end - now - 1e-6)


def seconds(text: str | None) -> int | None:
    """The value of a ``delta-seconds``, None when it is none."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text)
