"""Other queues and agents while calls wait: what is installed counts for them at once, and none is lost.

A queue that is no longer configured takes no new callers and serves those in it with the agents it had. An agent who is
no longer configured finishes his talk. An offer that is out rings on, unless its agent is gone or logged out by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import mypyc_attr

from acd.core.actions import Action, WithdrawCause
from acd.core.agents import Agent, AgentState
from acd.core.policies import BY_CHANCE
from acd.core.queues import Caller, Queue
from acd.core.staff import Staff

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from acd.core.policies import Random
    from acd.core.profiles import AgentProfile, QueueProfile


class UnknownQueueError(LookupError):
    """A queue id that the configuration does not have."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Installing(Staff):
    """The part of the distributor that takes new profiles."""

    def __init__(self, now: float, random: Random | None) -> None:
        super().__init__(now, random or _no_chance)
        self._has_chance = random is not None

    def install(
        self, queues: Iterable[QueueProfile], agents: Iterable[AgentProfile], now: float, policy: int | None = None
    ) -> list[Action]:
        """Follow these profiles from now on; `policy` is their number, by default the next.

        Raises ValueError for a duplicate id and for a strategy of chance without `random`, UnknownQueueError for an
        agent of a queue that is not there; then nothing has changed.
        """
        queues, agents = tuple(queues), tuple(agents)
        self._check(queues, agents)
        self._now = now
        self._actions = actions = list[Action]()
        self.policy = self.policy + 1 if policy is None else policy
        changed = self._change_queues(queues)
        touched = self._touched(agents, changed)
        for agent in touched:
            self._matcher.delist(agent)
        moving = [caller for queue in changed for caller in self._dissolve(queue)]
        orphans = self._change_agents(agents, touched)
        for caller in moving:
            self._replace(caller)
        for caller in orphans:
            self._seek_another(caller)
        for agent in sorted(touched, key=lambda agent: (agent.idle_since, agent.seq)):
            self._seek_caller(agent)
        for queue in self._queues.values():
            queue.count_serving(self._now)
        self._unsettled.update(dict.fromkeys(self._queues.values()))
        self._settle()
        return actions

    def _check(self, queues: Sequence[QueueProfile], agents: Sequence[AgentProfile]) -> None:
        known = set[str]()
        for queue in queues:
            if queue.id in known:
                raise ValueError(f"queue {queue.id!r} is there twice")
            known.add(queue.id)
            names = {*queue.strategy, *(queue.under_load.strategy if queue.under_load else ())}
            if not self._has_chance and not names.isdisjoint(BY_CHANCE):
                raise ValueError(f"queue {queue.id!r}: a strategy of chance needs a source of it")
        ids = set[str]()
        for agent in agents:
            if agent.id in ids:
                raise ValueError(f"agent {agent.id!r} is there twice")
            ids.add(agent.id)
            for queue_id in agent.memberships:
                if queue_id not in known:
                    raise UnknownQueueError(f"no queue {queue_id!r}")

    # Queues

    def _change_queues(self, profiles: Sequence[QueueProfile]) -> list[Queue]:
        """Make, change and close queues; return those that callers and agents have to be arranged in anew."""
        before = self._queues
        self._queues = {}
        changed = []
        for profile in profiles:
            queue = before.pop(profile.id, None)
            if queue is None:
                queue = Queue(profile)
            elif queue.profile != profile or queue.closing:
                queue.adopt(profile)
                changed.append(queue)
            queue.closing = False
            self._queues[profile.id] = queue
        for queue in before.values():
            queue.closing = True
            self._queues[queue.id] = queue
        for queue in self._queues.values():
            self._adopt_rules(queue)
        return changed

    def _dissolve(self, queue: Queue) -> list[Caller]:
        """Take all callers out of the queue's classes, in the order they will stand in from now on."""
        callers = list(queue.callers)
        for caller in callers:
            self._stop_seeking(caller)
            queue.callers.remove(caller.order, caller.seq)
            caller.kind.size -= 1
            caller.order = queue.order(caller.priority, caller.since)
            queue.callers.add(caller.order, caller.seq, caller)
        for kind in tuple(queue.classes.values()):
            self._matcher.forget(kind)
        queue.weigh()
        return list(queue.callers)

    def _replace(self, caller: Caller) -> None:
        """Put a caller into a class of his changed queue; agents whom he could have are about to seek."""
        before = caller.ring
        caller.ring = min(before, 0)
        kind = self._class_of(caller)
        self._agenda.set(caller, None)
        self._join(caller, kind)
        if before != kind.ring:
            self._tell_ring(caller)
        if not caller.offers or caller.queue.profile.ring_all:
            self._seek(caller)
            self._apply_rules(caller)

    def _drop(self, queue: Queue) -> None:
        """Let go of a closed queue that is empty."""
        del self._queues[queue.id]
        self._agenda.set(queue, None)
        for agent in tuple(queue.members):
            self._matcher.delist(agent)
            self._matcher.leave(agent, queue)
            self._seek_caller(agent)
        for kind in tuple(queue.classes.values()):
            self._matcher.forget(kind)

    def _weigh(self, queue: Queue) -> None:
        super()._weigh(queue)
        if queue.closing and not queue.callers and queue.id in self._queues:
            self._drop(queue)

    # Agents

    def _touched(self, profiles: Sequence[AgentProfile], changed: Iterable[Queue]) -> list[Agent]:
        """Return the agents of now whose lines change: for their queues, their profile or their place in the order."""
        wanted = {profile.id: profile for profile in profiles}
        found = {agent: None for queue in changed for agent in queue.members}
        found |= {
            agent: None for agent in self._agents.values() if agent.removed or wanted.get(agent.id) != agent.profile
        }
        last = -1
        for profile in profiles:
            agent = self._agents.get(profile.id)
            if agent is None:
                last += 1
            elif agent.seq <= last:
                last += 1
                found[agent] = None
            else:
                last = agent.seq
        return list(found)

    def _change_agents(self, profiles: Sequence[AgentProfile], touched: list[Agent]) -> list[Caller]:
        """Employ, change and dismiss agents; return the callers whose offers ended by it."""
        before = self._agents
        self._agents = {}
        known = set(touched)
        orphans = []
        last = -1
        for profile in profiles:
            agent = before.pop(profile.id, None)
            if agent is None:
                last += 1
                agent = Agent(profile, last, self._now)
                touched.append(agent)
                self._assign(agent)
            else:
                last = agent.seq = max(last + 1, agent.seq)
                if agent in known:
                    agent.follow(profile)
                    orphans += self._reassign(agent)
            self._agents[profile.id] = agent
        for agent in before.values():
            self._agents[agent.id] = agent
            agent.follow(None)
            orphans += self._reassign(agent)
            self._dismiss(agent)
        return orphans

    def _reassign(self, agent: Agent) -> list[Caller]:
        self._assign(agent)
        orphans = []
        if agent.offer is not None and agent.standing is not AgentState.READY:
            orphans.append(agent.offer.caller)
            self._withdraw(agent.offer, WithdrawCause.AGENT_REMOVED)
        if agent.removed:
            agent.wrapping = None
            self._agenda.set(agent, None)
        self._show(agent)
        return orphans

    def _assign(self, agent: Agent) -> None:
        """Have an agent, who is in no line, serve the queues of his profile, and those closing that he served."""
        served = {} if agent.removed else {queue: member for queue, member in agent.members.items() if queue.closing}
        for queue in tuple(agent.members):
            self._deserted += self._matcher.leave(agent, queue)
            self._unsettled[queue] = None
        if not agent.removed:
            served |= {self._queues[queue_id]: member for queue_id, member in agent.profile.memberships.items()}
        for queue, member in served.items():
            self._matcher.join(agent, queue, member)

    def _dismiss(self, agent: Agent) -> None:
        """Let go of an agent who is no longer configured, once he talks to nobody."""
        if not agent.talks:
            del self._agents[agent.id]


def _no_chance() -> float:
    raise NotImplementedError("a strategy of chance without a source of it")
