"""A virtual day of 10,000 calls on a floor where everything happens, and what must hold all the time."""

from collections import Counter
from collections.abc import Iterator
from random import Random

from acd import facts
from acd.cdr import Outcome
from acd.core.agents import Agent, AgentState
from acd.core.distributor import Distributor
from acd.core.events import (
    AgentBusy,
    AgentIdle,
    AgentLoggedIn,
    AgentLoggedOut,
    AgentPaused,
    AgentReady,
    AgentRegistered,
    AgentUnregistered,
    CallArrived,
    Event,
    FailCause,
)
from acd.core.needs import ANYBODY, Needs, needs
from acd.core.overflow import OverflowRule, Target, When
from acd.core.profiles import AgentProfile, Membership, QueueProfile, Ring
from acd.kpi.policy import NO_POLICY
from acd.simulation.draws import exponential, lognormal
from acd.simulation.run import Day, live
from acd.simulation.scenario import Caller, Phones
from acd.simulation.world import MONDAY, World

HOUR, DAY = 3600.0, 86400.0
CALLS = 10_000
WANTS: list[Needs] = [ANYBODY, ANYBODY, ANYBODY, needs({"en": 1}), needs({"en": 3}), needs({"vip": 1}, {"en": 1})]

QUEUES = [
    QueueProfile(
        "sales",
        "Sales",
        ageing_seconds=60,
        rings=(Ring(15, drop=("vip",)), Ring(40, relax=2, levels=2)),
        overflow=(OverflowRule(When.EXPECTED_WAIT, Target.CALLBACK, above=150),),
    ),
    QueueProfile(
        "support",
        "Support",
        ring_seconds=12,
        wrap_up_seconds=15,
        strategy=("tiers", "least_occupied"),
        overflow=(OverflowRule(When.WAITED, Target.QUEUE, "sales", above=60),),
    ),
    QueueProfile(
        "alarm",
        "Alarm",
        ring_seconds=8,
        wrap_up_seconds=0,
        ring_all=True,
        weight=5,
        overflow=(OverflowRule(When.LENGTH, Target.EXTERNAL, "tel:119", above=2),),
    ),
]
AGENTS = [
    AgentProfile(
        f"a{n:02}",
        f"Agent {n}",
        tuple(
            Membership(queue, 1 + n % 2, 1.0 + n % 3)
            for queue, every in (("sales", 1), ("support", 2), ("alarm", 5))
            if n % every == 0
        ),
        skills={skill: 1 + n % 4 for skill, every in (("en", 2), ("vip", 3)) if n % every == 0},
        pause_after_missed=3 if n % 4 == 0 else 0,
        refuse_delay_seconds=5.0 if n % 3 else 0.0,
        capacity=2 if n % 10 == 0 else 1,
    )
    for n in range(60)
]


def callers(seed: int) -> Iterator[Caller]:
    random = Random(f"callers {seed}")
    talk, patience = lognormal(130, 1.2)(random), exponential(150)(random)
    hours = random.choices(
        range(24), [1, 1, 1, 1, 1, 2, 4, 8, 12, 14, 14, 13, 11, 11, 13, 14, 12, 10, 8, 6, 4, 3, 2, 1], k=CALLS
    )
    for n, at in enumerate(sorted(MONDAY + (hour + random.random()) * HOUR for hour in hours)):
        queue = random.choices(["sales", "support", "alarm"], [6, 4, 1])[0]
        wants = random.choice(WANTS) if queue == "sales" else ANYBODY
        prefers = random.choice(AGENTS).id if random.random() < 0.05 else ""
        arrival = CallArrived(f"c{n}", queue, random.choice([0, 0, 0, 1, 2]), wants, prefers, 20.0)
        yield Caller(arrival, at, talk(), patience())


