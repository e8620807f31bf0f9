"""The HTTP routes that read the event log.

GET /api/v1/calls/{id}/routing
"""

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
        sync_to_thread=True,
        responses=problems(400, 404, 503),
    )
    def routing(call_id: Annotated[str, PathParameter(description="the id of the call")]) -> Routing:
        """Explain every offer of a call, under way or ended, with the candidates and what kept the others out."""
        journal.flush()
        try:
            with Reader(journal.path) as reader:
                found = explain(reader, call_id)
        except JournalError as error:
            log.warning("journal.read_failed", error=str(error))
            raise HTTPException(status_code=503, detail="the event log does not answer") from None
        if found is None:
            raise NotFoundException("the log knows no call with this id")
        return found

    return [routing]
