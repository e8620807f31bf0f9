"""What an S-CSCF tells of users, and whom (TS 24.229 sections 4.4, 5.4.3.2 and 5.4.3.3; RFC 3325; RFC 5502)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ims_core.errors import SipError
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.uri import parse_uri
from ims_core.profiles.model import SessionCase
from ims_core.roles.charging import charging_vector, write_vector
from ims_core.roles.identity import ASSERTED, addresses, sender_of
from ims_core.roles.privacy import wishes
from ims_core.roles.trust import FROM_HANDSET, TO_HANDSET
from ims_core.subscribers.identities import canonical

if TYPE_CHECKING:
    from ims_core.messages.message import Message, Request
    from ims_core.messages.uri import Uri
    from ims_core.subscribers.subscriber import ImplicitSet

SERVED_USER: Final = "P-Served-User"
DIVERTING: Final = "orig-cdiv"
_SESSIONS = {  # RFC 5502 section 6, RFC 8498 section 4
    SessionCase.ORIGINATING: ";sescase=orig;regstate=reg",
    SessionCase.ORIGINATING_UNREGISTERED: ";sescase=orig;regstate=unreg",
    SessionCase.TERMINATING_REGISTERED: ";sescase=term;regstate=reg",
    SessionCase.TERMINATING_UNREGISTERED: ";sescase=term;regstate=unreg",
    SessionCase.ORIGINATING_CDIV: f";{DIVERTING}",
}
_STAYS_INSIDE = TO_HANDSET - {"p-charging-vector"}


def caller_of(request: Request, is_ours: Callable[[Uri], bool]) -> str:
    """Return who sent ``request``: as is asserted, else as From says; empty where nobody knows.

    That is the user part where it ``is_ours`` or a global number, of anybody else ``user@host``. Our own users are
    asserted by whoever let them in: of a From that is ours nothing is believed.
    """
    asserted = next(filter(None, (_named(uri, is_ours) for uri in addresses(request, ASSERTED))), "")
    sender = None if asserted else sender_of(request)
    return asserted if sender is None or is_ours(sender) else _named(sender, is_ours)


def _named(uri: Uri, is_ours: Callable[[Uri], bool]) -> str:
    if not uri.user or uri.user[0] == "+" or is_ours(uri):
        return uri.user
    if uri.scheme == "tel":
        return ""
    return f"{uri.user}@[{uri.host}]" if ":" in uri.host else f"{uri.user}@{uri.host}"


def payer_of(request: Request) -> str:
    """Return the user part of whom an S-CSCF sends ``request`` out for: who diverted it (RFC 8498), else who sent it.

    Empty where nobody is asserted.
    """
    for value in request.values(SERVED_USER):
        try:
            served = parse_name_addr(value)
            if DIVERTING in served.params:
                return served.uri.user
        except SipError:
            continue
    return next((uri.user for uri in addresses(request, ASSERTED)), "")


def serve(request: Request, served: str, case: SessionCase) -> None:
    """Tell an application server for whom it is asked, and in which session case (RFC 5502)."""
    request.set(SERVED_USER, f"<{served}>{_SESSIONS[case]}")


def assert_both_forms(message: Message, identities: ImplicitSet) -> None:
    """Assert the ``tel`` URI of a number beside its ``sip`` URI, and the other way round, where a set has both.

    TS 24.229 section 5.4.3.2 for requests, 5.4.3.3 for responses: each is for who cannot do with the other.
    """
    asserted = message.values(ASSERTED)
    if len(asserted) != 1 or not (uris := addresses(message, ASSERTED)):
        return
    if canonical(uris[0]) not in {each.uri for each in identities}:  # of somebody else
        return
    other = other_form(uris[0], identities)
    if other is not None:
        message.add(ASSERTED, f"<{other}>")


def other_form(uri: Uri, identities: ImplicitSet) -> str | None:
    """Return the identity of a set that is a ``tel`` URI for a ``sip`` one, or the other way round; None: none is.

    Of several it is the one of the same number, else the first.
    """
    scheme = "sip:" if uri.scheme == "tel" else "tel:"
    usable = (each for each in identities if not each.barred and not each.wildcard)
    others = [each.uri for each in usable if each.uri.startswith(scheme)]
    number = uri.user.partition(";")[0]
    return next((other for other in others if parse_uri(other).user == number), others[0] if others else None)


def disbelieve(request: Request) -> None:
    """Take off what nobody outside the trust domain may say of users (RFC 3325 section 5, TS 24.229 section 4.4)."""
    request.remove_all(FROM_HANDSET)


def bring_inside(request: Request, is_ours: Callable[[Uri], bool]) -> Request:
    """Return what another network sends as it may be believed here: it asserts its own users, and nothing else.

    RFC 3325 section 5, TS 24.229 section 5.10.3: whoever ``is_ours`` is asserted by us.
    """
    copy = request.copy()
    copy.remove_all(FROM_HANDSET - {"p-asserted-identity"})
    values = copy.values(ASSERTED)
    copy.remove(ASSERTED)
    for value in values:
        try:
            if not is_ours(parse_name_addr(value).uri):
                copy.add(ASSERTED, value)
        except SipError:
            continue
    return copy


def take_outside(message: Message) -> None:
    """Take off what nobody outside the trust domain is told; who wants that is not named (RFC 3325 section 7)."""
    message.remove_all(_STAYS_INSIDE)
    vector = charging_vector(message)
    write_vector(message, None if vector is None else vector.for_others())
    if "id" in wishes(message):
        message.remove(ASSERTED)
