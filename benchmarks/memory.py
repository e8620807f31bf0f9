"""What a waiting call costs in memory: the engine and its media worker with every agent busy and more callers."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path

from benchmarks import machine, ours
from benchmarks.processes import LOOPBACK, BenchmarkError
from benchmarks.sipp import Sipp, serving

WAITING = 300
RATE = 50
SETTLE_SECONDS = 2.0


def _calls(http_port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/api/v1/calls", timeout=5) as answer:
        return len(json.load(answer)["items"])


def _memory_with(target: ours.EngineTarget, calls: int) -> int:
    """Return the memory in bytes once `calls` calls are under way and things have settled."""
    deadline = time.monotonic() + calls / RATE + 20
    while (found := _calls(target.http_port)) < calls:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"only {found} of {calls} calls are under way")
        time.sleep(0.5)
    time.sleep(SETTLE_SECONDS)
    return machine.proportional_memory(target.pid)


def per_waiting_call(directory: Path) -> float:
    """Return the KiB that each of `WAITING` callers beyond the 200 whom agents serve adds."""
    with (
        serving("callee", directory) as agents,
        ours.engine(directory, {}, (LOOPBACK, agents.port)) as target,
    ):
        served = _callers(directory, target, ours.AGENTS)
        try:
            before = _memory_with(target, ours.AGENTS)
            waiting = _callers(directory, target, WAITING)
            try:
                after = _memory_with(target, ours.AGENTS + WAITING)
            finally:
                waiting.end()
        finally:
            served.end()
    return (after - before) / WAITING / 1024


def _callers(directory: Path, target: ours.EngineTarget, calls: int) -> Sipp:
    options = ["-m", str(calls), "-r", str(RATE), "-l", str(calls)]
    users = [ours.QUEUE_NUMBER]
    return Sipp("queue_caller", directory, remote=target.address, users=users, options=options)
