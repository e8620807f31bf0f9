import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest
from litestar import Litestar
from openapi_spec_validator import validate
from structlog.testing import capture_logs

from acd import facts
from acd.http import create_app
from acd.kpi.api import kpis
from acd.kpi.definitions import KPIS, SERVICE_LEVELS
from acd.kpi.live import LiveFigures
from acd.kpi.today import Today
from acd.metrics import Metrics, Readings
from tests.acd.kpi.day import at
from tests.acd.kpi.test_report import NOW, log, story, write
from tests.acd.test_http import FakeFloor

__all__ = ["log"]  # a fixture


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def figures(log: Path) -> LiveFigures:
    clock = Clock(at("00:00"))
    figures = LiveFigures(log, "UTC", clock)
    figures.resume(Today(ZoneInfo("UTC"), clock.now))
    story(figures)
    clock.now = NOW
    return figures


@pytest.fixture
def app(figures: LiveFigures) -> Litestar:
    return create_app(FakeFloor(), Metrics({}, Readings), None, [kpis(figures)])


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://acd") as client:
        yield client


async def items(client: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"/api/v1/kpis{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_today_is_answered_from_memory(client: httpx.AsyncClient, log: Path) -> None:
    os.unlink(log)  # noqa: PTH108
    sales, support = await items(client, "?interval=day")
    assert (sales["start"], sales["end"]) == ("2025-03-01T00:00:00Z", "2025-03-02T00:00:00Z")
    assert (sales["id"], sales["counts"]["offered"], sales["kpis"]["answer_rate"]) == ("sales", 6, 0.5)
    assert sales["service_levels"][0] == {
        "threshold_seconds": 20.0,
        "of_offered": 0.333333,
        "of_offered_without_short": 0.4,
        "of_decided": 0.6,
        "of_answered": 0.666667,
    }
    assert support["kpis"]["average_speed_of_answer_seconds"] is None
    assert len(await items(client)) == 32


async def test_until_the_day_is_recalled_answers_are_read_and_then_nothing_is_missing(
    client: httpx.AsyncClient, figures: LiveFigures, log: Path
) -> None:
    started = facts.ServerStarted("acd", "2")
    figures.append(started, NOW - 5)
    await asyncio.to_thread(write, log, [(NOW - 5, started)])
    expected = await items(client, "?interval=hour")
    restarted = LiveFigures(log, "UTC", figures.now)
    app = create_app(FakeFloor(), Metrics({}, Readings), None, [kpis(restarted)])
    late = facts.CallQueued("late", "sales", "10000")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://acd") as other:  # type: ignore[arg-type]
        restarted.append(late, NOW)
        assert restarted.day() == []
        assert await items(other, "?interval=hour") == expected
        restarted.resume(await asyncio.to_thread(restarted.recall))
        figures.append(late, NOW)
        assert await items(other, "?interval=hour") == await items(client, "?interval=hour") != expected
    assert [item.counts.offered for item in restarted.day()] == [7, 1]


async def test_a_day_that_cannot_be_recalled_is_read_from_the_log(
    client: httpx.AsyncClient, figures: LiveFigures
) -> None:
    expected = await items(client)
    figures.resume(None)
    figures.append(facts.CallQueued("late", "sales", "10000"), NOW)
    assert await items(client) == expected


async def test_other_days_zones_and_thresholds_are_read_from_the_log(client: httpx.AsyncClient) -> None:
    (item,) = await items(client, "?by=total&interval=whole&from=2025-02-28&to=2025-03-01T08:10")
    assert item["counts"]["offered"] == 1
    found = await items(client, "?interval=hour&zone=Asia/Kolkata&by=number")
    assert found[0]["start"] == "2025-03-01T07:30:00Z"
    (item,) = await items(client, "?by=total&interval=day&threshold=17&threshold=18")
    assert [level["of_offered"] for level in item["service_levels"]] == [0.142857, 0.285714]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("by=team", "by: expected "),
        ("interval=1", "interval: expected "),
        ("from=x", "from: expected "),
        ("to=2025-02-30", "to: expected "),
        ("from=2025-03-02&to=2025-03-01", "to: expected "),
        ("threshold=-1", "threshold: expected "),
        ("threshold=x", "threshold: "),
        ("short=x", "short: "),
        ("short=-1", "short: expected "),
        ("zone=Mars", "zone: expected "),
        ("from=1970-01-01", "from: expected "),
    ],
)
async def test_a_bad_question_is_a_problem_that_names_the_parameter(
    client: httpx.AsyncClient, query: str, told: str
) -> None:
    answer = await client.get(f"/api/v1/kpis?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["detail"].startswith(told)


async def test_a_log_that_cannot_be_read_is_503(client: httpx.AsyncClient, log: Path) -> None:
    os.unlink(log)  # noqa: PTH108
    with capture_logs() as lines:
        answer = await client.get("/api/v1/kpis?from=2025-02-28")
    assert (answer.status_code, answer.json()["detail"]) == (503, "the event log cannot be read")
    assert [line["event"] for line in lines] == ["journal.read_failed"]


async def test_the_schema_says_what_each_figure_means(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/schema")).json()
    validate(schema)
    components = schema["components"]["schemas"]
    described = {
        name: (field.get("title"), field.get("description"))
        for component in ("Kpis", "ServiceLevel")
        for name, field in next(value for key, value in components.items() if key.endswith(component))[
            "properties"
        ].items()
    }
    assert described.pop("threshold_seconds")[1]
    assert described["answer_rate"] == ("Answer rate (接通率)", "Answered / offered.")
    assert described.keys() == KPIS.keys() | SERVICE_LEVELS.keys()
    assert all(title and formula for title, formula in described.values())
    parameters = schema["paths"]["/api/v1/kpis"]["get"]["parameters"]
    assert {parameter["name"] for parameter in parameters} == {
        "from", "to", "interval", "by", "threshold", "short", "zone",
    }  # fmt: skip
    assert all(parameter["description"] for parameter in parameters)


@pytest.mark.parametrize("by", ["queue", "agent", "number", "total"])
async def test_answers_are_as_the_schema_says(client: httpx.AsyncClient, by: str) -> None:
    schema = (await client.get("/schema")).json()
    answer = await client.get(f"/api/v1/kpis?by={by}&threshold=10&threshold=20")
    content = schema["paths"]["/api/v1/kpis"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(answer.json(), content | {"components": schema["components"]})
