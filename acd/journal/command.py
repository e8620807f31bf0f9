"""The commands that read the event log: `ims-acd explain` and `ims-acd queue-log`."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from acd.config import ConfigError
from acd.config.source import Source
from acd.journal.explain import explain
from acd.journal.queue_log import told
from acd.journal.reader import Reader
from acd.journal.schema import JournalError
from acd.journal.tell import tell

if TYPE_CHECKING:
    from collections.abc import Sequence


FAILED, WRONG = 1, 2


def main(argv: Sequence[str], command: str) -> int:
    """Run the command `explain` or `queue-log` with these arguments; return the exit status."""
    arguments = _parser(command).parse_args(argv)
    try:
        config = Source(arguments.config, arguments.set).read()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return WRONG
    try:
        with Reader(config.storage.journal_path) as log:
            return _explain(log, arguments.call) if command == "explain" else _queue_log(log, arguments)
    except JournalError as error:
        print(error, file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        return 0


def _explain(log: Reader, call: str) -> int:
    routing = explain(log, call)
    if routing is None:
        print(f"the log knows no call {call!r}", file=sys.stderr)
        return FAILED
    print(tell(routing))
    return 0


def _queue_log(log: Reader, arguments: argparse.Namespace) -> int:
    since = arguments.since or 0.0
    starts = [entry for entry in log.landmarks("server.started") if entry.at <= since]
    entries = log.entries(until=arguments.until, after=starts[-1].seq - 1 if starts else 0)
    for line in told(entries, since):
        print(line)
    return 0


def _parser(command: str) -> argparse.ArgumentParser:
    purposes = {
        "explain": "Tell why a call was offered to whom.",
        "queue-log": "Print the event log in the form of Asterisk's queue_log.",
    }
    parser = argparse.ArgumentParser(prog=f"ims-acd {command}", description=purposes[command])
    if command == "explain":
        parser.add_argument("call", metavar="CALL", help="the id of the call, as in its CDR")
    parser.add_argument("--config", required=True, metavar="FILE", help="the configuration of the server")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="as for serve")
    if command == "queue-log":
        for name, what in (("--since", "from this time on"), ("--until", "up to this time")):
            parser.add_argument(name, type=_time, metavar="TIME", help=f'{what}: "2025-03-01 08:00", or unix seconds')
    return parser


def _time(written: str) -> float:
    """Read a time; without a zone it is that of this host."""
    try:
        return float(written)
    except ValueError:
        return datetime.fromisoformat(written).timestamp()
