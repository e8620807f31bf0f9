"""A leg of ours to somebody whom a caller is to talk to, from the INVITE to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from acd.cdr import EndedBy, Outcome
from ims_core.errors import SipError
from ims_core.headers import quote_string
from ims_core.outgoing import OutgoingCall
from ims_core.session import Acknowledged, Answered, Ended, Rejected, Reoffered, Ringing, SessionEvent
from media.api import Lost, MediaError, MediaEvent, MediaLeg, RtpTimeout

if TYPE_CHECKING:
    from acd.context import Context
    from acd.record import CallRecord
    from ims_core.flow import Flow
    from ims_core.session import Session

Headers = tuple[tuple[str, str], ...]


class Caller(Protocol):
    """The call that somebody is wanted for; ``agent`` is the leg that it talks to."""

    id: str
    record: CallRecord
    media: MediaLeg | None
    agent: Leg | None

    def end(self, ended_by: EndedBy, outcome: Outcome, reason: str = "") -> None:
        """End the call for this cause."""

    def take_reoffer(self, session: Session, leg: MediaLeg | None, sdp: bytes) -> None:
        """Answer a re-INVITE of either side."""

    def take_answer(self, leg: MediaLeg | None, sdp: bytes) -> None:
        """Take the answer in the ACK of a re-INVITE."""


class Leg:
    """A leg for ``call``, told apart by ``name``; each kind of leg says what its answer or failure leads to.

    On every way out ``release`` must be called, or ``hang_up`` and then ``media.close``.
    """

    who = "the agent"
    party = EndedBy.AGENT
    outcome = Outcome.ANSWERED  # of the call, when this side hangs up

    def __init__(self, context: Context, call: Caller, name: str) -> None:
        self._context = context
        self.call = call
        self.name = name
        self.media: MediaLeg | None = None
        self._session: OutgoingCall | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ring."""
        self._task = self._context.loop.create_task(self._ring(), name=self.name)

    def say(self, prompts: Sequence[str]) -> None:
        """Play to whoever answered."""
        if self.media is not None:
            self.media.play(prompts)

    def hang_up(self, headers: Headers = ()) -> None:
        """Stop ringing or hang up; ``media`` is still to be closed."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        if self._session is not None:
            self._session.hang_up(headers)

    async def release(self) -> None:
        """Stop ringing or hang up, and free the port."""
        self.hang_up()
        self._context.flush()
        if self.media is not None:
            await self.media.close()

    # What each kind of leg says -----------------------------------------------------------------------------

    def way(self) -> tuple[str, Flow]:
        """Return the contact to call and the way there. Raises ``SipError`` when there is none."""
        raise NotImplementedError

    def called(self) -> str:
        """Return whom the INVITE is for, a name-addr."""
        raise NotImplementedError

    def ringing(self) -> None:
        """The phone rings."""

    def answered(self) -> None:
        """Somebody answered, and the media are agreed."""
        raise NotImplementedError

    def failed(self, status: int, reason: str) -> None:
        """Nobody answered; ``status`` is that of the response, 0 without one."""
        raise NotImplementedError

    # Inside -------------------------------------------------------------------------------------------------

    async def _ring(self) -> None:
        """Send the INVITE, which shows the queue's name and the caller's number."""
        context, call = self._context, self.call
        try:
            contact, flow = self.way()
            self.media = await context.media.open(f"{call.id}/{self.name}", self._on_media, like=call.media)
            self._session = context.node.call(flow, self._on_sip)
            queue = context.config.queues.get(call.record.queue or "")
            caller = f"<sip:{_user(call.record.caller)}@{context.config.server.domain}>"
            self._session.start(
                contact,
                caller=f"{quote_string(queue.name)} {caller}" if queue is not None else caller,
                callee=self.called(),
                sdp=self.media.local_sdp.encode(),
            )
        except (MediaError, SipError) as error:
            self.failed(0, str(error))
            return
        context.follow(call.id, self._session.dialog_id[0])
        context.flush()

    def _on_sip(self, event: SessionEvent) -> None:
        match event:
            case Ringing():
                self.ringing()
            case Answered(sdp):
                self._accept(sdp)
            case Rejected(status, reason):
                self.failed(status, f"{status} {reason}")
            case Reoffered(sdp):
                if self._session is not None:
                    self.call.take_reoffer(self._session, self.media, sdp)
            case Acknowledged(sdp):
                self.call.take_answer(self.media, sdp)
            case Ended(_, reason):
                self._ended(self.party, self.outcome, reason)

    def _accept(self, sdp: bytes) -> None:
        assert self.media is not None
        try:
            self.media.accept(sdp.decode(errors="replace"))
        except MediaError as error:
            self.failed(0, str(error))
        else:
            self.answered()

    def _on_media(self, event: MediaEvent) -> None:
        match event:
            case RtpTimeout():
                self._ended(EndedBy.SYSTEM, Outcome.PEER_LOST, f"no RTP from {self.who}")
            case Lost(reason):
                self._ended(EndedBy.SYSTEM, Outcome.MEDIA_LOST, reason)

    def _ended(self, ended_by: EndedBy, outcome: Outcome, reason: str) -> None:
        """The leg is gone: the end of the call if it was connected, else nobody answered."""
        if self.call.agent is self:
            self.call.end(ended_by, outcome, reason)
        else:
            self.failed(0, reason)


def _user(caller: str) -> str:
    """Return what may stand as the user of a SIP URI; a caller without usable number is anonymous (RFC 3323 4.1)."""
    allowed = "".join(character for character in caller if character.isalnum() or character in "+-_.*#!~")
    return allowed.replace("#", "%23") or "anonymous"
