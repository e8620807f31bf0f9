"""The HTTP interface: what goes on now, what went on, and whether all is well. `acd.changes` has what changes it.

    GET /healthz  /readyz  /metrics  /schema
    GET /api/v1/calls  /api/v1/queues  /api/v1/agents  /api/v1/cdrs?limit=&offset=
    GET /api/v1/calls/{id}/ladder  /api/v1/kpis (in `acd.kpi.api`)

With a token configured everything but the two probes wants `Authorization: Bearer <token>`. Errors are problem
bodies (RFC 9457). It is served in the event loop of the engine, so whatever waits is done in a thread.
"""

import asyncio
import contextlib
import hmac
import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Annotated, Any, Generic, Literal, Protocol, Self, TypeVar

import structlog
import uvicorn
from litestar import Litestar, MediaType, Request, Response, get
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, NotAuthorizedException, NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import PathParameter, QueryParameter
from msgspec import Struct
from uvicorn.protocols.http.h11_impl import H11Protocol

from acd.cdr import Cdr
from acd.config import ConfigError, HostPort
from acd.core.agents import AgentState
from acd.core.floor import AgentSnapshot, QueueSnapshot
from acd.metrics import Metrics
from acd.problems import Problem, problem, problems
from acd.starting import CannotStart
from acd.store import CdrStore, StoreError
from media.api import Trouble

T = TypeVar("T")
log = structlog.get_logger()

GRACE_SECONDS = 1  # for requests under way when the server is closed
CONNECTION_SECONDS = 60.0  # then a connection without a request under way is closed
MOST_CONNECTIONS = 200
MOST_ITEMS = 1000


class TroubleView(Struct, frozen=True, kw_only=True):
    """What troubles the voice from one side since when, with its figures; what that means, and what to check."""

    leg: Literal["caller", "agent"]
    trouble: Trouble
    since: datetime
    detail: str
    meaning: str
    check: str


class CallView(Struct, frozen=True, kw_only=True):
    """A call under way. `id` is that of its CDR, `call_id` the Call-ID of the caller's dialog; instants in UTC.

    `recording` tells whether the talk is recorded; null: it is not. `troubles` are those of the voice at present.
    """

    id: str
    call_id: str
    dialled: str
    caller: str
    stage: Literal["arrived", "menu", "waiting", "talking", "echo", "announcement", "ending"]
    arrived: datetime
    queue: str | None = None
    position: int | None = None
    agent: str | None = None
    queued: datetime | None = None
    connected: datetime | None = None
    recording: Literal["on", "paused"] | None = None
    troubles: tuple[TroubleView, ...] = ()


class AgentView(Struct, frozen=True, kw_only=True):
    """An agent and for how long the state has lasted; `call_id` is the `id` of the call offered or talked to."""

    id: str
    name: str
    state: AgentState
    reason: str
    state_seconds: float
    queues: tuple[str, ...]
    calls_taken: int
    call_id: str | None

    @classmethod
    def of(cls, agent: AgentSnapshot, now: float) -> Self:
        """Show a snapshot; `now` is on the clock of its `since`."""
        return cls(
            id=agent.id,
            name=agent.name,
            state=agent.state,
            reason=agent.reason,
            state_seconds=round(max(now - agent.since, 0.0), 3),
            queues=agent.queues,
            calls_taken=agent.calls_taken,
            call_id=agent.call_id,
        )


class Probes(Protocol):
    """A process as HTTP sees it. Called in the event loop: answer from memory."""

    def ready(self) -> bool:
        """Say whether new calls are taken: SIP and media accept traffic, and no drain is under way."""

    def healthy(self) -> bool:
        """Say whether the process works at all; false asks for a restart."""


class Floor(Probes, Protocol):
    """The engine as HTTP sees it."""

    def calls(self) -> Sequence[CallView]:
        """Return the calls under way, the oldest first."""

    def queues(self) -> Sequence[QueueSnapshot]:
        """Return the queues, in the order of the configuration."""

    def agents(self) -> Sequence[AgentView]:
        """Return the agents, in the order of the configuration."""

    def ladder(self, call_id: str) -> str | None:
        """Return the SIP ladder of the call with this id, None if none is kept."""


class Items(Struct, Generic[T], frozen=True):
    """A list that can grow further keys beside it."""

    items: Sequence[T]


class Probe(Struct, frozen=True):
    """The answer of a probe."""

    status: Literal["ok", "failing"]


class HttpError(Exception):
    """The server cannot start; the message says where and why, in one line."""


_OPEN = {"open": True}
_FAILING = {503: ResponseSpec(Probe, generate_examples=False, description="It is not.")}


