"""The CDRs that an HTTP endpoint is still to be sent: a table beside theirs, so that a restart loses none.

A record enters in the transaction that writes it and leaves when it is acknowledged, or is *set aside* with a reason
when the endpoint will not have it; what is set aside stays until somebody has it sent again. Engines that share a
database share the table, so a record may then be sent by each of them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from acd.cdrtable import cdr_of, cdrs, outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy.engine import Connection, Engine

    from acd.cdr import Cdr

IDS = 500  # that one statement names


class OutboxError(Exception):
    """The database does not answer as it should; the message is one line."""


class Due(NamedTuple):
    """A record that is to be sent; `seq` is its place in the order of all."""

    seq: int
    cdr: Cdr


class Outbox:
    """What `acd.store.CdrStore` is to have sent; `open` comes first. ``on_put`` is called when there is more to send.

    The methods of the first section belong to the writer of the CDRs, the others to who sends them; both wait for the
    disk, each in a thread of its own.
    """

    def __init__(self) -> None:
        self.on_put: Callable[[], object] = _nobody
        self._engine: Engine | None = None
        self._all = self._sent = self._aside = 0

    def open(self, engine: Engine, connection: Connection) -> None:
        """Take up what a former run left to be sent."""
        self._engine = engine
        gone = outbox.c.id.not_in(sa.select(cdrs.c.id))
        connection.execute(outbox.delete().where(gone))
        count = sa.select(sa.func.count()).select_from(outbox)
        self._aside = connection.execute(count.where(outbox.c.set_aside.is_not(None))).scalar_one()
        self._all = connection.execute(count).scalar_one()

    def put(self, connection: Connection, records: Sequence[Cdr]) -> None:
        """Have these sent once the transaction is complete; `has_put` follows then."""
        connection.execute(outbox.insert(), [{"id": record.id} for record in records])

    def has_put(self, count: int) -> None:
        """Say that so many more are to be sent."""
        self._all += count
        self.on_put()

    # Sending ------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many are still to be sent."""
        return max(self._all - self._sent - self._aside, 0)

    @property
    def acknowledged(self) -> int:
        """How many were sent since `open`."""
        return self._sent

    @property
    def aside(self) -> int:
        """How many are set aside."""
        return self._aside

    def next(self, limit: int) -> list[Due]:
        """Return those that come next, in order. Raises OutboxError."""
        query = sa.select(outbox.c.seq, cdrs).join(cdrs, cdrs.c.id == outbox.c.id)
        query = query.where(outbox.c.set_aside.is_(None)).order_by(outbox.c.seq).limit(limit)
        with self._transaction() as connection:
            return [Due(row[0], cdr_of(row[1:])) for row in connection.execute(query)]

    def sent(self, seqs: Sequence[int]) -> None:
        """Forget those that were acknowledged. Raises OutboxError."""
        with self._transaction() as connection:
            for some in _slices(seqs):
                connection.execute(outbox.delete().where(outbox.c.seq.in_(some)))
        self._sent += len(seqs)

    def put_aside(self, seq: int, reason: str) -> None:
        """Try this one no more. Raises OutboxError."""
        with self._transaction() as connection:
            connection.execute(outbox.update().where(outbox.c.seq == seq).values(set_aside=reason))
        self._aside += 1

    def take_back(self) -> int:
        """Have those sent that are set aside; return how many they are. Raises OutboxError."""
        with self._transaction() as connection:
            refused = outbox.c.set_aside.is_not(None)
            count = connection.execute(outbox.update().where(refused).values(set_aside=None)).rowcount
        self._aside -= count
        return count

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if self._engine is None:
            raise OutboxError("the store is not open")
        try:
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            cause = getattr(error, "orig", None) or error
            raise OutboxError((str(cause).splitlines() or [type(cause).__name__])[0]) from error


def _slices(seqs: Sequence[int]) -> Iterable[Sequence[int]]:
    return (seqs[start : start + IDS] for start in range(0, len(seqs), IDS))


def _nobody() -> None:
    """There is nobody to tell."""
