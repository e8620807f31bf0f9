"""`GET /api/v1/kpis`: the figures over HTTP. Today's come from memory, all others are read from the log in a thread."""

import asyncio
from typing import Annotated, Protocol

import structlog
from litestar import Response, get
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from acd.http import Items
from acd.journal.schema import JournalError
from acd.kpi.asking import QueryError, ask
from acd.kpi.report import SHORT_SECONDS, Item, Query
from acd.problems import Problem, problem, problems

log = structlog.get_logger()

_DESCRIPTION = """Callers count in the interval in which they were offered to the queue, agents' time in that in which
it passed. What is not known, or has a denominator of zero, is null. Without `from` and `to`: today."""


class Figures(Protocol):
    """Where the figures come from. `zone` is the time zone of the day, where none is asked for."""

    zone: str

    def now(self) -> float:
        """Return the time, in unix seconds."""

    def today(self, query: Query) -> list[Item] | None:
        """Answer from memory, called in the event loop; None if that does not reach."""

    def read(self, query: Query) -> list[Item]:
        """Answer from the log, called in a thread. Raises JournalError."""


def kpis(figures: Figures) -> HTTPRouteHandler:
    """Return the handler."""

    @get(
        "/api/v1/kpis",
        summary="Key figures per interval and queue, agent or number",
        description=_DESCRIPTION,
        responses=problems(400, 503),
        exception_handlers={JournalError: _log_failed},
    )
    async def show(
        *,
        start: Annotated[str, _said("from", "the first instant: a date, or a time; without offset in `zone`")] = "",
        end: Annotated[str, _said("to", "up to and without this instant")] = "",
        interval: Annotated[
            str, _said("interval", "quarter, hour, day, whole, or a length that begins at midnight, as 30m")
        ] = "quarter",
        by: Annotated[str, _said("by", "queue, agent, number or total")] = "queue",
        threshold: Annotated[
            list[float] | None,
            _said("threshold", "T of the service level in seconds, repeated for more; else the queue's"),
        ] = None,
        short: Annotated[float, _said("short", "a wait in seconds too short to be abandoned")] = SHORT_SECONDS,
        zone: Annotated[str, _said("zone", "the time zone of the day, as Asia/Shanghai; default: the server's")] = "",
    ) -> Items[Item]:
        now = figures.now()
        try:
            query = ask(
                now,
                zone or figures.zone,
                start=start,
                end=end,
                interval=interval,
                by=by,
                thresholds=threshold or (),
                short=short,
            )
        except QueryError as error:
            raise ClientException(str(error)) from None
        found = figures.today(query)
        return Items(await asyncio.to_thread(figures.read, query) if found is None else found)

    return show


def _said(name: str, description: str) -> QueryParameter:
    return QueryParameter(name=name, description=description)


def _log_failed(_request: object, error: JournalError) -> Response[Problem]:
    log.warning("journal.read_failed", error=str(error))
    return problem(503, "the event log cannot be read")
