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

from acd.config import Config, ConfigError, load
from acd.core.distributor import Distributor
from acd.kpi.policy import Policy
from acd.policy import agent_profiles, queue_profiles
from acd.simulation import demand, figures, report, staff
from acd.simulation.draws import draw
from acd.simulation.expressions import Expression, ExpressionError, seconds
from acd.simulation.laws import LawBroken
from acd.simulation.run import Day, Run, live
from acd.simulation.scenario import Phones, together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BROKEN, WRONG = 1, 2
MOST_HOURS = 24.0 * 366
HOUR = 3600.0


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate what the arguments say and print it; return the exit status."""
    options = _parser().parse_args(argv)
    options.service = options.service or ["exponential:180"]
    options.patience = options.patience or ["never"]
    began = time.process_time()
    try:
        config = load(options.config, options.set)
        plan = _Plan(config, options)
        runs = [plan.run(number) for number in range(1, options.replications + 1)]
    except (ConfigError, ExpressionError) as error:
        print(error, file=sys.stderr)
        return WRONG
    except LawBroken as error:
        print(f"a law of conservation is broken: {error}", file=sys.stderr)
        return BROKEN
    told = report.Told(
        made=plan.made(),
        callers=sum(len(run.callers) for run in runs),
        cpu_seconds=time.process_time() - began,
        scopes=figures.over([figures.values(run) for run in runs]),
        thresholds={queue.id: queue.service_level_seconds for queue in config.queues.values()},
    )
    print(report.document(told) if options.json else report.table(told))
    if options.plot is not None:
        return _plot(options.plot, runs, told, plan.time_of_day)
    return 0


class _Plan:
    """What the options ask for, understood; each replication draws a day of its own from it."""

    def __init__(self, config: Config, options: argparse.Namespace) -> None:
        self._config = config
        self._options = options
        self._kinds = demand.kinds(config, options.arrivals, options.service, options.patience, _read_lines)
        answer = Expression(options.answer)
        self._answer = draw(answer, _read_lines)
        answer.close()
        self._shifts = [staff.shift(text, config) for text in options.staff]
        self._start = options.start.timestamp()
        self.time_of_day = (options.start - options.start.replace(hour=0, minute=0, second=0)).total_seconds()
        self._end = self._start + options.hours * HOUR
        if options.warm_up >= options.hours * HOUR:
            raise ExpressionError("--warm-up: nothing is left of --hours to be counted")
        self._policy = Policy(
            {queue.id: queue.service_level_seconds for queue in config.queues.values()},
            {
                queue: tuple(agent.id for agent in config.agents.values() if queue in agent.queues)
                for queue in config.queues
            },
        )

    def run(self, replication: int) -> Run:
        """Live through one day. Raises LawBroken and ExpressionError."""
        options = self._options
        shifts = staff.attendance(self._shifts, self._config, self._start, self._end, self.time_of_day)

        def chance(name: str) -> Random:
            return Random(f"{options.seed} {replication} {name}")

        streams = [kind.stream(index, chance, self.time_of_day) for index, kind in enumerate(self._kinds, 1)]
        return live(
            Day(
                distributor=_build(self._config, self._start, chance("policy")),
                callers=together(streams, self._start, self._end),
                phones=Phones(
                    self._answer(chance("answer")),
                    refuse=options.refuse,
                    ignore=options.no_answer,
                    chance=chance("refuse").random,
                ),
                agenda=shifts,
                start=self._start,
                counted_from=self._start + options.warm_up,
                end=self._end,
                policy=self._policy,
            )
        )

    def made(self) -> dict[str, object]:
        """How the figures were made."""
        options = self._options
        made = {
            "configuration": options.config,
            "arrivals": "; ".join(options.arrivals),
            "service": "; ".join(options.service),
            "patience": "; ".join(options.patience),
            "answer": options.answer,
            "staff": "; ".join(options.staff) or "all agents",
            "hours": options.hours,
            "warm-up seconds": options.warm_up,
            "replications": options.replications,
            "seed": options.seed,
            "start": options.start.isoformat(),
        }
        if options.refuse or options.no_answer:
            made |= {"refuse": options.refuse, "no answer": options.no_answer}
        return made


def _build(config: Config, now: float, chance: Random) -> Distributor:
    return Distributor(queue_profiles(config), agent_profiles(config), now, random=chance.random)


def _read_lines(name: str) -> list[str]:
    return Path(name).read_text(encoding="utf-8-sig").splitlines()


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
    add("--arrivals", action="append", required=True, metavar="EXPR", help="who calls; may be repeated")
    add("--service", action="append", default=[], metavar="EXPR", help="how long talks take; default exponential:180")
    add("--patience", action="append", default=[], metavar="EXPR", help="when callers give up; default never")
    add("--answer", default="constant:0", metavar="EXPR", help="how long agents' phones ring; default constant:0")
    add("--refuse", type=_share, default=0.0, metavar="P", help="the share of offers that agents refuse; default 0")
    add("--no-answer", type=_share, default=0.0, metavar="P", help="the share of offers that ring out; default 0")
    add("--staff", action="append", default=[], metavar="SHIFT", help="who is there when; default all agents, always")
    add("--hours", type=_hours, default=24.0, metavar="H", help="how long callers arrive; default 24")
    add("--start", type=_instant, default="2026-01-05T00:00", metavar="WHEN", help="as 2026-01-05T08:00 (UTC)")
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
