"""`ims-acd kpis`: the key figures of a period, read from the event log of a server, also while it runs."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from datetime import datetime
from typing import TYPE_CHECKING, get_args

import msgspec

from acd.config import ConfigError, load
from acd.journal.reader import Reader
from acd.journal.schema import JournalError
from acd.kpi.asking import QueryError, ask
from acd.kpi.grid import WHOLE, Grid
from acd.kpi.reading import count
from acd.kpi.report import SHORT_SECONDS, By, items, merge
from acd.kpi.table import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from acd.kpi.report import Query

FAILED, WRONG = 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Print what the arguments ask for; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        config = load(arguments.config, arguments.set)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return WRONG
    try:
        query = ask(
            time.time(),
            arguments.zone or config.server.timezone,
            start=arguments.start,
            end=arguments.end,
            interval=arguments.interval,
            by=arguments.by,
            thresholds=arguments.threshold,
            short=arguments.short,
        )
    except QueryError as error:
        print(f"--{error}", file=sys.stderr)
        return WRONG
    try:
        with Reader(config.storage.journal_path) as log:
            known = min(time.time(), max(log.alive(), log.last()[1]))  # a server that is gone knows no more
            intervals, thresholds = count(log, query, known)
    except JournalError as error:
        print(error, file=sys.stderr)
        return FAILED
    found = items(intervals, thresholds, query)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode({"items": found})).decode())
    elif not found:
        print(f"{_title(query)}\nNo calls, and nobody logged in.")
    else:
        whole = msgspec.structs.replace(query, grid=Grid(WHOLE, query.grid.zone), by="total")
        (total,) = items(merge(intervals, thresholds, whole), thresholds, whole)
        print(f"{_title(query)}\n\n{table(found, total, query)}")
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="ims-acd kpis", description="Key figures of a period, from the event log.")
    add = parser.add_argument
    add("--config", required=True, metavar="FILE", help="the configuration of the server, a TOML file")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="in place of the file's; repeatable")
    add("--from", dest="start", default="", metavar="TIME", help="as 2025-03-01 or 2025-03-01T08:00; default: today")
    add("--to", dest="end", default="", metavar="TIME", help="up to and without; default: the end of today")
    add("--by", default="queue", choices=get_args(By), help="a line for each; default: queue")
    add(
        "--interval", default="whole", metavar="LENGTH", help="quarter, hour, day, 30m, ...; default: whole, the period"
    )
    add("--threshold", type=float, action="append", default=[], metavar="SECONDS",
        help="of the service level, repeatable; default: each queue's own")  # fmt: skip
    add("--short", type=float, default=SHORT_SECONDS, metavar="SECONDS",
        help=f"too short a wait to count as abandoned; default: {SHORT_SECONDS:g}")  # fmt: skip
    add("--zone", default="", metavar="ZONE", help="the time zone of the day; default: server.timezone")
    add("--json", action="store_true", help="every figure, as GET /api/v1/kpis answers")
    return parser


def _title(query: Query) -> str:
    start, end = (datetime.fromtimestamp(at, query.grid.zone) for at in (query.start, query.end))
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}, {query.grid.zone}"
