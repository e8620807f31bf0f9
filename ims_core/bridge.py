"""Two calls made into one: the back-to-back part of a B2BUA (RFC 7092 section 3.2)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ims_core.calls import Call, CallEnded, CallRejected, NotTaken
from ims_core.errors import NotAcceptableHere
from ims_core.ua.session_events import Acknowledged, InfoReceived, Reoffered, Ringing


async def bridge(near: Call, far: Call) -> None:
    """Answer ``near`` with what ``far`` is answered with, and pass on what either says until one of them ends.

    ``near`` is an unanswered call of a peer, ``far`` one of ours that was made for it with the same session
    description. A refusal of ``far`` becomes that of ``near``. Raises ``CallEnded`` when ``near`` is given up.
    """
    ringing = asyncio.create_task(_ring(far, near))
    try:
        far.acknowledge(await near.answer(await far.answered()))
    except CallRejected as rejected:
        near.reject(rejected.status, rejected.reason)
        return
    finally:
        ringing.cancel()
    sides = [asyncio.create_task(_pass_on(near, far)), asyncio.create_task(_pass_on(far, near))]
    try:
        over, _ = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        with suppress(CallEnded):  # while the other side was asked
            over.pop().result()
    finally:
        for side in sides:
            side.cancel()


async def _ring(far: Call, near: Call) -> None:
    async for event in far:
        if isinstance(event, Ringing):
            near.progress(event.status, event.sdp)


async def _pass_on(one: Call, other: Call) -> None:
    """Ask one what the other is asked; ends with it."""
    async for event in one:
        match event:
            case Reoffered(sdp):
                try:
                    one.accept_offer(await other.offer(sdp))
                except NotTaken:
                    one.refuse_offer(NotAcceptableHere())
            case Acknowledged(sdp):
                other.acknowledge(sdp)
            case InfoReceived(content_type, body):
                other.inform(content_type, body)
            case _:
                pass
