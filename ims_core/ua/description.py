"""Session descriptions in messages: bytes whose meaning does not matter here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ims_core.messages.message import Request, Response

SDP: Final = "application/sdp"


def session_description(message: Request | Response) -> bytes:
    """Return the body when it is a session description, else nothing."""
    if not message.body:
        return b""
    content_type = (message.get("Content-Type") or "").partition(";")[0].strip().lower()
    return message.body if content_type == SDP else b""
