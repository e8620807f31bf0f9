"""What a decision costs with 10,000 callers waiting, next to a plain scan of the same callers and agents.

A decision is one of the distributor's two searches: for the caller of an agent who became free, for the agent of a
caller who arrived. It counts all that the search does: choosing, making the offer with its explanation, or keeping
the lines for those who come later. Both kinds are measured in turn, on a floor where some queues are quiet and the
others busy. The scan answers the same questions in the same state, the way one would write it first: look at every
caller, or at every agent, and keep the best; it makes no offer. Each of its answers is compared with the distributor's.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from acd.core.actions import Action, Offer
from acd.core.distributor import Distributor
from acd.core.events import AgentRegistered, CallArrived, CallEnded, CallLeft, Event, OfferAnswered
from acd.core.needs import Needs, needs
from acd.core.profiles import AgentProfile, QueueProfile
from benchmarks.sampling import Sample, Scale

if TYPE_CHECKING:
    from acd.core.agents import Agent
    from acd.core.queues import Caller

T = TypeVar("T")

WAITING, AGENTS, QUEUES, SKILLS = 10_000, 5_000, 200, 50
WARM_UP = 2_000  # decisions of each kind before those that count: by then all kinds of callers have come
QUIET_QUEUES, QUIET_AGENTS = 40, 1_000  # where agents wait for callers; elsewhere it is the other way round
MARK = 1 / 50  # of the scan's p99; the wish: below a millisecond


@dataclass(slots=True)
class PlainCaller:
    """A caller who waits, as the scan sees him."""

    id: str
    queue: str
    needs: Needs
    priority: int
    since: float


@dataclass(slots=True)
class PlainAgent:
    """An agent, as the scan sees him; `idle_since` is None while he is busy."""

    id: str
    queues: frozenset[str]
    skills: dict[str, int]
    idle_since: float | None = None


def suits(agent: PlainAgent, caller: PlainCaller) -> bool:
    """Whether the agent serves the caller's queue and has the skills."""
    if caller.queue not in agent.queues:
        return False
    return all(agent.skills.get(skill, 0) >= level for skill, level in caller.needs.required)


def scan_callers(agent: PlainAgent, waiting: dict[str, PlainCaller]) -> str | None:
    """The caller of highest priority, of those the longest waiting."""
    best, best_rank = None, (0, 0.0)
    for caller in waiting.values():
        if suits(agent, caller):
            rank = (-caller.priority, caller.since)
            if best is None or rank < best_rank:
                best, best_rank = caller.id, rank
    return best


def scan_agents(caller: PlainCaller, agents: dict[str, PlainAgent]) -> str | None:
    """The agent idle for longest."""
    best, best_since = None, 0.0
    for agent in agents.values():
        if agent.idle_since is not None and suits(agent, caller) and (best is None or agent.idle_since < best_since):
            best, best_since = agent.id, agent.idle_since
    return best


class Timed(Distributor):
    """The distributor, with a clock on its two searches."""

    searching = 0.0

    def _seek_agent(self, caller: Caller) -> None:
        started = time.thread_time()
        super()._seek_agent(caller)
        self.searching += time.thread_time() - started

    def _seek_caller(self, agent: Agent) -> None:
        started = time.thread_time()
        super()._seek_caller(agent)
        self.searching += time.thread_time() - started


