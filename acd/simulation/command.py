r"""`ims-acd simulate`: the very engine on a virtual clock, its figures with confidence intervals, and a picture.

expressions
  --arrivals   poisson:rate=120/h   hourly:20,40,90,60   profile:FILE (lines "HH:MM,calls per hour")
               or a distribution: the time from one caller to the next
               then, as needed, ,number=10001 ,queue=sales ,priority=2 ,skills=en:2+vip
  --service, --patience, --answer: a distribution
               exponential:180   lognormal:mean=180,cv=1.2   erlang:k=2,mean=180   uniform:5,15   180
               never (patience)   empirical:FILE (a duration a line)
               for some callers only with ,number= or ,queue= (--service, --patience)
  --staff      20   20@8-16:30   5@22-6,queue=sales
  Durations are in seconds, or as 3min, 0.5h; files may hold comments after #.

--replay lives through a day of the event log under --config: callers, talks, patience and the agents' presence are
taken from it (who was answered is given a patience beyond what he waited, who was not a talk like the others'), and
the table shows the figures of the log beside those of the replay.

The n-th caller of each --arrivals comes at the same time with the same service and patience whatever the
configuration says, so that two configurations with the same seed are compared on the same days. Callers arrive for
--hours; then it goes on until the last one is gone. Exit status 1: a law of conservation was broken, a defect of ours.

example
  ims-acd simulate --config configs/lab.toml --arrivals poisson:rate=3000/h --service lognormal:mean=180,cv=1.2 \
      --patience exponential:300 --staff 155 --hours 8 --warm-up 1h --replications 10 --seed 1 --plot day.png
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from acd.config import ConfigError, load
from acd.simulation import figures, report
from acd.simulation.expressions import ExpressionError, seconds
from acd.simulation.laws import LawBroken
from acd.simulation.plans import Drawn, Plan, Replayed
from acd.simulation.run import Run, live

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from acd.simulation.chance import Chance

BROKEN, WRONG = 1, 2
MOST_HOURS = 24.0 * 366


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate what the arguments say and print it; return the exit status."""
    given = options(argv)
    began = time.process_time()
    try:
        config = load(given.config, given.set)
        plan: Plan = Drawn(config, given) if given.replay is None else Replayed(config, given)
        runs = [live(plan.day(_chance(given.seed, number))) for number in range(1, given.replications + 1)]
    except (ConfigError, ExpressionError) as error:
        print(error, file=sys.stderr)
        return WRONG
    except LawBroken as error:
        print(f"a law of conservation is broken: {error}", file=sys.stderr)
        return BROKEN
    runs_made = {"replications": given.replications, "seed": given.seed}
    told = report.Told(
        made={"configuration": given.config, **plan.made(), **runs_made},
        callers=sum(len(run.callers) for run in runs),
        cpu_seconds=time.process_time() - began,
        scopes=figures.over([figures.values(run) for run in runs]),
        recorded=plan.recorded(),
        thresholds={queue.id: queue.service_level_seconds for queue in config.queues.values()},
    )
    print(report.document(told) if given.json else report.table(told))
    if given.plot is not None:
        return _plot(given.plot, runs, told, plan.time_of_day)
    return 0


def _chance(seed: int, replication: int) -> Chance:
    return lambda name: Random(f"{seed} {replication} {name}")


_DRAWN = ("arrivals", "service", "patience", "answer", "refuse", "no_answer", "staff", "warm_up")


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options, complete and fitting together. Raises SystemExit with a sentence for what is wrong."""
    parser = _parser()
    given = parser.parse_args(argv)
    if given.replay is not None:
        for name in _DRAWN:
            if getattr(given, name):
                parser.error(f"--{name.replace('_', '-')} is not for --replay, which takes it from the log")
        return given
    if not given.arrivals:
        parser.error("--arrivals or --replay is needed")
    given.service = given.service or ["exponential:180"]
    given.patience = given.patience or ["never"]
    given.answer = given.answer or "0"
    given.hours = given.hours or 24.0
    return given


def _plot(file: Path, runs: list[Run], told: report.Told, time_of_day: float) -> int:
    from acd.simulation import plot  # noqa: PLC0415 - takes half a second to import

    try:
        plot.draw(file, runs, told, time_of_day)
    except OSError as error:
        print(f"--plot: {file} cannot be written: {error.strerror or error}", file=sys.stderr)
        return WRONG
    except ValueError as error:
        print(f"--plot: {error}", file=sys.stderr)
        return WRONG
    return 0


def _parser() -> argparse.ArgumentParser:
    purpose, _, explained = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="ims-acd simulate",
        description=purpose,
        epilog=explained,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config", required=True, metavar="FILE", help="the configuration, a TOML file")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="use this value in place of the file's")
    add("--arrivals", action="append", default=[], metavar="EXPR", help="who calls; may be repeated")
    add("--service", action="append", default=[], metavar="EXPR", help="how long talks take; default exponential:180")
    add("--patience", action="append", default=[], metavar="EXPR", help="when callers give up; default never")
    add("--answer", metavar="EXPR", help="how long agents' phones ring; default 0")
    add("--refuse", type=_share, default=0.0, metavar="P", help="the share of offers that agents refuse; default 0")
    add("--no-answer", type=_share, default=0.0, metavar="P", help="the share of offers that ring out; default 0")
    add("--staff", action="append", default=[], metavar="SHIFT", help="who is there when; default all agents, always")
    add("--hours", type=_hours, metavar="H", help="how long callers arrive; default 24, or all of the log")
    add("--start", type=_instant, metavar="WHEN", help="as 2026-01-05T08:00 (UTC); default: that Monday, or the log's")
    add("--replay", type=Path, metavar="LOG", help="live through a day of an event log (journal.sqlite) again")
    add("--warm-up", type=_duration, default=0.0, metavar="TIME", help="not counted at the start; default 0")
    add(
        "--replications",
        type=_count,
        default=1,
        metavar="R",
        help="independent runs; default 1, for intervals 2 or more",
    )
    add("--seed", type=int, default=1, metavar="N", help="the same seed gives the same runs; default 1")
    add("--json", action="store_true", help="print a JSON document in place of the table")
    add("--plot", type=Path, metavar="FILE", help="draw waits and queue length, as .png, .svg or .pdf")
    return parser


def _checked(read: Callable[[str], float], right: Callable[[float], bool], what: str) -> Callable[[str], float]:
    def check(text: str) -> float:
        try:
            value = read(text)
        except ValueError:
            value = -1.0
        if not right(value):
            raise argparse.ArgumentTypeError(f"{what} is expected, not {text!r}")
        return value

    return check


_share = _checked(float, lambda value: 0 <= value <= 1, "a share from 0 to 1")
_hours = _checked(float, lambda value: 0 < value <= MOST_HOURS, f"a number of hours above 0, up to {MOST_HOURS:g},")
_duration = _checked(seconds, lambda value: value >= 0, "a duration like 600, 10min or 1h")
_count = _checked(int, lambda value: 1 <= value <= 10_000, "a whole number from 1 to 10000")


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text).replace(microsecond=0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a date and time like 2026-01-05T08:00 is expected, not {text!r}") from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
