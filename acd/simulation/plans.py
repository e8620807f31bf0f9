"""What a simulation is to be: drawn from the expressions of the command line, or taken from an event log.

A plan makes the day of a replication from sources of chance, each found by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from acd.gate import gates
from acd.journal.reader import Reader
from acd.journal.schema import JournalError
from acd.kpi import reading
from acd.kpi.grid import WHOLE, Grid
from acd.kpi.policy import Policy
from acd.kpi.report import Query
from acd.policy import build_distributor
from acd.simulation import demand, staff
from acd.simulation.draws import draw
from acd.simulation.expressions import Expression, ExpressionError
from acd.simulation.figures import Values, values_of
from acd.simulation.replay import Past, PastPhones
from acd.simulation.run import Day
from acd.simulation.scenario import Phones, together

if TYPE_CHECKING:
    import argparse

    from acd.config import Config
    from acd.simulation.chance import Chance

HOUR = 3600.0
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


class Plan(Protocol):
    """A day to be lived through, as often as wanted. `time_of_day` is that of its start, in seconds."""

    time_of_day: float

    def day(self, chance: Chance) -> Day:
        """Make a day. Raises ExpressionError."""

    def made(self) -> dict[str, object]:
        """How the figures are made, for people."""

    def recorded(self) -> Mapping[str, Values]:
        """The figures of the day itself by queue, where there was one."""


class Drawn:
    """A day drawn from the expressions in the options. Raises ExpressionError."""

    def __init__(self, config: Config, options: argparse.Namespace) -> None:
        self._config = config
        self._options = options
        self._kinds = demand.kinds(config, options.arrivals, options.service, options.patience, _read_lines)
        answer = Expression(options.answer)
        self._answer = draw(answer, _read_lines)
        answer.close()
        start = options.start or MONDAY
        self.time_of_day = _time_of_day(start)
        self._start = start.timestamp()
        self._end = self._start + options.hours * HOUR
        if options.warm_up >= options.hours * HOUR:
            raise ExpressionError("--warm-up: nothing is left of --hours to be counted")
        shifts = [staff.shift(text, config) for text in options.staff]
        self._agenda = staff.attendance(shifts, config, self._start, self._end, self.time_of_day)

    def day(self, chance: Chance) -> Day:
        """Draw a day."""
        options = self._options
        streams = [kind.stream(index, chance, self.time_of_day) for index, kind in enumerate(self._kinds, 1)]
        return Day(
            distributor=build_distributor(self._config, self._start, chance("policy").random),
            callers=together(streams, self._start, self._end),
            phones=Phones(
                self._answer(chance("answer")),
                refuse=options.refuse,
                ignore=options.no_answer,
                chance=chance("refuse").random,
            ),
            agenda=self._agenda,
            start=self._start,
            counted_from=self._start + options.warm_up,
            end=self._end,
            policy=_policy(self._config),
            gates=gates(self._config),
        )

    def made(self) -> dict[str, object]:
        """What was drawn from."""
        options = self._options
        return {
            "arrivals": "; ".join(options.arrivals),
            "service": "; ".join(options.service),
            "patience": "; ".join(options.patience),
            "agents": f"{'; '.join(options.staff) or 'all'}, answer after {options.answer}, "
            f"refuse {options.refuse:g}, let ring {options.no_answer:g}",
            "time": f"{options.hours:g} h from {_shown(self._start)}, of which {options.warm_up:g} s warm-up",
        }

    def recorded(self) -> Mapping[str, Values]:
        """There was no such day."""
        return {}


class Replayed:
    """A day of an event log under another configuration. Raises ExpressionError when the log cannot be used."""

    def __init__(self, config: Config, options: argparse.Namespace) -> None:
        self._config = config
        self._log = options.replay
        try:
            with Reader(self._log) as log:
                self._start, self._end = _period(log, options)
                self._past = Past(self._start, self._end)
                self._past.read(log.entries())
                query = Query(start=self._start, end=self._end, grid=Grid(WHOLE))
                queues = reading.report(log, query, self._end)
                total = reading.report(log, msgspec.structs.replace(query, by="total"), self._end)
        except JournalError as error:
            raise ExpressionError(f"--replay: {error}") from None
        if not self._past.queued:
            raise ExpressionError(f"--replay: {self._log}: nobody came to a queue in that time")
        self._items = [*total, *queues]
        self.time_of_day = _time_of_day(datetime.fromtimestamp(self._start, UTC))

    def day(self, chance: Chance) -> Day:
        """Make the day again."""
        return Day(
            distributor=build_distributor(self._config, self._start, chance("policy").random),
            callers=self._past.callers(self._config, chance("callers")),
            phones=PastPhones(self._past, chance("phones")),
            agenda=list(self._past.agenda(self._config)),
            start=self._start,
            counted_from=self._start,
            end=self._end,
            policy=_policy(self._config),
            gates=gates(self._config),
        )

    def made(self) -> dict[str, object]:
        """Which day it was."""
        return {"replay": str(self._log), "time": f"{_shown(self._start)} to {_shown(self._end)}"}

    def recorded(self) -> Mapping[str, Values]:
        """The figures in the log."""
        return values_of(self._items, self._past.waits())


def _period(log: Reader, options: argparse.Namespace) -> tuple[float, float]:
    """Return from when to when; without options all of the log."""
    first = next(iter(log.entries()), None)
    if first is None:
        raise ExpressionError(f"--replay: {options.replay}: the log is empty")
    start = options.start.timestamp() if options.start is not None else first.at
    end = start + options.hours * HOUR if options.hours is not None else log.last()[1] + 1.0
    return start, end


def _policy(config: Config) -> Policy:
    return Policy(
        {queue.id: queue.service_level_seconds for queue in config.queues.values()},
        {
            queue: tuple(agent.id for agent in config.agents.values() if queue in agent.queues)
            for queue in config.queues
        },
    )


def _time_of_day(instant: datetime) -> float:
    return (instant - instant.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()


def _shown(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _read_lines(name: str) -> list[str]:
    return Path(name).read_text(encoding="utf-8-sig").splitlines()
