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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection, Dialect, make_url
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from acd.cdr import Cdr, EndedBy, Outcome, Quality, Step

SCHEMA_VERSION = 2
ADDED = {2: ("trunk", "trunk_out")}  # by the version that they came with: columns which may be NULL
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


class _Instant(sa.types.TypeDecorator[datetime]):
    """A point in time, in UTC. SQLite has no type for it: there it is text that sorts."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return (datetime.fromisoformat(value) if dialect.name == "sqlite" else value).astimezone(UTC)


class _Json(sa.types.TypeDecorator[Any]):
    """A structure of ours as JSON text."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any, _dialect: Dialect) -> str | None:
        return None if value is None else _ENCODER.encode(value).decode()

    def process_result_value(self, value: str | None, _dialect: Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value, type=self.kind)


_ENCODER = msgspec.json.Encoder()
metadata = sa.MetaData()
versions = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))
cdrs = sa.Table(
    "cdr",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("call_id", sa.Text, nullable=False),
    sa.Column("dialled", sa.Text, nullable=False),
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("arrived", _Instant, nullable=False),
    sa.Column("ended", _Instant, nullable=False),
    sa.Column("ended_by", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("queue", sa.Text),
    sa.Column("agent", sa.Text),
    sa.Column("answered_by_system", _Instant),
    sa.Column("queued", _Instant),
    sa.Column("offered", _Instant),
    sa.Column("connected", _Instant),
    sa.Column("waited_seconds", sa.Float, nullable=False),
    sa.Column("talked_seconds", sa.Float, nullable=False),
    sa.Column("quality_caller", _Json(Quality)),
    sa.Column("quality_agent", _Json(Quality)),
    sa.Column("recording", sa.Text),
    sa.Column("timeline", _Json(tuple[Step, ...]), nullable=False),
    sa.Column("trunk", sa.Text),
    sa.Column("trunk_out", sa.Text),
    sa.Index("cdr_by_end", "ended", "id"),
)
COLUMNS = Cdr.__struct_fields__  # the table has one column for each field, in the same order


class CdrStore:
    """The CDRs of one engine. You must call `open` before anything else, and `close` at the end.

    `submit` may be called from the event loop; everything else waits for the disk, so call it from a thread.
    """

    def __init__(self, url: str, *, limit: int = 20_000) -> None:
        self._url = url
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
                _create_tables(connection)
        except (SQLAlchemyError, ImportError, OSError, StoreError) as error:
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
                return [_cdr(row) for row in connection.execute(query)]
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


def _create_tables(connection: Connection) -> None:
    metadata.create_all(connection)
    found = connection.execute(sa.select(versions.c.version)).scalar()
    if found is None:
        connection.execute(versions.insert().values(version=SCHEMA_VERSION))
    elif not 0 < found <= SCHEMA_VERSION:
        raise StoreError(f"expected schema version {SCHEMA_VERSION}, found {found}")
    else:
        _upgrade(connection, found)


def _upgrade(connection: Connection, found: int) -> None:
    """Add the columns that a table of an older version does not have."""
    for version in range(found + 1, SCHEMA_VERSION + 1):
        for name in ADDED[version]:
            kind = cdrs.c[name].type.compile(connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {cdrs.name} ADD COLUMN {name} {kind}")
    if found != SCHEMA_VERSION:
        connection.execute(versions.update().values(version=SCHEMA_VERSION))


def _cdr(row: sa.Row[Any]) -> Cdr:
    cdr = Cdr(**dict(zip(COLUMNS, row, strict=True)))
    return msgspec.structs.replace(cdr, ended_by=EndedBy(cdr.ended_by), outcome=Outcome(cdr.outcome))


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "the CDR database"


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
