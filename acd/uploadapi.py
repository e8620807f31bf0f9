"""GET /api/v1/cdr-upload and POST /api/v1/cdr-upload/retry, where CDRs are uploaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from litestar import get, post
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from acd.outbox import OutboxError
from acd.problems import problems
from acd.upload import UploadCounters

if TYPE_CHECKING:
    from acd.uploader import Uploader


class TakenBack(Struct, frozen=True):
    """How many records are sent again."""

    records: int


def upload_routes(uploader: Uploader) -> Sequence[HTTPRouteHandler]:
    """Return the handlers."""

    @get("/api/v1/cdr-upload", summary="CDRs that wait to be sent, are set aside, and were sent", sync_to_thread=False)
    def show() -> UploadCounters:
        return uploader.counters()

    @post("/api/v1/cdr-upload/retry", summary="Send what is set aside", status_code=200, responses=problems(503))
    async def retry() -> TakenBack:
        try:
            return TakenBack(await uploader.take_back())
        except OutboxError as error:
            raise HTTPException(status_code=503, detail=str(error)) from None

    return [show, retry]
