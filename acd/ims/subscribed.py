"""The subscribers of a configuration: its tables, its accounts, and the database beside them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import structlog

from acd.starting import CannotStart
from ims_core.registrar.location import Removal
from ims_core.subscribers.centre import AuthenticationCentre, aka
from ims_core.subscribers.database import SequenceLedger, SubscriberDatabase, open_database
from ims_core.subscribers.directory import Directory
from ims_core.subscribers.identities import public_identity
from ims_core.subscribers.sequence import SequenceNumbers
from ims_core.subscribers.subscriber import Password, Subscriber, default_of

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from acd.config import Config
    from acd.config.ims import SubscriberTable
    from ims_core.registrar.location import Binding
    from ims_core.subscribers.subscriber import Aka, Answer, Found, Subscribers, Vector

DEFAULT_PROFILE = "default"
FILE = "subscribers.sqlite"

log = structlog.get_logger()


class Subscribed:
    """The ``Subscribers`` that the configuration of now names, else those of ``database``.

    What contradicts itself in a configuration that was read anew is logged, and the subscribers stay as they were.
    """

    def __init__(
        self,
        present: Callable[[], Config],
        centre: AuthenticationCentre,
        database: SubscriberDatabase | None,
        ledger: SequenceLedger | None = None,
    ) -> None:
        self._present = present
        self._centre = centre
        self._database = database
        self._ledger = ledger
        self._known = present()
        self._directory = Directory(subscribers_of(self._known), centre)
        self._replaced: set[str] = set()
        self._looked_at: tuple[Directory, int] | None = None

    def failures(self) -> dict[str, int]:
        """Return how often the database could not be read, and the ``ledger`` of sequence numbers not be written."""
        counters = {"read": self._database, "write": self._ledger}
        return {name: 0 if counter is None else counter.failures for name, counter in counters.items()}

    def by_private(self, private: str) -> Subscriber | None:
        """See ``Subscribers``."""
        found = self._now().by_private(private)
        return found if found is not None or self._database is None else self._database.by_private(private)

    def by_public(self, uri: str) -> Found | None:
        """See ``Subscribers``."""
        found = self._now().by_public(uri)
        if self._database is None or (found is not None and not found.identity.wildcard):
            return found
        stored = self._database.by_public(uri)  # one that is exact comes before what is wildcarded here
        return stored if found is None or (stored is not None and not stored.identity.wildcard) else found

    def misfits(self, bindings: Iterable[Binding]) -> list[tuple[Binding, Removal | None]]:
        """Return the contacts that are as nobody may have registered them now, each with why it is to go.

        That is who is no subscriber, and who would register in another way. None: only what he proves himself with has
        been replaced since this was asked last. Of a subscriber in the database nothing is asked but whether he is
        there. While no subscriber has changed there are none. Raises ``ServerTimeout``.
        """
        directory = self._now()
        state = directory, 0 if self._database is None else self._database.version()
        if state == self._looked_at:
            return []
        stored = set() if self._database is None else set(self._database)
        replaced, self._replaced = self._replaced, set()
        found: list[tuple[Binding, Removal | None]] = []
        for binding in bindings:
            subscriber = directory.by_private(binding.private)
            if subscriber is None:
                if binding.private not in stored:
                    found.append((binding, Removal.REJECTED))
            elif not any((default := default_of(each)) and default.uri == binding.aor for each in subscriber.sets):
                found.append((binding, Removal.DEACTIVATED))
            elif binding.private in replaced:
                found.append((binding, None))
        self._looked_at = state
        return found

    def vector(self, private: str, now: float) -> Vector | None:
        """See ``Subscribers``."""
        return self._with_keys(private).vector(private, now)

    def answer(self, private: str, rand: bytes) -> Answer | None:
        """See ``Subscribers``."""
        return self._with_keys(private).answer(private, rand)

    def resynchronise(self, private: str, rand: bytes, auts: bytes, now: float) -> bool:
        """See ``Subscribers``."""
        return self._with_keys(private).resynchronise(private, rand, auts, now)

    def _with_keys(self, private: str) -> Subscribers:
        directory = self._now()
        if self._database is None or directory.by_private(private) is not None:
            return directory
        return self._database

    def _now(self) -> Directory:
        config, known = self._present(), self._known
        if config is not known:
            self._known = config
            if _told(config) != _told(known):
                self._install(config)
        return self._directory

    def _install(self, config: Config) -> None:
        try:
            directory = Directory(subscribers_of(config), self._centre)
        except ValueError as error:
            log.error("subscribers.refused", reason=str(error))  # noqa: TRY400 - no defect of ours
            return
        for private in self._directory:
            before, after = self._directory.by_private(private), directory.by_private(private)
            if before and after and before.credentials != after.credentials:
                self._replaced.add(private)
        self._directory = directory


def open_subscribers(
    present: Callable[[], Config], cleanup: AsyncExitStack, unix_time: Callable[[float], float]
) -> Subscribed:
    """Open what the subscribers and their sequence numbers are kept in. Raises ``CannotStart``."""
    config = present()
    path = config.storage.path / FILE
    try:
        file = open_database(path)
        cleanup.callback(file.close)
        ledger = SequenceLedger(file)
        centre = AuthenticationCentre(SequenceNumbers(unix_time, ledger), os.urandom)
        database = SubscriberDatabase(file, centre) if config.ims.subscriber_database else None
        subscribed = Subscribed(present, centre, database, ledger)
    except (OSError, sqlite3.Error) as error:
        raise CannotStart(f"storage.dir: cannot use {path}: {error}") from None
    except ValueError as error:
        raise CannotStart(f"subscribers: {error}") from None
    return subscribed


def subscribers_of(config: Config) -> Iterator[Subscriber]:
    """Return the subscribers that a configuration names: each account is one, by its user at the domain."""
    yield from subscribers_in(config.subscribers, config)
    domain = config.server.domain
    for user, account in config.accounts.items():
        identity = public_identity(f"sip:{user}@{domain}", profile=_profile(config, None))
        yield Subscriber(f"{user}@{domain}", Password(str(account.password), account.algorithms), ((identity,),))


def subscribers_in(tables: Iterable[SubscriberTable], config: Config) -> Iterator[Subscriber]:
    """Return the subscribers that tables name, with the profiles of a configuration."""
    return (_subscriber(table, _profile(config, table.profile)) for table in tables)


def _told(config: Config) -> tuple[object, ...]:
    """All in a configuration that its subscribers are made of."""
    return config.subscribers, config.accounts, config.server.domain, _profile(config, None)


def _profile(config: Config, name: str | None) -> str:
    return name or (DEFAULT_PROFILE if DEFAULT_PROFILE in config.profiles else "")


def _subscriber(table: SubscriberTable, profile: str) -> Subscriber:
    barred = {public_identity(uri).uri for uri in table.barred}
    sets = tuple(
        tuple(public_identity(uri, barred=public_identity(uri).uri in barred, profile=profile) for uri in implicit)
        for implicit in table.sets
    )
    credentials: Aka | Password
    if table.password is not None:
        credentials = Password(str(table.password), table.algorithms)
    else:
        op, opc = str(table.op or ""), str(table.opc or "")
        credentials = aka(str(table.k), op=op, opc=opc, amf=table.amf, algorithms=table.algorithms)
    return Subscriber(table.private, credentials, sets)
