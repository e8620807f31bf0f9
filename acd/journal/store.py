"""The event log in SQLite: facts are handed over without waiting, a thread writes them many at a time.

What is at risk at any moment is what was handed over within the last `commit_seconds`: the writer gathers for as long
as its latest commits leave of that time, then adds all of it to the end of a plain file (`acd.journal.tail`). What
gathers there is moved into the database after `SETTLE_SECONDS`. With `sync` "full" it is on the disk then, and a power
cut loses no more than a crash of the process; with "normal" it is with the operating system.

A disk that is slow or fails delays nobody: facts wait in memory, further ones than `limit` are counted and dropped,
and the writer tries again until it succeeds. One process at a time has the log open.
"""

from __future__ import annotations

import fcntl
import math
import os
import sqlite3
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog

from acd.journal import schema
from acd.journal.codec import Codec
from acd.journal.schema import JournalError
from acd.journal.tail import Line, Row, Tail, encode, read_tail, tail_file

if TYPE_CHECKING:
    from pathlib import Path

    from acd.facts import Fact

SETTLE_SECONDS = 1.0
ALIVE_SECONDS = 2.0  # how often the log says that its server lives
BATCH = 1_000  # facts made safe at a time
LONGEST_PAUSE = 2.0
RETENTION_SECONDS = 3600.0
COMMIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

_UNSTORABLE = (TypeError, ValueError, AttributeError, RecursionError, msgspec.MsgspecError)

Sync = Literal["full", "normal"]


class JournalCounters(msgspec.Struct, frozen=True):
    """Facts waiting, written and dropped (no room, or not storable), failed attempts at the disk, and the commits.

    `commits` counts them by how long they took: up to each of `COMMIT_BOUNDS`, then longer; `commit_seconds` is the
    sum. `at_risk_seconds` is how long ago the first fact of the latest commit had been handed over.
    """

    waiting: int = 0
    written: int = 0
    dropped: int = 0
    failures: int = 0
    commits: tuple[int, ...] = (0,) * (len(COMMIT_BOUNDS) + 1)
    commit_seconds: float = 0.0
    at_risk_seconds: float = 0.0


