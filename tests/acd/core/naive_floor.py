"""The floor as a plain person would keep it: a book filled from the facts, every question answered by looking at all.

The book believes what happened and checks what was chosen: at each offer it looks for the best agent or the best caller
from scratch, by the definitions of the policies, and complains when the distributor took another.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from acd import facts
from acd.core.agents import IN_CALL, MISSED, OFFERED, AgentState
from acd.core.events import CallArrived, FailCause
from acd.core.needs import Needs
from acd.core.policies import BY_CHANCE, Score
from acd.core.profiles import AgentProfile, Membership, QueueProfile

AWAY = {AgentState.LOGGED_OUT, AgentState.PAUSED}
PREFERRED = -1


@dataclass
class BookedCall:
    id: str
    queue: str
    number: int
    arrived: CallArrived
    since: float
    patience_until: float
    ring: int = 0
    offers: dict[int, str] = field(default_factory=dict)
    agent: str = ""

    @property
    def needs(self) -> Needs:
        return self.arrived.needs


@dataclass
class BookedAgent:
    id: str
    state: AgentState = AgentState.LOGGED_OUT
    since: float = 0.0
    idle_since: float = 0.0
    offer: int = 0
    talks: list[str] = field(default_factory=list)
    last_offer: int = 0
    taken: int = 0
    talked: float = 0.0
    worked: float = 0.0
    open: float = 0.0
    keeps_idle: bool = False
    missed: int = 0
    rests_until: float = 0.0  # after an offer that came to nothing
    wraps_until: float = 0.0  # wrap-up, which one talk may leave behind while another goes on
    bound: bool = False
    wish: AgentState = AgentState.READY
    outside: set[str] = field(default_factory=set)
    unsure: bool = False  # he became available within this very event, before or after the decision looked at

    @property
    def standing(self) -> AgentState:
        if not self.bound:
            return AgentState.LOGGED_OUT
        if self.wish is AgentState.READY and self.outside:
            return AgentState.BUSY
        return self.wish


@dataclass
class Tally:
    offered: int = 0
    answered: int = 0
    left: dict[str, int] = field(default_factory=lambda: {"abandoned": 0, "overflowed": 0, "released": 0})


class NaiveFloor:
    """What the facts say, and what ought to follow from it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queues: dict[str, QueueProfile] = {}
        self.queues_ever: dict[str, QueueProfile] = {}
        self.profiles: dict[str, AgentProfile] = {}
        self.closed: set[str] = set()
        self.kept: dict[str, dict[str, Membership]] = {}  # by agent: queues that are closed and not yet empty
        self.calls: dict[str, BookedCall] = {}
        self.agents: dict[str, BookedAgent] = {}
        self.numbered: dict[str, int] = {}  # agents, in the order of the configuration
        self.tallies: dict[str, Tally] = {}
        self.loaded: dict[str, bool] = {}
        self.arriving: CallArrived | None = None
        self.numbers = 0
        self.installing = False
        self.delayed: set[str] = set()  # left alone for a while after an offer that came to nothing
        self.ending: set[str] = set()  # those of them for whom this while is over now

    # Profiles

    def install(self, queues: list[QueueProfile], agents: list[AgentProfile]) -> None:
        fresh = {queue.id: queue for queue in queues}
        closed = self.closed = {queue for queue in self.queues.keys() - fresh.keys() if self.waiting(queue)}
        for agent_id in self.profiles:
            served = self.serves(agent_id)
            self.kept[agent_id] = {queue: member for queue, member in served.items() if queue in closed}
        self.queues = {queue: self.queues[queue] for queue in closed} | fresh
        self.queues_ever |= fresh
        self.profiles = {agent.id: agent for agent in agents}
        for agent_id in self.kept.keys() - self.profiles.keys():
            del self.kept[agent_id]
        for agent in agents:
            self.agents.setdefault(agent.id, BookedAgent(agent.id, since=self.now, idle_since=self.now))
        self.tallies = {queue: self.tallies.get(queue, Tally()) for queue in self.queues}
        self.loaded = {queue: self.loaded.get(queue, False) for queue in self.queues}

    def serves(self, agent_id: str) -> dict[str, Membership]:
        profile = self.profiles.get(agent_id)
        if profile is None:
            return {}
        return {**self.kept.get(agent_id, {}), **profile.memberships}

    def forget_the_gone(self) -> None:
        """Drop agents and queues that are configured no longer and have nothing left to do."""
        for agent_id in [agent_id for agent_id, agent in self.agents.items() if not agent.talks]:
            if agent_id not in self.profiles:
                del self.agents[agent_id]
        for queue in [queue for queue in self.closed if not self.waiting(queue)]:
            self.closed.remove(queue)
            del self.queues[queue], self.tallies[queue]
            for kept in self.kept.values():
                kept.pop(queue, None)

    # Who may be offered to whom

    def eligible(self, agent_id: str, call: BookedCall, ring: int | None = None) -> bool:
        ring = call.ring if ring is None else ring
        queue = self.queues[call.queue]
        member = self.serves(agent_id).get(call.queue)
        if member is None:
            return False
        if ring == PREFERRED:
            return agent_id == call.arrived.prefers and self.eligible(agent_id, call, len(queue.rings))
        skills = self.profiles[agent_id].skills
        passed = queue.rings[:ring]
        dropped = {skill for widening in passed for skill in widening.drop}
        relaxed = sum(widening.relax for widening in passed)
        tiered = any(widening.levels for widening in queue.rings)
        if tiered and member.level > max([1, *(widening.levels for widening in passed)]):
            return False
        for skill, level in call.needs.required:
            if skill not in dropped and (skill not in skills or skills[skill] < level - relaxed):
                return False
        return not set(call.needs.excluded) & set(skills)

    def somebody_there(self, call: BookedCall, ring: int) -> bool:
        absent = AWAY if ring == PREFERRED else {AgentState.LOGGED_OUT}
        return any(self.eligible(a.id, call, ring) for a in self.agents.values() if a.state not in absent)

    def ring_of(self, call: BookedCall, *, loaded: bool) -> int:
        """The ring that a caller in `call.ring` should be in now."""
        queue = self.queues[call.queue]
        ring = call.ring
        if ring == PREFERRED and self.now < call.patience_until and self.somebody_there(call, PREFERRED):
            return PREFERRED
        ring = max(ring, queue.under_load.ring if queue.under_load and loaded else 0)
        for number, widening in enumerate(queue.rings, 1):
            if call.since + widening.after_seconds <= self.now:
                ring = max(ring, number)
        while ring < len(queue.rings) and not self.somebody_there(call, ring):
            ring += 1
        return ring

    def score(self, agent_id: str, call: BookedCall, strategy: tuple[str, ...]) -> Score:
        """What the strategy compares, up to the first policy of chance."""
        agent, profile = self.agents[agent_id], self.profiles[agent_id]
        occupancy = agent.worked / (agent.worked + agent.open) if agent.worked + agent.open else 0.0
        points = {
            "longest_idle": agent.idle_since,
            "round_robin": agent.last_offer,
            "fewest_calls": agent.taken,
            "least_talk": agent.talked,
            "least_occupied": occupancy,
            "ordered": self.numbered[agent_id],
            "tiers": self.serves(agent_id)[call.queue].level,
            "best_skills": -sum(min(profile.skills.get(skill, 0), level) for skill, level in call.needs.preferred),
        }
        found = []
        for name in strategy:
            if name in BY_CHANCE:
                break
            found.append(points[name])
        return tuple(found)

    def strategies(self, queue: QueueProfile) -> set[tuple[str, ...]]:
        """The strategy of the load before this event, and that of the load it has brought."""
        load = queue.under_load
        return {
            load.strategy if load and load.strategy and loaded else queue.strategy
            for loaded in (self.loaded[queue.id], self._loaded_now(queue))
        }

    def available(self, agent_id: str) -> bool:
        agent, profile = self.agents[agent_id], self.profiles.get(agent_id)
        if profile is None or agent.offer or len(agent.talks) >= profile.capacity:
            return False
        if self.now < agent.wraps_until or (agent_id in self.delayed and self.now < agent.rests_until):
            return False
        return agent.state is AgentState.READY or (bool(agent.talks) and agent.standing is AgentState.READY)

    def seeks(self, call: BookedCall) -> bool:
        return not call.agent and (not call.offers or self.queues[call.queue].ring_all)

    def waiting(self, queue: str) -> list[BookedCall]:
        found = [call for call in self.calls.values() if call.queue == queue and not call.agent]
        return sorted(found, key=lambda call: (self.order(call), call.number))

    def order(self, call: BookedCall) -> tuple[float, float]:
        ageing = self.queues[call.queue].ageing_seconds
        priority = call.arrived.priority
        return (0.0, call.since - priority * ageing) if ageing else (-priority, call.since)

    def rank(self, call: BookedCall) -> tuple[float, float]:
        level, since = self.order(call)
        return level, (since - self.now) * self.queues[call.queue].weight

    # What happened

    def fold(self, told: list[facts.Fact]) -> None:
        for agent in self.agents.values():
            agent.unsure = False
        for agent_id in self.ending & self.agents.keys():
            self.agents[agent_id].unsure = True
        for fact in told:
            book = BOOK.get(type(fact))
            if book is not None:
                book(self, fact)
        for queue, profile in self.queues.items():
            self.loaded[queue] = self._loaded_now(profile)
        self.forget_the_gone()

    def _loaded_now(self, queue: QueueProfile) -> bool:
        count, load = len(self.waiting(queue.id)), queue.under_load
        if load is None or count <= load.to_waiting:
            return False
        return self.loaded[queue.id] or count >= load.from_waiting

    def _queued(self, fact: facts.CallQueued) -> None:
        arrived = self.arriving
        assert arrived is not None
        assert (fact.call, fact.queue, fact.priority) == (arrived.call_id, arrived.queue, arrived.priority)
        assert (fact.required, fact.excluded) == (dict(arrived.needs.required), arrived.needs.excluded)
        self.numbers += 1
        call = BookedCall(
            fact.call,
            fact.queue,
            self.numbers,
            arrived,
            self.now - fact.waited,
            self.now + arrived.patience_seconds,
            PREFERRED if arrived.prefers else 0,
        )
        self._enter(call)

    def _enter(self, call: BookedCall) -> None:
        self.calls[call.id] = call
        self.tallies[call.queue].offered += 1
        ring = self.ring_of(call, loaded=self.loaded[call.queue])
        call.ring = ring if ring <= 0 else min(call.ring, 0)  # above that a fact is to tell

    def _moved(self, fact: facts.CallMoved) -> None:
        call = self.calls[fact.call]
        assert call.queue == fact.queue != fact.to
        self.tallies[fact.queue].left["overflowed"] += 1
        call.queue = fact.to
        call.ring = PREFERRED if call.arrived.prefers else 0
        self._enter(call)

    def _widened(self, fact: facts.RingWidened) -> None:
        call = self.calls[fact.call]
        assert call.queue == fact.queue
        assert call.ring != fact.ring or self.installing
        if not self.installing:
            loads = {self.loaded[call.queue], self._loaded_now(self.queues[call.queue])}
            assert fact.ring in {self.ring_of(call, loaded=loaded) for loaded in loads}
        call.ring = fact.ring

    def _offered(self, fact: facts.OfferMade) -> None:
        call, agent = self.calls[fact.call], self.agents[fact.agent]
        queue = self.queues[call.queue]
        assert not call.agent, "an offer of a caller who talks"
        assert not call.offers or queue.ring_all, "two offers of one caller"
        assert not agent.offer, "two offers to one agent"
        assert self.available(agent.id), "an offer to an agent who is not available"
        assert self.now >= agent.rests_until, "an offer to an agent who is to be left alone"
        assert self.eligible(agent.id, call), "an offer to an agent who may not be"
        assert fact.epoch > max((a.last_offer for a in self.agents.values()), default=0), "an epoch used twice"
        assert (fact.queue, fact.ring, fact.waiting) == (call.queue, call.ring, len(self.waiting(call.queue)))
        if fact.sought == "caller":
            self._check_caller(fact, call)
        elif not self.installing:
            self._check_agent(fact, call)
        call.offers[fact.epoch] = agent.id
        agent.offer = agent.last_offer = fact.epoch

    def _check_caller(self, fact: facts.OfferMade, call: BookedCall) -> None:
        rivals = [c for c in self.calls.values() if self.seeks(c) and self.eligible(fact.agent, c)]
        best = min(rivals, key=lambda rival: (self.rank(rival), rival.number))
        assert best is call, f"{best.id} is before {call.id}"
        assert fact.score == self.rank(call)
        ageing = self.queues[call.queue].ageing_seconds
        for rival in rivals:
            if ageing and rival.queue == call.queue:
                bound = (call.arrived.priority - rival.arrived.priority) * ageing
                assert call.since <= rival.since + bound, "overtaken by one who came too late for it"

    def _check_agent(self, fact: facts.OfferMade, call: BookedCall) -> None:
        queue = self.queues[call.queue]
        if queue.ring_all:
            assert fact.runners_up == ()
        else:
            strategies = self.strategies(queue)
            assert any(self._is_best(fact, call, strategy) for strategy in strategies), "another would have been better"

    def _is_best(self, fact: facts.OfferMade, call: BookedCall, strategy: tuple[str, ...]) -> bool:
        rivals = {a: self.score(a, call, strategy) for a in self.agents if self.available(a) and self.eligible(a, call)}
        sure = {a: score for a, score in rivals.items() if not self.agents[a].unsure}
        assert len(sure) <= fact.idle <= len(rivals)
        assert len(fact.runners_up) == min(5, fact.idle - 1)
        if len(sure) == len(rivals) and len(rivals[fact.agent]) == len(strategy):  # neither doubt nor chance
            best = sorted(rivals.items(), key=lambda rival: (rival[1], self.numbered[rival[0]]))
            return [(fact.agent, fact.score), *fact.runners_up] == best[:6]
        return all(rivals[fact.agent] <= score for score in sure.values())

    def _part(self, call_id: str, agent_id: str, epoch: int) -> BookedAgent:
        call, agent = self.calls.get(call_id), self.agents[agent_id]
        if call is not None:
            assert call.offers.pop(epoch) == agent_id
        assert agent.offer == epoch
        agent.offer = 0
        agent.unsure = True
        return agent

    def _failed(self, fact: facts.OfferFailed) -> None:
        agent = self._part(fact.call, fact.agent, fact.epoch)
        agent.keeps_idle = False
        agent.rests_until = self.now + self.profiles[fact.agent].delay_after(FailCause(fact.cause))
        agent.missed += fact.cause in {FailCause.NO_ANSWER, FailCause.UNREACHABLE}

    def _withdrawn(self, fact: facts.OfferWithdrawn) -> None:
        agent = self._part(fact.call, fact.agent, fact.epoch)
        agent.keeps_idle = True

    def _connected(self, fact: facts.CallConnected) -> None:
        call, agent = self.calls[fact.call], self.agents[fact.agent]
        assert call.offers.pop(fact.epoch) == agent.id
        assert (fact.queue, fact.waited) == (call.queue, self.now - call.since)
        call.agent = agent.id
        agent.offer = 0
        agent.missed = 0
        agent.taken += 1
        agent.idle_since = self.now
        agent.talks.append(call.id)
        self.tallies[call.queue].answered += 1

    def _talked(self, fact: facts.TalkEnded) -> None:
        agent = self.agents[fact.agent]
        agent.talks.remove(fact.call)
        agent.talked += fact.talked
        agent.keeps_idle = False
        agent.unsure = True
        assert 0 <= fact.held <= fact.talked
        wrap_up = self.queues_ever[fact.queue].wrap_up_seconds
        if agent.bound and agent.wish is AgentState.READY:
            agent.wraps_until = self.now + wrap_up
        del self.calls[fact.call]

    def _left(self, fact: facts.CallLeft) -> None:
        call = self.calls.pop(fact.call)
        line = [*self.waiting(call.queue), call]
        line.sort(key=lambda other: (self.order(other), other.number))
        assert (fact.position, fact.waited) == (line.index(call) + 1, self.now - call.since)
        self.tallies[call.queue].left[fact.cause] += 1

    def _wished(self, fact: facts.AgentWished) -> None:
        agent = self.agents[fact.agent]
        agent.wish = AgentState(fact.wish)
        agent.rests_until = agent.wraps_until = 0.0
        assert (fact.cause == "missed") is (fact.reason == MISSED)
        if fact.cause == "missed":
            assert 0 < self.profiles[fact.agent].pause_after_missed <= agent.missed, "paused without need"
            agent.missed = 0

    def _changed(self, fact: facts.AgentChanged) -> None:
        agent = self.agents[fact.agent]
        assert (fact.old, fact.lasted) == (agent.state, self.now - agent.since)
        if agent.state in IN_CALL or agent.state is AgentState.WRAP_UP:
            agent.worked += fact.lasted
        elif agent.state in OFFERED or agent.state is AgentState.READY:
            agent.open += fact.lasted
        was_free = agent.state in {AgentState.READY, AgentState.BUSY}
        agent.state, agent.since = AgentState(fact.new), self.now
        if agent.state in {AgentState.READY, AgentState.BUSY} and not was_free and not agent.keeps_idle:
            agent.idle_since = self.now
        if agent.state is AgentState.READY:
            agent.unsure = True
            agent.wraps_until = 0.0  # the talk was in a queue that is no more
        elif agent.state not in OFFERED | IN_CALL:
            agent.rests_until = 0.0
        agent.keeps_idle = False


BOOK: dict[type[facts.Fact], Callable[[NaiveFloor, Any], None]] = {
    facts.CallQueued: NaiveFloor._queued,
    facts.CallMoved: NaiveFloor._moved,
    facts.RingWidened: NaiveFloor._widened,
    facts.OfferMade: NaiveFloor._offered,
    facts.OfferFailed: NaiveFloor._failed,
    facts.OfferWithdrawn: NaiveFloor._withdrawn,
    facts.CallConnected: NaiveFloor._connected,
    facts.TalkEnded: NaiveFloor._talked,
    facts.CallLeft: NaiveFloor._left,
    facts.AgentWished: NaiveFloor._wished,
    facts.AgentChanged: NaiveFloor._changed,
}
