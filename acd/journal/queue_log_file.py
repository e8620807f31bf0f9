"""The file `queue_log`, written as the log is: a line is there soon after its fact is safe.

The file is opened for each batch of lines, so it can be moved away at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from acd.journal.queue_log import QueueLog

if TYPE_CHECKING:
    from acd.facts import Fact
    from acd.journal.recovery import Left

log = structlog.get_logger()


class QueueLogFile:
    """Writes the lines of facts to the end of `path`; a file that cannot be written costs lines and nothing else."""

    def __init__(self, path: Path) -> None:
        self.lost = 0
        self._path = path
        self._fold = QueueLog()

    def resume(self, left: Left) -> None:
        """Know what a run that crashed left, so that the facts that close it can be told."""
        if left.policy is not None:
            self._fold.lines(left.policy, 0.0)
        self._fold.stand(left.agents)
        for entry in sorted(chain.from_iterable(left.calls), key=lambda entry: entry.seq):
            self._fold.lines(entry.fact, entry.at)

    def write(self, facts: Iterable[tuple[float, Fact]]) -> None:
        """Write the lines of these facts."""
        lines = [line for at, fact in facts for line in self._fold.lines(fact, at)]
        if not lines:
            return
        try:
            with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write("\n".join(lines) + "\n")
        except OSError as error:
            if not self.lost:
                log.warning("queue_log.write_failed", file=str(self._path), error=error.strerror)
            self.lost += len(lines)