class SqliteJournal:
    """The log of one engine in the file `path`. Call `open` first and `close` at the end.

    `append` may be called from the event loop; everything else waits for the disk, so call it from a thread. Facts
    older than `keep_days` are deleted (0: never), but for the kinds in `schema.KEPT`. `after_commit`, once set, is told
    the facts written, with their times, in the thread of the writer. `unix` is the clock of the stamps.
    """

    def __init__(
        self,
        path: Path,
        *,
        commit_seconds: float = 0.05,
        sync: Sync = "full",
        keep_days: float = 0.0,
        limit: int = 100_000,
        unix: Callable[[], float] = time.time,
        connect: Callable[[Path, Sync], sqlite3.Connection] = schema.connect,
        make_tail: Callable[[Path, bool], Tail] = Tail,
    ) -> None:
        self.path = path
        self.after_commit: Callable[[Sequence[tuple[float, Fact]]], None] | None = None
        self._commit_seconds = commit_seconds
        self._sync: Sync = sync
        self._keep_seconds = keep_days * 86_400.0
        self._limit = limit
        self._unix = unix
        self._connect = connect
        self._make_tail = make_tail
        self._codec = Codec()
        self._log = structlog.get_logger().bind(journal=str(path))
        self._lock: int | None = None
        self._database: sqlite3.Connection | None = None
        self._tail: Tail | None = None
        self._seq = 0
        self._waiting: deque[tuple[float, Fact]] = deque()
        self._unsettled: list[Line] = []
        self._settle_at = math.inf
        self._settle_pause = 0.0
        self._awake = False
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._give_up_at = math.inf
        self._progress = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._accepted = self._taken = self._done = self._written = 0
        self._refused = self._overflowed = self._given_up = self._failures = 0
        self._overflowing = False
        self._commits = [0] * (len(COMMIT_BOUNDS) + 1)
        self._commit_sum = self._usual = self._at_risk = 0.0
        self._since = self._alive_at = self._retained_at = 0.0

    # Its life -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take the log for this process and make its tables where they are missing. Raises JournalError."""
        try:
            self._lock = os.open(schema.lock_file(self.path), os.O_CREAT | os.O_RDWR, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            raise JournalError(f"{self.path}: another server writes this log") from None
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}") from None
        try:
            self._database = self._connect(self.path, self._sync)
            (self._seq,) = self._database.execute("SELECT coalesce(max(seq), 0) FROM fact").fetchone()
            found = [row for row in read_tail(tail_file(self.path)) if row[0] > self._seq]
            self._insert(self._database, found)
            self._seq = found[-1][0] if found else self._seq
            self._tail = self._make_tail(tail_file(self.path), self._sync == "full")
            self._tail.clear()
        except (sqlite3.Error, OSError, JournalError) as error:
            self._release()
            raise error if isinstance(error, JournalError) else JournalError(f"{self.path}: {error}") from None

    def start(self) -> None:
        """Start to write."""
        self._retained_at = time.monotonic()
        self._thread.start()

    def write(self, facts: Iterable[tuple[float, Fact]]) -> None:
        """Write facts in one transaction before `start`, all or none of them. Raises JournalError."""
        assert self._database is not None
        lines, _ = self._number(list(facts))
        try:
            self._insert(self._database, list(map(self._row, lines)))
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"{self.path}: {error}") from None
        self._written += len(lines)

    def append(self, fact: Fact, at: float) -> None:
        """Take a fact that happened at `at`; never waits and never raises. Without room it is counted and dropped."""
        waiting = self._waiting
        if len(waiting) >= self._limit or self._closing:
            self._drop()
            return
        waiting.append((at, fact))
        self._accepted += 1
        if not self._awake:
            self._awake = True
            self._since = time.monotonic()
            self._wake.set()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was appended is in the database; false if that took longer than `timeout` seconds."""
        target = self._accepted
        self._hurry.set()
        self._wake.set()
        with self._progress:
            return self._progress.wait_for(lambda: self._done >= target, timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Write what waits and stop; false if something was not written within `timeout` seconds."""
        self._give_up_at = time.monotonic() + timeout
        self._closing = True
        self._hurry.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout + 1.0)
        self._release()
        lost = len(self._waiting) + self._given_up
        if lost:
            self._log.error("journal.lost", facts=lost)
        return not lost

    def counters(self) -> JournalCounters:
        """Return the figures of this moment."""
        return JournalCounters(
            waiting=len(self._waiting),
            written=self._written,
            dropped=self._overflowed + self._refused + self._given_up,
            failures=self._failures,
            commits=tuple(self._commits),
            commit_seconds=self._commit_sum,
            at_risk_seconds=self._at_risk,
        )

    def _drop(self) -> None:
        self._overflowed += 1
        if not self._overflowing:
            self._overflowing = True
            self._log.error("journal.dropped", waiting=len(self._waiting), limit=self._limit)

    def _release(self) -> None:
        """Let go of the files."""
        self._disconnect()
        if self._tail is not None:
            self._tail.close()
            self._tail = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _disconnect(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    # In the thread of the writer ----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing or self._waiting or self._unsettled:
            if self._wake.wait(min(max(self._settle_at - time.monotonic(), 0.0), ALIVE_SECONDS)):
                gather = max(self._commit_seconds - 2 * self._usual, self._commit_seconds / 4)
                self._hurry.wait(max(self._since + gather - time.monotonic(), 0.0))
            since, worked = self._since, bool(self._waiting)
            hurried = self._hurry.is_set()
            self._wake.clear()
            self._hurry.clear()
            self._awake = False  # who appends from here on wakes again
            while self._waiting and len(self._unsettled) < self._limit and time.monotonic() < self._give_up_at:
                self._write_batch()
            if worked:
                self._at_risk = time.monotonic() - since
            if time.monotonic() >= self._settle_at or (hurried and not self._settle_pause):
                self._settle()
            if time.monotonic() >= self._give_up_at:
                return
            self._say_alive()
            self._forget()

    def _write_batch(self) -> None:
        """Make facts that wait safe, and tell who follows the log."""
        waiting = self._waiting
        batch = [waiting.popleft() for _ in range(min(len(waiting), BATCH))]
        self._save(*self._number(batch))
        self._taken += len(batch)
        if self._overflowing and len(waiting) < self._limit // 2:
            self._overflowing = False
            self._log.warning("journal.accepted_again", dropped=self._overflowed)
        if self.after_commit is not None:
            try:
                self.after_commit(batch)
            except Exception:  # noqa: BLE001 - the log goes on whoever follows it
                self._log.exception("journal.follower_failed")

    def _number(self, batch: Sequence[tuple[float, Fact]]) -> tuple[list[Line], bytes]:
        """Give facts their places, and return them as lines of the tail; what cannot be stored gets none."""
        try:
            lines = [_line(seq, at, fact) for seq, (at, fact) in enumerate(batch, self._seq + 1)]
            data = encode(lines)
        except _UNSTORABLE:
            return self._number([told for at, fact in batch if (told := self._storable(at, fact)) is not None])
        self._seq += len(lines)
        return lines, data

    def _storable(self, at: float, fact: Fact) -> tuple[float, Fact] | None:
        """Return the fact, in backslashes what no text can hold; None for one that cannot be stored."""
        try:
            try:
                encode([_line(0, at, fact)])
            except UnicodeEncodeError:
                fact = self._codec.storable(fact)
        except _UNSTORABLE as error:
            self._refused += 1
            self._log.error("journal.refused", fact=type(fact).__name__, error=str(error))
            return None
        return at, fact

    def _row(self, line: Line) -> Row:
        return (*line[:5], self._codec.encode(line[5]))

    def _save(self, lines: list[Line], data: bytes) -> None:
        """Add lines to the tail, trying again while the disk fails; giving up when closed and out of time."""
        assert self._tail is not None
        failed, pause = 0, self._commit_seconds
        while lines:
            began = time.monotonic()
            try:
                self._tail.append(data)
            except OSError as error:
                failed += 1
                self._failures += 1
                if failed == 1:
                    self._log.error("journal.write_failed", error=str(error), facts=len(lines))
            else:
                if failed:
                    self._log.info("journal.write_recovered", attempts=failed + 1)
                self._saved(lines, time.monotonic() - began)
                return
            if time.monotonic() >= self._give_up_at:
                self._given_up += len(lines)
                return
            time.sleep(min(pause, max(self._give_up_at - time.monotonic(), 0.0)))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _saved(self, lines: list[Line], seconds: float) -> None:
        if not self._unsettled:
            self._settle_at = time.monotonic() + SETTLE_SECONDS
        self._unsettled += lines
        if not self._settle_pause and any(line[2] in schema.LANDMARKS for line in lines):
            self._settle_at = 0.0  # what is looked for in the database alone
        self._written += len(lines)
        self._usual += (seconds - self._usual) / 8
        self._commits[bisect_left(COMMIT_BOUNDS, seconds)] += 1
        self._commit_sum += seconds

    def _settle(self) -> None:
        """Move what the tail holds into the database; when that fails, later."""
        assert self._tail is not None
        try:
            if self._unsettled:
                if self._database is None:
                    self._database = self._connect(self.path, self._sync)
                self._insert(self._database, list(map(self._row, self._unsettled)))
                self._tail.clear()
        except (sqlite3.Error, OSError, JournalError) as error:
            self._failures += 1
            self._disconnect()
            if not self._settle_pause:
                self._log.error("journal.settle_failed", error=str(error), facts=len(self._unsettled))
            self._settle_pause = min(max(self._settle_pause * 2, self._commit_seconds), LONGEST_PAUSE)
            self._settle_at = time.monotonic() + self._settle_pause
            return
        if self._settle_pause:
            self._settle_pause = 0.0
            self._log.info("journal.settle_recovered", facts=len(self._unsettled))
        self._unsettled.clear()
        self._settle_at = math.inf
        with self._progress:
            self._done = self._taken
            self._progress.notify_all()

    def _insert(self, database: sqlite3.Connection, rows: Sequence[Row]) -> None:
        if not rows:
            return
        database.execute("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(rows), schema.ROWS):
                part = rows[start : start + schema.ROWS]
                database.execute(schema.INSERTS[len(part)], list(chain.from_iterable(part)))
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    def _say_alive(self) -> None:
        now = time.monotonic()
        if now - self._alive_at >= ALIVE_SECONDS and self._lock is not None:
            self._alive_at = now
            try:
                os.pwrite(self._lock, f"{self._unix():017.6f}\n".encode(), 0)
            except OSError:
                self._failures += 1

    def _forget(self) -> None:
        """Delete what is older than is to be kept, now and then."""
        now = time.monotonic()
        if not self._keep_seconds or now - self._retained_at < RETENTION_SECONDS or self._database is None:
            return
        self._retained_at = now
        try:
            count = schema.delete_before(self._database, self._unix() - self._keep_seconds)
        except sqlite3.Error as error:
            self._failures += 1
            self._log.error("journal.retention_failed", error=str(error))
        else:
            self._log.info("journal.shortened", facts=count)


def _line(seq: int, at: float, fact: Fact) -> Line:
    if not math.isfinite(at):
        raise ValueError(f"{at} is no time")
    return seq, float(at), fact.KIND, fact.VERSION, getattr(fact, "call", None) or None, fact
