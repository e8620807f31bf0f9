"""The beginning of a run of the engine: what a former one left is put in order, and the new one is noted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from acd import facts
from acd.journal.reader import Reader
from acd.journal.recovery import Left, closing, records, survey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from acd.cdr import Cdr
    from acd.journal.queue_log_file import QueueLogFile
    from acd.journal.store import SqliteJournal

FLUSH_SECONDS = 30.0

log = structlog.get_logger()


class Records(Protocol):
    """The CDRs."""

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return which of these calls have a CDR."""

    def submit(self, cdr: Cdr) -> None:
        """Take a CDR to be written."""

    def flush(self, timeout: float) -> bool:
        """Wait until all is written; false if that took longer than `timeout` seconds."""


def begin(
    journal: SqliteJournal,
    cdrs: Records,
    *,
    node: str,
    software: str,
    now: float,
    queue_log: QueueLogFile | None = None,
) -> Left:
    """Open the log, close a run that crashed, note the start of this one and return what holds from before.

    Waits for the disk. Raises JournalError, and StoreError when the CDRs cannot be read.
    """
    journal.open()
    with Reader(journal.path) as reader:
        left = survey(reader, now)
    closed_by = closing(left, lambda path: Path(path).is_file())
    if left.crashed_at is not None:
        found = records(left, closed_by)
        known = cdrs.known([cdr.id for cdr in found])
        missing = [cdr for cdr in found if cdr.id not in known]
        for cdr in missing:
            cdrs.submit(cdr)
        written = cdrs.flush(FLUSH_SECONDS)
        log.warning(
            "journal.recovered",
            journal=str(journal.path),
            crashed_at=left.crashed_at,
            calls=len(left.calls),
            cdrs=len(missing),
            agents=len(left.agents),
            complete=written,
        )
    told = [*closed_by, (now, facts.ServerStarted(node, software))]
    journal.write(told)
    if queue_log is not None:
        queue_log.resume(left)
        queue_log.write(told)
        journal.after_commit = queue_log.write
    log.info("journal.opened", journal=str(journal.path), wishes=len(left.wishes), owed=len(left.owed))
    journal.start()
    return left
