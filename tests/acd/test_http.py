import asyncio
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest
from openapi_spec_validator import validate
from structlog.testing import capture_logs

from acd import http
from acd.cdr import Cdr, EndedBy, Outcome, Quality, Step
from acd.config import HostPort
from acd.core.agents import AgentState
from acd.core.floor import AgentSnapshot, QueueSnapshot
from acd.http import AgentView, CallView, Floor, HttpError, create_app, floor_routes, serve
from acd.metrics import Metrics, Readings
from acd.store import CdrStore

NOON = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
LOOPBACK = HostPort("127.0.0.1", 0)
CALL = CallView(id="c1", call_id="a@b", dialled="10001", caller="alice", stage="waiting", arrived=NOON, position=1)
QUEUE = QueueSnapshot("sales", "Sales", 1, 2.5, {AgentState.READY: 1}, 3, 1, 1, 0, 0, None, 20.0)
AGENT = AgentView.of(AgentSnapshot("1001", "Ann", AgentState.READY, "", 90.0, ("sales",), 4, None), now=100.25)
PATHS = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/schema",
    *(f"/api/v1/{what}" for what in ("calls", "queues", "agents", "cdrs")),
]


class FakeFloor:
    """What the engine would say; `broken` makes it fail."""

    is_ready = is_healthy = True
    broken = False

    def calls(self) -> Sequence[CallView]:
        if self.broken:
            raise RuntimeError("a defect")
        return [CALL]

    def queues(self) -> Sequence[QueueSnapshot]:
        return [QUEUE]

    def agents(self) -> Sequence[AgentView]:
        return [AGENT]

    def ladder(self, call_id: str) -> str | None:
        return "alice -> acd: INVITE\n" if call_id == "c1" else None

    def ready(self) -> bool:
        return self.is_ready

    def healthy(self) -> bool:
        return self.is_healthy


def cdr(number: int) -> Cdr:
    return Cdr(
        id=f"c{number}",
        call_id=f"{number}@b",
        dialled="10001",
        caller="alice",
        arrived=NOON,
        connected=NOON,
        ended=NOON + timedelta(seconds=number),
        ended_by=EndedBy.CALLER,
        outcome=Outcome.ANSWERED,
        quality_caller=Quality(mos=4.3),
        timeline=(Step(NOON, "call.arrived"),),
    )


@pytest.fixture
def floor() -> FakeFloor:
    return FakeFloor()


@pytest.fixture
async def store(storage_dir: Path) -> AsyncIterator[CdrStore]:
    store = CdrStore(f"sqlite:///{storage_dir}/cdr.sqlite")
    store.open()
    yield store
    store.close()


