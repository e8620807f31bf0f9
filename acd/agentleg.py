"""The leg to an agent's phone: an offer, and the talk once it is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from acd.core.events import FailCause, OfferAnswered, OfferFailed, OfferRinging
from acd.leg import Caller, CallLeg

if TYPE_CHECKING:
    from acd.context import Context
    from acd.way import Way

_CAUSES = {
    408: FailCause.UNREACHABLE,
    480: FailCause.REFUSED,
    486: FailCause.BUSY,
    503: FailCause.UNREACHABLE,
    600: FailCause.BUSY,
    603: FailCause.REFUSED,
}


class AgentLeg(CallLeg):
    """One offer of ``call`` to ``agent_id``, numbered ``epoch``; the leg of the talk once it is answered.

    What becomes of it is told to the dispatcher; before it is told of a failure ``on_failed`` is called
    with the reason.
    """

    def __init__(
        self, context: Context, call: Caller, agent_id: str, epoch: int, on_failed: Callable[[AgentLeg, str], None]
    ) -> None:
        super().__init__(context, call, f"agent-{epoch}")
        self._on_failed = on_failed
        self.agent_id = agent_id
        self.epoch = epoch

    def ways(self) -> Sequence[Way]:
        """Return where the agent's phone registered, or is said to be."""
        queue = self._context.config.queues.get(self.call.record.queue or "")
        return self._context.ways_to_user(self.agent_id, self.caller, queue.name if queue else "")

    def called(self) -> str:
        """Name the agent as a user of the domain, wherever the phone is."""
        return f"<sip:{self.agent_id}@{self._context.config.server.domain}>"

    def ringing(self) -> None:
        """Tell the dispatcher."""
        self._tell(OfferRinging(self.call.id, self.agent_id, self.epoch))

    def answered(self) -> None:
        """Tell the dispatcher, which may say that it is too late."""
        self._tell(OfferAnswered(self.call.id, self.agent_id, self.epoch))

    def pressed(self, digit: str) -> None:
        """Tell the call, if they talk."""
        if self.call.agent is self:
            self.call.pressed_by_agent(digit)

    def failed(self, status: int, reason: str) -> None:
        """Tell why the agent does not take the offer."""
        self._on_failed(self, reason)
        cause = _CAUSES.get(status, FailCause.ERROR)
        self._tell(OfferFailed(self.call.id, self.agent_id, self.epoch, cause))

    def _tell(self, event: OfferRinging | OfferAnswered | OfferFailed) -> None:
        self._context.dispatcher.tell(event)
