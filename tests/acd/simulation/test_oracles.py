"""The engine's distributor against queueing theory (ACD-6).

Each case is a load with its formula. It is simulated `BATCHES` times with `REPLICATIONS` independent replications
each, and for each figure the 99 % interval of the mean is made of those. Of all intervals 99 % should contain the
truth: their number passes a two-sided binomial test at 0.1 %. The seeds are 1, 2, 3, ... and were so before anybody
looked. Every run also obeys the laws of conservation (`acd.simulation.laws`), exactly.
"""

from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import NamedTuple

from acd.core.events import CallArrived
from acd.simulation.draws import exponential
from acd.simulation.intervals import interval
from acd.simulation.scenario import Caller
from acd.simulation.world import MONDAY
from tests.acd.simulation.formulas import (
    answered_within,
    binomial_tail,
    cobham,
    erlang_a,
    erlang_b,
    erlang_c,
    mean_wait,
)
from tests.acd.simulation.oracle import (
    SERVICE,
    abandons,
    answered_in_20,
    floor,
    is_blocked,
    play,
    steady,
    wait,
    waits,
)

BATCHES, REPLICATIONS = 5, 10
Figure = Callable[[Caller], float]


class Case(NamedTuple):
    """`callers` in one replication are as many as make its mean nearly normal: more, the heavier the load."""

    name: str
    run: Callable[[int], list[Caller]]
    truth: dict[Figure, float]


def loss(load: float, agents: int, callers: int) -> Case:
    return Case(
        f"Erlang B {load}/{agents}",
        lambda seed: steady(seed, load, agents, callers, patience=0.0),
        {is_blocked: erlang_b(load, agents)},
    )


def delay(load: float, agents: int, callers: int) -> Case:
    return Case(
        f"Erlang C {load}/{agents}",
        lambda seed: steady(seed, load, agents, callers),
        {
            waits: erlang_c(load, agents),
            wait: mean_wait(load, agents) * SERVICE,
            answered_in_20: answered_within(load, agents, 20 / SERVICE),
        },
    )


def impatient(load: float, agents: int, patience: float, callers: int) -> Case:
    truth = erlang_a(load, agents, patience / SERVICE, 20 / SERVICE)
    return Case(
        f"Erlang A {load}/{agents}, patience {patience} s",
        lambda seed: steady(seed, load, agents, callers, patience),
        {
            waits: truth.waits,
            wait: truth.mean_wait * SERVICE,
            abandons: truth.abandons,
            answered_in_20: truth.answered_within,
        },
    )


def priority(loads: tuple[float, float], agents: int, warm_up: int, callers: int) -> Case:
    """Two classes; it starts empty, and the first `warm_up` callers are not measured."""
    urgent, other = (seconds * SERVICE for seconds in cobham(loads, agents))
    share = loads[0] / sum(loads)

    def run(seed: int) -> list[Caller]:
        random = Random(f"priority {seed} {loads} {agents}")
        service = exponential(SERVICE)(random)

        def coming() -> Iterator[Caller]:
            now = MONDAY
            for n in range(warm_up + callers):
                yield Caller(CallArrived(f"c{n}", "q", int(random.random() < share)), now, service())
                now += random.expovariate(sum(loads) / SERVICE)

        return play(floor(agents), coming()).callers[warm_up:]

    def wait_of_the_urgent(caller: Caller) -> float:
        return caller.waited / share if caller.arrival.priority else 0.0

    def wait_of_the_others(caller: Caller) -> float:
        return 0.0 if caller.arrival.priority else caller.waited / (1 - share)

    return Case(f"priority {loads}/{agents}", run, {wait_of_the_urgent: urgent, wait_of_the_others: other})


CASES = [
    loss(10, 11, 400),
    loss(10, 14, 400),
    loss(20, 24, 400),
    loss(3, 4, 400),
    delay(10, 12, 2500),
    delay(10, 13, 1500),
    delay(10, 14, 1000),
    delay(20, 24, 2500),
    delay(3, 5, 1000),
    impatient(10, 14, 300, 600),
    impatient(10, 11, 180, 600),
    impatient(12, 10, 90, 400),
    impatient(20, 18, 300, 400),
    priority((3.0, 5.0), 10, 500, 2000),
    priority((8.0, 6.0), 17, 500, 2500),
]


def contained(case: Case) -> Iterator[tuple[str, bool]]:
    """For each batch and figure, whether the interval contains the truth."""
    seeds = count(1)
    for _ in range(BATCHES):
        runs = [case.run(next(seeds)) for _ in range(REPLICATIONS)]
        for figure, truth in case.truth.items():
            found = interval([sum(map(figure, callers)) / len(callers) for callers in runs], 0.99)
            assert found is not None
            yield figure.__name__, truth in found


def test_of_all_99_percent_intervals_99_percent_contain_the_truth() -> None:
    """Each figure by itself, so that the intervals counted together are independent of each other."""
    hits: dict[str, list[bool]] = {}
    for case in CASES:
        for name, hit in contained(case):
            hits.setdefault(name, []).append(hit)
    assert {name: len(seen) for name, seen in hits.items()} == {
        "is_blocked": 4 * BATCHES,
        "abandons": 4 * BATCHES,
        "waits": 9 * BATCHES,
        "wait": 9 * BATCHES,
        "answered_in_20": 9 * BATCHES,
        "wait_of_the_urgent": 2 * BATCHES,
        "wait_of_the_others": 2 * BATCHES,
    }
    told = {name: f"{sum(seen)} of {len(seen)}" for name, seen in hits.items()}
    for seen in hits.values():
        assert binomial_tail(sum(seen), len(seen), 0.99) > 0.001, told
