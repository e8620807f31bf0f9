r"""`ims-acd subscribers`: who is in the database of subscribers, beside those that the configuration names.

  ims-acd subscribers put --config FILE [--set section.key=value ...] --from FILE
  ims-acd subscribers list --config FILE [--set section.key=value ...]
  ims-acd subscribers remove --config FILE [--set section.key=value ...] PRIVATE ...

FILE of --from has [[subscribers]] tables as a configuration has them. Those who are in the database already are
replaced: all of them, or none and a line for each mistake.

The server need not be stopped. It looks here for whom it does not find in its configuration, if ims.subscriber_database
is true. Who is registered stays so until that expires or until the configuration is read anew, which ends it for those
who are in neither.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from acd.config import ConfigError, load
from acd.config.ims import SubscriberTable
from acd.config.load import read_tables
from acd.config.mistakes import Mistakes
from acd.config.reader import read
from acd.config.subscribers import check_subscribers
from acd.ims.subscribed import FILE, subscribers_in
from ims_core.subscribers.database import SubscriberTables, open_database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from acd.config import Config
    from ims_core.subscribers.subscriber import Subscriber

FAILED, WRONG = 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the action with these arguments; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        config = load(arguments.config, arguments.set)
        entered = _read(arguments.source, config) if arguments.action == "put" else []
    except ConfigError as error:
        print(error, file=sys.stderr)
        return WRONG
    path = config.storage.path / FILE
    try:
        with closing(open_database(path)) as file:
            status = _run(arguments, SubscriberTables(file), entered)
    except (OSError, sqlite3.Error, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return FAILED
    if entered and not config.ims.subscriber_database:
        print(f"no server of {arguments.config} looks there: ims.subscriber_database is false", file=sys.stderr)
    return status


def _run(arguments: argparse.Namespace, known: SubscriberTables, entered: list[Subscriber]) -> int:
    if arguments.action == "put":
        known.put(entered)
        print(f"{len(entered)} put, {len(known)} in all")
        return 0
    if arguments.action == "list":
        for private in known:
            print(_told(known.by_private(private)))
        return 0
    missing = [private for private in arguments.private if not known.remove(private)]
    for private in missing:
        print(f"{private}: not in the database", file=sys.stderr)
    return FAILED if missing else 0


def _read(file: str, config: Config) -> list[Subscriber]:
    """Return the subscribers in a file. Raises ConfigError."""
    tables, mistakes = read_tables(file), Mistakes(file)
    for key in tables.keys() - {"subscribers"}:
        mistakes.report((key,), "nothing but [[subscribers]]")
    written = read(tuple[SubscriberTable, ...], tables.get("subscribers", []), ("subscribers",), mistakes.report)
    if not mistakes.lines:
        check_subscribers(written, config, mistakes)
    if mistakes.lines:
        raise ConfigError(mistakes.lines)
    return list(subscribers_in(written, config))


def _told(subscriber: Subscriber | None) -> str:
    """Say who somebody is, without the secret."""
    if subscriber is None:
        return ""
    sets = " | ".join(" ".join(identity.uri for identity in implicit) for implicit in subscriber.sets)
    return f"{subscriber.private}  {type(subscriber.credentials).__name__.lower()}  {sets}"


def _parser() -> argparse.ArgumentParser:
    purpose, _, explained = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="ims-acd subscribers",
        description=purpose,
        epilog=explained,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    put = actions.add_parser("put", help="enter or replace subscribers")
    put.add_argument("--from", dest="source", required=True, metavar="FILE", help="their tables, TOML")
    listed = actions.add_parser("list", help="print who is there, without secrets")
    remove = actions.add_parser("remove", help="take subscribers out")
    remove.add_argument("private", nargs="+", metavar="PRIVATE", help="a private identity")
    for action in (put, listed, remove):
        action.add_argument("--config", required=True, metavar="FILE", help="the configuration, a TOML file")
        action.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="SECTION.KEY=VALUE",
            help="use this value in place of the file's, as the server does; may be repeated",
        )
    return parser
