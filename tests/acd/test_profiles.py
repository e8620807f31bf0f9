"""What is known of callers: from tables and over HTTP, and that no look-up takes longer than it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from acd import profiles
from acd.config import CallerProfile, Callers
from acd.profiles import LastAgents, Profiles, Source
from tests.acd.house import VirtualLoop

URL = "http://crm.example/callers/{number}?full=1"
VIP = CallerProfile(vip=True, segment="large", language="zh", age_group="elder", agent="1001")
Answer = Callable[[httpx.Request], Any]


class Service(httpx.AsyncBaseTransport):
    """An HTTP service; what `answer` returns is a response, or an exception to raise, or a time to take."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            return httpx.Response(404)
        assert isinstance(answer, httpx.Response)
        return answer


def run(answer: Answer, *numbers: str, pause: float = 0.0, **keys: Any) -> tuple[list[Any], Service, float, Profiles]:
    """Look numbers up one after the other on virtual time; the third is how long that took."""
    service = Service(answer)
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)

    async def look_up() -> tuple[list[Any], float, Profiles]:
        known = Profiles(Callers(**{"url": URL, "timeout_seconds": 0.5, **keys}), service)
        began, found = loop.time(), []
        for number in numbers:
            found.append(await known.find(number))
            await asyncio.sleep(pause)
        took = loop.time() - began
        await known.close()
        await asyncio.sleep(1.0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return found, took, known

    try:
        found, took, known = loop.run_until_complete(look_up())
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    return [(one.profile, one.source) for one in found], service, took, known


def json(value: object) -> Answer:
    return lambda _: httpx.Response(200, json=value)


def test_the_service_is_asked_about_who_is_in_no_table() -> None:
    answer = {"vip": True, "segment": "large", "language": "zh", "age_group": "elder", "agent": "1001", "name": "Ann"}
    known = {"ann": CallerProfile(segment="small")}
    found, service, _, counted = run(json(answer), "ann", "+86 138/1", known=known, token="secret")
    assert found == [(known["ann"], Source.TABLE), (VIP, Source.HTTP)]
    (request,) = service.requests
    assert str(request.url) == "http://crm.example/callers/%2B86%20138%2F1?full=1"
    assert request.headers["authorization"] == "Bearer secret"
    assert counted.found == {**dict.fromkeys(Source, 0), Source.TABLE: 1, Source.HTTP: 1}


def test_without_a_service_or_a_number_nothing_is_known_at_once() -> None:
    found, service, took, _ = run(json({}), "")
    assert found == [(CallerProfile(), Source.NOWHERE)]
    assert run(json({}), "ann", url=None)[0] == found
    assert (service.requests, took) == ([], 0.0)


def test_an_answer_is_good_for_a_time() -> None:
    found, service, _, _ = run(json({"vip": True}), "ann", "ann", "ann", pause=25.0, cache_seconds=60.0)
    assert [source for _, source in found] == [Source.HTTP, Source.CACHE, Source.CACHE]
    found, service, _, _ = run(json({"vip": True}), "ann", "ann", pause=61.0, cache_seconds=60.0)
    assert [source for _, source in found] == [Source.HTTP, Source.HTTP]
    assert len(service.requests) == 2


def test_not_all_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "CACHED", 2)
    found, _, _, _ = run(json({}), "a", "b", "c", "c", "b", "a")
    cache, http = Source.CACHE, Source.HTTP
    assert [source for _, source in found] == [http, http, http, cache, cache, http]


def test_who_is_unknown_to_the_service_is_unknown() -> None:
    found, *_ = run(lambda _: httpx.Response(404), "ann")
    assert found == [(CallerProfile(), Source.HTTP)]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(302, headers={"location": "http://elsewhere.example/"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(200, json={"vip": "yes"}),
        httpx.Response(200, json={"segment": "Large customers, of course"}),
        httpx.Response(200, text='{"vip": true' + " " * 20_000 + "}"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        OSError("no route"),
    ],
)
def test_an_answer_that_makes_no_sense_is_no_answer(answer: Any) -> None:
    with capture_logs() as logs:
        found, _, took, counted = run(lambda _: answer, "ann")
    assert found == [(CallerProfile(), Source.FAILED)]
    assert (took, counted.found[Source.FAILED]) == (0.0, 1)
    assert [line["reason"] for line in logs if line["event"] == "caller.lookup_failed"] == ["failed"]


def test_a_slow_service_delays_nobody_beyond_the_limit() -> None:
    with capture_logs() as logs:
        found, _, took, _ = run(lambda _: 30.0, "ann", "ben", timeout_seconds=0.25)
    assert found == [(CallerProfile(), Source.SLOW)] * 2
    assert took == pytest.approx(0.5)
    assert [line["reason"] for line in logs if line["event"] == "caller.lookup_failed"] == ["slow", "slow"]


def test_a_body_that_trickles_counts_as_slow() -> None:
    class Trickle(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(0.1)
                yield b" "

    found, _, took, _ = run(lambda _: httpx.Response(200, stream=Trickle()), "ann")
    assert found == [(CallerProfile(), Source.SLOW)]
    assert took == pytest.approx(0.5)


def test_the_last_agent_of_so_many_callers_is_known() -> None:
    last = LastAgents(most=2)
    last.restore({"ann": "1001", "ben": "1002"})
    last.note("ann", "1003")
    last.note("cat", "1004")
    last.note("", "1005")
    assert [last.of(caller) for caller in ("ann", "ben", "cat", "")] == ["1003", "", "1004", ""]
