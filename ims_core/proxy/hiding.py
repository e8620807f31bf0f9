"""Topology hiding: what lies behind this proxy is not told to peers outside (TS 24.229 section 5.10.4; RFC 3323 4.1).

Where a message leaves the inside, its other Via values are kept back until the response comes, and what a peer has to
send back later, the Record-Route of inner proxies and the Contact, goes out sealed in URIs of ours: encrypted, bound to
the Call-ID, and therefore without state for the dialog.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from ims_core.errors import SipError
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.uri import is_sips

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Message, Request, Response
    from ims_core.messages.uri import Uri
    from ims_core.proxy.passage import Passage
    from ims_core.proxy.record_route import RecordRoute

_ROUTE = b"route"
_CONTACT = b"contact"


class Seal:
    """Encrypts texts into what may stand in the user part of a URI; the same text always alike (RFC 5297).

    A sealed text is four thirds of its length and 22 characters long.
    """

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(blake2b(secret, digest_size=64, person=b"hidden topology").digest())

    def close(self, text: str, purpose: bytes, call_id: str) -> str:
        """Seal ``text`` for this purpose and Call-ID."""
        sealed = self._cipher.encrypt(_bytes(text), [purpose, _bytes(call_id)])
        return urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, sealed: str, purpose: bytes, call_id: str) -> str | None:
        """Return the text that was sealed; None: it was not by us, for this."""
        try:
            data = urlsafe_b64decode(_bytes(sealed) + b"=" * (-len(sealed) % 4))
            text = self._cipher.decrypt(data, [purpose, _bytes(call_id)])
        except (NotBase64, InvalidTag, ValueError):
            return None
        return text.decode("utf-8", "surrogateescape")


class TopologyHiding:
    """Hides what is inside from the peers for whose flows ``is_outside`` says so.

    Of a message that leaves the inside, Via, Record-Route, Contact and the host of a Warning are hidden. Call-ID, From,
    To and bodies stay as they are: who writes addresses there tells them.
    """

    def __init__(self, secret: bytes, is_outside: Callable[[Flow], bool]) -> None:
        self._seal = Seal(secret)
        self._is_outside = is_outside

    # Requests -----------------------------------------------------------------------------------------------

    def cross(self, copy: Request, passage: Passage, leaves_by: Flow) -> None:
        """Hide the inside in a request that leaves it; all but our own Via, which comes on top, and Record-Route."""
        if not self._is_outside(leaves_by) or self._is_outside(passage.came_by):
            return
        copy.remove("Via")
        values = copy.values("Record-Route")
        copy.remove("Record-Route")
        if passage.records:
            ours, *inside = values
            copy.prepend("Record-Route", self._with_sealed(ours, inside, passage.token, copy.call_id))
        self._hide_contacts(copy, passage.record_route, leaves_by)

    def reveal_target(self, request: Request) -> None:
        """Restore the Request-URI when it is a Contact that we sealed."""
        user, at, _ = request.uri.partition(":")[2].partition("@")
        contact = self._seal.open(user, _CONTACT, request.call_id) if at else None
        if contact is not None:
            request.uri = contact

    def reveal_route(self, request: Request, ours: Uri) -> None:
        """Put back into the Route what ``ours``, just taken off it, holds sealed."""
        sealed = ours.user.partition(".")[2]
        inside = self._seal.open(sealed, _ROUTE, request.call_id) if sealed else None
        if inside is not None:
            for route in reversed(inside.split("\n")):
                request.prepend("Route", route)

    # Responses ----------------------------------------------------------------------------------------------

    def cross_back(self, response: Response, passage: Passage, came_from: Flow) -> None:
        """Undo in a response that comes in what was done to its request; hide the inside in one that goes out.

        Our own Via has been taken off the response already.
        """
        from_outside, to_outside = self._is_outside(came_from), self._is_outside(passage.came_by)
        if from_outside and not to_outside:
            self._restore(response, passage)
        elif to_outside and not from_outside:
            self._hide_in_response(response, passage)

    def _restore(self, response: Response, passage: Passage) -> None:
        response.remove("Via")
        for via in reversed(passage.request.values("Via")):
            response.prepend("Via", via)
        values = response.values("Record-Route")
        marker = f":{passage.token}."
        if not any(marker in value for value in values):
            return
        restored = []
        for value in values:
            sealed = value.partition(marker)[2].partition("@")[0]
            inside = self._seal.open(sealed, _ROUTE, response.call_id) if sealed else None
            if inside is None:
                restored.append(value)
            else:
                restored.append(value.replace(f".{sealed}@", "@", 1))
                restored += inside.split("\n")
        _replace(response, "Record-Route", restored)

    def _hide_in_response(self, response: Response, passage: Passage) -> None:
        values = response.values("Record-Route")
        marker = f":{passage.token}@"
        ours = max((position for position, value in enumerate(values) if marker in value), default=None)
        if ours is None:  # no dialog comes of it
            response.remove("Record-Route")
        else:  # who gets a response follows its Record-Route from below
            inside = values[:ours][::-1]
            top = self._with_sealed(values[ours], inside, passage.token, response.call_id)
            _replace(response, "Record-Route", [top, *values[ours + 1 :]])
        self._hide_contacts(response, passage.record_route, passage.came_by)
        warnings = response.values("Warning")
        if warnings:
            _replace(response, "Warning", [_without_agent(warning) for warning in warnings])

    # Both ---------------------------------------------------------------------------------------------------

    def _with_sealed(self, ours: str, inside: list[str], token: str, call_id: str) -> str:
        if not inside:
            return ours
        sealed = self._seal.close("\n".join(inside), _ROUTE, call_id)
        return ours.replace(token, f"{token}.{sealed}", 1)

    def _hide_contacts(self, message: Message, record_route: RecordRoute, side: Flow) -> None:
        values = message.values("Contact")
        if not values or values == ["*"]:
            return
        hidden = []
        for value in values:
            try:
                contact = parse_name_addr(value).uri_text
            except SipError:  # whatever it tells, it is of no use outside
                continue
            sealed = self._seal.close(contact, _CONTACT, message.call_id)
            uri = record_route.uri(sealed, side, secure=is_sips(contact))
            parameters = value.rpartition(">")[2] if ">" in value else "".join(value.partition(";")[1:])
            hidden.append(f"<{uri}>{parameters}")
        _replace(message, "Contact", hidden)


def _replace(message: Message, name: str, values: list[str]) -> None:
    """Put these values, one a line, in the place of all of that name."""
    message.remove(name)
    for value in reversed(values):
        message.prepend(name, value)


def _without_agent(warning: str) -> str:
    """A Warning whose agent, a host or a pseudonym, is one that says nothing (20.43)."""
    code, _, rest = warning.partition(" ")
    return f"{code} hidden {rest.partition(' ')[2]}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
