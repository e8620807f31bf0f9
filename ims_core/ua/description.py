"""Session descriptions in messages: bytes whose meaning does not matter here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ims_core.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from ims_core.messages.multipart import split_multipart
from ims_core.ua.event_headers import accepts, media_type

if TYPE_CHECKING:
    from ims_core.messages.message import Request, Response

SDP: Final = "application/sdp"


def session_description(message: Request | Response) -> bytes:
    """Return the body when it is a session description, or the part of it that is one (RFC 5621), else nothing."""
    if not message.body:
        return b""
    kind = media_type(message)
    if kind == SDP:
        return message.body
    return _described_among_others(message) if kind.startswith("multipart/") else b""


def _described_among_others(message: Request | Response) -> bytes:
    try:
        parts = split_multipart(message.require("Content-Type"), message.body)
    except BadRequest:
        return b""
    kinds = (part.headers.get("content-type", "").partition(";")[0].strip().lower() for part in parts)
    return next((part.body for part, kind in zip(parts, kinds, strict=True) if kind == SDP), b"")


def check_description(request: Request) -> None:
    """Refuse an INVITE whose body has no session description in it (8.2.3), or whose sender wants none (20.1).

    Raises ``UnsupportedMediaType``, also where the body is encoded, or ``NotAcceptable``. A body of optional handling
    may be anything (20.11).
    """
    if request.body and not _is_optional(request):
        if any(coding.lower() not in {"", "identity"} for coding in request.values("Content-Encoding")):
            raise UnsupportedMediaType(headers=(("Accept-Encoding", "identity"),))
        if not session_description(request):
            raise UnsupportedMediaType(headers=(("Accept", SDP),))
    if not accepts(request, SDP):
        raise NotAcceptable(headers=(("Accept", SDP),))


def _is_optional(request: Request) -> bool:
    return "handling=optional" in (request.get("Content-Disposition") or "").lower().replace(" ", "")
