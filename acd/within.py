"""What a peer asks for within a call: another session, a word passed on."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from acd.refusals import as_refusal
from acd.reservation import OPTION
from ims_core.errors import LocalProtocolError, NotAcceptableHere, SipError
from media.api import NotAcceptable, ReservationFailed

if TYPE_CHECKING:
    from ims_core.ua.session import Session
    from media.api import MediaLeg

log = structlog.get_logger()


async def answer_reoffer(session: Session, leg: MediaLeg | None, sdp: bytes) -> bool | None:
    """Answer a re-INVITE: hold, resume, a new address (RFC 3264 section 8).

    Returns whether the peer holds from now on, None when the offer was refused. Raises ``ReservationFailed`` when it
    was refused because the peer says so.
    """
    if leg is None:
        session.refuse_offer(NotAcceptableHere())
        return None
    text = sdp.decode(errors="replace")
    try:
        answer = await leg.reoffer(text or None)
    except NotAcceptable as error:
        session.refuse_offer(as_refusal(error))
        if isinstance(error, ReservationFailed):
            raise
        return None
    session.required = OPTION if leg.preconditions is not None else ""
    session.accept_offer(answer.encode())
    return "a=sendonly" in text or "a=inactive" in text


def send_message(session: Session, content_type: str, body: bytes) -> None:
    """Pass a MESSAGE on within another dialog (RFC 3428); it is lost where that is over or cannot be reached."""
    with suppress(LocalProtocolError, SipError):
        session.send("MESSAGE", body=body, content_type=content_type)


def take_answer(leg: MediaLeg | None, sdp: bytes, **ids: str) -> None:
    """Take the answer in the ACK of a re-INVITE that carried no offer (RFC 3261 section 14.1)."""
    if leg is None or not sdp:
        return
    try:
        leg.accept(sdp.decode(errors="replace"))
    except NotAcceptable as error:
        log.info("answer.refused", reason=str(error), **ids)
