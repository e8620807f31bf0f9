"""Runs of the distributor whose truth is known, each caller of which sees the steady state.

A run begins at an arrival, with as many callers in the system as the steady state has at an instant drawn from it.
Poisson arrivals see time averages and everything is memoryless, so the first caller and every one after him finds the
steady state: averages over a fixed number of callers have exactly the expectation that the formula gives, with no
warm-up and no bias. Replications are independent of each other.
"""

from collections.abc import Iterator
from itertools import chain
from math import inf
from random import Random

from acd.cdr import Outcome
from acd.core.distributor import Distributor
from acd.core.events import CallArrived
from acd.core.overflow import OverflowRule, Target, When
from acd.core.profiles import AgentProfile, QueueProfile
from acd.simulation import laws
from acd.simulation.draws import exponential, never
from acd.simulation.scenario import Caller, Phones
from acd.simulation.world import MONDAY, World
from tests.acd.simulation.formulas import steady_state

SERVICE = 180.0
WAITING = QueueProfile("q", "Queue", wrap_up_seconds=0)
NO_WAITING = QueueProfile(
    "q", "Queue", wrap_up_seconds=0, overflow=(OverflowRule(When.LENGTH, Target.RELEASE, above=0),)
)


def floor(agents: int, queue: QueueProfile = WAITING) -> Distributor:
    profiles = [AgentProfile(f"a{n}", f"Agent {n}", ("q",), always_ready=True) for n in range(agents)]
    return Distributor([queue], profiles, MONDAY)


def play(distributor: Distributor, callers: Iterator[Caller]) -> World:
    """Run to the end and hold the laws of conservation."""
    book = laws.AgentBook(distributor, MONDAY)
    world = World(distributor, callers, Phones(), observers=[book])
    world.finish()
    laws.check(world, book)
    return world


def steady(seed: int, load: float, agents: int, callers: int, patience: float = inf) -> list[Caller]:
    """The callers of one replication who are measured.

    `patience` is the mean one; with infinity it is Erlang's C. With 0 callers are patient, but the queue overflows at
    length 0: Erlang's B.
    """
    random = Random(f"steady {seed} {load} {agents} {callers} {patience}")
    service = exponential(SERVICE)(random)
    patient = (exponential(patience) if 0 < patience < inf else never)(random)
    shares = steady_state(load, agents, SERVICE / patience) if patience else steady_state(load, agents, most=agents)
    queue = WAITING if patience else NO_WAITING
    there = random.choices(range(len(shares)), shares)[0]

    def measured() -> Iterator[Caller]:
        now = MONDAY
        for n in range(callers):
            yield Caller(CallArrived(f"c{n}", "q"), now, service(), patient())
            now += random.expovariate(load / SERVICE)

    # Those who talk at the start need no patience, and those who wait have as much left as at their arrival.
    before = (
        Caller(CallArrived(f"b{n}", "q"), MONDAY, service(), inf if n < agents else patient()) for n in range(there)
    )
    return play(floor(agents, queue), chain(before, measured())).callers[there:]


def waits(caller: Caller) -> float:
    return caller.waited > 0


def wait(caller: Caller) -> float:
    return caller.waited


def abandons(caller: Caller) -> float:
    return caller.outcome is Outcome.ABANDONED


def is_blocked(caller: Caller) -> float:
    return caller.outcome is Outcome.REJECTED


def answered_in_20(caller: Caller) -> float:
    return caller.outcome is Outcome.ANSWERED and caller.waited <= 20
