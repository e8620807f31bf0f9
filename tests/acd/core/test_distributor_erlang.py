"""The live core as a simulator: Poisson arrivals and exponential talks must give what Erlang's formula gives."""

from heapq import heappop, heappush
from random import Random
from statistics import fmean

import pytest

from acd.core.actions import Action, Connected, Offer
from acd.core.distributor import Distributor
from acd.core.events import CallArrived, CallEnded, Event, OfferAnswered
from acd.core.profiles import AgentProfile, QueueProfile

SERVICE_SECONDS = 180.0


def erlang_c(load: float, agents: int) -> float:
    """P(wait) for `load` erlangs offered to `agents`, by the recursion of Erlang B."""
    blocked = 1.0
    for n in range(1, agents + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked / (1 - load / agents * (1 - blocked))


def simulate(seed: int, load: float, agents: int, calls: int) -> tuple[list[float], float]:
    """Return each caller's wait and the integral of the queue's length over time."""
    random = Random(seed)
    distributor = Distributor(
        [QueueProfile("q", "Queue", wrap_up_seconds=0)],
        [AgentProfile(f"a{n}", f"Agent {n}", ("q",), always_ready=True) for n in range(agents)],
    )
    agenda: list[tuple[float, int, Event]] = []
    time = 0.0
    for n in range(calls):
        time += random.expovariate(load / SERVICE_SECONDS)
        agenda.append((time, n, CallArrived(str(n), "q")))
    waits: list[float] = []
    area = before = 0.0
    while agenda:
        now, _, event = heappop(agenda)
        area += distributor.waiting("q") * (now - before)
        before = now
        todo: list[Action] = distributor.handle(event, now)
        while todo:
            action = todo.pop(0)
            if isinstance(action, Offer):
                todo += distributor.handle(OfferAnswered(action.call_id, action.agent_id, action.epoch), now)
            elif isinstance(action, Connected):
                waits.append(action.waited_seconds)
                end = now + random.expovariate(1 / SERVICE_SECONDS)
                heappush(agenda, (end, calls + len(waits), CallEnded(action.call_id)))
    return waits, area


def test_erlang_c_formula() -> None:
    assert erlang_c(10, 12) == pytest.approx(0.449388, abs=1e-6)


@pytest.fixture(scope="module")
def replications() -> list[tuple[list[float], float]]:
    return [simulate(seed, load=10, agents=12, calls=8000) for seed in range(1, 9)]


def test_waiting_follows_erlang_c(replications: list[tuple[list[float], float]]) -> None:
    waiting = erlang_c(10, 12)
    assert fmean(fmean(wait > 0 for wait in waits) for waits, _ in replications) == pytest.approx(waiting, rel=0.1)
    mean_wait = waiting * SERVICE_SECONDS / (12 - 10)
    assert fmean(fmean(waits) for waits, _ in replications) == pytest.approx(mean_wait, rel=0.15)


def test_littles_law_is_exact(replications: list[tuple[list[float], float]]) -> None:
    for waits, area in replications:
        assert len(waits) == 8000
        assert sum(waits) == pytest.approx(area, rel=1e-9)
