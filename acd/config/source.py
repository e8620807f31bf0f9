"""Where a configuration comes from, so that it can be read again and changed piece by piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any, Literal

from acd.config.load import from_tables, read_tables
from acd.config.model import Config
from acd.config.values import Users

Changeable = Literal["queues", "agents"]


class Source:
    """A file and the overrides of the command line. Changes made since last until the file is read again."""

    def __init__(self, path: str | PathLike[str], overrides: Sequence[str] = ()) -> None:
        self._file = fspath(path)
        self._overrides = tuple(overrides)
        self._tables: dict[str, Any] = {}

    def read(self) -> Config:
        """Return what the file says now. Raises ConfigError, and then keeps what was read before."""
        tables = read_tables(self._file)
        config = from_tables(tables, self._overrides, file=self._file)
        self._tables = tables  # with the overrides in them
        return config

    def change(self, section: Changeable, name: str, values: Mapping[str, Any]) -> Config:
        """Return the configuration with `values` in place of these keys of one queue or agent.

        Raises KeyError for one that is not there, and ConfigError: nothing is changed then.
        """
        written = self._tables.get(section, {})
        if section == "agents":
            written = _one_by_one(written)
        tables = {**self._tables, section: {**written, name: {**written[name], **values}}}
        config = from_tables(tables, file="request")
        self._tables = tables
        return config


def _one_by_one(agents: Mapping[str, Any]) -> dict[str, Any]:
    """Write out ranges, so that one agent of a range can differ."""
    return {name: table for users, table in agents.items() for name in Users.parse(users)}
