"""Who talks to whom: the synchronous core of call distribution.

An event goes in, the actions to perform come out; time is an argument. Two symmetric searches do all the
matching: a caller without an offer seeks an agent (`_seek_agent`), an agent who became available seeks a caller
(`_seek_caller`). Because every event ends with them, no caller waits unoffered while an agent of his queue is
available, and either search needs to look only at the heads of ordered lines.

An offer ties one caller to one agent under an epoch, a number never used twice. What the phones report counts
only if caller, agent and epoch are those of the tie (compare-and-set); everything else is late, is counted in
`counters`, and changes nothing. The caller keeps his place until an agent has answered.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from acd import facts
from acd.core import events, floor
from acd.core.actions import Action, AgentChanged, Connected, Offer, Refused, Withdraw, WithdrawCause
from acd.core.agents import IN_CALL, Agent, AgentProfile, AgentState, Trigger
from acd.core.events import FailCause, LeftCause
from acd.core.queues import Caller, Line, Queue, QueueProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class UnknownQueueError(LookupError):
    """A queue id that the configuration does not have."""


class Ignored(StrEnum):
    """Inputs that changed nothing, by kind."""

    UNKNOWN_CALL = "unknown_call"
    UNKNOWN_AGENT = "unknown_agent"
    DUPLICATE_CALL = "duplicate_call"
    DRAINING_CALL = "draining_call"
    STALE_RINGING = "stale_ringing"
    STALE_ANSWER = "stale_answer"
    STALE_FAILURE = "stale_failure"
    REPEATED_RINGING = "repeated_ringing"
    REPEATED_ANSWER = "repeated_answer"
    HOLD_WITHOUT_EFFECT = "hold_without_effect"
    AGENT_WITHOUT_EFFECT = "agent_without_effect"


_TRIGGERS: dict[type[events.AgentEvent], Trigger] = {
    events.AgentRegistered: Trigger.BOUND,
    events.AgentUnregistered: Trigger.UNBOUND,
    events.AgentLoggedIn: Trigger.MAKE_READY,
    events.AgentReady: Trigger.MAKE_READY,
    events.AgentLoggedOut: Trigger.LOG_OUT,
    events.AgentPaused: Trigger.PAUSE,
    events.AgentBusy: Trigger.OCCUPIED,
    events.AgentIdle: Trigger.VACATED,
}

_WITHDRAW_CAUSES = {
    Trigger.UNBOUND: WithdrawCause.AGENT_UNREGISTERED,
    Trigger.LOG_OUT: WithdrawCause.AGENT_LOGGED_OUT,
    Trigger.PAUSE: WithdrawCause.AGENT_PAUSED,
    Trigger.OCCUPIED: WithdrawCause.AGENT_BUSY,
}


class Distributor:
    """The queues, the agents and the calls between them.

    After each `handle` and `handle_timer` perform the actions in order, then call `handle_timer` at
    `next_deadline()` at the latest. `now` is in seconds and must not run backwards; `since` in snapshots is on
    the same clock. Raises ValueError for a duplicate id and UnknownQueueError for an agent of a queue that is not
    there.
    """

    def __init__(self, queues: Iterable[QueueProfile], agents: Iterable[AgentProfile], now: float = 0.0) -> None:
        self.counters: dict[Ignored, int] = dict.fromkeys(Ignored, 0)
        self._queues: dict[str, Queue] = {}
        self._agents: dict[str, Agent] = {}
        self._callers: dict[str, Caller] = {}
        self._deadlines: Line[Agent] = Line()
        self._arrivals = 0
        self._epoch = 0
        self._draining = False
        self._now = now
        self._actions: list[Action] = []
        self._facts: list[facts.Fact] = []
        self._handlers: dict[type[events.Event], Callable[[Any], None]] = {
            events.CallArrived: self._call_arrived,
            events.CallLeft: self._call_left,
            events.CallEnded: self._call_ended,
            events.CallHeld: self._call_held,
            events.CallRetrieved: self._call_retrieved,
            events.OfferRinging: self._offer_ringing,
            events.OfferAnswered: self._offer_answered,
            events.OfferFailed: self._offer_failed,
            events.Draining: self._drain,
            **dict.fromkeys(_TRIGGERS, self._standing_changed),
        }
        for queue in queues:
            if queue.id in self._queues:
                raise ValueError(f"queue {queue.id!r} is there twice")
            self._queues[queue.id] = Queue(queue)
        for agent in agents:
            self._add_agent(agent)

    def handle(self, event: events.Event, now: float) -> list[Action]:
        """Take one event. Raises UnknownQueueError for an arrival in a queue that is not there."""
        self._now = now
        self._actions = actions = list[Action]()
        self._handlers[type(event)](event)
        return actions

    def take_facts(self) -> list[facts.Fact]:
        """Return what has happened since the last time, in order, and forget it."""
        taken, self._facts = self._facts, []
        return taken

    def next_deadline(self) -> float | None:
        """When `handle_timer` is due, or None while nothing is timed."""
        head = self._deadlines.first()
        return head[0] if head else None

    def handle_timer(self, now: float) -> list[Action]:
        """End what was due by `now`: ring times, wrap-ups, delays after a refusal."""
        self._now = now
        self._actions = actions = list[Action]()
        while (head := self._deadlines.first()) is not None and head[0] <= now:
            agent = head[2]
            self._set_deadline(agent, None)
            caller = agent.caller
            if caller is not None:
                self._withdraw(caller, agent, WithdrawCause.RING_TIMEOUT)
                self._try_next(caller, agent, FailCause.NO_ANSWER)
                continue
            if agent.state is AgentState.WRAP_UP:
                self._move(agent, Trigger.WRAPPED)
            self._seek_caller(agent)
        return actions

    def position(self, call_id: str) -> int | None:
        """The caller's place among all who wait in his queue, from 1; None if he does not wait (any more)."""
        caller = self._callers.get(call_id)
        if caller is None or (caller.agent is not None and caller.agent.state in IN_CALL):
            return None
        return caller.queue.callers.ahead(caller.order, caller.seq) + 1

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
        queue = self._queue(event.queue)
        if event.call_id in self._callers:
            self.counters[Ignored.DUPLICATE_CALL] += 1
            return
        if self._draining:
            self.counters[Ignored.DRAINING_CALL] += 1
            self._actions.append(Refused(event.call_id, event.queue))
            return
        self._arrivals += 1
        caller = Caller(event.call_id, queue, event.priority, self._arrivals, self._now)
        self._callers[caller.id] = caller
        queue.offered += 1
        queue.callers.add(caller.order, caller.seq, caller)
        self._facts.append(facts.CallQueued(caller.id, event.queue, event.number, event.priority, event.waited_seconds))
        self._seek_agent(caller)

    def _call_left(self, event: events.CallLeft) -> None:
        self._finish(event.call_id, event.cause)

    def _call_ended(self, event: events.CallEnded) -> None:
        self._finish(event.call_id, LeftCause.ABANDONED)

    def _finish(self, call_id: str, cause: LeftCause) -> None:
        caller = self._callers.pop(call_id, None)
        if caller is None:
            self.counters[Ignored.UNKNOWN_CALL] += 1
            return
        agent = caller.agent
        if agent is not None and agent.state in IN_CALL:
            self._end_talk(caller, agent)
            return
        queue = caller.queue
        queue.left[cause] += 1
        waited_seconds = self._now - caller.arrived_at
        position = queue.callers.ahead(caller.order, caller.seq) + 1
        self._facts.append(facts.CallLeft(caller.id, queue.profile.id, cause, waited_seconds, position))
        caller.queue.callers.remove(caller.order, caller.seq)
        if agent is None:
            caller.queue.unoffered.remove(caller.order, caller.seq)
            return
        self._withdraw(caller, agent, WithdrawCause.CALLER_LEFT)
        _part(caller, agent)
        self._move(agent, Trigger.RELEASE)
        self._seek_caller(agent)

    def _end_talk(self, caller: Caller, agent: Agent) -> None:
        queue_id = caller.queue.profile.id
        talked_seconds = self._now - caller.connected_at
        self._facts.append(facts.TalkEnded(caller.id, agent.id, queue_id, talked_seconds))
        _part(caller, agent)
        seconds = agent.profile.wrap_up_seconds
        if seconds is None:
            seconds = caller.queue.profile.wrap_up_seconds
        if seconds > 0 and agent.wants_calls:
            self._move(agent, Trigger.WRAP)
            self._set_deadline(agent, self._now + seconds)
        else:
            self._move(agent, Trigger.END)
            self._seek_caller(agent)

    def _call_held(self, event: events.CallHeld) -> None:
        self._hold(event.call_id, Trigger.HOLD)

    def _call_retrieved(self, event: events.CallRetrieved) -> None:
        self._hold(event.call_id, Trigger.RETRIEVE)

    def _hold(self, call_id: str, trigger: Trigger) -> None:
        caller = self._callers.get(call_id)
        if caller is None:
            self.counters[Ignored.UNKNOWN_CALL] += 1
        elif caller.agent is None or not caller.agent.can(trigger):
            self.counters[Ignored.HOLD_WITHOUT_EFFECT] += 1
        else:
            self._move(caller.agent, trigger)

    def _drain(self, _event: events.Draining) -> None:
        self._draining = True

    # What the agents' phones report

    def _offer_ringing(self, event: events.OfferRinging) -> None:
        tie = self._tie(event)
        if tie is None:
            self.counters[Ignored.STALE_RINGING] += 1
        elif tie[1].state is not AgentState.RESERVED:
            self.counters[Ignored.REPEATED_RINGING] += 1
        else:
            self._move(tie[1], Trigger.RING)

    def _offer_answered(self, event: events.OfferAnswered) -> None:
        tie = self._tie(event)
        if tie is None:
            self.counters[Ignored.STALE_ANSWER] += 1
            self._actions.append(Withdraw(event.call_id, event.agent_id, event.epoch, WithdrawCause.STALE))
            return
        caller, agent = tie
        if agent.state in IN_CALL:
            self.counters[Ignored.REPEATED_ANSWER] += 1
            return
        queue = caller.queue
        waited_seconds = self._now - caller.arrived_at
        queue.callers.remove(caller.order, caller.seq)
        queue.count_answer(waited_seconds)
        agent.calls_taken += 1
        caller.connected_at = self._now
        self._move(agent, Trigger.ANSWER)
        self._actions.append(Connected(caller.id, agent.id, caller.epoch, queue.profile.id, waited_seconds))
        self._facts.append(facts.CallConnected(caller.id, agent.id, caller.epoch, queue.profile.id, waited_seconds))

    def _offer_failed(self, event: events.OfferFailed) -> None:
        tie = self._tie(event)
        if tie is None or tie[1].state in IN_CALL:
            self.counters[Ignored.STALE_FAILURE] += 1
        else:
            self._try_next(*tie, event.cause)

    def _tie(self, event: events.OfferEvent) -> tuple[Caller, Agent] | None:
        caller = self._callers.get(event.call_id)
        if caller is None or caller.agent is None:
            return None
        if caller.epoch != event.epoch or caller.agent.id != event.agent_id:
            return None
        return caller, caller.agent

    def _try_next(self, caller: Caller, agent: Agent, cause: FailCause) -> None:
        self._facts.append(facts.OfferFailed(caller.id, agent.id, caller.epoch, cause))
        _part(caller, agent)
        self._move(agent, Trigger.REFUSE)
        if agent.profile.refuse_delay_seconds > 0:
            self._set_deadline(agent, self._now + agent.profile.refuse_delay_seconds)
        self._seek_agent(caller)
        self._seek_caller(agent)

    # What is said of agents

    def _standing_changed(self, event: events.AgentEvent) -> None:
        agent = self._agents.get(event.agent_id)
        if agent is None:
            self.counters[Ignored.UNKNOWN_AGENT] += 1
            return
        trigger = _TRIGGERS[type(event)]
        detail = ""
        if isinstance(event, events.AgentPaused):
            detail = event.reason
        elif isinstance(event, events.AgentBusy | events.AgentIdle):
            detail = event.call_id
        news = agent.restand(trigger, detail)
        cuts_short = trigger is Trigger.MAKE_READY and agent.deadline is not None and agent.caller is None
        if not news and not cuts_short:
            self.counters[Ignored.AGENT_WITHOUT_EFFECT] += 1
        elif agent.can(trigger):
            self._restand(agent, trigger)

    def _restand(self, agent: Agent, trigger: Trigger) -> None:
        caller = agent.caller
        if caller is None:
            self._move(agent, trigger)
        else:
            self._withdraw(caller, agent, _WITHDRAW_CAUSES[trigger])
            _part(caller, agent)
            self._move(agent, trigger)
            self._seek_agent(caller)
        self._seek_caller(agent)

    def _add_agent(self, profile: AgentProfile) -> None:
        if profile.id in self._agents:
            raise ValueError(f"agent {profile.id!r} is there twice")
        queues = tuple(self._queue(queue_id) for queue_id in profile.memberships)
        agent = self._agents[profile.id] = Agent(profile, queues, len(self._agents), self._now)
        if agent.state is not AgentState.LOGGED_OUT:
            for queue in queues:
                queue.logged_in += 1
        self._seek_caller(agent)

    # Matching

    def _seek_agent(self, caller: Caller) -> None:
        head = caller.queue.idle.first()
        if head is None:
            caller.queue.unoffered.add(caller.order, caller.seq, caller)
        else:
            self._offer(caller, head[2])

    def _seek_caller(self, agent: Agent) -> None:
        if agent.state is not AgentState.READY or agent.deadline is not None:
            return
        heads = [head for queue in agent.queues if (head := queue.unoffered.first()) is not None]
        if heads:
            order, seq, caller = min(heads)
            caller.queue.unoffered.remove(order, seq)
            self._offer(caller, agent)
        else:
            agent.listed = True
            for queue in agent.queues:
                queue.idle.add(agent.idle_since, agent.seq, agent)

    def _offer(self, caller: Caller, agent: Agent) -> None:
        self._epoch += 1
        caller.epoch = self._epoch
        caller.agent, agent.caller = agent, caller
        self._move(agent, Trigger.RESERVE)
        ring_seconds = caller.queue.profile.ring_seconds
        self._set_deadline(agent, self._now + ring_seconds)
        self._actions.append(Offer(caller.id, agent.id, caller.epoch, ring_seconds))
        queue = caller.queue
        self._facts.append(
            facts.OfferMade(
                caller.id, agent.id, caller.epoch, queue.profile.id, idle=len(queue.idle), waiting=len(queue.callers)
            )
        )

    def _withdraw(self, caller: Caller, agent: Agent, cause: WithdrawCause) -> None:
        self._actions.append(Withdraw(caller.id, agent.id, caller.epoch, cause))
        if cause is not WithdrawCause.RING_TIMEOUT:
            self._facts.append(facts.OfferWithdrawn(caller.id, agent.id, caller.epoch, cause))

    def _move(self, agent: Agent, trigger: Trigger) -> None:
        if agent.listed:
            agent.listed = False
            for queue in agent.queues:
                queue.idle.remove(agent.idle_since, agent.seq)
        if agent.deadline is not None and trigger is not Trigger.RING:
            self._set_deadline(agent, None)
        old, since = agent.state, agent.since
        if not agent.move(trigger, self._now):
            return
        new = agent.state
        if old is AgentState.LOGGED_OUT or new is AgentState.LOGGED_OUT:
            for queue in agent.queues:
                queue.logged_in += 1 if old is AgentState.LOGGED_OUT else -1
        self._actions.append(AgentChanged(agent.id, old, new, agent.reason))
        call_id, queue_id = (agent.caller.id, agent.caller.queue.profile.id) if agent.caller else ("", "")
        self._facts.append(facts.AgentChanged(agent.id, old, new, self._now - since, agent.reason, call_id, queue_id))

    def _set_deadline(self, agent: Agent, deadline: float | None) -> None:
        if agent.deadline is not None:
            self._deadlines.remove(agent.deadline, agent.seq)
        agent.deadline = deadline
        if deadline is not None:
            self._deadlines.add(deadline, agent.seq, agent)

    def _queue(self, queue_id: str) -> Queue:
        try:
            return self._queues[queue_id]
        except KeyError:
            raise UnknownQueueError(f"no queue {queue_id!r}") from None


def _part(caller: Caller, agent: Agent) -> None:
    caller.agent, caller.epoch, agent.caller = None, 0, None
