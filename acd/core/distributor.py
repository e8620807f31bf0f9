"""Who talks to whom: the synchronous core of call distribution.

An event goes in, the actions to perform come out, and the facts about what was decided; time is an argument. The work
is done in layers, each knowing only those below:

    Distributor   what is said of calls, and what may be asked
    Installing    other queues and agents while calls wait
    Staff         what is said of agents
    Waiting       where each caller waits and for whom: rings, load, the way from queue to queue and out of them
    Outlook       what a caller has before him: the expected wait, opening hours, the rule that fits
    Ties          offers and talks, and the two searches that make them
    Matcher       the lines in which callers and agents stand for these searches

What the phones report counts only if caller, agent and epoch are those of a tie (compare-and-set); everything else is
late, is counted in `counters`, and changes nothing. The caller keeps his place until an agent has answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypy_extensions import mypyc_attr

from acd import facts
from acd.core import events, floor
from acd.core.actions import Action, Refused, Withdraw, WithdrawCause
from acd.core.agents import OFFERED, Agent, AgentState, Tie
from acd.core.events import FailCause, Ignored, LeftCause
from acd.core.installing import Installing, UnknownQueueError
from acd.core.queues import Caller, Queue
from acd.core.staff import TRIGGERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from acd.core.foretold import Estimate
    from acd.core.lines import Timed
    from acd.core.policies import Random
    from acd.core.profiles import AgentProfile, QueueProfile

__all__ = ["Distributor", "Ignored", "UnknownQueueError"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Distributor(Installing):
    """The queues, the agents and the calls between them.

    After each `handle`, `handle_timer` and `install` perform the actions in order and take the facts, then call
    `handle_timer` at `next_deadline()` at the latest. `now` is in seconds and must not run backwards; `since` in
    snapshots is on the same clock. `random` returns numbers from 0 to below 1 and is needed for strategies of chance;
    `epoch` added to `now` gives unix seconds, for opening hours.
    Raises what `install` raises.
    """

    def __init__(
        self,
        queues: Iterable[QueueProfile],
        agents: Iterable[AgentProfile],
        now: float = 0.0,
        *,
        random: Random | None = None,
        policy: int = 1,
        epoch: float = 0.0,
    ) -> None:
        super().__init__(now, random)
        self._to_unix = epoch
        self._arrivals = 0
        self._draining = False
        self._handlers: dict[type[events.Event], Callable[[Any], None]] = {
            events.CallArrived: self._call_arrived,
            events.CallMoved: self._call_moved,
            events.CallLeft: self._call_left,
            events.CallEnded: self._call_ended,
            events.CallHeld: self._call_held,
            events.CallConsulting: self._call_consulting,
            events.CallRetrieved: self._call_retrieved,
            events.OfferRinging: self._offer_ringing,
            events.OfferAnswered: self._offer_answered,
            events.OfferFailed: self._offer_failed,
            events.AgentForced: self._agent_forced,
            events.Draining: self._drain,
            **dict.fromkeys(TRIGGERS, self._standing_changed),
        }
        self.install(queues, agents, now, policy)

    def handle(self, event: events.Event, now: float) -> list[Action]:
        """Take one event. Raises UnknownQueueError for an arrival in a queue that is not there."""
        self._now = now
        self._actions = actions = list[Action]()
        self._handlers[type(event)](event)
        if self._unsettled or self._deserted:
            self._settle()
        return actions

    def next_deadline(self) -> float | None:
        """When `handle_timer` is due, or None while nothing is timed."""
        return self._agenda.next

    def handle_timer(self, now: float) -> list[Action]:
        """End what was due by `now`: ring times, wrap-ups, delays after a refusal, rings that widen."""
        self._now = now
        self._actions = actions = list[Action]()
        while (thing := self._agenda.take(now)) is not None:
            self._due(thing)
            if self._unsettled or self._deserted:
                self._settle()
        return actions

    def take_facts(self) -> list[facts.Fact]:
        """Return what has happened since the last time, in order, and forget it."""
        taken, self._facts = self._facts, []
        return taken

    # What may be asked

    def position(self, call_id: str) -> int | None:
        """The caller's place among all who wait in his queue, from 1; None if he does not wait (any more)."""
        caller = self._callers.get(call_id)
        if caller is None or caller.talk is not None:
            return None
        return caller.queue.callers.ahead(caller.order, caller.seq) + 1

    def expected_wait(self, call_id: str, now: float) -> Estimate | None:
        """How long the caller will wait from `now` on; None if he does not wait (any more), and while nobody knows."""
        caller = self._callers.get(call_id)
        if caller is None or caller.talk is not None:
            return None
        return caller.queue.waits.estimate(caller.queue.place(caller, now), now)

    def expected_wait_behind_all(self, queue_id: str, now: float) -> Estimate | None:
        """How long one more caller of the queue would wait. Raises UnknownQueueError."""
        queue = self._queue(queue_id)
        return queue.waits.estimate(queue.last_place(now), now)

    def waiting(self, queue_id: str) -> int:
        """How many wait in the queue, phones ringing for them or not. Raises UnknownQueueError."""
        return len(self._queue(queue_id).callers)

    def has_agent_logged_in(self, queue_id: str) -> bool:
        """Whether any agent of the queue is logged in, ready or not. Raises UnknownQueueError."""
        return self._queue(queue_id).logged_in > 0

    def agent(self, agent_id: str) -> Agent:
        """The agent, to be read only. Raises KeyError."""
        return self._agents[agent_id]

    def snapshot(self, now: float) -> floor.FloorSnapshot:
        """All queues and agents at `now`."""
        return floor.snapshot(self._queues.values(), self._agents.values(), now)

    # What is said of calls

    def _call_arrived(self, event: events.CallArrived) -> None:
        queue = self._open_queue(event.queue)
        if event.call_id in self._callers:
            self.counters[Ignored.DUPLICATE_CALL] += 1
            return
        if self._draining:
            self.counters[Ignored.DRAINING_CALL] += 1
            self._actions.append(Refused(event.call_id, event.queue))
            return
        self._arrivals += 1
        caller = self._callers[event.call_id] = Caller(event, queue, self._arrivals, self._now)
        needs = event.needs
        self._facts.append(
            facts.CallQueued(
                caller.id,
                queue.id,
                event.number,
                event.priority,
                event.waited_seconds,
                dict(needs.required) if needs.required else {},
                dict(needs.preferred) if needs.preferred else {},
                needs.excluded,
                event.prefers,
            )
        )
        self._enter(caller, queue)

    def _call_moved(self, event: events.CallMoved) -> None:
        queue = self._open_queue(event.queue)
        caller = self._callers.get(event.call_id)
        if caller is None:
            self.counters[Ignored.UNKNOWN_CALL] += 1
        elif caller.talk is not None or caller.queue is queue:
            self.counters[Ignored.MOVE_WITHOUT_EFFECT] += 1
        else:
            self._move(caller, queue, event.cause)

    def _call_left(self, event: events.CallLeft) -> None:
        self._finish(event.call_id, event.cause)

    def _call_ended(self, event: events.CallEnded) -> None:
        self._finish(event.call_id, LeftCause.ABANDONED)

    def _finish(self, call_id: str, cause: LeftCause) -> None:
        caller = self._callers.pop(call_id, None)
        if caller is None:
            self.counters[Ignored.UNKNOWN_CALL] += 1
        elif (tie := caller.talk) is not None:
            caller.talk = None  # the tie knows him: without a cycle both are freed at once
            self._end_talk(tie)
            if tie.agent.removed:
                self._dismiss(tie.agent)
        else:
            for agent in self._left(caller, cause):
                self._seek_caller(agent)

    def _call_held(self, event: events.CallHeld) -> None:
        self._turn(event.call_id, AgentState.HOLD)

    def _call_consulting(self, event: events.CallConsulting) -> None:
        self._turn(event.call_id, AgentState.CONSULTING)

    def _call_retrieved(self, event: events.CallRetrieved) -> None:
        self._turn(event.call_id, AgentState.TALKING)

    def _turn(self, call_id: str, state: AgentState) -> None:
        caller = self._callers.get(call_id)
        if caller is None:
            self.counters[Ignored.UNKNOWN_CALL] += 1
        elif caller.talk is None or caller.talk.state is state:
            self.counters[Ignored.HOLD_WITHOUT_EFFECT] += 1
        else:
            caller.talk.turn(state, self._now)
            self._show(caller.talk.agent)

    def _drain(self, _event: events.Draining) -> None:
        self._draining = True

    # What the agents' phones report

    def _offer_ringing(self, event: events.OfferRinging) -> None:
        tie = self._tie(event)
        if tie is None:
            self.counters[Ignored.STALE_RINGING] += 1
        elif tie.state is not AgentState.RESERVED:
            self.counters[Ignored.REPEATED_RINGING] += 1
        else:
            tie.state = AgentState.RINGING
            self._show(tie.agent)

    def _offer_answered(self, event: events.OfferAnswered) -> None:
        tie = self._tie(event)
        if tie is None:
            self.counters[Ignored.STALE_ANSWER] += 1
            self._actions.append(Withdraw(event.call_id, event.agent_id, event.epoch, WithdrawCause.STALE))
        elif tie.state not in OFFERED:
            self.counters[Ignored.REPEATED_ANSWER] += 1
        else:
            self._leave(tie.caller)
            for agent in self._connect(tie):
                self._seek_caller(agent)
            if tie.agent.profile.capacity > 1:
                self._seek_caller(tie.agent)

    def _offer_failed(self, event: events.OfferFailed) -> None:
        tie = self._tie(event)
        if tie is None or tie.state not in OFFERED:
            self.counters[Ignored.STALE_FAILURE] += 1
        else:
            self._try_next(tie, event.cause)

    def _tie(self, event: events.OfferEvent) -> Tie | None:
        tie = self._ties.get(event.epoch)
        if tie is None or tie.caller.id != event.call_id or tie.agent.id != event.agent_id:
            return None
        return tie

    # What is due

    def _due(self, thing: Timed) -> None:
        if isinstance(thing, Tie):
            self._actions.append(Withdraw(thing.caller.id, thing.agent.id, thing.epoch, WithdrawCause.RING_TIMEOUT))
            self._try_next(thing, FailCause.NO_ANSWER)
        elif isinstance(thing, Agent):
            thing.wrapping = None
            self._show(thing)
            self._seek_caller(thing)
        elif isinstance(thing, Caller):
            self._look(thing)
        elif isinstance(thing, Queue):
            self._turn_hours(thing)

    def _queue(self, queue_id: str) -> Queue:
        try:
            return self._queues[queue_id]
        except KeyError:
            raise UnknownQueueError(f"no queue {queue_id!r}") from None

    def _open_queue(self, queue_id: str) -> Queue:
        queue = self._queue(queue_id)
        if queue.closing:
            raise UnknownQueueError(f"no queue {queue_id!r}")
        return queue