class World:
    """The two of them in the same state: nobody waits in the quiet queues, `WAITING` callers in the busy ones."""

    def __init__(self, seed: int = 1) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.calls = 0
        skills = [f"s{number}" for number in range(SKILLS)]
        queues = [f"q{number}" for number in range(QUEUES)]
        self.sides = (queues[:QUIET_QUEUES], queues[QUIET_QUEUES:])
        # What callers of a queue ask for is much the same: a few kinds, those without wishes among them.
        self.kinds = {queue: [needs(), *(self._kind(skills) for _ in range(7))] for queue in queues}
        profiles = [self._agent(number, self.sides[number >= QUIET_AGENTS], skills) for number in range(AGENTS)]
        self.quiet = {profile.id for profile in profiles[:QUIET_AGENTS]}
        self.agents = {
            profile.id: PlainAgent(profile.id, frozenset(profile.memberships), profile.skills) for profile in profiles
        }
        self.waiting: dict[str, PlainCaller] = {}
        self.talks: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
        self.distributor = Timed([QueueProfile(queue, queue, wrap_up_seconds=0.0) for queue in queues], profiles)
        self._keep_waiting()
        for agent in self.agents.values():
            self._step()
            agent.idle_since = self.now
            self._tell(AgentRegistered(agent.id))
        self._keep_waiting()

    def _kind(self, skills: list[str]) -> Needs:
        return needs({skill: self.random.randint(1, 3) for skill in self.random.sample(skills, 2)})

    def _agent(self, number: int, queues: list[str], skills: list[str]) -> AgentProfile:
        served = tuple(self.random.sample(queues, self.random.randint(2, 6)))
        known = {skill: self.random.randint(1, 5) for skill in self.random.sample(skills, self.random.randint(5, 20))}
        return AgentProfile(f"a{number}", "", served, skills=known)

    def _keep_waiting(self) -> None:
        """Let callers of the busy queues come or give up until as many wait as are to wait."""
        while len(self.waiting) < WAITING:
            self._step()
            self._tell(self._book(self.random.choice(self.sides[1])))
        while len(self.waiting) > WAITING:
            call = next(iter(self.waiting))
            del self.waiting[call]
            self._tell(CallLeft(call))

    def _step(self) -> None:
        self.now += 0.001

    def _tell(self, event: Event) -> None:
        self._answer(self.distributor.handle(event, self.now))

    def _book(self, queue: str) -> CallArrived:
        self.calls += 1
        kind, priority = self.random.choice(self.kinds[queue]), self.random.choice((0, 0, 0, 1, 2))
        caller = self.waiting[f"c{self.calls}"] = PlainCaller(f"c{self.calls}", queue, kind, priority, self.now)
        return CallArrived(caller.id, queue, priority, kind)

    def _answer(self, actions: list[Action]) -> Offer | None:
        """Let the agent who was chosen answer; return the offer."""
        offer = next((action for action in actions if isinstance(action, Offer)), None)
        if offer is not None:
            self.distributor.handle(OfferAnswered(offer.call_id, offer.agent_id, offer.epoch), self.now)
            del self.waiting[offer.call_id]
            self.agents[offer.agent_id].idle_since = None
            self.talks[offer.agent_id not in self.quiet].append((offer.call_id, offer.agent_id))
        self.distributor.take_facts()
        return offer

    def agent_becomes_free(self, *, scanning: bool = False) -> Cost:
        """One of those who talk hangs up and takes the next caller."""
        self._step()
        talks = self.random.choice([talks for talks in self.talks if talks])
        call, agent = talks.pop(self.random.randrange(len(talks)))
        found, scan = _timed(lambda: scan_callers(self.agents[agent], self.waiting)) if scanning else (None, 0.0)
        offer, search, whole = self._decide(CallEnded(call))
        if offer is None:
            self.agents[agent].idle_since = self.now
        assert not scanning or (offer.call_id if offer else None) == found
        return Cost(search, whole, scan)

    def caller_arrives(self, *, scanning: bool = False) -> Cost:
        """A caller arrives at any queue."""
        self._step()
        event = self._book(self.random.choice(self.random.choice(self.sides)))
        caller = self.waiting[event.call_id]
        found, scan = _timed(lambda: scan_agents(caller, self.agents)) if scanning else (None, 0.0)
        offer, search, whole = self._decide(event)
        assert not scanning or (offer.agent_id if offer else None) == found
        self._keep_waiting()
        return Cost(search, whole, scan)

    def _decide(self, event: Event) -> tuple[Offer | None, float, float]:
        self.distributor.searching = 0.0
        actions, whole = _timed(lambda: self.distributor.handle(event, self.now))
        search = self.distributor.searching
        return self._answer(actions), search, whole


class Cost(NamedTuple):
    """CPU seconds of one decision: the distributor's search, all it did for the event, the scan if there was one."""

    search: float
    whole: float
    scan: float


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.thread_time()
    done = work()
    return done, time.thread_time() - started


def costs(seconds: float, *, scanning: bool) -> list[Cost]:
    """Make decisions for about so many seconds, with the scan's or without.

    The two are timed in runs of their own: a scan leaves nothing of the distributor in the processor's caches.
    """
    world = World()
    for _ in range(WARM_UP):
        world.agent_becomes_free()
        world.caller_arrives()
    found = []
    gc.collect()
    gc.disable()  # as in the server, where it runs rarely
    try:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            found.append(world.agent_becomes_free(scanning=scanning))
            found.append(world.caller_arrives(scanning=scanning))
    finally:
        gc.enable()
    return found


def p99(found: list[float]) -> float:
    """The cost that 99 of 100 decisions stay below."""
    return sorted(found)[len(found) * 99 // 100]


def searches(_directory: Path, scale: Scale) -> Sample:
    """Measure the distributor's searches: the unit is one that is dearer than 99 of 100."""
    found = [cost.search for cost in costs(scale.seconds(5.0), scanning=False)]
    return Sample(p99(found), 1, sum(found))


def scans(_directory: Path, scale: Scale) -> Sample:
    """Measure the scan likewise."""
    found = [cost.scan for cost in costs(scale.seconds(5.0), scanning=True)]
    return Sample(p99(found), 1, sum(found))


def whole_events(seconds: float) -> tuple[float, float]:
    """Return how many such events the distributor handles per CPU second, and the p99 of one in CPU µs.

    That is the search and everything else: the caller's and the agent's state, facts, the estimate of the wait.
    """
    found = [cost.whole for cost in costs(seconds, scanning=False)]
    return len(found) / sum(found), p99(found) * 1e6
