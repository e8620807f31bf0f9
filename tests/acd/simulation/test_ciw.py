"""Against another simulator, ciw, where no formula is at hand: talks that are not exponential, priorities, impatience.

Two classes come to five agents; talks are lognormal, and everybody hangs up after the same time. Both simulators run
independent replications; the 99.9 % interval of the difference of a figure's means contains 0.
"""

from collections.abc import Iterator, Sequence
from math import log, sqrt
from random import Random
from statistics import fmean, variance
from typing import Any

import ciw

from acd.cdr import Outcome
from acd.core.events import CallArrived
from acd.simulation.draws import exponential, lognormal
from acd.simulation.intervals import t_quantile
from acd.simulation.scenario import Caller
from acd.simulation.world import MONDAY
from tests.acd.simulation.oracle import floor, play

URGENT, OTHER = 1.8, 2.7  # erlangs
AGENTS, SERVICE, CV, PATIENCE = 5, 180.0, 1.3, 120.0
WARM_UP, CALLERS, REPLICATIONS = 300, 4000, 10

Figures = tuple[float, float, float, float]  # by class: the mean wait, the share that hung up


def figures(waits: Sequence[tuple[bool, float, bool]]) -> Figures:
    """Of (urgent, waited, hung up), one of each caller."""
    found = []
    for urgent in (True, False):
        some = [(waited, gone) for kind, waited, gone in waits if kind is urgent]
        found += [fmean(waited for waited, _ in some), fmean(gone for _, gone in some)]
    return found[0], found[1], found[2], found[3]


def ours(seed: int) -> Figures:
    random = Random(f"ciw {seed}")
    service, gap = lognormal(SERVICE, CV)(random), exponential(SERVICE / (URGENT + OTHER))(random)

    def coming() -> Iterator[Caller]:
        now = MONDAY
        for n in range(WARM_UP + CALLERS):
            now += gap()
            urgent = random.random() < URGENT / (URGENT + OTHER)
            yield Caller(CallArrived(f"c{n}", "q", int(urgent)), now, service(), PATIENCE)

    callers = play(floor(AGENTS), coming()).callers[WARM_UP:]
    return figures([(c.arrival.priority == 1, c.waited, c.outcome is Outcome.ABANDONED) for c in callers])


def theirs(seed: int) -> Figures:
    spread = log(1 + CV * CV)
    talk = {"mean": log(SERVICE) - spread / 2, "sd": sqrt(spread)}
    network: Any = ciw.create_network(
        arrival_distributions={
            "urgent": [ciw.dists.Exponential(rate=URGENT / SERVICE)],
            "other": [ciw.dists.Exponential(rate=OTHER / SERVICE)],
        },
        service_distributions={name: [ciw.dists.Lognormal(**talk)] for name in ("urgent", "other")},
        reneging_time_distributions={name: [ciw.dists.Deterministic(value=PATIENCE)] for name in ("urgent", "other")},
        priority_classes={"urgent": 0, "other": 1},
        number_of_servers=[AGENTS],
    )
    ciw.seed(seed)
    simulation: Any = ciw.Simulation(network)
    simulation.simulate_until_max_customers(WARM_UP + CALLERS)
    records = sorted(simulation.get_all_records(), key=lambda record: record.arrival_date)[WARM_UP:]
    return figures([(r.customer_class == "urgent", r.waiting_time, r.record_type == "renege") for r in records])


def test_a_simulator_written_by_others_finds_the_same() -> None:
    seeds = range(1, REPLICATIONS + 1)
    for mine, other in zip(zip(*map(ours, seeds), strict=True), zip(*map(theirs, seeds), strict=True), strict=True):
        error = sqrt((variance(mine) + variance(other)) / REPLICATIONS)
        assert fmean(mine) > 0
        assert abs(fmean(mine) - fmean(other)) < t_quantile(0.9995, 2 * REPLICATIONS - 2) * error
        assert error < 0.12 * fmean(mine), "too blunt to tell"
