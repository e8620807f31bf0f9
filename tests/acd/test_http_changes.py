"""The HTTP routes that change something: what they hand on, and how they refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest
from openapi_spec_validator import validate

from acd.changes import change_routes
from acd.config import ConfigError
from acd.config.live import Installed
from acd.control import Control, NotNow, NotThere
from acd.http import create_app
from acd.metrics import Metrics, Readings
from tests.acd.test_http import FakeFloor

MISTAKES = ("acd.toml: queues.sales.weight: expected a weight", "acd.toml: queues.sales.name: expected a text")


class FakeControl:
    """Notes what it is asked for; `refuse` is raised instead."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.refuse: Exception | None = None

    def _note(self, *asked: object) -> Installed:
        if self.refuse is not None:
            raise self.refuse
        self.asked.append(asked)
        return Installed(7, ("queues",), ("sip.listen",))

    async def reload(self, by: str) -> Installed:
        return self._note("reload", by)

    async def change(self, section: str, name: str, values: Mapping[str, Any]) -> Installed:
        return self._note(section, name, values)

    def force(self, agent: str, state: str, reason: str = "") -> None:
        self._note(agent, state, reason)

    def move(self, call: str, queue: str) -> None:
        self._note(call, queue)

    def pause_recording(self, call: str, *, paused: bool) -> None:
        self._note(call, "pause" if paused else "resume")

    def hide_digits(self, call: str, *, hidden: bool) -> None:
        self._note(call, "hide" if hidden else "show")

    def press(self, call: str, keys: str, towards: str) -> None:
        self._note(call, keys, towards)


@asynccontextmanager
async def serving(control: FakeControl, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    metrics = Metrics({}, Readings)
    app = create_app(FakeFloor(), metrics, token, change_routes(cast("Control", control)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://acd") as client:
        yield client


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
async def client(control: FakeControl) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(control) as client:
        yield client


async def test_changes_are_handed_on_and_answered(client: httpx.AsyncClient, control: FakeControl) -> None:
    installed = {"policy": 7, "changed": ["queues"], "needs_restart": ["sip.listen"]}
    answers = [
        await client.post("/api/v1/reload"),
        await client.patch("/api/v1/queues/sales", json={"weight": 2}),
        await client.patch("/api/v1/agents/1001", json={"skills": {"french": 2}}),
    ]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, installed)] * 3
    done = [
        await client.post("/api/v1/agents/1001/state", json={"state": "paused", "reason": "meeting"}),
        await client.post("/api/v1/calls/c1/move", json={"queue": "vip"}),
        await client.post("/api/v1/calls/c1/recording", json={"action": "pause"}),
        await client.post("/api/v1/calls/c1/recording", json={"action": "resume"}),
        await client.post("/api/v1/calls/c1/digits", json={"action": "hide"}),
        await client.post("/api/v1/calls/c1/digits", json={"action": "show"}),
        await client.post("/api/v1/calls/c1/press", json={"keys": "12#"}),
        await client.post("/api/v1/calls/c1/press", json={"keys": "9", "towards": "caller"}),
    ]
    assert [(answer.status_code, answer.json()) for answer in done] == [(200, {"done": True})] * 8
    assert control.asked == [
        ("reload", "api"),
        ("queues", "sales", {"weight": 2}),
        ("agents", "1001", {"skills": {"french": 2}}),
        ("1001", "paused", "meeting"),
        ("c1", "vip"),
        ("c1", "pause"),
        ("c1", "resume"),
        ("c1", "hide"),
        ("c1", "show"),
        ("c1", "12#", "other"),
        ("c1", "9", "caller"),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/reload", None),
        ("PATCH", "/api/v1/queues/sales", {"weight": 0}),
        ("PATCH", "/api/v1/agents/1001", {}),
    ],
)
async def test_mistakes_are_all_in_the_answer(
    client: httpx.AsyncClient, control: FakeControl, method: str, path: str, body: object
) -> None:
    control.refuse = ConfigError(MISTAKES)
    answer = await client.request(method, path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json() == {
        "title": "Bad Request",
        "status": 400,
        "detail": "the configuration stays as it is",
        "mistakes": list(MISTAKES),
    }


@pytest.mark.parametrize(
    ("path", "refusal", "status"),
    [
        ("agents/a9/state", NotThere("no agent 'a9'"), 404),
        ("calls/c9/move", NotThere("no call 'c9' is under way"), 404),
        ("calls/c1/move", NotNow("the caller does not wait in a queue"), 409),
    ],
)
async def test_what_is_not_there_or_not_now(
    client: httpx.AsyncClient, control: FakeControl, path: str, refusal: Exception, status: int
) -> None:
    control.refuse = refusal
    body = {"state": "ready"} if path.endswith("state") else {"queue": "sales"}
    answer = await client.post(f"/api/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (status, str(refusal))
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "queues/sales", b"[1]"),
        ("PATCH", "queues/sales", b"{"),
        ("POST", "agents/1001/state", b'{"state": "talking"}'),
        ("POST", "agents/1001/state", b'{"state": "ready", "because": "x"}'),
        ("POST", "calls/c1/move", b"{}"),
    ],
)
async def test_a_body_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, control: FakeControl, method: str, path: str, body: bytes
) -> None:
    headers = {"content-type": "application/json"}
    answer = await client.request(method, f"/api/v1/{path}", content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert control.asked == []


async def test_nothing_is_changed_without_the_token(control: FakeControl) -> None:
    async with serving(control, "secret") as client:
        for method, path in (
            ("POST", "reload"),
            ("PATCH", "queues/sales"),
            ("PATCH", "agents/1001"),
            ("POST", "agents/1001/state"),
            ("POST", "calls/c1/move"),
        ):
            answer = await client.request(method, f"/api/v1/{path}", json={"state": "ready", "queue": "sales"})
            assert answer.status_code == 401
        assert control.asked == []
        assert (await client.post("/api/v1/reload", headers={"Authorization": "Bearer secret"})).status_code == 200


async def test_the_description_is_valid_and_says_what_can_go_wrong(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/schema/openapi.json")).json()
    validate(schema)
    move = schema["paths"]["/api/v1/calls/{call_id}/move"]["post"]
    assert set(move["responses"]) == {"200", "400", "404", "409"}
    assert set(schema["paths"]["/api/v1/reload"]["post"]["responses"]) == {"200", "400"}
