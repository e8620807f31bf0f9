"""Subscribers, and where the sequence numbers stand, in a SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from ims_core.errors import ServerTimeout
from ims_core.subscribers.centre import AuthenticationCentre, HasKeys
from ims_core.subscribers.directory import Wildcards, check, forms
from ims_core.subscribers.identities import PublicIdentity, number_of, public_identity
from ims_core.subscribers.subscriber import Aka, Found, Password, Subscriber

_VERSION = 1
_BUSY_SECONDS = 0.1
_CREATE = """
CREATE TABLE subscribers (private TEXT PRIMARY KEY, k BLOB, opc BLOB, amf BLOB, password TEXT, algorithms TEXT);
CREATE TABLE identities (
    private TEXT, set_number INTEGER, position INTEGER,
    uri TEXT, number TEXT, barred INTEGER, profile TEXT, is_wild INTEGER,
    PRIMARY KEY (private, set_number, position)
) WITHOUT ROWID;
CREATE INDEX by_uri ON identities (uri);
CREATE INDEX by_number ON identities (number) WHERE number != '';
CREATE INDEX wild ON identities (uri) WHERE is_wild;
CREATE TABLE reserved (one INTEGER PRIMARY KEY CHECK (one = 1), tick INTEGER);
CREATE TABLE differences (private TEXT PRIMARY KEY, ticks INTEGER);
"""
_PUT_SUBSCRIBER = "INSERT OR REPLACE INTO subscribers VALUES (?, ?, ?, ?, ?, ?)"
_PUT_IDENTITY = "INSERT INTO identities VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_BY_PRIVATE = "SELECT k, opc, amf, password, algorithms FROM subscribers WHERE private = ?"
_IDENTITIES = (
    "SELECT set_number, uri, barred, profile, is_wild FROM identities WHERE private = ? ORDER BY set_number, position"
)
_PRIVATES = "SELECT private FROM subscribers ORDER BY private"
_BY_URI = "SELECT private FROM identities WHERE uri = ? ORDER BY private"
_BY_NUMBER = "SELECT DISTINCT private FROM identities WHERE number = ? AND number != '' ORDER BY private"
_WILD = "SELECT DISTINCT uri FROM identities INDEXED BY wild WHERE is_wild"
_KEEP_TICK = "INSERT OR REPLACE INTO reserved VALUES (1, ?)"
_KEEP_DIFFERENCE = "INSERT OR REPLACE INTO differences VALUES (?, ?)"

log = structlog.get_logger()


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file for ``SequenceLedger`` and ``SubscriberDatabase``, made where there is none.

    There are keys in it: what is made, and what SQLite writes beside it, is for its owner's eyes only. Raises
    ``sqlite3.Error`` when it is something else, and ``OSError`` where none can be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, _VERSION}:
            raise sqlite3.DatabaseError(f"version {version} of the tables, expected {_VERSION}")
        database.execute("PRAGMA journal_mode = WAL")
        # A commit waits for no disk: after a crash of the machine the clock has gone on for longer than was lost.
        database.execute("PRAGMA synchronous = NORMAL")
        if not version:
            database.executescript(f"BEGIN IMMEDIATE; {_CREATE} PRAGMA user_version = {_VERSION}; COMMIT;")
    except sqlite3.Error:
        database.close()
        raise
    return database


class _Troubles:
    """Counts what fails; the log has when that begins and when it is over."""

    def __init__(self, begin: str, end: str) -> None:
        self.count = 0
        self._begin = begin
        self._end = end
        self._lasts = False

    def note(self, error: sqlite3.Error) -> None:
        self.count += 1
        if not self._lasts:
            log.error(self._begin, error=str(error))
        self._lasts = True

    def over(self) -> None:
        if self._lasts:
            log.info(self._end, failures=self.count)
        self._lasts = False


class SequenceLedger:
    """What ``SequenceNumbers`` keeps: a write about once a minute, and at each resynchronisation.

    Until the next restart nothing depends on one that fails; see ``_Troubles``.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._troubles = _Troubles("sequence_numbers.write_failed", "sequence_numbers.write_recovered")

    @property
    def failures(self) -> int:
        """How many writes failed."""
        return self._troubles.count

    def reserved(self) -> int:
        """See ``Ledger``."""
        row = self._database.execute("SELECT tick FROM reserved").fetchone()
        return int(row[0]) if row else 0

    def differences(self) -> Iterable[tuple[str, int]]:
        """See ``Ledger``."""
        return self._database.execute("SELECT private, ticks FROM differences").fetchall()

    def reserve(self, tick: int) -> bool:
        """See ``Ledger``."""
        return self._write(_KEEP_TICK, (tick,))

    def differ(self, private: str, ticks: int) -> None:
        """See ``Ledger``."""
        self._write(_KEEP_DIFFERENCE, (private, ticks))

    def _write(self, statement: str, values: tuple[str | int, ...]) -> bool:
        try:
            self._database.execute(statement, values)
        except sqlite3.Error as error:
            self._troubles.note(error)
            return False
        self._troubles.over()
        return True


