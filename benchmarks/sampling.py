"""A figure's samples: CPU per unit of work on one side, and every reason not to trust it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from benchmarks import machine
from benchmarks.sipp import Counts

CALM_SECONDS, CALM_CPU_SECONDS = 0.25, 0.01  # who uses less than that has nothing left to do
CALM_AT_LAST_SECONDS = 5.0
SETTLE_SECONDS = 1.0  # what a server puts off (writing to disk, expiring transactions) still counts
RETRANSMISSION_SHARE = 0.001
RATE_SHARE = 0.95
SPREAD = 1.5  # the dearest sample of a side over its cheapest


class Side(StrEnum):
    """Whose server did the work."""

    OURS = "ims-acd"
    PEER = "peer"


@dataclass(frozen=True, slots=True)
class Scale:
    """How long to measure: the seconds of load per sample and the number of rounds."""

    rounds: int = 3
    share: float = 1.0

    def seconds(self, full: float) -> float:
        """Return how long a load of `full` seconds lasts at this scale; 2 s at least."""
        return max(2.0, full * self.share)

    def calls(self, rate: float, full: float) -> int:
        """Return how many calls at `rate` a second fill that time."""
        return round(rate * self.seconds(full))


@dataclass(slots=True)
class Sample:
    """One measurement: CPU seconds of the server under test for units of work done within `seconds`.

    `by_process` are those of each process that it consists of, in the order in which they were named. `delay_us` and
    `jitter_us` are what 99 of 100 relayed packets stay below, 0 where none tells.
    """

    cpu_seconds: float = 0.0
    units: int = 0
    seconds: float = 0.0
    doubts: list[str] = field(default_factory=list)
    by_process: list[float] = field(default_factory=list)
    delay_us: float = 0.0
    jitter_us: float = 0.0

    @property
    def cost(self) -> float:
        """CPU microseconds per unit."""
        return self.cpu_seconds * 1e6 / self.units if self.units else float("nan")

    @property
    def per_cpu_second(self) -> float:
        """Units per CPU second."""
        return self.units / self.cpu_seconds if self.cpu_seconds else float("nan")

    @property
    def share_of_a_core(self) -> float:
        """Percent of one core used while the load lasted."""
        return 100 * self.cpu_seconds / self.seconds if self.seconds else float("nan")

    def judge_calls(self, counts: Counts, expected: int, rate: float) -> None:
        """Take over what SIPp counted of `expected` units and doubt the sample when the load was not as meant."""
        self.units, self.seconds = counts.completed, counts.seconds
        if counts.failed or counts.completed < expected:
            self.doubts.append(f"{expected - counts.completed} of {expected} calls failed")
        if counts.retransmissions > RETRANSMISSION_SHARE * expected:
            self.doubts.append(f"{counts.retransmissions} retransmissions in {expected} calls")
        # The last call still has to end after the time in which all are started.
        if counts.seconds > (expected / rate + 1.0) / RATE_SHARE:
            self.doubts.append(f"sender late: {counts.completed / counts.seconds:.0f}/s instead of {rate:.0f}/s")

    def judge_agents(self, counts: Counts) -> None:
        """Count only the calls that the agents' side completed, after `judge_calls` judged the callers' side."""
        if counts.completed < self.units or counts.failed:
            self.doubts.append(f"the agents completed {counts.completed} of {self.units} calls")
        if counts.retransmissions > RETRANSMISSION_SHARE * self.units:
            self.doubts.append(f"{counts.retransmissions} retransmissions by the agents")
        self.units = counts.completed


@contextmanager
def measured(*pids: int) -> Iterator[Sample]:
    """Measure the CPU that the trees under `pids` use within the block and shortly after it, once they are calm.

    What a server does but once, such as starting a process when it is first needed, is no part of what a unit costs.
    """
    sample = Sample()
    _await_calm(pids)
    drops, used = machine.udp_drops(), [machine.cpu_seconds(pid) for pid in pids]
    started = time.monotonic()
    yield sample
    elapsed = time.monotonic() - started
    time.sleep(SETTLE_SECONDS)
    sample.by_process = [machine.cpu_seconds(pid) - before for pid, before in zip(pids, used, strict=True)]
    sample.cpu_seconds = sum(sample.by_process)
    if not sample.seconds:
        sample.seconds = elapsed
    if drops := machine.udp_drops() - drops:
        sample.doubts.append(f"{drops} UDP datagrams dropped on this machine")


def _await_calm(pids: Sequence[int]) -> None:
    deadline = time.monotonic() + CALM_AT_LAST_SECONDS
    calm = False
    while not calm and time.monotonic() < deadline:
        before = sum(map(machine.cpu_seconds, pids))
        time.sleep(CALM_SECONDS)
        calm = sum(map(machine.cpu_seconds, pids)) - before <= CALM_CPU_SECONDS


def meets(value: float | None, mark: float | None, *, higher_is_better: bool) -> bool | None:
    """Tell whether a value reaches its mark; None without one of them."""
    if value is None or mark is None:
        return None
    return value >= mark if higher_is_better else value <= mark


Sampler = Callable[[Path, Scale], Sample]


@dataclass(frozen=True, slots=True)
class Figure:
    """A comparison: the same load on our server and on the peer's.

    Without a `mark` it only tells. `hops` are the names of the processes that ours consists of, to tell of each. Sides
    that are much alike are measured so many `times` as often as others.
    """

    name: str
    title: str
    peer: str
    unit: str
    mark: float | None
    ours: Sampler
    theirs: Sampler
    value: Callable[[Sample], float]
    higher_is_better: bool = False
    hops: tuple[str, ...] = ()
    times: int = 1


@dataclass(slots=True)
class Result:
    """A figure's samples in the order measured, or the reason why there are none on a side."""

    figure: Figure
    samples: dict[Side, list[Sample]] = field(default_factory=lambda: {side: [] for side in Side})
    errors: dict[Side, str] = field(default_factory=dict)

    def median(self, side: Side) -> float | None:
        """Return the side's median value in the figure's unit; None when it was not measured."""
        values = [self.figure.value(sample) for sample in self.samples[side]]
        return statistics.median(values) if values else None

    @property
    def by_hop(self) -> dict[str, float]:
        """CPU microseconds per unit in each of the figure's hops, the median of our runs."""
        runs = self.samples[Side.OURS]
        return {
            hop: statistics.median(sample.by_process[place] * 1e6 / sample.units for sample in runs)
            for place, hop in enumerate(self.figure.hops)
            if runs
        }

    @property
    def ratio(self) -> float | None:
        """Our median over the peer's."""
        ours, theirs = self.median(Side.OURS), self.median(Side.PEER)
        return ours / theirs if ours is not None and theirs else None

    @property
    def met(self) -> bool | None:
        """Tell whether the mark is reached; None without a ratio or a mark."""
        return meets(self.ratio, self.figure.mark, higher_is_better=self.figure.higher_is_better)

    def doubts(self) -> list[str]:
        """Return why the figure is not to be trusted, side by side, each reason with its round."""
        found = [f"{side}: {text}" for side, text in self.errors.items()]
        for side, samples in self.samples.items():
            for number, sample in enumerate(samples, 1):
                found += [f"{side}, run {number}: {text}" for text in sample.doubts]
            costs = [sample.cost for sample in samples]
            if costs and max(costs) > SPREAD * min(costs):
                found.append(f"{side}: runs differ by more than {SPREAD:.1f} ×")
        return found
