"""Checks of subscribers: those of a configuration, and those that are to be put into the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from acd.config.fitting import refers
from ims_core.subscribers.identities import public_identity

if TYPE_CHECKING:
    from acd.config.ims import SubscriberTable
    from acd.config.mistakes import Mistakes
    from acd.config.model import Config
    from acd.config.reader import Path

_Set = tuple[tuple[str, bool, str | None], ...]


def check_subscribers(tables: Sequence[SubscriberTable], config: Config, mistakes: Mistakes) -> None:
    """Report subscribers whom ``config`` cannot have: its own, or further ones."""
    accounts = [f"{user}@{config.server.domain}".lower() for user in config.accounts]
    known = dict.fromkeys(accounts, "a private identity that is no account's")
    owners: dict[str, _Set] = {uri: ((uri, False, None),) for uri in map("sip:{}".format, accounts)}
    if tables is not config.subscribers:
        for table in config.subscribers:
            known[table.private.lower()] = "a private identity that the configuration lacks"
            owners.update((uri, whole) for whole in _sets(table) for uri, _, _ in whole)
    for index, table in enumerate(tables):
        path: Path = ("subscribers", index)
        if mistakes.any_in(path):
            continue
        if table.private.lower() in known:
            mistakes.report((*path, "private"), known[table.private.lower()], table.private)
        known[table.private.lower()] = "a private identity that is not named before"
        refers(table.profile, config.profiles, "a profile", (*path, "profile"), mistakes)
        _secrets(table, path, mistakes)
        try:
            sets = _sets(table)
        except ValueError as error:
            mistakes.report((*path, "public"), str(error).removeprefix("expected "))
        else:
            _identities(table, sets, path, owners, mistakes)


def _sets(table: SubscriberTable) -> list[_Set]:
    """The identities of each set as they are compared, whether they are barred, and their profile."""
    barred = {public_identity(uri).uri for uri in table.barred}
    sets = ([public_identity(uri).uri for uri in each] for each in table.sets)
    return [tuple((uri, uri in barred, table.profile) for uri in each) for each in sets]


def _identities(
    table: SubscriberTable, sets: list[_Set], path: Path, owners: dict[str, _Set], mistakes: Mistakes
) -> None:
    """Check the public identities; ``owners`` has the set of each that was named before."""
    if not sets:
        mistakes.report((*path, "public"), "at least one public identity")
    own: set[str] = set()
    for whole in sets:
        for uri, _, _ in whole:
            if uri in own:
                mistakes.report((*path, "public"), "each public identity once", uri)
            elif owners.setdefault(uri, whole) != whole:
                what = "the whole of a set that is shared, with the same profile and the same identities barred"
                mistakes.report((*path, "public"), what, uri)
            own.add(uri)
    for identity in table.barred:
        if public_identity(identity).uri not in own:
            mistakes.report((*path, "barred"), "identities that public or more names", identity)


def _secrets(table: SubscriberTable, path: Path, mistakes: Mistakes) -> None:
    has_aka = any((table.k, table.op, table.opc))
    if has_aka == (table.password is not None):
        mistakes.report(path, "either k with op or opc, of IMS AKA, or password, of SIP digest")
    elif has_aka and (table.k is None or (table.op is None) == (table.opc is None)):
        mistakes.report(path, "k and one of op and opc")
    for index, algorithm in enumerate(table.algorithms):
        if algorithm.startswith("AKA") != has_aka:
            what = "an algorithm of AKA, because there is k" if has_aka else "an algorithm of digest, without AKA"
            mistakes.report((*path, "algorithms", index), what, algorithm)
