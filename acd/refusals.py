"""How a peer is told that his session description is refused."""

from __future__ import annotations

from ims_core.errors import NotAcceptableHere, PreconditionFailure, SipError
from ims_core.messages.headers import quote_string
from ims_core.ua.description import SDP
from media.api import CannotReserve, NotAcceptable


def as_refusal(error: NotAcceptable) -> SipError:
    """Return what tells the peer why: 488, or 580 where it is for a precondition."""
    if isinstance(error, CannotReserve):
        return precondition_failure(str(error), error.description)
    return NotAcceptableHere(headers=_because(str(error)))


def precondition_failure(reason: str, description: str) -> PreconditionFailure:
    """Return what tells him that, with the session ``description`` that marks which one (RFC 3312 section 8)."""
    return PreconditionFailure(headers=_because(reason), body=description.encode(), content_type=SDP)


def _because(reason: str) -> tuple[tuple[str, str], ...]:
    return (("Warning", f"399 ims-acd {quote_string(reason)}"),)
