"""Bindings that survive a restart: SQLite, written behind by a thread of its own.

The hot path appends an event to a deque. Once per ``interval`` the thread coalesces what came in and writes it in one
transaction, so that a crash, even of the machine, loses the changes of one interval at most, and of the transactions
before and after it: with half a second and a disk in order no more than a second. A database that cannot be written is
logged once and tried again; calls never notice.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from threading import Event, Thread
from typing import Any, Protocol, TypeVar

import structlog

from ims_core.errors import SipError
from ims_core.flow import Address, Flow
from ims_core.messages.headers import split_values
from ims_core.registrar.location import Binding, BindingRefreshed, BindingRemoved, Location, LocationEvent

_Row = tuple[str | bytes | float | None, ...]

_VERSION = 6
_CREATE = """
CREATE TABLE bindings (
    number INTEGER PRIMARY KEY,
    aor, contact, call_id, cseq, expires_at, q, instance, path,
    by_flow, transport, local_host, local_port, remote_host, remote_port,
    reg_id, private, beside
)
"""
# What most registrations change is kept in rows a quarter as long; it counts in place of what the binding's row says.
_CREATE_RENEWALS = "CREATE TABLE renewals (number INTEGER PRIMARY KEY, call_id, cseq, expires_at)"
_ADDED = (
    *(f"ALTER TABLE bindings ADD COLUMN {column}" for column in ("reg_id", "private", "beside")),
    _CREATE_RENEWALS,
)
_UPGRADES = {2: _ADDED, 3: _ADDED[1:], 4: _ADDED[2:], 5: _ADDED[3:]}
_SELECT = """
SELECT b.number, b.aor, b.contact, coalesce(r.call_id, b.call_id), coalesce(r.cseq, b.cseq),
    coalesce(r.expires_at, b.expires_at), b.q, b.instance, b.path,
    b.by_flow, b.transport, b.local_host, b.local_port, b.remote_host, b.remote_port,
    b.reg_id, b.private, b.beside
