"""The door as the configuration has it, and the bans as operators see and change them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families as parse
from structlog.testing import capture_logs

from acd.config import Config, ConfigError, load, loads
from acd.core.foretold import Place
from acd.http import create_app
from acd.metrics import Metrics, Readings
from acd.protection import LINES_A_MINUTE, ban_routes, build_door
from acd.sip import transport_limits
from acd.trunks import source_of
from ims_core.flow import Address, Flow
from ims_core.messages.message import Response
from ims_core.messages.parser import parse_message
from ims_core.registrar.location import Domains, Location
from ims_core.security.digest import Outcome, Verdict, answer_challenge
from ims_core.security.door import Door
from ims_core.security.guard import Guard
from tests.acd.house import SERVER, House
from tests.acd.kpi.test_whole_server import Looked
from tests.acd.test_http import FakeFloor
from tests.kit import request_bytes

CONFIGS = Path(__file__).parents[2] / "configs"
UNIX = 1_700_000_000.0
WRONG = Verdict(Outcome.WRONG)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def configured(text: str = "") -> Config:
    return loads(f'server.domain = "ims.example"\n{text}')


def door(config: Config, clock: Clock | None = None) -> Door:
    domains = Domains("ims.example")
    return build_door(
        lambda: config,
        is_trunk=lambda host: source_of(config, host) is not None,
        clock=clock or Clock(),
        domains=domains,
        location=Location(),
        chance=lambda: 0.5,
    )


def flow(host: str = "192.0.2.66") -> Flow:
    return Flow("UDP", ("192.0.2.1", 5060), (host, 5060))


def guard_of(config: Config, clock: Clock | None = None) -> Guard:
    guard = door(config, clock).guard
    assert guard is not None
    return guard


@asynccontextmanager
async def serving(guard: Guard | None, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    routes = ban_routes(guard, clock, lambda: UNIX + clock.now)
    app = create_app(FakeFloor(), Metrics({}, Readings), None, routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://acd") as client:
        yield client


async def test_a_ban_is_shown_and_taken_back() -> None:
    clock = Clock()
    guard = guard_of(configured("[protection]\nban_seconds = 60"), clock)
    async with serving(guard, clock) as client:
        assert (await client.get("/api/v1/bans")).json() == {"items": []}
        for _ in range(10):
            guard.judged(flow(), WRONG, clock.now)
        clock.now += 1.0
        (shown,) = (await client.get("/api/v1/bans")).json()["items"]
        assert shown | {"since": "", "until": ""} == {
            "address": "192.0.2.66", "reason": "credentials", "proven": True, "since": "", "until": "",
        }  # fmt: skip
        since, until = (datetime.fromisoformat(shown[name]) for name in ("since", "until"))
        assert since == datetime.fromtimestamp(UNIX + 100.0, UTC)
        assert (until - since).total_seconds() == 60.0
        answer = await client.delete("/api/v1/bans/192.0.2.66")
        assert (answer.status_code, answer.json()) == (200, {"done": True})
        assert not guard.shuts_out(flow(), clock.now)
        answer = await client.delete("/api/v1/bans/192.0.2.66")
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("application/problem+json")


async def test_an_operator_bans_for_a_time_of_his_own() -> None:
    clock = Clock()
    guard = guard_of(configured(), clock)
    async with serving(guard, clock) as client:
        answer = await client.post("/api/v1/bans", json={"address": "2001:db8:1:2::77", "seconds": 5})
        assert answer.status_code == 201
        assert answer.json()["address"] == "2001:db8:1:2::"
        assert answer.json()["reason"] == "operator"
        assert guard.shuts_out(flow("2001:db8:1:2::1"), clock.now)
        assert (await client.delete("/api/v1/bans/2001:db8:1:2::1")).status_code == 200
        await client.post("/api/v1/bans", json={"address": "192.0.2.66", "seconds": 5})
        clock.now += 5.0
        assert (await client.get("/api/v1/bans")).json() == {"items": []}


@pytest.mark.parametrize(
    "body",
    [{"address": "nowhere"}, {}, {"address": "192.0.2.1", "seconds": 0}, {"address": "192.0.2.1", "for": 1}],
)
async def test_a_ban_of_nobody_is_refused(body: dict[str, object]) -> None:
    clock = Clock()
    guard = guard_of(configured(), clock)
    async with serving(guard, clock) as client:
        assert (await client.post("/api/v1/bans", json=body)).status_code == 400
    assert not guard.bans(clock.now)


async def test_with_protection_off_there_are_no_bans() -> None:
    async with serving(None, Clock()) as client:
        assert (await client.get("/api/v1/bans")).json() == {"items": []}
        assert (await client.post("/api/v1/bans", json={"address": "192.0.2.1"})).status_code == 409
        assert (await client.delete("/api/v1/bans/192.0.2.1")).status_code == 404


async def test_the_schema_is_valid_and_has_the_routes() -> None:
    async with serving(None, Clock()) as client:
        schema = (await client.get("/schema/openapi.json")).json()
    validate(schema)
    assert set(schema["paths"]["/api/v1/bans"]) == {"get", "post"}
    assert set(schema["paths"]["/api/v1/bans/{address}"]) == {"delete"}


def test_what_the_file_says_is_what_the_guard_does() -> None:
    config = configured(
        '[protection]\nallow = ["192.0.2.66"]\ndeny = ["198.51.100.0/24"]\n[trunks.carrier]\nsources = ["203.0.113.9"]'
    )
    guard = guard_of(config)
    assert guard.shuts_out(flow("198.51.100.1"), 0.0)
    for host in ("192.0.2.66", "203.0.113.9", "192.0.2.67"):
        for _ in range(10):
            guard.judged(flow(host), WRONG, 0.0)
    assert [ban.source for ban in guard.bans(0.0)] == ["192.0.2.67"], "neither who is allowed nor a trunk"


def test_the_connections_of_strangers_are_limited_unless_protection_is_off() -> None:
    limits = transport_limits(configured("[protection]\nconnections_per_source = 7\nstranger_seconds = 9"))
    assert (limits.connections_per_source, limits.stranger_seconds) == (7, 9.0)
    limits = transport_limits(configured("protection.enabled = false"))
    assert (limits.connections_per_source, limits.stranger_seconds) == (0, 0.0)


def test_protection_and_overload_can_be_off() -> None:
    closed = door(configured("protection.enabled = false\noverload.enabled = false"))
    assert (closed.guard, closed.admission) == (None, None)
    lab, demo = door(load(CONFIGS / "lab.toml")), door(load(CONFIGS / "demo.toml"))
    assert lab.guard is None, "SIPp does not register"
    assert lab.admission is not None
    assert demo.guard is not None
    assert demo.admission is not None


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("protection.requests_per_second = 0", "protection.requests_per_second"),
        ('protection.allow = ["somebody"]', "protection.allow"),
        ("protection.wrong_credentials = -1", "protection.wrong_credentials"),
        ("overload.target_seconds = 0", "overload.target_seconds"),
        ('overload.emergency_numbers = ["110"]', "overload.emergency_numbers"),
    ],
)
def test_a_mistake_is_told_in_a_line(written: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(written)
    (line,) = caught.value.mistakes
    assert place in line


def test_bans_are_logged_but_do_not_fill_the_log() -> None:
    clock = Clock()
    guard = guard_of(configured(), clock)
    with capture_logs() as lines:
        for number in range(200):
            guard.ban(f"192.0.2.{number}", clock.now)
        clock.now += 61.0
        guard.pardon("192.0.2.1", clock.now)
    assert lines[0] == {
        "event": "source.banned", "log_level": "warning", "address": "192.0.2.0", "reason": "operator", "proven": True,
        "seconds": 600,
    }  # fmt: skip
    assert len(lines) == LINES_A_MINUTE + 2
    assert lines[-2:] == [
        {"event": "source.lines_omitted", "log_level": "warning", "count": 140},
        {"event": "source.pardoned", "log_level": "info", "address": "192.0.2.1", "reason": "operator"},
    ]


def test_overload_is_logged_when_it_begins_and_ends() -> None:
    admission = door(configured()).admission
    assert admission is not None
    with capture_logs() as lines:
        for number in range(1500):
            admission.observe(0.1 if number < 300 else 0.0, number / 100)
            admission.admit(number / 100)
    assert [line["event"] for line in lines] == ["overload.began", "overload.ended"]


@pytest.fixture
def house() -> Iterator[House]:
    with House("limits.calls=1") as house:
        yield house


@pytest.mark.interpreted  # a method of the distributor is replaced
def test_who_is_turned_away_from_a_queue_is_told_the_expected_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Estimate:
        expected = 100.0

    told: list[bytes] = []
    carry = house.carry

    def listen(source: Address, destination: Address, data: bytes) -> None:
        told.append(data)
        carry(source, destination, data)

    monkeypatch.setattr(house.engine.dispatcher.distributor, "expected_wait_behind_all", lambda *_: Estimate)
    monkeypatch.setattr(house, "carry", listen)
    house.phone("alice").dial("10002")
    house.run(1.0)
    house.phone("bob").dial("10001")
    house.run(1.0)
    refused = next(data for data in told if data.startswith(b"SIP/2.0 503"))
    assert 100 <= int(refused.partition(b"Retry-After: ")[2].split()[0]) <= 120


# What who is turned away from a queue is told, by what the queue has seen ------------------------------------------


def seen(house: House, handling: float) -> None:
    """Let the queue "support" have seen nine callers wait, each for one call of one agent, which takes so long."""
    waits = house.engine.dispatcher.distributor._queues["support"].waits
    now = house.loop.time()
    waits.handled(handling)
    for number in range(9):
        waits.joined(f"c{number}", (0.0, float(number)), Place(1, 1, 0.0), now)
    for number in range(9):
        waits.answered(f"c{number}", 0.0, now + handling)


def told_to_retry(house: House, number: str) -> int:
    """The Retry-After for a stranger who calls a number under overload."""
    node = house.engine.node
    assert node.door.admission is not None
    node.door.admission.rate = 1e-9
    node.receive(
        request_bytes("INVITE", f"sip:{number}@ims.example", via="SIP/2.0/UDP 127.0.0.66;branch=z9hG4bK1"),
        Flow("UDP", SERVER, ("127.0.0.66", 5060)),
    )
    (response,) = [parse_message(data) for _, data in node.data_to_send()]
    assert isinstance(response, Response)
    assert response.status == 503
    return int(response.require("Retry-After"))


@pytest.mark.parametrize(
    ("number", "default", "least", "most"),
    [
        ("10001", "anybody", 300, 361),
        ("10000", "support", 300, 361),
        ("10000", "anybody", 5, 6),  # a queue that has seen nobody
        ("10002", "support", 5, 6),  # no queue
    ],
)
def test_who_is_turned_away_is_told_the_wait_behind_all_who_wait(
    number: str, default: str, least: int, most: int
) -> None:
    with House(f'flows.hotline.default="{default}"') as house:
        house.agent("1001")
        house.run(1.0)
        seen(house, 100.0)
        for user in ("alice", "bob", "caller1"):
            house.phone(user).dial("10001")
            house.run(3.0)
        distributor = house.engine.dispatcher.distributor
        assert house.agent_states["1001"] == "talking"
        assert distributor.waiting("support") == 2
        assert least <= told_to_retry(house, number) <= most


@pytest.mark.parametrize(("handling", "least", "most"), [(0.4, 5, 6), (2.0, 2, 3)])
def test_a_wait_of_next_to_nothing_is_not_told(handling: float, least: int, most: int) -> None:
    with House() as house:
        house.agent("1001")
        house.run(1.0)
        seen(house, handling)
        estimate = house.engine.dispatcher.distributor.expected_wait_behind_all("support", house.loop.time())
        assert estimate is not None
        assert estimate.expected == pytest.approx(handling)
        assert least <= told_to_retry(house, "10001") <= most


# What a scrape of a whole server shows ----------------------------------------------------------------------------


class Watched(Looked):
    """A server that asks for passwords, and whose metrics and bans are looked at."""

    def __init__(self, folder: Path, *overrides: str) -> None:
        super().__init__("sip.authentication=digest", *overrides, folder=folder)

    def send(self, data: bytes) -> list[Response]:
        """Send a datagram from 127.0.0.66."""
        node = self.engine.node
        node.receive(data, Flow("UDP", SERVER, ("127.0.0.66", 5060)))
        sent = [parse_message(each) for _, each in node.data_to_send()]
        return [message for message in sent if isinstance(message, Response)]

    def register_alice(self, number: int, *headers: tuple[str, str]) -> list[Response]:
        """Try to register alice from there, the ``number``-th time."""
        to, via = "<sip:alice@ims.example>", f"SIP/2.0/UDP 127.0.0.66:5060;branch=z9hG4bK{number}"
        return self.send(request_bytes("REGISTER", "sip:ims.example", via=via, to=to, cseq=number, headers=headers))

    def scraped(self, name: str, **labels: str) -> float | None:
        """A sample of GET /metrics."""
        families = parse(self.get("/metrics").text)
        samples = [sample for family in families for sample in family.samples]
        return next((each.value for each in samples if (each.name, each.labels) == (name, labels)), None)

    def pardon(self, address: str) -> int:
        """The status of DELETE /api/v1/bans/ADDRESS."""
        routes = ban_routes(self.engine.node.door.guard, self.loop.time, self.unix)
        app = create_app(self.floor, self.metrics, None, routes)

        async def ask() -> int:
            transport = httpx.ASGITransport(cast("Any", app))
            async with httpx.AsyncClient(transport=transport, base_url="http://acd") as client:
                return (await client.delete(f"/api/v1/bans/{address}")).status_code

        return self.loop.run_until_complete(ask())


def test_a_scrape_shows_a_ban_for_wrong_passwords_what_it_drops_and_its_end(tmp_path: Path) -> None:
    with Watched(tmp_path, "protection.wrong_credentials=3") as house:
        (challenged,) = house.register_alice(1)
        asked = challenged.require("WWW-Authenticate")
        answers = [answer_challenge(asked, "REGISTER", "sip:ims.example", "alice", "wrong", cnonce=c) for c in "abc"]
        for number, answer in enumerate(answers, 2):
            assert house.scraped("acd_sip_bans", reason="credentials") == 0
            assert [response.status for response in house.register_alice(number, ("Authorization", answer))] == [401]
        assert house.scraped("acd_sip_bans", reason="credentials") == 1
        assert not house.scraped("acd_sip_dropped_total", reason="banned")
        assert [house.register_alice(number) for number in (5, 6)] == [[], []]
        assert house.scraped("acd_sip_dropped_total", reason="banned") == 2
        assert house.pardon("127.0.0.66") == 200
        assert house.scraped("acd_sip_bans", reason="credentials") == 0
        assert [response.status for response in house.register_alice(7)] == [401]
        assert house.scraped("acd_sip_dropped_total", reason="banned") == 2


def test_a_scrape_shows_what_the_guard_drops_by_reason(tmp_path: Path) -> None:
    with Watched(tmp_path, "protection.burst=1", "protection.requests_per_second=0.1") as house:
        for number in range(1, 4):
            house.register_alice(number)
        assert house.scraped("acd_sip_dropped_total", reason="rate") == 2
        house.register_alice(4, ("User-Agent", "friendly-scanner"))
        assert house.scraped("acd_sip_dropped_total", reason="scanner") == 1
        assert house.scraped("acd_sip_bans", reason="scanner") == 1
