"""Queueing theory in closed form, to hold the simulator against. `load` is in erlangs, times in mean services (1/µ)."""

from math import exp, factorial
from typing import NamedTuple


def erlang_b(load: float, agents: int) -> float:
    """The probability that a caller finds all agents busy where nobody waits."""
    blocked = 1.0
    for n in range(1, agents + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


def erlang_c(load: float, agents: int) -> float:
    """The probability that a caller has to wait where everybody waits."""
    blocked = erlang_b(load, agents)
    return blocked / (1 - load / agents * (1 - blocked))


def mean_wait(load: float, agents: int) -> float:
    """The mean wait of all callers where everybody waits."""
    return erlang_c(load, agents) / (agents - load)


def answered_within(load: float, agents: int, seconds: float) -> float:
    """The share of callers answered within this time where everybody waits."""
    return 1 - erlang_c(load, agents) * exp(-(agents - load) * seconds)


def cobham(loads: tuple[float, ...], agents: int) -> list[float]:
    """The mean wait of each class, the most urgent first, where a talk is never interrupted."""
    before_anybody = erlang_c(sum(loads), agents) / agents
    waits, urgent = [], 0.0
    for load in loads:
        up_to = urgent + load / agents
        waits.append(before_anybody / ((1 - urgent) * (1 - up_to)))
        urgent = up_to
    return waits


class ErlangA(NamedTuple):
    """What becomes of callers with exponential patience."""

    waits: float
    abandons: float
    mean_wait: float
    occupancy: float
    answered_within: float


def steady_state(load: float, agents: int, leaving: float = 0.0, most: int = 0) -> list[float]:
    """The probability of each number of callers in the system, `leaving` being the rate at which one waiting gives up.

    `most` is the number at which the sum is cut off, 0: where nothing is left of it.
    """
    weights = [1.0]
    while len(weights) <= most or (not most and (len(weights) <= agents or weights[-1] > 1e-16 * sum(weights))):
        n = len(weights)
        weights.append(weights[-1] * load / (min(n, agents) + max(0, n - agents) * leaving))
    total = sum(weights)
    return [weight / total for weight in weights]


def erlang_a(load: float, agents: int, patience: float, within: float) -> ErlangA:
    """Erlang's model with impatient callers. `patience` is the mean one, `within` the limit of `answered_within`."""
    leaving = 1 / patience
    shares = steady_state(load, agents, leaving)
    queue = sum(share * max(0, n - agents) for n, share in enumerate(shares))
    busy = sum(share * min(n, agents) for n, share in enumerate(shares))
    answered = _answered(agents, leaving, within, len(shares) - agents)
    in_time = sum(share * (1.0 if n < agents else answered[n - agents]) for n, share in enumerate(shares))
    return ErlangA(sum(shares[agents:]), leaving * queue / load, queue / load, busy / agents, in_time)


def _answered(agents: int, leaving: float, within: float, longest: int) -> list[float]:
    """The probability of an answer `within` a time by the number of callers ahead in the queue.

    A caller with j ahead of him moves up at the rate `agents` + j `leaving` and gives up at the rate `leaving`. The
    chain is watched at the jumps of a clock faster than any of its rates (uniformisation).
    """
    fastest = agents + (longest + 1) * leaving
    jumps, poisson, total = 0, exp(-fastest * within), 0.0
    reached = [0.0] * longest  # the probability of an answer within so many jumps
    result = [0.0] * longest
    while total < 1 - 1e-13 and jumps < 10_000:
        result = [sofar + poisson * now for sofar, now in zip(result, reached, strict=True)]
        total += poisson
        jumps += 1
        poisson *= fastest * within / jumps
        before, reached = reached, []
        for ahead in range(longest):
            up = (agents + ahead * leaving) / fastest
            stay = 1 - up - leaving / fastest
            reached.append(up * (1.0 if ahead == 0 else before[ahead - 1]) + stay * before[ahead])
    return result


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """The two-sided probability of a count at least as unlikely as this one."""

    def weight(count: int) -> float:
        ways = factorial(trials) // factorial(count) // factorial(trials - count)
        return ways * probability**count * (1 - probability) ** (trials - count)

    seen = weight(successes)
    return sum(weight(count) for count in range(trials + 1) if weight(count) <= seen * (1 + 1e-9))
