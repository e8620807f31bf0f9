"""The tables of the log in SQLite: one row for each fact, which nothing may change.

`seq` is the row's own number, so that appending writes at the end of one B-tree; `data` are the fields of the fact as
JSON text. The index by call finds the facts of one call; that of the landmarks holds a few rows only.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

VERSION = 1
KEPT = ("server.started", "server.stopped", "policy.installed", "agent.wished", "callback.owed", "callback.settled")
"""The kinds that are never deleted: where runs begin, what is in force, wished and owed."""
LANDMARKS = (*KEPT, "floor.stood")
"""The kinds that are few and found without reading the others."""

_KEPT, _LANDMARKS = (", ".join(f"'{kind}'" for kind in kinds) for kinds in (KEPT, LANDMARKS))
_CREATE = f"""
CREATE TABLE fact (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    call TEXT,
    data TEXT NOT NULL,
    agent TEXT GENERATED ALWAYS AS (data ->> '$.agent') VIRTUAL
);
CREATE INDEX fact_by_call ON fact (call) WHERE call IS NOT NULL;
CREATE INDEX fact_landmarks ON fact (kind) WHERE kind IN ({_LANDMARKS});
CREATE TRIGGER fact_is_not_changed BEFORE UPDATE ON fact BEGIN SELECT RAISE(ABORT, 'a fact does not change'); END;
"""
_GUARD = "CREATE TRIGGER fact_is_not_deleted BEFORE DELETE ON fact BEGIN SELECT RAISE(ABORT, 'a fact stays'); END"
ROWS = 50
"""At most so many are appended by one statement: the interpreter's lock changes hands at every statement."""
_INSERT, _PLACES = "INSERT INTO fact (seq, at, kind, version, call, data) VALUES ", "(?, ?, ?, ?, ?, ?)"
INSERTS = [_INSERT + ", ".join([_PLACES] * rows) for rows in range(ROWS + 1)]
"""The statement that appends so many rows."""

IS_LANDMARK = f"INDEXED BY fact_landmarks WHERE kind IN ({_LANDMARKS}) AND kind = ?"
"""Selects from `fact` by a kind that is a landmark."""
BUSY_SECONDS = 2.0


class JournalError(Exception):
    """The log cannot be used; the message says which and why, in one line."""


def lock_file(path: Path) -> Path:
    """Return the file that is locked while a server writes the log; in it stands when the server last lived."""
    return path.with_suffix(".lock")


def connect(path: Path, sync: str = "full") -> sqlite3.Connection:
    """Open the log for writing, with its tables. Raises JournalError when it is of another version."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    try:
        for pragma in ("journal_mode = WAL", f"synchronous = {sync.upper()}"):
            database.execute(f"PRAGMA {pragma}")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            database.executescript(f"BEGIN; {_CREATE} {_GUARD}; PRAGMA user_version = {VERSION}; COMMIT")
        else:
            check_version(path, version)
    except BaseException:
        database.close()
        raise
    return database


def check_version(path: Path, version: int) -> None:
    """Raise JournalError unless the tables are those described here."""
    if version != VERSION:
        raise JournalError(f"{path}: expected version {VERSION}, found {version}")


def delete_before(database: sqlite3.Connection, at: float) -> int:
    """Delete the facts from before `at`, in unix seconds, but for the kinds in `KEPT`; returns how many."""
    database.execute("BEGIN IMMEDIATE")
    try:
        database.execute("DROP TRIGGER fact_is_not_deleted")
        last = find_seq(database, at)
        count = database.execute(f"DELETE FROM fact WHERE seq < ? AND kind NOT IN ({_KEPT})", (last,)).rowcount  # noqa: S608
        database.execute(_GUARD)
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    return count


def find_seq(database: sqlite3.Connection, at: float) -> int:
    """Return the number of the first fact that was told at `at` or later, taking the log to be in the order of time.

    Behind the last fact it is the next number.
    """
    low, high = database.execute(
        "SELECT coalesce((SELECT min(seq) FROM fact), 1), coalesce((SELECT max(seq) FROM fact), 0) + 1"
    ).fetchone()
    while low < high:
        middle = (low + high) // 2
        row = database.execute("SELECT seq, at FROM fact WHERE seq >= ? LIMIT 1", (middle,)).fetchone()
        if row is None or row[1] >= at:
            high = middle
        else:
            low = row[0] + 1
    return int(low)