class SubscriberTables:
    """The subscribers in a file: entered, taken out and looked up.

    Each look-up reads by an index, whatever the number of subscribers; what another process puts there counts at once.
    Raises ``sqlite3.Error`` where the file cannot be read.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._wildcards: Wildcards[str] = Wildcards()
        self._seen = -1

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM subscribers").fetchone()[0])

    def __iter__(self) -> Iterator[str]:
        """The private identities, in order."""
        return (private for (private,) in self._database.execute(_PRIVATES).fetchall())

    def version(self) -> int:
        """Return a number that is another one once another process, or connection, has changed the file."""
        return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    def put(self, subscribers: Iterable[Subscriber]) -> None:
        """Enter subscribers, or replace them, all or none of them.

        Raises ``ValueError`` as ``Directory`` does, and ``sqlite3.Error``.
        """
        database = self._database
        with database:
            database.execute("BEGIN IMMEDIATE")
            entered = []
            for subscriber in subscribers:
                check(subscriber)
                self._delete(subscriber.private)
                database.execute(_PUT_SUBSCRIBER, _row(subscriber))
                database.executemany(_PUT_IDENTITY, _identity_rows(subscriber))
                entered.append(subscriber)
            for subscriber in entered:
                self._check_shared(subscriber)
        self._seen = -1

    def remove(self, private: str) -> bool:
        """Take a subscriber out; False when there is none. Raises ``sqlite3.Error``."""
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            known = self._delete(private)
        self._seen = -1
        return known

    def by_private(self, private: str) -> Subscriber | None:
        """See ``Subscribers``."""
        return self._read(private)

    def _read(self, private: str) -> Subscriber | None:
        row = self._database.execute(_BY_PRIVATE, (private,)).fetchone()
        if row is None:
            return None
        k, opc, amf, password, algorithms = row
        offered = tuple(algorithms.split())
        credentials = Password(password, offered) if k is None else Aka(k, opc, amf, offered)
        sets: dict[int, list[PublicIdentity]] = {}
        for number, uri, barred, profile, is_wild in self._database.execute(_IDENTITIES, (private,)):
            identity = (
                public_identity(uri, barred=bool(barred), profile=profile)
                if is_wild
                else PublicIdentity(uri, bool(barred), profile)
            )
            sets.setdefault(number, []).append(identity)
        return Subscriber(private, credentials, tuple(map(tuple, sets.values())))

    def by_public(self, uri: str) -> Found | None:
        """See ``Subscribers``."""
        exact = self._found(uri)
        if exact is not None:
            return exact
        number = number_of(uri)
        for (private,) in self._database.execute(_BY_NUMBER, (number,)).fetchall() if number else ():
            subscriber = self._read(private)
            for implicit in subscriber.sets if subscriber is not None else ():
                identity = forms(private, implicit).get(uri)
                if identity is not None:
                    return self._found(identity.uri)
        wild = self._wild(uri)
        return self._found(wild) if wild is not None else None

    def _found(self, uri: str) -> Found | None:
        """Who has the identity that is written ``uri``."""
        privates = tuple(private for (private,) in self._database.execute(_BY_URI, (uri,)))
        subscriber = self._read(privates[0]) if privates else None
        for implicit in subscriber.sets if subscriber is not None else ():
            for identity in implicit:
                if identity.uri == uri:
                    assert subscriber is not None
                    return Found(subscriber, implicit, identity, privates)
        return None

    def _wild(self, uri: str) -> str | None:
        version = SubscriberTables.version(self)
        if version != self._seen:
            self._seen = version
            self._wildcards = Wildcards()
            for (wild,) in self._database.execute(_WILD):
                self._wildcards.add(public_identity(wild), wild)
        return self._wildcards.match(uri)

    def _delete(self, private: str) -> bool:
        self._database.execute("DELETE FROM identities WHERE private = ?", (private,))
        return self._database.execute("DELETE FROM subscribers WHERE private = ?", (private,)).rowcount > 0

    def _check_shared(self, subscriber: Subscriber) -> None:
        for implicit in subscriber.sets:
            for identity in implicit:
                for (private,) in self._database.execute(_BY_URI, (identity.uri,)).fetchall():
                    other = self._read(private) if private != subscriber.private else None
                    if other is not None and implicit not in other.sets:
                        names = f"{private} and {subscriber.private}"
                        raise ValueError(f"{names} share {identity.uri}, but not the whole set that it is in")


class SubscriberDatabase(HasKeys, SubscriberTables):
    """The ``Subscribers`` of a file, with the authentication centre that makes their vectors.

    Raises ``ServerTimeout`` where the file cannot be read; see ``_Troubles``.
    """

    def __init__(self, database: sqlite3.Connection, centre: AuthenticationCentre) -> None:
        HasKeys.__init__(self, centre)
        SubscriberTables.__init__(self, database)
        self._troubles = _Troubles("subscribers.read_failed", "subscribers.read_recovered")

    @property
    def failures(self) -> int:
        """How many look-ups failed."""
        return self._troubles.count

    def __iter__(self) -> Iterator[str]:
        """The private identities, in order."""
        with self._reading():
            return super().__iter__()

    def version(self) -> int:
        """Return a number that is another one once another process, or connection, has changed the file."""
        with self._reading():
            return super().version()

    def by_private(self, private: str) -> Subscriber | None:
        """See ``Subscribers``."""
        with self._reading():
            return super().by_private(private)

    def by_public(self, uri: str) -> Found | None:
        """See ``Subscribers``."""
        with self._reading():
            return super().by_public(uri)

    def _keys(self, private: str) -> Aka | None:
        with self._reading():
            row = self._database.execute(_BY_PRIVATE, (private,)).fetchone()
            return None if row is None or row[0] is None else Aka(row[0], row[1], row[2], tuple(row[4].split()))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._troubles.note(error)
            raise ServerTimeout("Subscribers cannot be read") from None
        self._troubles.over()


def _row(subscriber: Subscriber) -> tuple[str | bytes | None, ...]:
    credentials = subscriber.credentials
    algorithms = " ".join(credentials.algorithms)
    if isinstance(credentials, Aka):
        return subscriber.private, credentials.k, credentials.opc, credentials.amf, None, algorithms
    return subscriber.private, None, None, None, credentials.password, algorithms


def _identity_rows(subscriber: Subscriber) -> Iterator[tuple[str | int, ...]]:
    for set_number, implicit in enumerate(subscriber.sets):
        for position, identity in enumerate(implicit):
            uri, number, wild = identity.uri, number_of(identity.uri), int(bool(identity.wildcard))
            yield (
                subscriber.private, set_number, position,
                uri, number, int(identity.barred), identity.profile, wild,
            )  # fmt: skip
