"""What policies do to waits: effects whose sign, and mostly size, is known beforehand.

Sizes are checked with 99.9 % intervals over independent replications with the seeds 1, 2, 3, ...
"""

from collections.abc import Callable, Iterator, Sequence
from math import exp, inf
from random import Random
from statistics import fmean

from acd.core.distributor import Distributor
from acd.core.events import CallArrived
from acd.core.needs import needs
from acd.core.profiles import AgentProfile, QueueProfile, Ring
from acd.simulation.draws import exponential
from acd.simulation.intervals import Interval, interval
from acd.simulation.scenario import Caller
from acd.simulation.world import MONDAY
from tests.acd.simulation.formulas import erlang_b, mean_wait
from tests.acd.simulation.oracle import SERVICE, play, wait

WARM_UP, CALLERS, REPLICATIONS = 400, 2500, 8
Arrive = Callable[[str, Random], CallArrived]


def queue(name: str = "q", **policy: object) -> QueueProfile:
    return QueueProfile(name, name.title(), wrap_up_seconds=0, **policy)  # type: ignore[arg-type]


def agents(number: int, *queues: str, first: int = 0, **more: object) -> list[AgentProfile]:
    return [
        AgentProfile(f"a{n}", f"Agent {n}", queues, always_ready=True, **more)  # type: ignore[arg-type]
        for n in range(first, first + number)
    ]


def simulate(
    seed: int, queues: list[QueueProfile], staff: list[AgentProfile], load: float, arrive: Arrive
) -> list[Caller]:
    """The callers after the warm-up; how they come and talk depends on the seed and the load alone."""
    random, kinds = Random(f"effects {seed} {load}"), Random(f"kinds {seed} {load}")
    service = exponential(SERVICE)(random)

    def coming() -> Iterator[Caller]:
        now = MONDAY
        for n in range(WARM_UP + CALLERS):
            now += random.expovariate(load / SERVICE)
            yield Caller(arrive(f"c{n}", kinds), now, service())

    return play(Distributor(queues, staff, MONDAY), coming()).callers[WARM_UP:]


def means(
    queues: list[QueueProfile],
    staff: list[AgentProfile],
    load: float,
    arrive: Arrive,
    figure: Callable[[Caller], float] = wait,
) -> list[float]:
    """The mean of a figure in each replication."""
    runs = (simulate(seed, queues, staff, load, arrive) for seed in range(1, REPLICATIONS + 1))
    return [fmean(map(figure, run)) for run in runs]


def bounds(values: Sequence[float]) -> Interval:
    found = interval(values, 0.999)
    assert found is not None
    return found


def either(call_id: str, random: Random) -> CallArrived:
    return CallArrived(call_id, random.choice(["a", "b"]))


# Numbers together or apart (合群/分群)


def test_pooling_two_groups_is_worth_what_erlang_says() -> None:
    queues = [queue("a"), queue("b")]
    apart = means(queues, [*agents(6, "a"), *agents(6, "b", first=6)], 9.0, either)
    together = means(queues, agents(12, "a", "b"), 9.0, either)
    assert mean_wait(4.5, 6) * SERVICE in bounds(apart)
    assert mean_wait(9, 12) * SERVICE in bounds(together)
    gain = bounds([one - other for one, other in zip(apart, together, strict=True)])  # of the same days
    assert gain.low > 0
    assert (mean_wait(4.5, 6) - mean_wait(9, 12)) * SERVICE in gain


# Priority: strict, and with ageing


def urgent_half(call_id: str, random: Random) -> CallArrived:
    return CallArrived(call_id, "q", random.choice([0, 1]))


