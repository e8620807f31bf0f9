"""The asynchronous side of the distributor: feeds it events, performs its actions, keeps its deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import structlog

from acd.agentleg import AgentLeg
from acd.cdr import EndedBy, Outcome
from acd.core.actions import Action, AgentChanged, Connected, Offer, Refused, Withdraw
from acd.core.agents import AgentState
from acd.core.events import Event, FailCause, OfferFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from acd.call import Call
    from acd.context import Context
    from acd.core.distributor import Distributor
    from acd.metrics import Metrics

log = structlog.get_logger()

_NOTABLE = frozenset((AgentState.LOGGED_OUT, AgentState.PAUSED))


class Dispatcher:
    """The only writer of the distributor.

    ``tell`` may be called from anywhere in the event loop, also while an action is performed: events are taken one
    after the other. ``calls`` are those under way, by id.
    """

    def __init__(self, context: Context, distributor: Distributor, calls: Mapping[str, Call], metrics: Metrics) -> None:
        self.distributor = distributor
        self._context = context
        self._calls = calls
        self._metrics = metrics
        self._events: deque[Event] = deque()
        self._busy = False
        self._legs: dict[int, AgentLeg] = {}
        self._releases: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at: float | None = None

    @property
    def offers(self) -> int:
        """How many offers are out."""
        return len(self._legs)

    def tell(self, event: Event) -> None:
        """Hand the distributor an event and do what it decides."""
        self._events.append(event)
        self._act(())

    async def close(self) -> None:
        """Stop the timer and wait for offers that are being released."""
        if self._timer is not None:
            self._timer.cancel()
        if self._releases:
            await asyncio.wait(self._releases, timeout=2.0)

    def _set_timer(self) -> None:
        deadline = self.distributor.next_deadline()
        if deadline is None or (self._wake_at is not None and self._wake_at <= deadline):
            return  # waking up for a deadline that was given up does no harm, and most are
        if self._timer is not None:
            self._timer.cancel()
        self._wake_at = deadline
        self._timer = self._context.loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = self._wake_at = None
        self._act(self.distributor.handle_timer(self._context.loop.time()))

    def _act(self, actions: Iterable[Action]) -> None:
        """Perform ``actions``, then take the events that came meanwhile, one after the other."""
        if self._busy:
            return
        self._busy = True
        try:
            for action in actions:
                self._perform(action)
            while self._events:
                for action in self.distributor.handle(self._events.popleft(), self._context.loop.time()):
                    self._perform(action)
        finally:
            self._busy = False
        self._set_timer()

    def _perform(self, action: Action) -> None:
        match action:
            case Offer(call_id, agent_id, epoch, _):
                self._offer(call_id, agent_id, epoch)
            case Withdraw(_, _, epoch, cause):
                self._withdraw(epoch, cause)
            case Connected(call_id, agent_id, epoch, _, _):
                self._connect(call_id, agent_id, epoch)
            case AgentChanged(agent_id, old, new, reason):
                if old in _NOTABLE or new in _NOTABLE:
                    log.info("agent.changed", agent=agent_id, old=old, new=new, reason=reason)
            case Refused(call_id, _):
                call = self._calls.get(call_id)
                if call is not None:
                    call.end(EndedBy.SYSTEM, Outcome.DRAINED, "queue closed")

    def _offer(self, call_id: str, agent_id: str, epoch: int) -> None:
        call = self._calls.get(call_id)
        if call is None:
            self._events.append(OfferFailed(call_id, agent_id, epoch, FailCause.ERROR))
            return
        call.record.step("agent.offered", agent_id)
        call.record.agent = agent_id
        self._metrics.call_offered(call.record.queue or "")
        leg = self._legs[epoch] = AgentLeg(self._context, call, agent_id, epoch, self._failed)
        leg.start()

    def _withdraw(self, epoch: int, cause: str) -> None:
        leg = self._legs.pop(epoch, None)
        if leg is not None:
            leg.call.record.step("agent.withdrawn", f"{leg.agent_id} {cause}")
            self._release(leg)

    def _connect(self, call_id: str, agent_id: str, epoch: int) -> None:
        leg = self._legs.pop(epoch)
        call = self._calls[call_id]
        call.agent = leg
        call.record.agent = agent_id
        call.record.step("agent.connected", agent_id)
        if call.connected is not None and not call.connected.done():
            call.connected.set_result(leg)

    def _failed(self, leg: AgentLeg) -> None:
        """Let go of an offer that came to nothing."""
        if self._legs.pop(leg.epoch, None) is not None:
            self._release(leg)

    def _release(self, leg: AgentLeg) -> None:
        task: asyncio.Task[object] = self._context.loop.create_task(leg.release())
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)
