"""The CDRs in a database: SQLite by default, PostgreSQL by its URL.

Calls hand over their CDR and go on; a thread writes them, many in one transaction. What is not yet written when
the process is killed: at most the rows of the last `GATHER_SECONDS`, or `BATCH` rows, as long as the database
keeps up. When it does not, up to `limit` rows wait in memory and further ones are counted and dropped.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from acd.cdrtable import COLUMNS, SchemaError, cdr_of, cdrs, create_tables

if TYPE_CHECKING:
    from acd.cdr import Cdr
    from acd.outbox import Outbox

GATHER_SECONDS = 0.25
BATCH = 200
IDS = 500  # that one query asks for
LONGEST_PAUSE = 5.0
# What is wrong with a row, not with the database: the other rows of its batch are written without it.
ROW_ERRORS = (DataError, IntegrityError, ValueError, OverflowError, TypeError, AttributeError)


class StoreError(Exception):
    """The database cannot be used; the message says which and why, in one line."""


class StoreCounters(msgspec.Struct, frozen=True):
    """Rows waiting, written and dropped (no room, or not storable), and failed attempts at the database."""

    queued: int
    written: int
    dropped: int
    failures: int


class CdrStore:
    """The CDRs of one engine. You must call `open` before anything else, and `close` at the end.

    `submit` may be called from the event loop; everything else waits for the disk, so call it from a thread.
    Each record is put into the ``outbox`` as well, if there is one.
    """

    def __init__(self, url: str, *, limit: int = 20_000, outbox: Outbox | None = None) -> None:
        self._url = url
        self._outbox = outbox
        self._limit = limit
        self._log = structlog.get_logger().bind(store=_without_password(url))
        self._waiting: deque[Cdr] = deque()
        self._accepted = self._done = self._written = 0
        self._overflowed = self._refused = self._given_up = self._failures = 0
        self._overflowing = False
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._closing = threading.Event()
        self._give_up_at = float("inf")
        self._progress = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="cdr-writer", daemon=True)
        self._engine: sa.Engine | None = None

    def open(self) -> None:
        """Connect, create the tables where they are missing, start the writer. Raises StoreError."""
        try:
            self._engine = _connect(self._url)
            with self._engine.begin() as connection:
                create_tables(connection)
                if self._outbox is not None:
                    self._outbox.open(self._engine, connection)
        except (SQLAlchemyError, ImportError, OSError, SchemaError) as error:
            if self._engine is not None:
                self._engine.dispose()
            raise StoreError(f"{_without_password(self._url)}: {_first_line(error)}") from error
        self._processors = tuple(
            column.type.dialect_impl(self._engine.dialect).bind_processor(self._engine.dialect)
            for column in cdrs.columns
        )
        compiled = cdrs.insert().compile(dialect=self._engine.dialect)
        self._insert, self._positional = compiled.string, compiled.positional
        self._thread.start()

    def submit(self, cdr: Cdr) -> None:
        """Take a CDR to be written; never waits and never raises. Without room it is counted and dropped."""
        if len(self._waiting) >= self._limit or self._closing.is_set():
            self._overflowed += 1
            if not self._overflowing:
                self._overflowing = True
                self._log.error("cdr.dropped", waiting=len(self._waiting), limit=self._limit)
            return
        if self._overflowing:
            self._overflowing = False
            self._log.warning("cdr.accepted_again", dropped=self._overflowed)
        self._accepted += 1
        self._waiting.append(cdr)
        if not self._wake.is_set():
            self._wake.set()
        elif len(self._waiting) >= BATCH and not self._hurry.is_set():
            self._hurry.set()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was submitted is written; false if that took longer than `timeout` seconds."""
        target = self._accepted
        self._hurry.set()
        self._wake.set()
        with self._progress:
            return self._progress.wait_for(lambda: self._done >= target, timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Write what waits and stop; false if something was not written within `timeout` seconds."""
        self._give_up_at = time.monotonic() + timeout
        self._closing.set()
        self._hurry.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout + 1.0)
        if self._engine is not None:
            self._engine.dispose()
        unwritten = self._accepted - self._written - self._refused
        if unwritten:
            self._log.error("cdr.lost", rows=unwritten)
        return not unwritten

    def counters(self) -> StoreCounters:
        """Return the figures of this moment."""
        return StoreCounters(
            queued=self._accepted - self._done,
            written=self._written,
            dropped=self._overflowed + self._refused + self._given_up,
            failures=self._failures,
        )

    def recent(self, limit: int, offset: int = 0) -> list[Cdr]:
        """Return the CDRs that ended last, the newest first. Raises StoreError."""
        query = sa.select(cdrs).order_by(cdrs.c.ended.desc(), cdrs.c.id.desc()).limit(limit).offset(offset)
        try:
            with self._opened.connect() as connection:
                return [cdr_of(row) for row in connection.execute(query)]
        except SQLAlchemyError as error:
            raise StoreError(f"{_without_password(self._url)}: {_first_line(error)}") from error

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return which of these calls have a CDR. Raises StoreError."""
        found: set[str] = set()
        try:
            with self._opened.connect() as connection:
                for start in range(0, len(ids), IDS):
                    query = sa.select(cdrs.c.id).where(cdrs.c.id.in_(ids[start : start + IDS]))
                    found.update(connection.execute(query).scalars())
        except SQLAlchemyError as error:
            raise StoreError(f"{_without_password(self._url)}: {_first_line(error)}") from error
        return found

    def last_talks(self, limit: int) -> dict[str, str]:
        """Return agents by the callers of the latest `limit` talks, the latest last. Raises StoreError."""
        query = sa.select(cdrs.c.caller, cdrs.c.agent).where(cdrs.c.connected.is_not(None), cdrs.c.caller != "")
        try:
            with self._opened.connect() as connection:
                rows = connection.execute(query.order_by(cdrs.c.ended.desc(), cdrs.c.id.desc()).limit(limit)).all()
        except SQLAlchemyError as error:
            raise StoreError(f"{_without_password(self._url)}: {_first_line(error)}") from error
        talks: dict[str, str] = {}
        for row in rows:
            talks.setdefault(row.caller, row.agent)
        return dict(reversed(talks.items()))

    @property
    def _opened(self) -> sa.Engine:
        if self._engine is None:
            raise StoreError("the store is not open")
        return self._engine

    def _run(self) -> None:
        """Write what waits, in the thread of the writer, until closed and empty or out of time."""
        while True:
            self._wake.wait()
            self._hurry.wait(GATHER_SECONDS)
            closing = self._closing.is_set()
            self._wake.clear()
            self._hurry.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
                self._write(batch)
                with self._progress:
                    self._done += len(batch)
                    self._progress.notify_all()
            if closing:
                return

    def _write(self, batch: Sequence[Cdr]) -> None:
        """Write a batch, trying again while the database fails; giving up when closed and out of time."""
        failed, pause = 0, GATHER_SECONDS
        while True:
            try:
                self._insert_rows(batch)
            except ROW_ERRORS:
                self._write_singly(batch)
                return
            except (SQLAlchemyError, OSError) as error:
                failed += 1
                self._failures += 1
                if failed == 1:
                    self._log.error("cdr.write_failed", error=_first_line(error), rows=len(batch))
            else:
                if failed:
                    self._log.info("cdr.write_recovered", attempts=failed + 1)
                self._written += len(batch)
                if self._outbox is not None:
                    self._outbox.has_put(len(batch))
                return
            pause = min(pause * 2, LONGEST_PAUSE, max(self._give_up_at - time.monotonic(), 0.0))
            if time.monotonic() >= self._give_up_at:
                self._given_up += len(batch)
                return
            if self._closing.is_set():
                time.sleep(pause)
            else:
                self._closing.wait(pause)

    def _write_singly(self, batch: Sequence[Cdr]) -> None:
        if len(batch) > 1:
            for cdr in batch:
                self._write([cdr])
        else:
            self._refused += 1
            self._log.error("cdr.refused", cdr=batch[0].id)

    def _insert_rows(self, batch: Sequence[Cdr]) -> None:
        rows = [
            tuple(
                value if process is None else process(value)
                for process, value in zip(self._processors, map(cdr.__getattribute__, COLUMNS), strict=True)
            )
            for cdr in batch
        ]
        parameters = rows if self._positional else [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        with self._opened.begin() as connection:
            connection.exec_driver_sql(self._insert, parameters)
            if self._outbox is not None:
                self._outbox.put(connection, batch)


def _connect(url: str) -> sa.Engine:
    parsed = make_url(url)
    if not parsed.drivername.startswith("sqlite"):
        return sa.create_engine(parsed, pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed)
    sa.event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    """Let readers and the writer work side by side; a commit survives the process, the last ones not a power cut."""
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=2000"):
        connection.execute(f"PRAGMA {pragma}").close()


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "the CDR database"


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
