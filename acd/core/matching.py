"""Who may be offered to whom: one structure for both questions.

Callers of one queue with equal needs and in the same ring form a *class*: exactly the same agents may be offered to
them. Which agents these are is found out when a class appears and when an agent's profile changes, never for a
decision. A class has the line of its callers who seek an agent and the line of its available agents, best first; an
agent knows his classes. So a caller takes the first of his class's agents, an agent the best of the first callers of
his classes, and between two events one of the two lines of a class is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from acd.core.agents import AgentState
from acd.core.lines import Line, StandBy
from acd.core.policies import Key, Strategy
from acd.core.queues import PREFERRED, Caller, Order, Queue

if TYPE_CHECKING:
    from acd.core.agents import Agent
    from acd.core.needs import Needs
    from acd.core.policies import Random
    from acd.core.profiles import Membership

ClassKey = tuple["Needs", int, str]

SPARE = 8  # classes without callers that a queue keeps for the next caller of the kind


class CallerClass:
    """Callers of `queue` with `needs` in ring `ring`; in ring PREFERRED only the agent `only` is meant for them.

    `size` counts its callers, `seeking` are those who seek an agent: without an offer or, where all agents ring,
    without an answer. `present` counts its agents who are there to be waited for.
    """

    __slots__ = ("idle", "key", "members", "needs", "present", "queue", "ring", "seeking", "size", "strategy")

    def __init__(self, queue: Queue, key: ClassKey, random: Random) -> None:
        self.queue = queue
        self.key = key
        self.needs, self.ring, _ = key
        self.size = 0
        self.present = 0
        self.members: dict[Agent, Membership] = {}
        self.seeking: Line[Order, Caller] = Line()
        self.idle: StandBy[Key, Agent] = StandBy()
        self.strategy = Strategy(queue.strategy, random)

    def admits(self, agent: Agent, member: Membership) -> bool:
        """Whether the agent may be offered to these callers."""
        _, ring, only = self.key
        if ring == PREFERRED:
            return agent.id == only and self._reached(agent, member, len(self.queue.reaches) - 1)
        return self._reached(agent, member, ring)

    def awaits(self, state: AgentState) -> bool:
        """Whether an agent in this state is there to be waited for: a preferred agent not while he is paused."""
        if self.ring == PREFERRED and state is AgentState.PAUSED:
            return False
        return state is not AgentState.LOGGED_OUT

    def _reached(self, agent: Agent, member: Membership, ring: int) -> bool:
        reach = self.queue.reaches[ring]
        return member.level <= reach.levels and self.needs.admits(agent.profile.skills, reach.drop, reach.relax)


class Matcher:
    """Keeps the classes of all queues, and every available agent in the lines of his."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._stints = 0

    # Classes

    def find(self, queue: Queue, needs: Needs, ring: int, only: str = "") -> CallerClass:
        """Return the class, made if need be."""
        key = (needs, ring, only)
        kind = queue.classes.get(key)
        if kind is None:
            kind = queue.classes[key] = CallerClass(queue, key, self._random)
            for agent, member in queue.members.items():
                self._admit(kind, agent, member)
            self._spare(queue, kind)
        return kind

    def forget(self, kind: CallerClass) -> None:
        """Let go of a class without callers."""
        del kind.queue.classes[kind.key]
        for agent in kind.members:
            del agent.classes[kind]

    def join(self, agent: Agent, queue: Queue, member: Membership) -> None:
        """Let the agent, who is in no line, serve a queue."""
        queue.members[agent] = agent.members[queue] = member
        queue.logged_in += agent.state is not AgentState.LOGGED_OUT
        for kind in queue.classes.values():
            self._admit(kind, agent, member)

    def leave(self, agent: Agent, queue: Queue) -> list[CallerClass]:
        """Let the agent, who is in no line, no longer serve a queue; return the classes that this leaves deserted."""
        del queue.members[agent], agent.members[queue]
        queue.logged_in -= agent.state is not AgentState.LOGGED_OUT
        deserted = []
        for kind in queue.classes.values():
            if kind.members.pop(agent, None) is not None:
                del agent.classes[kind]
                kind.present -= kind.awaits(agent.state)
                if not kind.present and kind.size:
                    deserted.append(kind)
        return deserted

    def notice(self, agent: Agent, old: AgentState, new: AgentState) -> list[CallerClass]:
        """Take note of a change of state; return the classes in which nobody is left to be waited for."""
        deserted = []
        for kind in agent.classes:
            before, after = kind.awaits(old), kind.awaits(new)
            if before is not after:
                kind.present += after - before
                if not kind.present and kind.size:
                    deserted.append(kind)
        return deserted

    def rearrange(self, queue: Queue) -> None:
        """Let the queue's strategy of now order its available agents."""
        for kind in queue.classes.values():
            kind.strategy = Strategy(queue.strategy, self._random)
            there = kind.idle.foremost(kind.idle.count)
            kind.idle = StandBy()
            for _, _, _, agent in there:
                self._place(kind, agent, kind.members[agent])

    def _admit(self, kind: CallerClass, agent: Agent, member: Membership) -> None:
        if not kind.admits(agent, member):
            return
        kind.members[agent] = agent.classes[kind] = member
        kind.present += kind.awaits(agent.state)
        if agent.stint:
            self._place(kind, agent, member)

    def _spare(self, queue: Queue, newest: CallerClass) -> None:
        unused = [kind for kind in queue.classes.values() if not kind.size and kind is not newest]
        for kind in unused[: max(0, len(unused) - SPARE)]:
            self.forget(kind)

    # Lines

    def enlist(self, agent: Agent) -> None:
        """Put an agent who became available into the lines of his classes."""
        self._stints += 1
        agent.stint = self._stints
        for kind, member in agent.classes.items():
            self._place(kind, agent, member)

    @staticmethod
    def delist(agent: Agent) -> None:
        """Take an agent out of all lines."""
        if agent.stint:
            agent.stint = 0
            for kind in agent.classes:
                kind.idle.count -= 1

    @staticmethod
    def _place(kind: CallerClass, agent: Agent, member: Membership) -> None:
        kind.idle.add(kind.strategy.key(agent, member, kind.needs), agent)

    @staticmethod
    def heads(agent: Agent, now: float) -> list[tuple[Order, int, Caller]]:
        """The first callers who seek an agent in each of his classes, with their rank for him: the smallest is next.

        Of two queues the time waited counts with their weights.
        """
        found = []
        for kind in agent.classes:
            entries = kind.seeking.entries
            if entries:
                (level, since), seq, caller = entries[0]
                found.append(((level, (since - now) * kind.queue.profile.weight), seq, caller))
        return found
