"""Two calls made into one: the back-to-back part of a B2BUA (RFC 7092 section 3.2)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ims_core.calls import Call, CallEnded, CallRejected, NotTaken
from ims_core.errors import LocalProtocolError, NotAcceptableHere, RequestPending
from ims_core.ua.session_events import Acknowledged, EarlyAnswered, InfoReceived, Reoffered, Ringing


async def bridge(near: Call, far: Call) -> None:
    """Answer ``near`` with what ``far`` is answered with, and pass on what either says until one of them ends.

    ``near`` is an unanswered call of a peer, ``far`` one of ours that was made for it with the same session
    description, and ``reliable`` if ``near`` takes reliable responses. A refusal of ``far`` becomes that of ``near``.
    Raises ``CallEnded`` when ``near`` is given up.
    """
    passing = _Passing(near, far)
    sides = [asyncio.create_task(passing.on(near, far)), asyncio.create_task(passing.on(far, near))]
    try:
        far.acknowledge(await near.answer(await far.answered()))
        passing.is_up = True
        over, _ = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        over.pop().result()
    except CallRejected as rejected:
        near.reject(rejected.status, rejected.reason)
    finally:
        for side in sides:
            side.cancel()
        passing.stop()


class _Passing:
    """What one side says becomes what the other is told.

    There is but one exchange of descriptions at a time, as on a single call: of two re-INVITEs that meet here one is
    told to come again (RFC 3261 section 14.1). ``is_up``: both calls are answered.
    """

    def __init__(self, near: Call, far: Call) -> None:
        self._near = near
        self._far = far
        self._exchange: asyncio.Task[None] | None = None
        self.is_up = False

    async def on(self, one: Call, other: Call) -> None:
        """Pass on what ``one`` says; ends with it."""
        async for event in one:
            match event:
                case Ringing(status, sdp):
                    self._near.progress(status, sdp)
                case EarlyAnswered(sdp) | Acknowledged(sdp):
                    other.acknowledge(sdp)
                case Reoffered(sdp):
                    self._reoffered(one, other, sdp)
                case InfoReceived(content_type, body):
                    with suppress(LocalProtocolError):  # before the answer there is nobody yet
                        other.inform(content_type, body)
                case _:
                    pass

    def stop(self) -> None:
        """Wait for no answer any more."""
        if self._exchange is not None:
            self._exchange.cancel()

    def _reoffered(self, one: Call, other: Call, sdp: bytes) -> None:
        if self._exchange is not None and not self._exchange.done():
            one.refuse_offer(RequestPending())
        elif not self.is_up and not other.may_update:
            one.refuse_offer(NotAcceptableHere())
        else:
            self._exchange = asyncio.create_task(self._ask(one, other, sdp))

    async def _ask(self, one: Call, other: Call, sdp: bytes) -> None:
        with suppress(CallEnded, LocalProtocolError):  # which the other side's end tells as well
            try:
                answer = await (other.offer(sdp) if self.is_up else other.update(sdp))
            except NotTaken:
                one.refuse_offer(NotAcceptableHere())
            else:
                one.accept_offer(answer)