def floor_routes(floor: Floor, store: CdrStore) -> Sequence[BaseRouteHandler]:
    """Return the handlers of what the engine does."""

    @get("/api/v1/calls", summary="Calls under way, the oldest first", sync_to_thread=False)
    def calls() -> Items[CallView]:
        return Items(floor.calls())

    @get("/api/v1/queues", summary="Queues", sync_to_thread=False)
    def queues() -> Items[QueueSnapshot]:
        return Items(floor.queues())

    @get("/api/v1/agents", summary="Agents", sync_to_thread=False)
    def agents() -> Items[AgentView]:
        return Items(floor.agents())

    @get("/api/v1/cdrs", summary="Calls that ended, the latest first", responses=problems(400, 503))
    async def cdrs(
        limit: Annotated[int, QueryParameter(ge=1, le=MOST_ITEMS, description="at most so many")] = 100,
        offset: Annotated[int, QueryParameter(ge=0, le=2**31, description="without the first so many")] = 0,
    ) -> Items[Cdr]:
        return Items(await asyncio.to_thread(store.recent, limit, offset))

    @get(
        "/api/v1/calls/{call_id:str}/ladder",
        summary="The SIP messages of a call, as a ladder diagram",
        media_type=MediaType.TEXT,
        sync_to_thread=False,
        responses=problems(400, 404),
    )
    def ladder(call_id: Annotated[str, PathParameter(description="the id of the call")]) -> str:
        drawing = floor.ladder(call_id)
        if drawing is None:
            raise NotFoundException("no SIP messages are kept of a call with this id")
        return drawing

    return [calls, queues, agents, cdrs, ladder]


def create_app(
    probes: Probes,
    metrics: Metrics,
    token: str | None = None,
    more: Sequence[BaseRouteHandler] = (),
) -> Litestar:
    """Return the ASGI application; `more` are handlers of other modules, behind the same token."""

    @get("/healthz", summary="Is the process healthy?", sync_to_thread=False, opt=_OPEN, responses=_FAILING)
    def healthz() -> Response[Probe]:
        return _probe(ok=probes.healthy())

    @get("/readyz", summary="Are new calls taken?", sync_to_thread=False, opt=_OPEN, responses=_FAILING)
    def readyz() -> Response[Probe]:
        return _probe(ok=probes.ready())

    @get("/metrics", summary="Metrics for Prometheus", media_type=MediaType.TEXT, sync_to_thread=False)
    def scrape(request: Request[Any, Any, Any]) -> Response[bytes]:
        page, content_type = metrics.render(request.headers.get("accept", ""))
        return Response(page, headers={"content-type": content_type})

    schema = OpenAPIConfig(
        title="ims-acd",
        version=version("ims-acd"),
        path="/schema",
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        components=Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}),
        security=[{"token": []}] if token else None,
    )
    return Litestar(
        [healthz, readyz, scrape, *more],
        guards=[_guard(token)] if token else [],
        openapi_config=schema,
        exception_handlers={
            HTTPException: _refused,
            ConfigError: _mistaken,
            StoreError: _store_failed,
            Exception: _failed,
        },
        logging_config=None,
    )


def _probe(*, ok: bool) -> Response[Probe]:
    return Response(Probe("ok" if ok else "failing"), status_code=200 if ok else 503)


def _guard(token: str):  # type: ignore[no-untyped-def]
    wanted = f"Bearer {token}".encode()

    def guard(connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        if handler.opt.get("open"):
            return
        if not hmac.compare_digest(connection.headers.get("authorization", "").encode(), wanted):
            raise NotAuthorizedException("a valid bearer token is needed", headers={"WWW-Authenticate": "Bearer"})

    return guard


def _refused(_request: object, error: HTTPException) -> Response[Problem]:
    faults = error.extra if isinstance(error.extra, list) else []
    told = [f"{fault.get('key', '')}: {fault.get('message', '')}" for fault in faults if isinstance(fault, dict)]
    return problem(error.status_code, "; ".join(told) or error.detail, error.headers)


def _mistaken(_request: object, error: ConfigError) -> Response[Problem]:
    return problem(400, "the configuration stays as it is", mistakes=error.mistakes)


def _store_failed(_request: object, error: StoreError) -> Response[Problem]:
    log.warning("cdr.read_failed", error=str(error))
    return problem(503, "the CDR database does not answer")


def _failed(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    log.error("http.request_failed", path=request.url.path, exc_info=error)
    return problem(500, "the log says more")


class _Connection(H11Protocol):
    """A connection that takes its turn: there are not too many of them, and none stays open by doing nothing."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._expiry = self.loop.call_later(CONNECTION_SECONDS, self._expire)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._expiry is not None:
            self._expiry.cancel()

    def _expire(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self._expiry = self.loop.call_later(CONNECTION_SECONDS, self._expire)

    _expiry: asyncio.TimerHandle | None = None


class _Server(uvicorn.Server):
    """A server without signal handlers of its own that tells when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def begin(app: Litestar, listen: HostPort | None, cleanup: contextlib.AsyncExitStack) -> str | None:
    """Serve `app` until `cleanup`; return the address with the real port, None where none is wanted.

    Raises CannotStart.
    """
    if listen is None:
        return None
    try:
        return str(await cleanup.enter_async_context(serve(app, listen)))
    except HttpError as error:
        raise CannotStart(f"http.listen: {error}") from None


@contextlib.asynccontextmanager
async def serve(app: Litestar, listen: HostPort) -> AsyncIterator[HostPort]:
    """Serve `app` while the context lasts; gives the address with the real port. Raises HttpError."""
    listener = _bind(listen)
    host, port = listener.getsockname()[:2]
    config = uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listener]), name="http")
    up = asyncio.create_task(server.up.wait(), name="http-up")
    try:
        await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        yield HostPort(host, port)
    finally:
        up.cancel()
        server.should_exit = True
        await serving
        listener.close()


def _bind(listen: HostPort) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        return socket.create_server((listen.host, listen.port), family=family, backlog=128)
    except OSError as error:
        raise HttpError(f"{listen}: {os.strerror(error.errno or 0)}") from None
