"""The figures of a running server: what has been told today in memory, the log on disk for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from acd.facts import ServerStarted
from acd.journal.reader import Reader
from acd.kpi.asking import ask
from acd.kpi.reading import report
from acd.kpi.today import Today

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from acd.facts import Fact
    from acd.kpi.report import Item, Query


MOST_UNTOLD: Final = 1_000


class LiveFigures:
    """Answers `acd.kpi.api.Figures` and the metrics, and is a journal: tell it every fact.

    `path` is the log, `zone` where the day begins, `now` the clock in unix seconds. Until `resume` is given what
    `recall` has read of the day before this run began, facts wait, and every answer is read from the log. Afterwards
    they wait until somebody asks, or there are `MOST_UNTOLD`: many in one go cost a fraction of each by itself.
    """

    def __init__(self, path: Path, zone: str, now: Callable[[], float]) -> None:
        self.zone = zone
        self.now = now
        self._path = path
        self._today: Today | None = None
        self._untold: list[tuple[Fact, float]] | None = []

    def recall(self) -> Today:
        """Read from the log what happened today before this run. Call it in a thread. Raises JournalError."""
        now = self.now()
        today = Today(ZoneInfo(self.zone), now)
        with Reader(self._path) as log:
            started = log.latest(ServerStarted.KIND)
            if started is not None:
                today.restore(log, now, last=started.seq)
        return today

    def resume(self, today: Today | None) -> None:
        """Go on from there; None: that is not to be had, so every answer comes from the log."""
        self._today = today
        if today is None:
            self._untold = None

    def append(self, fact: Fact, at: float) -> None:
        """Take the next fact."""
        untold = self._untold
        if untold is not None:
            untold.append((fact, at))
            if len(untold) >= MOST_UNTOLD and self._today is not None:
                self._tell(self._today)

    def today(self, query: Query) -> list[Item] | None:
        """Answer from memory; None if that does not reach."""
        if self._today is None:
            return None
        self._tell(self._today)
        return self._today.report(query, self.now())

    def _tell(self, today: Today) -> None:
        for fact, at in self._untold or ():
            today.append(fact, at)
        self._untold = []

    def day(self) -> list[Item]:
        """Return the day so far by queue, nothing before it is known."""
        return self.today(ask(self.now(), self.zone, interval="day")) or []

    def read(self, query: Query) -> list[Item]:
        """Answer from the log. Raises JournalError."""
        with Reader(self._path) as log:
            return report(log, query, self.now())
