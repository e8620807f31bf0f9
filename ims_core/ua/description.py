"""Session descriptions in messages: bytes whose meaning does not matter here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ims_core.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from ims_core.messages.headers import parse_params, split_params
from ims_core.messages.multipart import Enclosed, Part, join_multipart, split_multipart
from ims_core.ua.event_headers import accepts, media_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.ids import Ids
    from ims_core.messages.message import Request, Response

SDP: Final = "application/sdp"
_ONE_SUFFICES: Final = frozenset(("multipart/alternative", "multipart/related"))


def session_description(message: Request | Response) -> bytes:
    """Return the body when it is a session description, or the part of it that is one (RFC 5621), else nothing."""
    if not message.body:
        return b""
    kind = media_type(message)
    if kind == SDP:
        return b"" if _is_encoded(message) else message.body
    return next((part.body for part in _parts(message) if _kind_of(part) == SDP), b"")


def describe(message: Request | Response, sdp: bytes, enclosed: Sequence[Enclosed], ids: Ids) -> None:
    """Give a message its session description, and beside it what else is ``enclosed`` (RFC 5621 section 4)."""
    if enclosed:
        content_type, body = join_multipart((Enclosed(SDP, sdp), *enclosed), ids.tag())
        message.set_body(body, content_type)
    else:
        message.set_body(sdp, SDP)


def check_description(request: Request) -> None:
    """Refuse an INVITE whose body has no session description in it (8.2.3), or whose sender wants none (20.1).

    So is refused what has other parts that must be understood. Raises ``UnsupportedMediaType``, also where the body is
    encoded, or ``NotAcceptable``. A body of optional handling may be anything (20.11).
    """
    if request.body and not _is_optional(request.get("Content-Disposition") or ""):
        if _is_encoded(request):
            raise UnsupportedMediaType(headers=(("Accept-Encoding", "identity"),))
        if not session_description(request) or any(map(_must_be_understood, _parts_all_needed(request))):
            raise UnsupportedMediaType(headers=(("Accept", SDP),))
    if not accepts(request, SDP):
        raise NotAcceptable(headers=(("Accept", SDP),))


def _parts(message: Request | Response) -> list[Part]:
    """The parts of a body that has several and is well-formed."""
    if not media_type(message).startswith("multipart/"):
        return []
    try:
        return split_multipart(message.require("Content-Type"), message.body)
    except BadRequest:
        return []


def _parts_all_needed(request: Request) -> list[Part]:
    return [] if media_type(request) in _ONE_SUFFICES else _parts(request)


def _must_be_understood(part: Part) -> bool:
    """Whether nobody here understands a part that is not optional; what another one points to has a say of its own."""
    return (
        _kind_of(part) != SDP
        and "content-id" not in part.headers
        and not _is_optional(part.headers.get("content-disposition", ""))
    )


def _kind_of(part: Part) -> str:
    return part.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_encoded(message: Request | Response) -> bool:
    return "content-encoding" in message.keys and any(
        coding.lower() not in {"", "identity"} for coding in message.values("Content-Encoding")
    )


def _is_optional(disposition: str) -> bool:
    """Read a Content-Disposition: "If the handling parameter is missing, the value "required" SHOULD be assumed"."""
    if "handling" not in disposition.lower():
        return False
    try:
        return parse_params(split_params(disposition)[1:]).get("handling", "").strip().lower() == "optional"
    except BadRequest:
        return False
