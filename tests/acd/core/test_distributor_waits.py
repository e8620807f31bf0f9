"""The expected wait as the distributor tells it: a busy floor whose agents serve two queues."""

from collections.abc import Iterator
from heapq import heappop, heappush
from random import Random
from statistics import fmean

import pytest

from acd import facts
from acd.core.actions import Action, Connected, Offer
from acd.core.agents import AWAY, AgentState
from acd.core.distributor import Distributor
from acd.core.events import (
    AgentLoggedIn,
    AgentLoggedOut,
    AgentPaused,
    AgentRegistered,
    CallArrived,
    CallEnded,
    CallLeft,
    CallMoved,
    Event,
    OfferAnswered,
    OfferFailed,
)
from acd.core.expected_wait import TOLD
from acd.core.needs import needs
from acd.core.profiles import AgentProfile, QueueProfile

QUEUES = [QueueProfile("sales", "Sales", wrap_up_seconds=20), QueueProfile("support", "Support", wrap_up_seconds=0)]
AGENTS = [
    AgentProfile(f"a{n}", f"Agent {n}", ("sales", "support") if n % 2 else ("sales",), always_ready=True, capacity=1)
    for n in range(8)
]
PICK_UP = 4.0


class BusyFloor:
    """Callers who arrive at random, wait with limited patience and talk for about three minutes."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.distributor = Distributor(QUEUES, AGENTS)
        self.now = 0.0
        self.told: dict[str, tuple[float, facts.WaitEstimated]] = {}
        self.answered: list[tuple[facts.WaitEstimated, float]] = []
        self._agenda: list[tuple[float, int, Event]] = []
        self._planned = 0
        for n in range(1500):
            arrival = 22.0 * n + self.random.expovariate(1 / 22)
            self._plan(arrival, CallArrived(f"c{n}", "sales" if self.random.random() < 0.7 else "support"))
            self._plan(arrival + 30 + self.random.expovariate(1 / 400), CallLeft(f"c{n}"))

    def _plan(self, time: float, event: Event) -> None:
        self._planned += 1
        heappush(self._agenda, (time, self._planned, event))

    def run(self) -> Iterator[None]:
        while self._agenda:
            due = self.distributor.next_deadline()
            if due is not None and due <= self._agenda[0][0]:
                self.now = due
                self._perform(self.distributor.handle_timer(due))
            else:
                self.now, _, event = heappop(self._agenda)
                self.tell(event)
            yield

    def tell(self, event: Event) -> None:
        if isinstance(event, CallLeft):
            if self.distributor.position(event.call_id) is None:
                return
            self.told.pop(event.call_id, None)
        self._perform(self.distributor.handle(event, self.now))

    def _perform(self, actions: list[Action]) -> None:
        for fact in self.distributor.take_facts():
            if isinstance(fact, facts.WaitEstimated):
                self.told[fact.call] = self.now, fact
        for action in actions:
            if isinstance(action, Offer):
                self._plan(self.now + PICK_UP, OfferAnswered(action.call_id, action.agent_id, action.epoch))
            elif isinstance(action, Connected):
                self._plan(self.now + self.random.expovariate(1 / 160), CallEnded(action.call_id))
                if action.call_id in self.told:
                    since, fact = self.told.pop(action.call_id)
                    self.answered.append((fact, self.now - since))


@pytest.fixture(scope="module")
def floor() -> BusyFloor:
    floor = BusyFloor(seed=5)
    for _ in floor.run():
        pass
    return floor


def test_callers_are_told_ranges_that_hold(floor: BusyFloor) -> None:
    assert len(floor.answered) > 500
    for fact, _ in floor.answered:
        assert 0 <= fact.low <= fact.expected <= fact.high
    assert 0.74 <= fmean(fact.low <= waited <= fact.high for fact, waited in floor.answered) <= 0.88
    error = fmean(abs(fact.expected - waited) for fact, waited in floor.answered)
    assert error < 0.6 * fmean(waited for _, waited in floor.answered)


def test_the_floor_shows_how_good_the_estimators_are(floor: BusyFloor) -> None:
    for queue in floor.distributor.snapshot(floor.now).queues:
        told = queue.estimators[TOLD]
        assert told.scored > 100
        assert told.error_seconds is not None
        assert told.coverage is not None
        assert queue.expected_wait is None  # somebody is ready


def test_each_waiting_caller_can_be_told_and_nobody_else() -> None:
    floor = BusyFloor(seed=6)
    for _ in floor.run():
        if floor.now > 10_000 and len(floor.told) > 5:
            break
    assert floor.told
    assert None not in [floor.distributor.expected_wait(call, floor.now) for call in floor.told]
    assert floor.distributor.expected_wait("nobody", floor.now) is None
    shown = {queue.id: queue for queue in floor.distributor.snapshot(floor.now).queues}
    assert shown["sales"].expected_wait is not None
    for agent in AGENTS:
        floor.tell(AgentPaused(agent.id))
    for n in range(1500):
        floor.tell(CallEnded(f"c{n}"))
    assert all(queue.expected_wait is None for queue in floor.distributor.snapshot(floor.now).queues)


def test_a_caller_who_talks_has_no_expected_wait() -> None:
    distributor = Distributor(QUEUES, AGENTS)
    offer = next(a for a in distributor.handle(CallArrived("c", "sales"), 0.0) if isinstance(a, Offer))
    distributor.handle(OfferAnswered("c", offer.agent_id, offer.epoch), 1.0)
    assert distributor.expected_wait("c", 1.0) is None


@pytest.mark.parametrize("seed", range(5))
def test_the_counts_behind_it_are_what_they_count(seed: int) -> None:
    """Agents come and go, callers with needs come, go and move, and other profiles are installed all the while."""
    random = Random(seed)
    agents = [
        AgentProfile(f"a{n}", f"A{n}", ("sales", "support")[: 1 + n % 2], skills={"zh": n}, capacity=1 + n % 2)
        for n in range(5)
    ]
    everywhere = QueueProfile("support", "Support", ring_all=True)
    distributor = Distributor(QUEUES, agents)
    for profile in agents:
        distributor.handle(AgentRegistered(profile.id), 0.0)
    offers: list[Offer] = []
    talking: list[str] = []
    most_seeking = 0
    for n in range(1500):
        now = n * 3.0
        call, agent = f"c{random.randrange(30)}", f"a{random.randrange(5)}"
        queue = random.choice(["sales", "support"])
        events: list[Event] = [
            CallArrived(call, queue, random.randrange(2), needs({"zh": random.randrange(1, 4)})),
            CallLeft(call),
            CallMoved(call, queue),
            CallArrived(f"d{n}", queue),
            AgentLoggedIn(agent),
            AgentLoggedIn(agent),
            AgentPaused(agent),
            AgentLoggedOut(agent),
        ]
        events += [CallEnded(call) for call in talking[-3:]] + [AgentRegistered(agent)] * 2
        for offer in offers[-3:]:
            kind = random.choice([OfferAnswered, OfferAnswered, OfferFailed])
            events += [kind(offer.call_id, offer.agent_id, offer.epoch)] * 2
        if random.random() < 0.05:
            policy = [QUEUES[0], random.choice([QUEUES[1], everywhere])]
            actions = distributor.install(policy, random.sample(agents, 4), now)
        else:
            actions = distributor.handle(random.choice(events), now)
        actions += distributor.handle_timer(now)
        offers += [action for action in actions if isinstance(action, Offer)]
        talking += [action.call_id for action in actions if isinstance(action, Connected)]
        most_seeking = max(most_seeking, *(one.seeking for one in distributor._queues.values()))
        for one in distributor._queues.values():
            assert one.seeking == sum(caller.seeking for caller in one.callers)
            assert one.serving == sum(a.profile.capacity for a in one.members if a.state not in AWAY)
            assert one.logged_in == sum(a.state is not AgentState.LOGGED_OUT for a in one.members)
    assert most_seeking > 5
    assert len(talking) > 20