@asynccontextmanager
async def serving(floor: Floor, store: CdrStore, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(floor, Metrics({"sales": 20.0}, Readings), token, floor_routes(floor, store))
    async with serve(app, LOOPBACK) as address, httpx.AsyncClient(base_url=f"http://{address}", timeout=10) as client:
        yield client


@pytest.fixture
async def client(floor: FakeFloor, store: CdrStore) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(floor, store) as client:
        yield client


async def test_the_probes_say_what_the_floor_says(client: httpx.AsyncClient, floor: FakeFloor) -> None:
    for path, attribute in (("/healthz", "is_healthy"), ("/readyz", "is_ready")):
        assert (await client.get(path)).json() == {"status": "ok"}
        setattr(floor, attribute, False)
        answer = await client.get(path)
        assert (answer.status_code, answer.json()) == (503, {"status": "failing"})


async def test_lists_stand_under_items(client: httpx.AsyncClient) -> None:
    calls = (await client.get("/api/v1/calls")).json()
    assert calls == {
        "items": [
            {
                "id": "c1",
                "call_id": "a@b",
                "dialled": "10001",
                "caller": "alice",
                "stage": "waiting",
                "arrived": "2025-03-01T12:00:00Z",
                "queue": None,
                "position": 1,
                "agent": None,
                "queued": None,
                "connected": None,
                "recording": None,
                "troubles": [],
            }
        ]
    }
    (queue,) = (await client.get("/api/v1/queues")).json()["items"]
    assert (queue["id"], queue["waiting"], queue["agents"]) == ("sales", 1, {"ready": 1})
    (agent,) = (await client.get("/api/v1/agents")).json()["items"]
    assert (agent["id"], agent["state"], agent["state_seconds"]) == ("1001", "ready", 10.25)


async def test_cdrs_come_in_pages_the_latest_first(client: httpx.AsyncClient, store: CdrStore) -> None:
    for number in range(150):
        store.submit(cdr(number))
    assert await asyncio.to_thread(store.flush)

    async def ids(query: str) -> list[str]:
        return [item["id"] for item in (await client.get(f"/api/v1/cdrs{query}")).json()["items"]]

    assert await ids("") == [f"c{number}" for number in range(149, 49, -1)]
    assert await ids("?limit=2&offset=148") == ["c1", "c0"]
    assert await ids("?offset=150") == []
    (latest,) = (await client.get("/api/v1/cdrs?limit=1")).json()["items"]
    assert latest["ended"] == "2025-03-01T12:02:29Z"
    assert (latest["talked_seconds"], latest["outcome"], latest["ended_by"]) == (149.0, "answered", "caller")
    assert latest["quality_caller"]["mos"] == 4.3
    assert latest["timeline"] == [{"at": "2025-03-01T12:00:00Z", "event": "call.arrived", "detail": ""}]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        *((f"limit={limit}", "limit") for limit in ("0", "1001", "x", "1.5", "")),
        *((f"offset={offset}", "offset") for offset in ("-1", "99999999999999999999")),
    ],
)
async def test_a_bad_page_is_a_problem_that_names_the_parameter(
    client: httpx.AsyncClient, query: str, told: str
) -> None:
    answer = await client.get(f"/api/v1/cdrs?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith(f"{told}: ")


async def test_a_ladder_is_text(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/calls/c1/ladder")
    assert (answer.status_code, answer.text) == (200, "alice -> acd: INVITE\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    answer = await client.get("/api/v1/calls/unknown/ladder")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "no SIP messages are kept of a call with this id"


async def test_what_is_not_there_is_a_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json() == {"title": "Not Found", "status": 404, "detail": "Not Found"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/v1/calls"])
async def test_nothing_can_be_changed_yet(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert answer.json()["title"] == "Method Not Allowed"


async def test_a_defect_is_logged_and_not_shown(client: httpx.AsyncClient, floor: FakeFloor) -> None:
    floor.broken = True
    with capture_logs() as lines:
        answer = await client.get("/api/v1/calls")
    assert (answer.status_code, answer.json()["detail"]) == (500, "the log says more")
    assert [(line["event"], line["path"]) for line in lines] == [("http.request_failed", "/api/v1/calls")]
    assert (await client.get("/healthz")).status_code == 200


async def test_a_database_that_fails_is_503(client: httpx.AsyncClient, store: CdrStore, storage_dir: Path) -> None:
    store.close()
    (storage_dir / "cdr.sqlite").unlink()
    with capture_logs() as lines:
        answer = await client.get("/api/v1/cdrs")
    assert (answer.status_code, answer.json()["title"]) == (503, "Service Unavailable")
    assert [line["event"] for line in lines] == ["cdr.read_failed"]


async def test_metrics_are_served_in_the_form_asked_for(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics", headers={"accept": "text/plain"})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "\nacd_calls 0.0\n" in answer.text
    answer = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")


class TestToken:
    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            "Bearer",
            "Bearer wrong",
            "Basic c2VjcmV0",
            "secret",
            "Bearer secret2",
            "Bearer s\u00e9cret",
        ],
    )
    async def test_without_it_only_the_probes_answer(
        self, floor: FakeFloor, store: CdrStore, header: str | None
    ) -> None:
        headers = {} if header is None else {"authorization": header.encode("latin-1")}
        async with serving(floor, store, token="secret") as client:
            for path in PATHS:
                answer = await client.get(path, headers=headers)  # type: ignore[arg-type]
                if path in ("/healthz", "/readyz"):
                    assert answer.status_code == 200
                else:
                    assert (path, answer.status_code) == (path, 401)
                    assert answer.headers["www-authenticate"] == "Bearer"
                    assert answer.json()["title"] == "Unauthorized"

    async def test_with_it_everything_answers(self, floor: FakeFloor, store: CdrStore) -> None:
        async with serving(floor, store, token="secret") as client:
            for path in PATHS:
                assert (await client.get(path, headers={"authorization": "Bearer secret"})).status_code == 200


class TestSchema:
    async def test_it_is_valid_openapi(self, client: httpx.AsyncClient) -> None:
        schema = (await client.get("/schema")).json()
        validate(schema)
        assert schema["openapi"].startswith("3.1")
        assert {path for path in schema["paths"] if path.startswith("/api/")} == {
            "/api/v1/calls",
            "/api/v1/queues",
            "/api/v1/agents",
            "/api/v1/cdrs",
            "/api/v1/calls/{call_id}/ladder",
        }

    async def test_answers_are_as_it_says(self, client: httpx.AsyncClient, store: CdrStore) -> None:
        store.submit(cdr(1))
        assert await asyncio.to_thread(store.flush)
        schema = (await client.get("/schema")).json()
        for what in ("calls", "queues", "agents", "cdrs", "cdrs?limit=0"):
            answer = await client.get(f"/api/v1/{what}")
            operation = schema["paths"][f"/api/v1/{what.partition('?')[0]}"]["get"]
            content = operation["responses"][str(answer.status_code)]["content"]
            kind: dict[str, Any] = dict(content[answer.headers["content-type"]]["schema"])
            jsonschema.validate(answer.json(), kind | {"components": schema["components"]})

    async def test_it_leads_to_no_other_host(self, client: httpx.AsyncClient) -> None:
        text = (await client.get("/schema")).text
        assert not re.findall(r"https?://(?!127\.0\.0\.1)", text)


async def test_a_port_in_use_is_told_in_one_line(floor: FakeFloor, store: CdrStore) -> None:
    app = create_app(floor, Metrics({}, Readings), None, floor_routes(floor, store))
    async with serve(app, LOOPBACK) as address:
        with pytest.raises(HttpError, match=rf"^127\.0\.0\.1:{address.port}: Address already in use$"):
            async with serve(app, address):
                pass
    async with serve(app, address) as again:
        assert again == address


async def test_the_signals_stay_with_the_engine(floor: FakeFloor, store: CdrStore) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serving(floor, store):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@asynccontextmanager
async def connected(client: httpx.AsyncClient) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A plain connection to the same server; what takes longer than 10 s fails."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def test_the_end_leaves_no_task_and_waits_for_no_idle_client(floor: FakeFloor, store: CdrStore) -> None:
    before = asyncio.all_tasks()
    async with AsyncExitStack() as clients:
        async with serving(floor, store) as client:
            await client.get("/healthz")  # leaves the connection open
            reader, writer = await clients.enter_async_context(connected(client))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: a")
        assert await reader.read() == b""
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\xff\xfe\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0\r\nVia: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 200_000,
    ],
    ids=["random", "SIP", "endless header"],
)
async def test_what_is_no_request_is_refused_and_disturbs_nobody(client: httpx.AsyncClient, data: bytes) -> None:
    async with connected(client) as (reader, writer):
        writer.write(data)
        try:
            answer = await reader.read()
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert (await client.get("/healthz")).status_code == 200


async def test_idle_connections_make_way(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTION_SECONDS", 0.05)
    async with connected(client) as (reader, writer):
        writer.write(b"GET /heal")
        assert await reader.read() == b""


async def test_there_are_only_so_many_connections(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_CONNECTIONS", 2)
    async with connected(client), connected(client), connected(client) as (reader, _):
        assert await reader.read() == b""
    async with asyncio.timeout(10):
        while True:  # until the server has seen that the others are gone
            with suppress(httpx.TransportError):
                assert (await client.get("/healthz")).status_code == 200
                break
