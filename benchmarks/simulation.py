"""How many calls the simulator lives through in a second of CPU: a busy day on the lab configuration."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.processes import REPOSITORY, BenchmarkError

LOAD = [
    "--arrivals", "poisson:rate=3000/h", "--service", "lognormal:mean=180,cv=1.2", "--patience", "exponential:300",
    "--answer", "uniform:2,6", "--staff", "155",
]  # fmt: skip
MARK, WISH = 5_000, 20_000  # calls per CPU second


def calls_per_cpu_second(hours: float) -> float:
    """Run ``ims-acd simulate`` for so many hours of virtual time, everything it does counted but its start."""
    command = [sys.executable, "-m", "acd.cli", "simulate", "--config", str(REPOSITORY / "configs/lab.toml")]
    command += [*LOAD, "--hours", str(hours), "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600, cwd=REPOSITORY)
    if done.returncode:
        raise BenchmarkError(f"simulate ended with {done.returncode}: {done.stderr.strip()}")
    made = json.loads(done.stdout)["simulation"]
    return float(made["callers"] / made["cpu_seconds"])
