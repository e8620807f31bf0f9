"""The tables of CDRs, in SQLite and in PostgreSQL, and how those of an older version become those of today."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from acd.cdr import Cdr, EndedBy, Outcome, Quality, Recorded, Speech, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection, Dialect

SCHEMA_VERSION = 4
# By the version that they came with: columns which may be NULL.
ADDED = {
    2: ("trunk", "trunk_out"),
    3: ("icid", "orig_ioi", "term_ioi", "asserted_identity", "served_user", "access_network", "called_party"),
    4: ("speech", "recorded"),
}


class SchemaError(Exception):
    """The tables are those of another version; the message is one line."""


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
    *(sa.Column(name, sa.Text) for name in ADDED[3]),
    sa.Column("speech", _Json(Speech)),
    sa.Column("recorded", _Json(Recorded)),
    sa.Index("cdr_by_end", "ended", "id"),
)
outbox = sa.Table(  # what is to be sent elsewhere (`acd.outbox`)
    "cdr_outbox",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("set_aside", sa.Text),  # why; NULL: is to be sent
    sqlite_autoincrement=True,
)
COLUMNS = Cdr.__struct_fields__  # the table has one column for each field, in the same order


def create_tables(connection: Connection) -> None:
    """Create what is missing, and add what an older version did not have. Raises SchemaError for a newer one."""
    metadata.create_all(connection)
    found = connection.execute(sa.select(versions.c.version)).scalar()
    if found is None:
        connection.execute(versions.insert().values(version=SCHEMA_VERSION))
    elif not 0 < found <= SCHEMA_VERSION:
        raise SchemaError(f"expected schema version {SCHEMA_VERSION}, found {found}")
    else:
        _upgrade(connection, found)


def cdr_of(row: Sequence[Any]) -> Cdr:
    """Return the record in a row of all columns."""
    cdr = Cdr(**dict(zip(COLUMNS, row, strict=True)))
    return msgspec.structs.replace(cdr, ended_by=EndedBy(cdr.ended_by), outcome=Outcome(cdr.outcome))


def _upgrade(connection: Connection, found: int) -> None:
    """Add the columns that a table of an older version does not have."""
    for version in range(found + 1, SCHEMA_VERSION + 1):
        for name in ADDED[version]:
            kind = cdrs.c[name].type.compile(connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {cdrs.name} ADD COLUMN {name} {kind}")
    if found != SCHEMA_VERSION:
        connection.execute(versions.update().values(version=SCHEMA_VERSION))
