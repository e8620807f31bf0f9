"""Reads the event log, also while a server writes it; every reader has a connection of its own.

    with Reader(path) as log:
        for entry in log.entries(since=midnight):
            ...

What is in the tail only (`acd.journal.tail`) is read as well, but for landmarks, which are in the database at once.
Everything here waits for the disk: call it from a thread. Facts of kinds that this version does not know are skipped
and counted in `unreadable`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Self

from acd.journal import schema
from acd.journal.codec import Codec, UnreadableError
from acd.journal.port import Entry
from acd.journal.schema import JournalError
from acd.journal.tail import Row, read_tail, tail_file

if TYPE_CHECKING:
    from pathlib import Path

    from acd.facts import Fact

CHUNK = 2_000
SKEW_SECONDS = 60.0  # an entry may be told so much later than it happened, see `Entry`

_COLUMNS = "SELECT seq, at, kind, version, call, data FROM fact"


class Reader:
    """The log in the file `path`. Raises JournalError when there is none that can be read."""

    def __init__(self, path: Path, codec: Codec | None = None) -> None:
        self.unreadable = 0
        self._codec = codec or Codec()
        self._path = path
        if not path.exists():
            raise JournalError(f"{path}: there is no log yet")
        try:
            self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            self._database.execute(f"PRAGMA busy_timeout = {schema.BUSY_SECONDS * 1000:.0f}")
            found = self._database.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise JournalError(f"{path}: {error}") from None
        try:
            schema.check_version(path, found)
        except JournalError:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def entries(
        self, since: float | None = None, until: float | None = None, *, after: int = 0, kinds: Sequence[str] = ()
    ) -> Iterator[Entry]:
        """Yield the entries that happened from `since` up to and without `until` (unix seconds), in order.

        Of them only those with a `seq` above `after`, and of `kinds` unless that is empty.
        """
        if since is not None:
            after = max(after, self._seq(since) - 1)
        last = self._seq(until + SKEW_SECONDS) if until is not None else None
        places = ", ".join("?" * len(kinds))
        where = f"AND kind IN ({places})" if kinds else ""
        tail = self._tail()

        def wanted(at: float) -> bool:
            return (since is None or at >= since) and (until is None or at < until)

        while rows := self._rows(f"WHERE seq > ? {where} ORDER BY seq LIMIT {CHUNK}", after, *kinds):
            for row in rows:
                if last is not None and row[0] >= last:
                    return
                if wanted(row[1]):
                    yield from self._entry(row)
            after = rows[-1][0]
        for row in tail:
            if row[0] > after and (not kinds or row[2] in kinds) and wanted(row[1]):
                yield from self._entry(row)

    def call(self, call_id: str) -> list[Entry]:
        """Return the entries of one call, in order; none for a call that is not known."""
        tail = [row for row in self._tail() if row[4] == call_id]
        found = self._read("WHERE call = ? ORDER BY seq", call_id)
        last = found[-1].seq if found else 0
        return [*found, *(entry for row in tail if row[0] > last for entry in self._entry(row))]

    def latest(self, kind: str, before: int | None = None) -> Entry | None:
        """Return the last entry of this kind, which is one of `schema.LANDMARKS`, with a `seq` below `before`."""
        limit = 2**62 if before is None else before
        found = self._read(f"{schema.IS_LANDMARK} AND seq < ? ORDER BY seq DESC LIMIT 1", kind, limit)
        return found[0] if found else None

    def landmarks(self, *kinds: str) -> list[Entry]:
        """Return all entries of these kinds, which are of `schema.LANDMARKS`, in order."""
        found = [entry for kind in kinds for entry in self._read(schema.IS_LANDMARK, kind)]
        return sorted(found, key=lambda entry: entry.seq)

    def last(self) -> tuple[int, float]:
        """Return the number of the last entry and when it happened; (0, 0.0) for an empty log."""
        rows = self._tail()[-1:] or self._rows("ORDER BY seq DESC LIMIT 1")
        return (rows[0][0], rows[0][1]) if rows else (0, 0.0)

    def alive(self) -> float:
        """Return when the server that wrote this log said last that it lives, in unix seconds; 0.0 if it never did."""
        try:
            return float(schema.lock_file(self._path).read_text())
        except (OSError, ValueError):
            return 0.0

    def _seq(self, at: float) -> int:
        try:
            return schema.find_seq(self._database, at)
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: {error}") from None

    def _tail(self) -> list[Row]:
        """Return the rows of the tail; to be read before the database, into which they may be moved meanwhile."""
        try:
            return read_tail(tail_file(self._path))
        except OSError as error:
            raise JournalError(f"{self._path}: {error.strerror}") from None

    def _rows(self, where: str, *values: object) -> list[Row]:
        try:
            return self._database.execute(f"{_COLUMNS} {where}", values).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: {error}") from None

    def _read(self, where: str, *values: object) -> list[Entry]:
        return [entry for row in self._rows(where, *values) for entry in self._entry(row)]

    def _entry(self, row: Row) -> Iterator[Entry]:
        seq, at, kind, version, _, data = row
        try:
            fact: Fact = self._codec.decode(kind, version, data)
        except UnreadableError:
            self.unreadable += 1
        else:
            yield Entry(seq, at, fact)
