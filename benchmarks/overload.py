"""How many queued calls are served when more come than can be: goodput at 1, 2 and 3 times the sustainable rate.

The server has core 0 to itself and SIPp core 1. A call counts when the agents' SIPp has completed it, within the time
that the load lasts. The rates are offered in turn, several times over, and the medians are compared: a machine that is
slower for a while is so for each of them.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ours import QUEUE_NUMBER, engine
from benchmarks.processes import LOOPBACK, BenchmarkError, temporary_directory
from benchmarks.sampling import Scale
from benchmarks.sipp import Sipp, serving

SERVER_CORE, LOAD_CORE = 0, 1
CLIENTS = 2
FIRST_RATE, LEAST_RATE, STEP = 150.0, 10.0, 1.15
TRIES = 2  # so that one disturbance from outside does not count
SERVED = 0.97  # of the calls begun, for a rate to be sustained
TRY_SECONDS, WARM_SECONDS, LOAD_SECONDS = 5.0, 3.0, 15.0
TIMES = (1, 2, 3)
MARK = 0.85  # of the best goodput, at three times the sustainable rate


@dataclass(frozen=True, slots=True)
class Goodput:
    """Calls per second: how many were begun, and how many of them were served in each of the runs."""

    times: int
    offered: float
    runs: tuple[float, ...]

    @property
    def served(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)


@contextlib.contextmanager
def _on_core(core: int) -> Iterator[None]:
    """Have what is started within the block run on one core; its children and threads inherit that."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _goodput(rate: float, warm: float, seconds: float) -> float:
    """Offer calls at `rate` and return how many a second the agents completed, after `warm` seconds of it."""
    with temporary_directory() as directory, contextlib.ExitStack() as stack:
        with _on_core(LOAD_CORE):
            agents = stack.enter_context(serving("agent", directory))
        with _on_core(SERVER_CORE):
            target = stack.enter_context(engine(directory, {}, (LOOPBACK, agents.port)))
        with _on_core(LOAD_CORE):
            for _ in range(CLIENTS):
                stack.callback(_caller(directory, target.address, rate / CLIENTS, warm + seconds).end)
        time.sleep(warm + 1.0)  # SIPp writes once a second
        before = agents.counts()
        time.sleep(seconds)
        after = agents.counts()
    if after.seconds <= before.seconds:
        raise BenchmarkError("the agents' SIPp wrote nothing")
    return (after.completed - before.completed) / (after.seconds - before.seconds)


def _caller(directory: Path, address: tuple[str, int], rate: float, seconds: float) -> Sipp:
    calls = round(rate * (seconds + 5.0))
    options = ["-m", str(calls), "-r", f"{rate:.0f}", "-l", str(calls)]
    return Sipp(
        "patient_caller", directory, remote=address, users=[QUEUE_NUMBER], options=options, seconds=seconds + 60.0
    )


def sustainable_rate(scale: Scale) -> float:
    """Return the highest rate, in steps of 15 %, at which nearly all calls are served."""

    def is_sustained(rate: float) -> bool:
        tries = (_goodput(rate, 2.0, scale.seconds(TRY_SECONDS)) for _ in range(TRIES))
        return any(goodput >= SERVED * rate for goodput in tries)

    rate = FIRST_RATE
    while not is_sustained(rate):
        rate = _whole(rate / STEP)
        if rate < LEAST_RATE:
            raise BenchmarkError(f"not even {LEAST_RATE:.0f} calls a second are served")
    while is_sustained(more := _whole(rate * STEP)):
        rate = more
    return rate


def _whole(rate: float) -> float:
    """Round a rate so that each client has a whole number of calls a second."""
    return float(round(rate / CLIENTS) * CLIENTS)


def goodputs(scale: Scale) -> list[Goodput]:
    """Return the goodput at each of `TIMES` the sustainable rate."""
    rate = sustainable_rate(scale)
    rounds = [
        [_goodput(rate * times, WARM_SECONDS, scale.seconds(LOAD_SECONDS)) for times in TIMES]
        for _ in range(scale.rounds)
    ]
    return [Goodput(times, rate * times, runs) for times, runs in zip(TIMES, zip(*rounds, strict=True), strict=True)]


def share_of_best(found: list[Goodput]) -> float:
    """Return the goodput at the highest load over the best."""
    return found[-1].served / max(each.served for each in found)
