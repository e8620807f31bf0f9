"""The floor, the figures, the metrics and the log of one server tell the same, at every stage of a few calls."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from acd.http import create_app, floor_routes
from acd.journal.port import MemoryJournal, Tee
from acd.journal.store import JournalCounters
from acd.kpi.api import kpis
from acd.kpi.asking import ask
from acd.kpi.live import LiveFigures
from acd.kpi.report import Item
from acd.kpi.today import Today
from acd.live import LiveFloor
from acd.metrics import Metrics
from acd.policy import agent_profiles, queue_profiles
from tests.acd.house import House
from tests.acd.kpi.test_report import write

COUNTS = ("offered", "answered", "abandoned", "overflowed", "released", "waiting")


class Looked(House):
    """A server that is looked at."""

    def __init__(self, *overrides: str, folder: Path) -> None:
        super().__init__(*overrides)
        self.log = folder / "journal.sqlite"
        self.figures = LiveFigures(self.log, "UTC", self.unix)
        self.figures.resume(Today(ZoneInfo("UTC"), self.unix()))
        self.told = self.journal
        self.journal = Tee(self.told, self.figures)  # type: ignore[assignment]

    async def _build(self) -> None:
        await super()._build()
        self.floor = LiveFloor(self.engine, _Stack(), self.records, None, self.figures, JournalCounters)  # type: ignore[arg-type]
        self.metrics = Metrics(dict.fromkeys(self.config.queues, 15.0), self.floor.readings)

    def get(self, path: str) -> httpx.Response:
        """Ask the server over HTTP."""
        routes = [*floor_routes(self.floor, None), kpis(self.figures)]  # type: ignore[arg-type]
        app = create_app(self.floor, self.metrics, None, routes)

        async def ask_it() -> httpx.Response:
            transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://acd") as client:
                return await client.get(path)

        return self.loop.run_until_complete(ask_it())

    def figures_now(self) -> dict[str, dict[str, Any]]:
        """The figures of the day by queue, having seen that everybody tells the same."""
        queues = {queue["id"]: queue for queue in self.get("/api/v1/queues").json()["items"]}
        items = {item["id"]: item for item in self.get("/api/v1/kpis?interval=day").json()["items"]}
        samples = {
            (sample.name, sample.labels["queue"], sample.labels.get("variant")): sample.value
            for family in parse(self.get("/metrics").text)
            for sample in family.samples
            if sample.labels.keys() <= {"queue", "variant"} and "queue" in sample.labels
        }
        for name, queue in queues.items():
            counts = items[name]["counts"] if name in items else dict.fromkeys(COUNTS, 0)
            assert [counts[count] for count in COUNTS] == [queue[count] for count in COUNTS]
            assert queue["service_level"] == pytest.approx(
                items[name]["service_levels"][0]["of_offered"] if name in items else None, abs=1e-6
            )
            for count in COUNTS[:-1]:
                assert samples[f"acd_queue_{count}_total", name, None] == counts[count]
            assert samples["acd_queue_waiting", name, None] == counts["waiting"]
        for name, item in items.items():
            for kpi, figure in item["kpis"].items():
                assert samples.get((f"acd_kpi_{kpi}", name, None)) == figure
            for variant, figure in item["service_levels"][0].items():
                if variant != "threshold_seconds":
                    assert samples.get(("acd_kpi_service_level", name, variant)) == figure
        self.compare_log()
        return items

    def compare_log(self) -> None:
        """See that reading the log gives what is remembered."""
        assert isinstance(self.told, MemoryJournal)
        self.log.unlink(missing_ok=True)
        write(self.log, [(entry.at, entry.fact) for entry in self.told.entries])
        for by in ("queue", "agent", "number", "total"):
            for interval in ("quarter", "hour", "day"):
                query = ask(self.unix(), "UTC", by=by, interval=interval)
                remembered: list[Item] | None = self.figures.today(query)
                assert remembered == self.figures.read(query)


class _Streams:
    """What the connections count: there are none."""

    def __init__(self) -> None:
        self.handshakes_failed = Counter[tuple[str, str]]()
        self.turned_away = Counter[str]()

    def by_transport(self) -> dict[str, int]:
        return {}


class _Stack:
    """What the sockets count."""

    def __init__(self) -> None:
        self.streams = _Streams()
        self.dropped = Counter[str]()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Looked]:
    with Looked("queues.support.wrap_up_seconds=10", folder=tmp_path) as house:
        house.engine.dispatcher.begin(queue_profiles(house.config), agent_profiles(house.config), {})
        yield house


def test_everybody_tells_the_same_at_every_stage(house: Looked) -> None:
    assert house.figures_now() == {}
    first = house.agent("1001")
    house.run(60.0)
    assert house.figures_now()["support"]["kpis"]["occupancy"] == 0.0

    alice, bob, carol = (house.phone(name) for name in ("alice", "bob", "caller1"))
    alice.dial("10001")
    house.run(100.0)
    support = house.figures_now()["support"]
    assert (support["counts"]["answered"], support["counts"]["handled"]) == (1, 0)
    assert support["kpis"]["average_handling_seconds"] is None

    bob.dial("10001")
    house.run(20.0)
    carol.dial("10001")
    house.run(4.0)
    assert house.figures_now()["support"]["counts"]["waiting"] == 2
    bob.hang_up()
    house.run(1.0)
    first.on_invite = first.refuse
    alice.hang_up()
    house.run(11.0)  # his wrap-up is over, and he refuses
    support = house.figures_now()["support"]
    assert (support["counts"]["abandoned"], support["counts"]["waiting"], support["counts"]["offers"]) == (1, 1, 2)
    assert support["kpis"]["refusal_rate"] == 0.5
    assert support["kpis"]["average_wrap_up_seconds"] == pytest.approx(10.0)
    assert support["kpis"]["average_time_to_abandon_seconds"] == pytest.approx(24.0, abs=0.1)
    assert support["kpis"]["average_talk_seconds"] == pytest.approx(124.5, abs=0.1)

    house.agent("1004")
    house.run(5.0)
    assert house.agent_states["1004"] == "talking"
    carol.hang_up()
    house.run(1.0)
    house.unregister("1001")
    house.run(3600.0)
    support = house.figures_now()["support"]
    assert (support["counts"]["offered"], support["counts"]["answered"]) == (3, 2)
    house.assert_nothing_left()


def test_a_day_ends_for_all_at_once(house: Looked) -> None:
    house.agent("1001")
    caller = house.phone("alice")
    caller.dial("10001")
    house.run(10.0)
    assert house.figures_now()["support"]["counts"]["offered"] == 1
    caller.hang_up()
    house.run(13 * 3600.0)  # past midnight
    (total,) = house.get("/api/v1/kpis?interval=day&by=total").json()["items"]
    assert (total["start"], total["counts"]["offered"]) == ("2025-03-02T00:00:00Z", 0)
    house.compare_log()
    (total,) = house.get("/api/v1/kpis?interval=whole&by=total&from=2025-03-02").json()["items"]
    assert list(total["agent_seconds"]) == ["ready"]