def test_ageing_bounds_how_long_others_are_put_first() -> None:
    ageing = 120.0
    strict, aged = (
        [simulate(seed, [queue(ageing_seconds=seconds)], agents(8, "q"), 7.8, urgent_half) for seed in range(1, 5)]
        for seconds in (0.0, ageing)
    )

    def waits(runs: list[list[Caller]], priority: int) -> float:
        return fmean(c.waited for run in runs for c in run if c.arrival.priority == priority)

    def longest(runs: list[list[Caller]]) -> float:
        return max(caller.waited for run in runs for caller in run)

    assert waits(strict, 1) < waits(aged, 1) < waits(aged, 0) < waits(strict, 0)
    assert longest(aged) < longest(strict) / 1.5
    assert overtaken(strict) > ageing
    assert overtaken(aged) <= ageing
    # Whoever waits long enough to be overtaken by all who may is put back by just that.
    assert 0.3 * ageing < waits(aged, 0) - waits(aged, 1) <= ageing
    everybody = [fmean(fmean(map(wait, run)) for run in runs) for runs in (strict, aged)]
    assert abs(everybody[0] / everybody[1] - 1) < 0.02  # priority moves waits about, it makes none


def overtaken(runs: list[list[Caller]]) -> float:
    """By how much later anybody came who was answered sooner."""
    most = 0.0
    for run in runs:
        latest = -inf  # the latest arrival among those answered up to here
        for caller in sorted(run, key=lambda caller: (caller.at + caller.waited, caller.at)):
            most = max(most, latest - caller.at)
            latest = max(latest, caller.at)
    return most


# Rings


def needs_english(call_id: str, _: Random) -> CallArrived:
    return CallArrived(call_id, "q", needs=needs({"en": 1}))


def by_others(caller: Caller) -> float:
    return int(caller.answered_by[1:]) >= 4


def test_a_ring_takes_those_who_wait_too_long_off_the_experts() -> None:
    experts, load, after = 4, 3.6, 60.0
    staff = [*agents(experts, "q", skills={"en": 1}), *agents(40, "q", first=experts)]
    widening = [queue(rings=(Ring(after, drop=("en",)),))]
    shares = means(widening, staff, load, needs_english, by_others)
    assert deadline_missed(load, experts, after / SERVICE) in bounds(shares)
    for seed in (1, 2):
        with_ring = simulate(seed, widening, staff, load, needs_english)
        without = simulate(seed, [queue()], staff, load, needs_english)
        assert max(map(wait, with_ring)) == after
        assert {caller.waited for caller in with_ring if by_others(caller)} == {after}
        assert not any(map(by_others, without))
        assert fmean(map(wait, with_ring)) < fmean(map(wait, without)) / 2


def deadline_missed(load: float, agents: int, limit: float) -> float:
    """The probability of waiting up to `limit` and being lost then: M/M/n with patience that is always the same.

    The work ahead of an arrival has the density w exp(-(n-a)v) up to the limit, as without impatience, and falls off
    as exp(-nv) behind it, where nobody joins.
    """
    idle = 1 / erlang_b(load, agents) - 1  # the weight of fewer than n busy, that of n in Erlang's loss model being 1
    joining = agents * (1 - exp(-(agents - load) * limit)) / (agents - load)
    lost = exp(-(agents - load) * limit)
    return lost / (idle + joining + lost)


# Preferred agents


def test_waiting_for_ones_own_agent_costs_what_pooling_gains() -> None:
    def own(patience: float) -> Arrive:
        return lambda call_id, random: CallArrived(
            call_id, "q", prefers=f"a{random.randrange(5)}", patience_seconds=patience
        )

    staff = agents(5, "q")
    assert mean_wait(0.5, 1) * SERVICE in bounds(means([queue()], staff, 2.5, own(1e7)))
    assert mean_wait(2.5, 5) * SERVICE in bounds(means([queue()], staff, 2.5, own(0)))

    def share(patience: float) -> float:
        callers = [c for seed in (1, 2) for c in simulate(seed, [queue()], staff, 2.5, own(patience))]
        return fmean(caller.answered_by == caller.arrival.prefers for caller in callers)

    by_chance, briefly, longer, always = (share(patience) for patience in (0, 1, 60, 1e7))
    assert abs(by_chance - 1 / 5) < 0.02
    assert 2 * by_chance < briefly < longer < always == 1