class Mortals(Phones):
    """Agents who answer, refuse, or let ring; while a phone is `dead` nothing comes back from it."""

    def __init__(self, random: Random) -> None:
        super().__init__(exponential(4)(random), refuse=0.05, ignore=0.05, chance=random.random)
        self.dead: dict[str, list[tuple[float, float]]] = {}

    def ring(self, agent_id: str, now: float) -> tuple[float, FailCause | None]:
        if any(died <= now < back for died, back in self.dead.get(agent_id, ())):
            return float("inf"), None
        return super().ring(agent_id, now)


def lives(seed: int, phones: Mortals) -> Iterator[tuple[float, Event]]:
    """Shifts with breaks, calls of their own, and phones that die: silent for a while, then gone, later back."""
    random = Random(f"lives {seed}")
    for n, agent in enumerate(AGENTS):
        come = MONDAY + (n % 3) * 7 * HOUR + random.uniform(0, 0.5) * HOUR
        go = come + 9 * HOUR
        yield come, AgentRegistered(agent.id)
        yield come, AgentLoggedIn(agent.id)
        at = come
        while (at := at + random.expovariate(1 / HOUR)) < go:
            lasts = random.uniform(30, 900)
            match random.choice(["pause", "dial", "die", "log out"]):
                case "pause":
                    yield at, AgentPaused(agent.id, "tea")
                    yield at + lasts, AgentReady(agent.id)
                case "dial":
                    yield at, AgentBusy(agent.id, f"own {at}")
                    yield at + lasts, AgentIdle(agent.id, f"own {at}")
                case "die":
                    silent = random.uniform(0, 90)
                    phones.dead.setdefault(agent.id, []).append((at, at + silent + lasts))
                    yield at + silent, AgentUnregistered(agent.id)
                    yield at + silent + lasts, AgentRegistered(agent.id)
                case _:
                    yield at, AgentLoggedOut(agent.id)
                    yield at + lasts, AgentLoggedIn(agent.id)
            at += lasts
        yield go, AgentLoggedOut(agent.id)
        yield go + 60, AgentUnregistered(agent.id)


class Invariants:
    """Everything that must hold between two events, by looking at all; `seen` says what it has been tried on."""

    kinds = (facts.CallMoved.KIND,)

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.moved: dict[str, str] = {}

    def append(self, fact: facts.Fact, _at: float) -> None:
        assert isinstance(fact, facts.CallMoved)
        self.moved[fact.call] = fact.to

    def queue_of(self, caller: Caller) -> QueueProfile:
        name = self.moved.get(caller.arrival.call_id, caller.arrival.queue)
        return next(queue for queue in QUEUES if queue.id == name)

    def __call__(self, world: World) -> None:
        self.world = world
        self.distributor = world.distributor
        waiting = world.inside
        self._no_deadline_is_overdue()
        agents = [self.distributor.agent(profile.id) for profile in AGENTS]
        self._agents_do_what_the_world_saw(agents)
        self._no_agent_is_stuck(agents)
        self._nobody_waits_for_an_agent_who_could_take_him(agents, waiting)
        self._positions_are_1_to_n(waiting)
        self._counters_conserve(waiting)
        self.seen["looks"] += 1

    def _no_deadline_is_overdue(self) -> None:
        deadline = self.distributor.next_deadline()
        assert deadline is None or deadline > self.world.now

    def _agents_do_what_the_world_saw(self, agents: list[Agent]) -> None:
        rings = Counter(agent_id for _, agent_id in self.world.ringing)
        talks = Counter(caller.answered_by for caller in self.world.talks.values())
        for agent in agents:
            assert rings[agent.id] <= 1, "two offers to one agent"
            assert rings[agent.id] + talks[agent.id] <= agent.profile.capacity
            assert (agent.offer is not None) == rings[agent.id]
            assert len(agent.talks) == talks[agent.id]
            assert (agent.state in {AgentState.TALKING, AgentState.HOLD}) == bool(talks[agent.id])
            if agent.state in {AgentState.RESERVED, AgentState.RINGING}:
                assert rings[agent.id]
            self.seen[agent.state] += 1
        several = Counter(call_id for call_id, _ in self.world.ringing)
        for call_id, count in several.items():
            assert count == 1 or self.queue_of(self.world.inside[call_id]).ring_all, "two offers of one caller"

    def _no_agent_is_stuck(self, agents: list[Agent]) -> None:
        for agent in agents:
            lasts = self.world.now - agent.since
            if agent.state is AgentState.RESERVED:
                assert lasts <= 20
            elif agent.state is AgentState.WRAP_UP:
                assert lasts <= 15
            if agent.due is not None:
                assert agent.due > self.world.now

    def _nobody_waits_for_an_agent_who_could_take_him(self, agents: list[Agent], waiting: dict[str, Caller]) -> None:
        ringing = {call_id for call_id, _ in self.world.ringing}
        free = [agent for agent in agents if agent.available]
        for call_id, caller in waiting.items():
            if call_id not in ringing:
                self.seen["waiting without an offer"] += 1
                able = [
                    agent.id for agent in free if may_take(agent.profile, caller, self.queue_of(caller), self.world.now)
                ]
                assert not able, f"{call_id} waits while {able} are free"

    def _positions_are_1_to_n(self, waiting: dict[str, Caller]) -> None:
        for queue in QUEUES:
            positions = [self.distributor.position(id_) for id_, c in waiting.items() if self.queue_of(c) is queue]
            assert sorted(position or 0 for position in positions) == list(range(1, len(positions) + 1))

    def _counters_conserve(self, waiting: dict[str, Caller]) -> None:
        by_queue = Counter(self.queue_of(caller).id for caller in waiting.values())
        for queue in self.distributor.snapshot(self.world.now).queues:
            assert queue.waiting == by_queue[queue.id]
            gone = queue.answered + queue.abandoned + queue.overflowed + queue.released
            assert queue.offered == gone + queue.waiting


