"""Where the CPU time of our side goes under the load of a figure: samples of all its Python processes as tables."""

from __future__ import annotations

import sysconfig
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import comparisons
from benchmarks.processes import REPOSITORY, BenchmarkError, temporary_directory
from benchmarks.sampling import Scale

SAMPLER = Path(__file__).resolve().parent / "sampler"
ROWS = 20
LEAST_SAMPLES = 200  # in functions; a process with fewer is left out
# Innermost functions in which the loop waits or runs C code of its own, and the sampler.
LEFT_OUT = ("asyncio/runners.py:", "asyncio/base_events.py:", "selectors.py:", "uvloop/", "benchmarks/sampler/")
IMPORT = "<frozen importlib._bootstrap>:_find_and_load"


@dataclass(frozen=True, slots=True)
class Samples:
    """What the sampler wrote about one process: CPU seconds, then stacks, outermost function first."""

    command: str
    cpu_seconds: float
    main_thread_seconds: float
    stacks: Counter[tuple[str, ...]]

    @classmethod
    def read(cls, path: Path) -> Samples:
        """Read a file of `benchmarks/sampler/sitecustomize.py`."""
        command, times, *lines = path.read_text().splitlines()
        cpu, main = map(float, times.split())
        stacks: Counter[tuple[str, ...]] = Counter()
        for line in lines:
            stack, _, count = line.rpartition(" ")
            stacks[tuple(map(_short, stack.split(";")))] += int(count)
        return cls(command.partition(" --set ")[0], cpu, main, stacks)

    def counts(self) -> tuple[Counter[str], Counter[str]]:
        """Return the samples of each function itself and those with its callees, without waiting and imports."""
        own: Counter[str] = Counter()
        inclusive: Counter[str] = Counter()
        for stack, count in self.stacks.items():
            if stack[-1].startswith(LEFT_OUT) or IMPORT in stack:
                continue
            own[stack[-1]] += count
            inclusive.update(dict.fromkeys(stack, count))
        return own, inclusive

    def table(self) -> str:
        """Return the functions with the most samples as Markdown, in percent of all samples within functions."""
        own, inclusive = self.counts()
        total = own.total()
        summary = (
            f"`{self.command}`: {self.cpu_seconds:.2f} CPU-s, {self.main_thread_seconds:.2f} of them in the main "
            f"thread; {total} samples in its Python functions and the calls they make."
        )
        lines = [
            summary,
            "",
            "| function | itself % | with callees % |",
            "|---|---:|---:|",
        ]
        for name, count in own.most_common(ROWS):
            if count < total / 200:
                break
            lines.append(f"| `{name}` | {100 * count / total:.1f} | {100 * inclusive[name] / total:.1f} |")
        return "\n".join(lines)


def _short(function: str) -> str:
    path, _, name = function.rpartition(":")
    for root in ("/site-packages/", f"{REPOSITORY}/", f"{sysconfig.get_path('stdlib')}/"):
        path = path.rpartition(root)[2]
    return f"{path}:{name}"


def profiled(name: str, scale: Scale) -> str:
    """Run our side of the figure `name` once with the sampler and return one table for each busy process."""
    with temporary_directory() as samples:
        environment = {"PYTHONPATH": f"{SAMPLER}:{REPOSITORY}", "IMS_ACD_SAMPLES": str(samples)}
        figure = next(figure for figure in comparisons(environment) if figure.name == name)
        with temporary_directory() as directory:
            sample = figure.ours(directory, scale)
        found = [Samples.read(path) for path in samples.glob("*.txt")]
    busy = [samples for samples in found if samples.counts()[0].total() >= LEAST_SAMPLES]
    if not busy:
        raise BenchmarkError("the sampler wrote nothing, or the load was too short")
    busy.sort(key=lambda samples: -samples.cpu_seconds)
    head = f"{figure.title}: {sample.units} in {sample.cpu_seconds:.2f} CPU-s under the sampler"
    return "\n\n".join([head, *(samples.table() for samples in busy)])
