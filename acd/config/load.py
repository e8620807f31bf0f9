"""Reads a configuration file and `--set` overrides into a `Config`, or says all that is wrong with them."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path as FilePath
from typing import Any

from msgspec.structs import replace

from acd.config.callers import read_callers
from acd.config.checks import check
from acd.config.fitting import check_memberships
from acd.config.mistakes import Mistakes
from acd.config.model import Account, AccountTable, Config, Document, Sections
from acd.config.playing import check_prompts, talk_prompts
from acd.config.profiles import read_profiles
from acd.config.reader import NOTHING, Path, Unquoted, read, read_struct
from acd.config.routing import ALL, Agent, AgentTable, Membership, RefuseDelays
from acd.config.talk import check_talk
from acd.config.values import Contact, Users

_SYNTAX = re.compile(r"(.*) \(at line (\d+), column (\d+)\)")


class ConfigError(Exception):
    """The configuration cannot be used; `mistakes` holds a line for each mistake: file, key, expectation."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


def load(path: str | PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Return the configuration in the TOML file at `path`, changed by `overrides` ("section.key=value").

    The value of an override is read as a TOML value, and as a plain text where it is none.

    Raises:
        ConfigError: with every mistake found, not only the first.

    """
    file = fspath(path)
    return from_tables(read_tables(file), overrides, file=file)


def loads(text: str, overrides: Sequence[str] = (), *, file: str = "configuration") -> Config:
    """Do what `load` does for the text of a file."""
    return from_tables(_parsed(text, file), overrides, file=file)


def read_tables(file: str) -> dict[str, Any]:
    """Return the tables of a TOML file as they are written. Raises ConfigError."""
    return _parsed(_read_text(file), file)


def _parsed(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax(file, error)]) from None


def from_tables(tables: dict[str, Any], overrides: Sequence[str] = (), *, file: str = "configuration") -> Config:
    """Do what `load` does for tables read already; the overrides are put into them."""
    wrong = []
    overridden = set()
    for override in overrides:
        try:
            overridden.add(_override(tables, override))
        except ValueError as error:
            wrong.append(f"--set {override}: expected {error}")
    mistakes = Mistakes(file, frozenset(overridden))
    document: Document = read_struct(Document, tables, (), mistakes.report)
    config, written = _resolve(document, mistakes)
    check(config, written, mistakes)
    if wrong or mistakes.lines:
        raise ConfigError([*wrong, *mistakes.lines])
    return config


def _read_text(file: str) -> str:
    try:
        return FilePath(file).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{file}: expected a readable file: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{file}: expected UTF-8 text, found other bytes at offset {error.start}"]) from None


def _syntax(file: str, error: tomllib.TOMLDecodeError) -> str:
    located = _SYNTAX.fullmatch(str(error))
    if located is None:
        return f"{file}: expected valid TOML: {error}"
    message, line, column = located.groups()
    return f"{file}:{line}: expected valid TOML at column {column}: {message}"


def _override(tables: dict[str, Any], override: str) -> Path:
    """Put one override into `tables` and return the place that it sets."""
    written_key, equals, written_value = override.partition("=")
    path = _split_key(written_key)
    if not equals or not path:
        raise ValueError("section.key=value")
    table = tables
    for depth, part in enumerate(path[:-1]):
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ValueError(f"a key under a table; {'.'.join(path[: depth + 1])} is none")  # noqa: TRY004 - not code
        table = inner
    table[path[-1]] = _value(written_value)
    return path


def _split_key(written: str) -> tuple[str, ...]:
    """Read a dotted TOML key; `numbers."1.2".queue` has three parts."""
    nested: Any
    try:
        nested = tomllib.loads(f"{written} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    path = []
    while isinstance(nested, dict) and len(nested) == 1:
        ((part, nested),) = nested.items()
        path.append(part)
    return tuple(path) if nested == 0 else ()


def _value(written: str) -> object:
    try:
        value = tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        return written
    return value if isinstance(value, str | list | dict) else Unquoted(value, written)


def _resolve(document: Document, mistakes: Mistakes) -> tuple[Config, dict[str, str]]:
    """Write out ranges of users; also return under which key of the file each agent stands."""
    accounts = _accounts(document.accounts, document.media.prompts, mistakes)
    agents, written = _agents(document.agents, document.queues, mistakes)
    common = {name: getattr(document, name) for name in Sections.__struct_fields__}
    if document.callers.file is not None:
        known = {**read_callers(document.callers.file, mistakes), **document.callers.known}
        common["callers"] = replace(document.callers, known=known)
    profiles = read_profiles(document.profiles, mistakes)
    return Config(**common, accounts=accounts, agents=agents, profiles=profiles), written


def _accounts(tables: Sequence[AccountTable], prompts: str | None, mistakes: Mistakes) -> dict[str, Account]:
    accounts: dict[str, Account] = {}
    for index, table in enumerate(tables):
        path: Path = ("accounts", index)
        names = [name for users in table.users for name in users]
        if table.user is not None:
            names.append(table.user)
        check_talk(table.talk, (*path, "talk"), mistakes)
        check_prompts(talk_prompts(table.talk, (*path, "talk")), prompts, mistakes)
        if not names and not mistakes.any_in(path):
            mistakes.report((*path, "user"), 'the name of a user, or users = "a001..a200"')
        for name in names:
            if name in accounts:
                mistakes.report((*path, "user"), "users that are not named before", name)
            accounts[name] = Account(
                user=name,
                password=table.password,
                roles=frozenset(table.roles),
                algorithms=table.algorithms,
                may_call_outside=table.may_call_outside,
                talk=table.talk,
            )
    return accounts


def _agents(
    tables: Mapping[Users, AgentTable], queues: Mapping[str, object], mistakes: Mistakes
) -> tuple[dict[str, Agent], dict[str, str]]:
    agents: dict[str, Agent] = {}
    written: dict[str, str] = {}
    for users, table in tables.items():
        check_memberships(table, queues, ("agents", users.text), mistakes)
        for name in users:
            if name in agents:
                mistakes.report(("agents", users.text), f'agents that are not named before; "{name}" is')
            contact = None
            if table.contact is not None:
                path = ("agents", users.text, "contact")
                contact = read(Contact, table.contact.replace("{agent}", name), path, mistakes.report)
            delays = table.refuse_delay_seconds
            agents[name] = Agent(
                id=name,
                name=table.name or name,
                queues=_memberships(table.queues, queues),
                skills=table.skills,
                contact=None if contact is NOTHING else contact,
                always_ready=table.always_ready,
                wrap_up_seconds=table.wrap_up_seconds,
                refuse_delays=delays if isinstance(delays, RefuseDelays) else RefuseDelays.of(delays),
                pause_after_missed=table.pause_after_missed,
                capacity=table.capacity,
                open_leg=table.open_leg,
            )
            written[name] = users.text
    return agents, written


def _memberships(
    written: Iterable[str] | Mapping[str, int | Membership] | None, queues: Iterable[str]
) -> dict[str, Membership]:
    """Write out "*"; what is said of a queue by its id counts more."""
    chosen = written if isinstance(written, Mapping) else dict.fromkeys(written or (), Membership())
    memberships = {
        queue: member if isinstance(member, Membership) else Membership(level=member)
        for queue, member in chosen.items()
    }
    every = memberships.pop(ALL, None)
    if every is None:
        return memberships
    return {**dict.fromkeys(queues, every), **memberships}