def may_take(agent: AgentProfile, caller: Caller, queue: QueueProfile, now: float) -> bool:
    """Whether an agent may be offered a caller, one who is still waiting for a preferred agent excepted."""
    arrival, waited = caller.arrival, now - caller.at
    if arrival.prefers and waited < arrival.patience_seconds:
        return False
    member = agent.memberships.get(queue.id)
    if member is None:
        return False
    rings = [ring for ring in queue.rings if ring.after_seconds <= waited]
    if any(ring.levels for ring in queue.rings) and member.level > max([1, *(ring.levels for ring in rings)]):
        return False
    dropped = [skill for ring in rings for skill in ring.drop]
    return arrival.needs.admits(agent.skills, dropped, sum(ring.relax for ring in rings))


def test_every_invariant_holds_on_a_day_of_ten_thousand_calls() -> None:
    phones = Mortals(Random("phones 1"))
    agenda = list(lives(1, phones))
    distributor = Distributor(QUEUES, AGENTS, MONDAY, random=Random("policy 1").random)
    invariants = Invariants()

    day = Day(distributor, callers(1), phones, agenda, MONDAY, MONDAY, MONDAY + DAY, NO_POLICY)
    run = live(day, invariants, every=20.0, observers=[invariants])
    outcomes = Counter(caller.outcome for caller in run.callers)
    assert len(run.callers) == CALLS
    assert outcomes[None] == 0
    assert sum(outcomes.values()) == CALLS
    assert outcomes[Outcome.ANSWERED] > 0.7 * CALLS
    assert outcomes[Outcome.ABANDONED] > 0.02 * CALLS
    assert len(invariants.moved) > 50
    assert outcomes[Outcome.EXTERNAL] > 5
    assert outcomes[Outcome.CALLBACK] > 5
    # The day had it all: without these the invariants would have held of nothing.
    for state in (AgentState.RESERVED, AgentState.TALKING, AgentState.WRAP_UP, AgentState.PAUSED, AgentState.BUSY):
        assert invariants.seen[state] > 100, state
    assert invariants.seen["waiting without an offer"] > 1000
    assert invariants.seen["looks"] == DAY / 20