FROM bindings AS b LEFT JOIN renewals AS r USING (number) ORDER BY b.number
"""
_DELETE = "DELETE FROM bindings WHERE number IN "
_DELETE_RENEWALS = "DELETE FROM renewals WHERE number IN "
_INSERT = "INSERT OR REPLACE INTO bindings VALUES "
_INSERT_RENEWALS = "INSERT OR REPLACE INTO renewals VALUES "
# The interpreter's lock changes hands at every statement, not at every row; and between two statements, where this is
# compiled, it does not: so rows are made as they are written.
_ROWS_PER_STATEMENT = 50
_BUSY_SECONDS = 0.5
MAX_PENDING = 500_000

log = structlog.get_logger()


class Beside(Protocol):
    """What somebody knows of bindings beside what they say themselves: it is kept with them."""

    def written(self, binding: Binding) -> str:
        """Return it as text, empty for nothing; the thread that writes asks."""

    def restored(self, binding: Binding, text: str) -> None:
        """Take back what ``written`` returned for a binding that is there again."""


class BindingsStore:
    """Keeps the bindings of a ``Location`` in the SQLite file ``path``, with what is known ``beside`` them.

    ``restore`` first, then ``start``; hand every ``LocationEvent`` to ``note``; ``close`` at the end. ``clock`` must be
    the clock of the location's ``now``; what is stored are seconds since 1970 as ``unix_time`` tells them.
    ``written`` and ``failures`` count rows and failed transactions.
    """

    def __init__(
        self,
        path: Path,
        *,
        interval: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        unix_time: Callable[[], float] = time.time,
        beside: Beside | None = None,
    ) -> None:
        self._path = path
        self._beside = beside
        self._interval = interval
        self._clock = clock
        self._unix_time = unix_time
        self._changes: deque[LocationEvent] = deque()
        self.note: Callable[[LocationEvent], None] = self._changes.append
        """Take a change; costs no more than the append that it is. For one thread at a time."""
        self._pending: dict[int, Binding | None] = {}
        self._renewed: dict[int, Binding] = {}
        self._database: sqlite3.Connection | None = None
        self._replace_all = True
        self._stop = Event()
        self._writer: Thread | None = None
        self._failing = False
        self.written = 0
        self.failures = 0

    def restore(self, location: Location, listeners: Collection[tuple[str, Address]] = ()) -> int:
        """Add the stored bindings that still live to ``location`` and return their number.

        ``listeners`` are the (transport, local address) that are served now: a UDP flow is used again when its local
        address is among them. The connections of stream flows are gone; see ``Location.connection_lost``. A corrupt
        file is set aside.
        """
        rows = self._load()
        offset = self._unix_time() - self._clock()
        restored = 0
        for row in rows:
            binding = _binding(row, offset)
            if binding is None or binding.expires_at <= self._clock() or binding.needs_connection:
                continue
            flow = binding.flow
            if flow is not None and (flow.reliable or flow[:2] not in listeners):
                binding.flow = None
            try:
                held = location.match(binding.aor, binding.uri, binding.instance, binding.reg_id, binding.private)
                known = held is not None
            except SipError:
                continue
            if not known:
                location.add(binding)
                self._pending[binding.number] = binding
                restored += 1
                if self._beside is not None and (text := _text(row[-1])):
                    self._beside.restored(binding, text)
        log.info("bindings_store.loaded", path=str(self._path), bindings=restored)
        return restored

    def start(self) -> None:
        """Start to write."""
        self._writer = Thread(target=self._run, name="bindings-store", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Write what is left and stop; takes as long as one transaction."""
        if self._writer is not None:
            self._stop.set()
            self._writer.join()
            self._writer = None

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self._write()
        self._write()
        self._disconnect()

    def _write(self) -> None:
        """Write all changes so far in one transaction; keep them when that fails."""
        self._coalesce()
        if not self._pending and not self._renewed and not self._replace_all:
            return
        gone = [number for number, binding in self._pending.items() if binding is None]
        held = [binding for binding in self._pending.values() if binding is not None]
        renewed = [binding for number, binding in self._renewed.items() if number not in self._pending]
        try:
            self._store(gone, held, renewed)
        except (sqlite3.Error, OSError) as error:
            self._note_failure(error)
            return
        self.written += len(held) + len(renewed)
        self._pending.clear()
        self._renewed.clear()
        self._replace_all = False
        if self._failing:
            self._failing = False
            log.info("bindings_store.recovered", path=str(self._path), failures=self.failures)

    def _note_failure(self, error: Exception) -> None:
        self.failures += 1
        self._disconnect()
        if not self._failing:
            self._failing = True
            log.error(
                "bindings_store.write_failed", path=str(self._path), error=str(error), retried_after=self._interval
            )

    def _coalesce(self) -> None:
        pending = self._pending
        while self._changes:
            event = self._changes.popleft()
            binding = event.binding
            if binding.fixed or (len(pending) >= MAX_PENDING and binding.number not in pending):
                continue  # beyond the cap, a row that is not removed runs out by its time
            if isinstance(event, BindingRefreshed) and event.renewed:
                self._renewed[binding.number] = binding
            else:
                pending[binding.number] = None if isinstance(event, BindingRemoved) else binding

    def _store(self, gone: list[int], held: list[Binding], renewed: list[Binding]) -> None:
        if self._database is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _connect(self._path)
        database, beside = self._database, self._beside
        offset = self._unix_time() - self._clock()
        with database:  # commits, or rolls back when an exception passes
            database.execute("BEGIN IMMEDIATE")
            if self._replace_all:  # the numbers in the file are those of a former run
                database.execute("DELETE FROM bindings")
                database.execute("DELETE FROM renewals")
            for numbers in _parts(gone):
                _delete(database, _DELETE, numbers)
                _delete(database, _DELETE_RENEWALS, numbers)
            for part in _parts(held):
                rows = [_row(binding, offset, "" if beside is None else beside.written(binding)) for binding in part]
                _insert(database, _INSERT, rows)
                _delete(database, _DELETE_RENEWALS, [binding.number for binding in part])
            for part in _parts(renewed):
                _insert(database, _INSERT_RENEWALS, [_renewal(binding, offset) for binding in part])

    def _load(self) -> list[_Row]:
        if not self._path.exists():
            return []
        event, details = "bindings_store.load_failed", {}
        try:
            with closing(_connect(self._path)) as database:
                return database.execute(_SELECT).fetchall()
        except sqlite3.OperationalError as error:
            fault = str(error)
        except sqlite3.DatabaseError as error:
            event, fault, details = "bindings_store.found_corrupt", str(error), {"set_aside": self._set_aside()}
        log.error(event, path=str(self._path), error=fault, **details)
        return []

    def _set_aside(self) -> str:
        """Rename the files of the database so that a new one takes their place; returns the new name."""
        aside = self._path.with_name(f"{self._path.name}.corrupt")
        for suffix in ("", "-wal", "-shm"):
            file = self._path.with_name(self._path.name + suffix)
            try:
                file.replace(aside.with_name(aside.name + suffix))
            except FileNotFoundError:
                continue
            except OSError as error:
                return f"failed: {error}"
        return str(aside)

    def _disconnect(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _connect(path: Path) -> sqlite3.Connection:
    """Open the database, make the table in a new one and bring an older one up to date. Raises ``sqlite3.Error``."""
    database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, *_UPGRADES, _VERSION}:
            raise sqlite3.DatabaseError(f"version {version} of the table, expected {_VERSION}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        if version != _VERSION:
            with database:
                database.execute("BEGIN IMMEDIATE")
                for statement in _UPGRADES.get(version, (_CREATE, _CREATE_RENEWALS)):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {_VERSION}")
    except sqlite3.Error:
        database.close()
        raise
    return database


_Part = TypeVar("_Part")


def _parts(whole: list[_Part]) -> Iterator[list[_Part]]:
    for start in range(0, len(whole), _ROWS_PER_STATEMENT):
        yield whole[start : start + _ROWS_PER_STATEMENT]


def _delete(database: sqlite3.Connection, statement: str, numbers: list[int]) -> None:
    """Delete the rows of these numbers, where there are any."""
    database.execute(f"{statement}({', '.join('?' * len(numbers))})", numbers)


def _insert(database: sqlite3.Connection, statement: str, rows: list[_Row]) -> None:
    """Insert rows, or put them in place of those of the same number."""
    places = f"({', '.join('?' * len(rows[0]))})"
    database.execute(statement + ", ".join([places] * len(rows)), list(chain.from_iterable(rows)))


def _renewal(binding: Binding, offset: float) -> _Row:
    return binding.number, _storable(binding.call_id), binding.cseq, binding.expires_at + offset


def _row(binding: Binding, offset: float, beside: str) -> _Row:
    flow = binding.flow
    return (
        binding.number,
        _storable(binding.aor),
        _storable(binding.contact),
        _storable(binding.call_id),
        binding.cseq,
        binding.expires_at + offset,
        binding.q,
        _storable(binding.instance),
        _storable(", ".join(binding.path)) if binding.path else "",
        int(binding.by_flow),
        *((None,) * 5 if flow is None else (flow.transport, *flow.local, *flow.remote)),
        binding.reg_id,
        _storable(binding.private),
        _storable(beside),
    )


def _binding(row: _Row, offset: float) -> Binding | None:
    """What ``_row`` made a row from; None when somebody else wrote the row."""
    try:
        _, aor, contact, call_id, cseq, expires_at, q, instance, path, by_flow, *flow, reg_id, private = map(
            _text, row[:-1]
        )
        return Binding(
            str(aor),
            str(contact),
            Flow(str(flow[0]), _address(*flow[1:3]), _address(*flow[3:5])) if flow[0] else None,
            by_flow=bool(by_flow),
            call_id=str(call_id),
            cseq=int(cseq or 0),
            expires_at=float(expires_at or 0) - offset,
            q=None if q is None else float(q),
            instance=str(instance),
            reg_id=int(reg_id or 0),
            path=tuple(split_values(str(path))) if path else (),
            private=str(private or ""),
        )
    except (ValueError, TypeError):
        return None


def _address(host: str | float | None, port: str | float | None) -> Address:
    return str(host), int(port or 0)


def _storable(text: str) -> str | bytes:
    """Bytes that are no UTF-8 came in as surrogates, which SQLite refuses: such text is stored as a BLOB."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape")


def _text(value: str | bytes | float | None) -> Any:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
