"""The HTTP routes that read the event log.

GET /api/v1/calls/{id}/routing
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import structlog
from litestar import get
from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter

from acd.journal.explain import Routing, explain
from acd.journal.reader import Reader
from acd.journal.schema import JournalError
from acd.journal.store import SqliteJournal
from acd.problems import problems

log = structlog.get_logger()


def journal_routes(journal: SqliteJournal) -> Sequence[HTTPRouteHandler]:
    """Return the handlers."""

    @get(
        "/api/v1/calls/{call_id:str}/routing",
        summary="Why a call was offered to whom",
        responses=problems(400, 404, 503),
    )
    async def routing(call_id: Annotated[str, PathParameter(description="the id of the call")]) -> Routing:
        """Explain every offer of a call, under way or ended, with the candidates and what kept the others out."""
        found = await asyncio.to_thread(read, call_id)
        if found is None:
            raise NotFoundException("the log knows no call with this id")
        return found

    def read(call_id: str) -> Routing | None:
        journal.flush()
        try:
            with Reader(journal.path) as reader:
                return explain(reader, call_id)
        except JournalError as error:
            log.warning("journal.read_failed", error=str(error))
            raise HTTPException(status_code=503, detail="the event log does not answer") from None

    return [routing]
