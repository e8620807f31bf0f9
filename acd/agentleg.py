"""The leg to an agent's phone, from the offer to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from acd.cdr import EndedBy, Outcome
from acd.core.events import FailCause, OfferAnswered, OfferFailed, OfferRinging
from ims_core.errors import SipError
from ims_core.headers import quote_string
from ims_core.outgoing import OutgoingCall
from ims_core.session import Acknowledged, Answered, Ended, Rejected, Reoffered, Ringing, SessionEvent
from media.api import Lost, MediaError, MediaEvent, MediaLeg, RtpTimeout

if TYPE_CHECKING:
    from acd.context import Context
    from acd.record import CallRecord
    from ims_core.session import Session

Headers = tuple[tuple[str, str], ...]

_CAUSES = {
    408: FailCause.UNREACHABLE,
    480: FailCause.REFUSED,
    486: FailCause.BUSY,
    503: FailCause.UNREACHABLE,
    600: FailCause.BUSY,
    603: FailCause.REFUSED,
}


class Caller(Protocol):
    """The call that an agent is wanted for; ``agent`` is the leg that it talks to."""

    id: str
    record: CallRecord
    media: MediaLeg | None
    agent: AgentLeg | None

    def end(self, ended_by: EndedBy, outcome: Outcome, reason: str = "") -> None:
        """End the call for this cause."""

    def take_reoffer(self, session: Session, leg: MediaLeg | None, sdp: bytes) -> None:
        """Answer a re-INVITE of either side."""

    def take_answer(self, leg: MediaLeg | None, sdp: bytes) -> None:
        """Take the answer in the ACK of a re-INVITE."""


class AgentLeg:
    """One offer of ``call`` to ``agent_id``, numbered ``epoch``; the leg of the talk once it is answered.

    What becomes of it is told to the dispatcher; before it is told of a failure ``on_failed`` is called. On every way
    out ``release`` must be called, or ``hang_up`` and then ``media.close``.
    """

    def __init__(
        self, context: Context, call: Caller, agent_id: str, epoch: int, on_failed: Callable[[AgentLeg], None]
    ) -> None:
        self._context = context
        self._on_failed = on_failed
        self.call = call
        self.agent_id = agent_id
        self.epoch = epoch
        self.media: MediaLeg | None = None
        self._session: OutgoingCall | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ring."""
        self._task = self._context.loop.create_task(self._ring(), name=f"offer {self.epoch}")

    def say(self, prompts: Sequence[str]) -> None:
        """Play to the agent."""
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

    # Inside -------------------------------------------------------------------------------------------------

    async def _ring(self) -> None:
        """Send the INVITE, which shows the queue's name and the caller's number."""
        context, call = self._context, self.call
        try:
            contact, flow = context.way_to_agent(self.agent_id)
            leg_id = f"{call.id}/agent-{self.epoch}"
            self.media = await context.media.open(leg_id, self._on_media, like=call.media)
            self._session = context.node.call(flow, self._on_sip)
            domain = context.config.server.domain
            queue = context.config.queues[call.record.queue or ""]
            self._session.start(
                contact,
                caller=f"{quote_string(queue.name)} <sip:{_user(call.record.caller)}@{domain}>",
                callee=f"<sip:{self.agent_id}@{domain}>",
                sdp=self.media.local_sdp.encode(),
            )
        except (MediaError, SipError) as error:
            self._fail(FailCause.ERROR, str(error))
            return
        context.follow(call.id, self._session.dialog_id[0])
        context.flush()

    def _answered(self, sdp: bytes) -> None:
        assert self.media is not None
        try:
            self.media.accept(sdp.decode(errors="replace"))
        except MediaError as error:
            self._fail(FailCause.ERROR, str(error))
        else:
            self._tell(OfferAnswered(self.call.id, self.agent_id, self.epoch))

    def _fail(self, cause: FailCause, detail: str) -> None:
        self.call.record.step("agent.failed", f"{self.agent_id} {detail}")
        self._on_failed(self)
        self._tell(OfferFailed(self.call.id, self.agent_id, self.epoch, cause))

    def _tell(self, event: OfferRinging | OfferAnswered | OfferFailed) -> None:
        self._context.dispatcher.tell(event)

    def _on_sip(self, event: SessionEvent) -> None:
        match event:
            case Ringing():
                self._tell(OfferRinging(self.call.id, self.agent_id, self.epoch))
            case Answered(sdp):
                self._answered(sdp)
            case Rejected(status, reason):
                self._fail(_CAUSES.get(status, FailCause.ERROR), f"{status} {reason}")
            case Reoffered(sdp):
                if self._session is not None:
                    self.call.take_reoffer(self._session, self.media, sdp)
            case Acknowledged(sdp):
                self.call.take_answer(self.media, sdp)
            case Ended(_, reason):
                self._ended(EndedBy.AGENT, Outcome.ANSWERED, reason)

    def _on_media(self, event: MediaEvent) -> None:
        match event:
            case RtpTimeout():
                self._ended(EndedBy.SYSTEM, Outcome.PEER_LOST, "no RTP from the agent")
            case Lost(reason):
                self._ended(EndedBy.SYSTEM, Outcome.MEDIA_LOST, reason)

    def _ended(self, ended_by: EndedBy, outcome: Outcome, reason: str) -> None:
        """The leg is gone: the end of the call if it was connected, else of the offer."""
        if self.call.agent is self:
            self.call.end(ended_by, outcome, reason)
        else:
            self._fail(FailCause.ERROR, reason)


def _user(caller: str) -> str:
    """Return what may stand as the user of a SIP URI; a caller without usable number is anonymous (RFC 3323 4.1)."""
    allowed = "".join(character for character in caller if character.isalnum() or character in "+-_.*#!~")
    return allowed.replace("#", "%23") or "anonymous"
