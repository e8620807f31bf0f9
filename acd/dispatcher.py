"""The asynchronous side of the distributor: feeds it events, performs its actions, keeps its deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import msgspec
import structlog

from acd import facts
from acd.agentleg import AgentLeg
from acd.cdr import EndedBy, Outcome
from acd.core.actions import Action, AgentChanged, Connected, Divert, Offer, Refused, Withdraw
from acd.core.agents import AgentState
from acd.core.events import AgentLoggedOut, AgentPaused, Event, FailCause, OfferFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from acd.call import Call
    from acd.context import Context
    from acd.core.distributor import Distributor
    from acd.core.floor import AgentSnapshot
    from acd.core.profiles import AgentProfile, QueueProfile
    from acd.journal.port import Journal
    from acd.leg import Offered
    from acd.metrics import Metrics
    from acd.openlegs import Keeper

log = structlog.get_logger()

FACTS_BETWEEN_FLOORS = 50_000
_NOTABLE = frozenset((AgentState.LOGGED_OUT, AgentState.PAUSED, AgentState.BUSY))  # not of calls of the queues


class Dispatcher:
    """The only writer of the distributor.

    ``tell`` may be called from anywhere in the event loop, also while an action is performed: events are taken one
    after the other. ``calls`` are those under way, by id, ``keepers`` keep legs open, by agent. What
    the distributor tells of goes to the ``journal``, stamped by ``unix`` in seconds, and to the record of its call.
    """

    def __init__(
        self,
        context: Context,
        distributor: Distributor,
        calls: Mapping[str, Call],
        metrics: Metrics,
        *,
        keepers: Mapping[str, Keeper],
        journal: Journal,
        unix: Callable[[], float],
    ) -> None:
        self.distributor = distributor
        self._keepers = keepers
        self._context = context
        self._calls = calls
        self._metrics = metrics
        self._journal = journal
        self._unix = unix
        self._noted = 0
        self._failures: dict[int, str] = {}
        self._events: deque[Event] = deque()
        self._busy = False
        self._legs: dict[int, Offered] = {}
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

    def begin(
        self,
        queues: Sequence[QueueProfile],
        agents: Sequence[AgentProfile],
        wishes: Mapping[str, facts.AgentWished],
    ) -> None:
        """Tell the log what holds at the start, and the distributor what agents have wanted since a former run."""
        now = self._unix()
        self._tell_policy(queues, agents, "start")
        noted = self._note()
        shown = {fact.agent for fact in noted if isinstance(fact, facts.AgentChanged)}
        for agent in self.distributor.snapshot(self._context.loop.time()).agents:
            if agent.state is not AgentState.LOGGED_OUT and agent.id not in shown:
                self._journal.append(facts.AgentChanged(agent.id, AgentState.LOGGED_OUT, agent.state, 0.0), now)
        for wish in wishes.values():
            if wish.wish == AgentState.PAUSED:
                self.tell(AgentPaused(wish.agent, wish.reason))
            else:
                self.tell(AgentLoggedOut(wish.agent))

    def install(self, queues: Sequence[QueueProfile], agents: Sequence[AgentProfile], cause: str) -> None:
        """Have the distributor follow other profiles from now on; ``cause`` is "reload" or "api".

        Raises ValueError and UnknownQueueError as ``Distributor.install`` does; then nothing has changed.
        """
        actions = self.distributor.install(queues, agents, self._context.loop.time())
        self._tell_policy(queues, agents, cause)
        self._act(actions)

    def _tell_policy(self, queues: Sequence[QueueProfile], agents: Sequence[AgentProfile], cause: str) -> None:
        document = msgspec.json.encode({"queues": queues, "agents": agents}).decode()
        self._journal.append(facts.PolicyInstalled(self.distributor.policy, document, cause), self._unix())

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
            self._note()
            for action in actions:
                self._perform(action)
            while self._events:
                actions = self.distributor.handle(self._events.popleft(), self._context.loop.time())
                self._note()
                for action in actions:
                    self._perform(action)
        finally:
            self._busy = False
        self._set_timer()

    # The log ------------------------------------------------------------------------------------------------

    def _note(self) -> list[facts.Fact]:
        """Hand what the distributor decided to the log and to the records of the calls, and return it."""
        noted = self.distributor.take_facts()
        if not noted:
            return noted
        now, append, calls = self._unix(), self._journal.append, self._calls
        for fact in noted:
            if type(fact) is facts.OfferFailed and (detail := self._failures.pop(fact.epoch, "")):
                fact = msgspec.structs.replace(fact, detail=detail)  # noqa: PLW2901 - the same, in more words
            elif type(fact) is facts.CallMoved:
                self._metrics.call_moved(fact.cause, fact.to)
            append(fact, now)
            call = calls.get(getattr(fact, "call", ""))
            if call is not None:
                call.record.apply(fact, now)
        self._noted += len(noted)
        if self._noted >= FACTS_BETWEEN_FLOORS:
            self.note_floor()
        return noted

    def note_floor(self) -> None:
        """Have the log say where everybody stands."""
        self._noted = 0
        now = self._context.loop.time()
        agents = tuple(
            (agent.id, str(agent.state), now - agent.since, agent.reason, agent.call_id or "", self._queue_of(agent))
            for agent in self.distributor.snapshot(now).agents
            if agent.state is not AgentState.LOGGED_OUT
        )
        self._journal.append(facts.FloorStood(agents, tuple(self._calls)), self._unix())

    def _queue_of(self, agent: AgentSnapshot) -> str:
        call = self._calls.get(agent.call_id or "")
        return (call.record.queue or "") if call is not None else ""

    # What is done -------------------------------------------------------------------------------------------

    def _perform(self, action: Action) -> None:
        match action:
            case Offer(call_id, agent_id, epoch, _):
                self._offer(call_id, agent_id, epoch)
            case Withdraw(_, _, epoch, _):
                self._withdraw(epoch)
            case Connected(call_id, agent_id, epoch, _, _):
                self._connect(call_id, agent_id, epoch)
            case AgentChanged(agent_id, old, new, reason):
                if old in _NOTABLE or new in _NOTABLE:
                    log.info("agent.changed", agent=agent_id, old=old, new=new, reason=reason)
                    if (keeper := self._keepers.get(agent_id)) is not None:
                        keeper.noticed(old)
            case Divert(call_id, _, to, _, cause):
                self._metrics.call_diverted(cause, to)
                self._divert(call_id, action)
            case Refused(call_id, _):
                call = self._calls.get(call_id)
                if call is not None:
                    call.end(EndedBy.SYSTEM, Outcome.DRAINED, "queue closed")

    def _offer(self, call_id: str, agent_id: str, epoch: int) -> None:
        call = self._calls.get(call_id)
        if call is None:
            self._events.append(OfferFailed(call_id, agent_id, epoch, FailCause.ERROR))
            return
        self._metrics.call_offered(call.record.queue or "")
        keeper = self._keepers.get(agent_id)
        leg: Offered
        if keeper is None:
            leg = AgentLeg(self._context, call, agent_id, epoch, self._failed)
        else:
            leg = keeper.turn(call, epoch, self._failed)
        self._legs[epoch] = leg
        leg.start()

    def _withdraw(self, epoch: int) -> None:
        self._failures.pop(epoch, None)
        leg = self._legs.pop(epoch, None)
        if leg is not None:
            self._release(leg)

    def _connect(self, call_id: str, agent_id: str, epoch: int) -> None:
        leg = self._legs.pop(epoch)
        call = self._calls[call_id]
        call.agent = leg
        if call.connected is not None and not call.connected.done():
            call.connected.set_result(leg)

    def _divert(self, call_id: str, divert: Divert) -> None:
        call = self._calls.get(call_id)
        if call is not None:
            call.queued = False
            if call.connected is not None and not call.connected.done():
                call.connected.set_result(divert)

    def _failed(self, leg: Offered, reason: str) -> None:
        """Let go of an offer that came to nothing."""
        if self._legs.pop(leg.epoch, None) is not None:
            self._failures[leg.epoch] = reason
            self._release(leg)

    def _release(self, leg: Offered) -> None:
        task: asyncio.Task[object] = self._context.loop.create_task(leg.release())
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)
