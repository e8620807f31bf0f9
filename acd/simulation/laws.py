"""What must hold exactly in every run, whatever the policy: a run in which it does not has found a defect of ours.

Three books are kept of one run: the distributor's counters, its facts, and what the virtual clock saw by itself
(`acd.simulation.world`). They must agree to the last digit.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from acd import facts
from acd.cdr import Outcome
from acd.core.agents import AgentState

if TYPE_CHECKING:
    from acd.core.distributor import Distributor
    from acd.simulation.world import World


class LawBroken(Exception):
    """A law of conservation does not hold; the text says which, with both sides of it."""


class AgentBook:
    """The agents' state intervals and talks, as the facts tell them: each interval begins where the last one ended.

    So an agent's intervals add up to his shift, which `check` compares with who talked to whom.
    """

    kinds = (facts.AgentChanged.KIND, facts.TalkEnded.KIND)

    def __init__(self, distributor: Distributor, now: float) -> None:
        self.talked = 0.0
        self._states = {agent.id: (agent.state.value, now) for agent in distributor.snapshot(now).agents}
        self._spent: Counter[tuple[str, str]] = Counter()
        self._start = now

    def append(self, fact: facts.Fact, at: float) -> None:
        """Take what happened. Raises LawBroken where an interval does not follow upon the one before."""
        if isinstance(fact, facts.TalkEnded):
            self.talked += fact.talked
            return
        assert isinstance(fact, facts.AgentChanged)
        state, since = self._states[fact.agent]
        if fact.old != state or fact.lasted != at - since:
            raise LawBroken(
                f"at {at - self._start:.6f} s {fact.agent} leaves {fact.old} after {fact.lasted!r} s, "
                f"but he had been {state} for {at - since!r} s"
            )
        self._spent[fact.agent, state] += fact.lasted  # type: ignore[assignment]  # seconds, not a count
        self._states[fact.agent] = (fact.new, at)

    def seconds(self, now: float) -> dict[str, dict[str, float]]:
        """The seconds that each agent has spent in each state up to `now`."""
        found: dict[str, dict[str, float]] = {agent_id: {} for agent_id in self._states}
        for (agent_id, state), spent in self._spent.items():
            found[agent_id][state] = spent
        for agent_id, (state, since) in self._states.items():
            found[agent_id][state] = found[agent_id].get(state, 0.0) + now - since
        return found


def check(world: World, book: AgentBook) -> None:
    """Hold the books of a run against each other. Raises LawBroken."""
    now = world.now
    outcomes = Counter(caller.outcome for caller in world.callers)
    queues = world.distributor.snapshot(now).queues
    for queue in queues:
        gone = queue.answered + queue.abandoned + queue.overflowed + queue.released
        _equal(f"offered to {queue.id} = answered + left + waiting", queue.offered, gone + queue.waiting)
    _equal("arrived = outcomes + waiting", len(world.callers), sum(outcomes.values()) - outcomes[None] + world.waiting)
    _equal("waiting, by callers and by queues", world.waiting, sum(queue.waiting for queue in queues))
    _equal("answered, by callers and by queues", outcomes[Outcome.ANSWERED], sum(queue.answered for queue in queues))
    _equal("abandoned, by callers and by queues", outcomes[Outcome.ABANDONED], sum(q.abandoned for q in queues))
    waits = sum(caller.waited if caller.outcome else now - caller.at for caller in world.callers)
    _equal("waits of all callers = length of the queue over time (Little)", waits, world.waiting_seconds)
    going_on = sum(now - (caller.at + caller.waited) for caller in world.talks.values())
    _equal("talks told + talks going on = talks over time", book.talked + going_on, world.talking_seconds)
    spent = book.seconds(now)
    if all(world.distributor.agent(agent_id).profile.capacity == 1 for agent_id in spent):
        talking = sum(by_state.get(state, 0.0) for by_state in spent.values() for state in _IN_CALL)
        _equal("agents talking over time = talks over time", talking, world.talking_seconds)
    for agent_id, by_state in spent.items():
        _equal(f"states of {agent_id} = the shift", sum(by_state.values()), now - world.start)


_IN_CALL = (AgentState.TALKING.value, AgentState.HOLD.value)


def _equal(law: str, left: float, right: float) -> None:
    if left != right:
        raise LawBroken(f"{law}: {left!r} is not {right!r}")
