"""Two who talk: their legs connected, and recorded if that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acd import facts
from acd.siprec import Party, RecordingSession

if TYPE_CHECKING:
    from acd.call import Call
    from acd.leg import Talker


def bridge(call: Call, leg: Talker, other: Party, *, record: bool) -> None:
    """Let the caller talk to who answered on ``leg``; both are released with the call."""
    context, media = call.context, call.media
    assert media is not None
    assert leg.media is not None
    path = context.recording_path(call.record) if record else None
    media.bridge(leg.media, record=path)
    call.record.tell(facts.CallBridged(call.id, path or ""))
    server = context.config.recording.siprec
    if record and server:
        caller = Party(address_of(call.record.caller, context.config.server.domain))
        call.recording_session = RecordingSession(call, leg.media, (caller, other), server)


def address_of(who: str, domain: str) -> str:
    """Return the address of record of a user, a number, or whoever is named by a URI."""
    if ":" in who:
        return who
    if who.lstrip("+").isdigit():
        return f"tel:{who}" if who.startswith("+") else f"sip:{who}@{domain};user=phone"
    return f"sip:{who}" if "@" in who else f"sip:{who or 'anonymous'}@{domain}"
