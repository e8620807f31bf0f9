"""``python -m benchmarks``: measure, print the table, leave a JSON file under ``var/bench``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    bindings,
    codecs,
    connections,
    decisions,
    keys,
    memory,
    message,
    overload,
    profile,
    simulation,
    voices,
)
from benchmarks.figures import comparisons
from benchmarks.processes import REPOSITORY, BenchmarkError, temporary_directory
from benchmarks.report import Single, marks, save, table
from benchmarks.sampling import Figure, Result, Scale, Side
from ims_core import build

QUICK = Scale(rounds=1, share=0.4)
SINGLES = ("message", "memory", "bindings", "simulate", "overload", "connections", "voices", "codecs", "keys")
IN_PROCESS = {"codecs": codecs.figures, "keys": keys.figures}
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def compare(figure: Figure, scale: Scale) -> Result:
    """Measure a figure on both sides in turn; a side that fails is not tried again."""
    result = Result(figure)
    rounds = scale.rounds * figure.times
    for number in range(1, rounds + 1):
        for side, sampler in ((Side.OURS, figure.ours), (Side.PEER, figure.theirs)):
            if side in result.errors:
                continue
            name = figure.peer if side is Side.PEER else side
            try:
                with temporary_directory() as directory:
                    sample = sampler(directory, scale)
            except BenchmarkError as error:
                result.errors[side] = str(error)
                _say(f"{figure.name} {number}/{rounds} {name}: not measured: {error}")
                continue
            result.samples[side].append(sample)
            doubts = f" ({'; '.join(sample.doubts)})" if sample.doubts else ""
            _say(f"{figure.name} {number}/{rounds} {name}: {figure.value(sample):.1f} {figure.unit}{doubts}")
    return result


def own_figures(names: Sequence[str], scale: Scale) -> list[Single]:
    """Measure what has no peer."""
    found = []
    if "message" in names:
        found += _message(scale)
    if "memory" in names:
        title, unit = f"memory per waiting call ({memory.WAITING} of them)", "KiB"
        try:
            with temporary_directory() as directory:
                found.append(Single("memory", title, unit, memory.per_waiting_call(directory)))
        except BenchmarkError as error:
            found.append(Single("memory", title, unit, None, str(error)))
    if "bindings" in names:
        found += _bindings()
    if "connections" in names:
        found += _connections(scale)
    if "voices" in names:
        found += voices.figures(scale)
    found += [figure for name, measure in IN_PROCESS.items() if name in names for figure in measure(scale)]
    if "decisions" in names:
        per_second, dearest = decisions.whole_events(scale.seconds(5.0))
        found += [
            Single("events", "the same decisions with all that belongs to the event", "per CPU second", per_second),
            Single("events_p99", "one of them, p99 (wish below 1000)", "µs of CPU", dearest),
        ]
    if "overload" in names:
        found += _overload(scale)
    if "simulate" in names:
        found.append(_simulate(scale))
    return found


def _simulate(scale: Scale) -> Single:
    calls, error = None, None
    try:
        calls = simulation.calls_per_cpu_second(scale.seconds(16.0))
    except BenchmarkError as failure:
        error = str(failure)
    title = f"simulated calls (wish {simulation.WISH:,})"
    return Single("simulate", title, "per CPU second", calls, error, simulation.MARK, higher_is_better=True)


def _message(scale: Scale) -> list[Single]:
    parsed, read, serialised = message.costs(scale.seconds(3.0))
    unit = "µs of CPU per INVITE"
    return [
        Single("parse", "SIP message parsed", unit, parsed),
        Single("parse_and_read", "SIP message parsed, its usual fields read", unit, read),
        Single("serialise", "SIP message serialised", unit, serialised),
    ]


def _overload(scale: Scale) -> list[Single]:
    served: list[overload.Goodput] = []
    share, error = None, None
    try:
        served = overload.goodputs(scale)
        for each in served:
            _say(f"overload {each.times}: {', '.join(f'{run:.0f}' for run in each.runs)} calls a second")
        share = 100 * overload.share_of_best(served)
    except BenchmarkError as failure:
        error = str(failure)
    title = f"goodput at {overload.TIMES[-1]} × the sustainable rate"
    return [
        *(
            Single(
                f"overload_{each.times}",
                f"calls served at {each.times} × the sustainable rate, {each.offered:.0f}/s",
                "a second",
                each.served,
            )
            for each in served
        ),
        Single("overload", title, "% of the best", share, error, 100 * overload.MARK, higher_is_better=True),
    ]


def _bindings() -> list[Single]:
    titles = {
        "binding_memory": (f"memory per binding, {bindings.BINDINGS:,} of them", "bytes"),
        "binding_by_user": ("contacts of a user looked up among them", "µs of CPU"),
        "binding_by_contact": ("binding looked up by its contact", "µs of CPU"),
    }
    try:
        with temporary_directory() as directory:
            costs: Sequence[float | None] = bindings.costs(directory)
        error = None
    except BenchmarkError as failure:
        costs, error = [None] * len(titles), str(failure)
    marked = {"binding_memory": bindings.MARK}
    return [
        Single(name, *told, cost, error, marked.get(name))
        for (name, told), cost in zip(titles.items(), costs, strict=True)
    ]


def _connections(scale: Scale) -> list[Single]:
    found = []
    for transport in ("tcp", "tls"):
        many = f"{connections.CONNECTIONS:,} {transport.upper()} connections"
        try:
            with temporary_directory() as directory:
                got = connections.carried(transport, scale, directory)
        except BenchmarkError as error:
            found.append(Single(f"{transport}_rate", f"REGISTER over {many}", "a second", None, str(error)))
            continue
        found += [
            Single(f"{transport}_rate", f"REGISTER over {many}", "a second", got.rate),
            Single(f"{transport}_cpu", f"REGISTER over {many}", "per CPU second", got.per_cpu_second),
            Single(f"{transport}_memory", "memory of each, with its binding", "KiB", got.bytes_each / 1024),
        ]
    return found


def _stop(number: int, _: object) -> None:
    """Leave through every `finally`, so that all that was started is ended; further signals do not disturb that."""
    for other in STOPPING:
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def _find_packages_from_anywhere() -> None:
    """Make PYTHONPATH absolute: each server runs in a directory of its own."""
    if searched := os.environ.get("PYTHONPATH"):
        os.environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, searched.split(os.pathsep)))


def _arguments(names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run of each side instead of three")
    parser.add_argument("--only", action="append", choices=[*names, *SINGLES], help="may be given several times")
    parser.add_argument("--profile", choices=names, help="instead: where our side's CPU time goes under this load")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "var/bench", help="directory for the JSON file")
    return parser.parse_args()


def main() -> int:
    """Run what the command line asks for; 1 when something could not be measured. A mark missed is told, no more."""
    for number in STOPPING:
        signal.signal(number, _stop)
    _find_packages_from_anywhere()
    figures = comparisons({})
    arguments = _arguments([figure.name for figure in figures])
    scale = QUICK if arguments.quick else Scale()
    if arguments.profile:
        try:
            print(profile.profiled(arguments.profile, scale))
        except BenchmarkError as error:
            _say(f"{arguments.profile}: not measured: {error}")
            return 1
        return 0
    wanted = arguments.only or [figure.name for figure in figures] + list(SINGLES)
    results = [compare(figure, scale) for figure in figures if figure.name in wanted]
    singles = own_figures(wanted, scale)
    print(table(results, singles))
    print("\nThe core is compiled." if build.IS_COMPILED else "\nThe core is not compiled: `make compiled` does it.")
    print(f"Every run: {save(arguments.output, results, singles, scale)}\n{marks(results, singles)}")
    failed = any(result.ratio is None for result in results) or any(single.value is None for single in singles)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
