"""CDRs sent to a real HTTP endpoint that fails in every way: nothing is lost, and order is kept."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy.dialects import postgresql
from structlog.testing import capture_logs

from acd.cdrtable import outbox as outbox_table
from acd.config import CdrUpload
from acd.outbox import Due, Outbox, OutboxError
from acd.store import CdrStore
from acd.upload import Course, UploadCounters, Verdict, retry_after
from acd.uploadapi import upload_routes
from acd.uploader import Uploader
from tests.acd.test_cdr_store import cdr
from tests.kit.certificates import Authority

BOUND = 20.0
Ids = list[str]
Answer = Callable[[Ids], int | None]


class Endpoint:
    """Takes CDRs over HTTP. ``answer`` says with which status; None: the connection ends without any."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.answer: Answer = lambda _: 204
        self.requests: list[Ids] = []
        self.taken: Ids = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[Any] = []
        self.retry_after = ""
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                ids = [record["id"] for record in body["records"]]
                endpoint.requests.append(ids)
                endpoint.headers.append(dict(self.headers))
                endpoint.bodies.append(body)
                status = endpoint.answer(ids)
                if status is None:
                    self.close_connection = True
                    return
                if status < 300:
                    endpoint.taken += ids
                text = b"" if status == 204 else b"so it\r\nis"
                self.send_response(status)
                if endpoint.retry_after:
                    self.send_header("Retry-After", endpoint.retry_after)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Be quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_port}/cdrs?of=acd"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


class Engine:
    """A run of the engine, as far as its CDRs go."""

    def __init__(self, file: Path, settings: CdrUpload) -> None:
        self.outbox = Outbox()
        self.store = CdrStore(f"sqlite:///{file}", outbox=self.outbox)
        self.store.open()
        self.uploader = Uploader(settings, self.outbox, lambda: 0.5)

    async def submit(self, *numbers: int) -> None:
        for number in numbers:
            self.store.submit(cdr(number))
        assert await asyncio.to_thread(self.store.flush)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what threads do, within a bound."""
        async with asyncio.timeout(BOUND):
            while not condition():  # noqa: ASYNC110 - threads set no event of asyncio's
                await asyncio.sleep(0.002)

    async def until_idle(self) -> None:
        await self.until(lambda: self.outbox.waiting == 0)

    async def stop(self) -> None:
        await self.uploader.close()
        assert await asyncio.to_thread(self.store.close)


def settings(endpoint: Endpoint, **changes: Any) -> CdrUpload:
    given = {"url": endpoint.url, "retry_seconds": 0.001, "longest_retry_seconds": 0.01, **changes}
    return CdrUpload(**given)


def run(file: Path, settings: CdrUpload, during: Callable[[Engine], Awaitable[None]]) -> list[Any]:
    """Let an engine run while ``during`` lasts; returns the log."""

    async def live() -> None:
        engine = Engine(file, settings)
        engine.uploader.start()
        await during(engine)
        await engine.stop()

    with capture_logs() as lines:
        asyncio.run(live())
    return lines


def ids(*numbers: int) -> Ids:
    return [f"c{number}" for number in numbers]


def seldom(lines: list[Any]) -> list[str]:
    return [line["event"] for line in lines if line["log_level"] != "debug"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cdr.sqlite"


def test_records_are_sent_as_they_end_and_once(endpoint: Endpoint, file: Path) -> None:
    async def during(engine: Engine) -> None:
        await engine.submit(3, 1)
        await engine.until_idle()
        await engine.submit(2)
        await engine.until_idle()
        assert engine.uploader.counters() == UploadCounters(waiting=0, set_aside=0, sent=3, failures=0)

    lines = run(file, settings(endpoint, token="opensesame"), during)
    assert endpoint.requests == [ids(3, 1), ids(2)]
    assert endpoint.bodies[0]["records"][0]["caller"] == "alice"
    assert [headers["Authorization"] for headers in endpoint.headers] == ["Bearer opensesame"] * 2
    assert [headers.get("Idempotency-Key") for headers in endpoint.headers] == [None, "c2"]
    assert endpoint.headers[0]["Content-Type"] == "application/json"
    assert seldom(lines) == []
    assert "opensesame" not in str(lines)


def test_a_request_carries_no_more_than_a_batch(endpoint: Endpoint, file: Path) -> None:
    async def during(engine: Engine) -> None:
        await engine.submit(*range(1, 8))
        await engine.until_idle()

    endpoint_settings = settings(endpoint, batch=3)
    run(file, endpoint_settings, during)
    assert [each for request in endpoint.requests for each in request] == ids(*range(1, 8))
    assert max(map(len, endpoint.requests)) == 3


@pytest.mark.parametrize("status", [None, 500, 503, 429, 408, 401, 403, 404, 301])
def test_what_is_not_the_records_fault_is_tried_until_it_goes_well(
    endpoint: Endpoint, file: Path, status: int | None
) -> None:
    endpoint.answer = lambda _: status if len(endpoint.requests) <= 8 else 200

    async def during(engine: Engine) -> None:
        await engine.submit(1, 2)
        await engine.until(lambda: len(endpoint.requests) > 3)
        await engine.submit(3)
        await engine.until_idle()
        assert engine.uploader.counters() == UploadCounters(waiting=0, set_aside=0, sent=3, failures=8)

    lines = run(file, settings(endpoint, refusals=1), during)
    assert endpoint.taken == ids(1, 2, 3)
    assert seldom(lines) == ["cdr_upload.failed", "cdr_upload.recovered"], "told once, not each time"
    assert lines[0]["waiting"] == 2


def test_an_endpoint_that_is_too_slow_gets_the_same_records_again(endpoint: Endpoint, file: Path) -> None:
    released = threading.Event()

    def slow_at_first(_: Ids) -> int:
        if len(endpoint.requests) == 1:
            released.wait(BOUND)
        return 200

    endpoint.answer = slow_at_first

    async def during(engine: Engine) -> None:
        await engine.submit(1, 2)
        await engine.until_idle()
        released.set()

    lines = run(file, settings(endpoint, timeout_seconds=0.2), during)
    assert endpoint.requests[0] == endpoint.requests[1] == ids(1, 2)
    assert lines[0]["reason"] == "no answer within 0.2 s"


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_the_one_that_is_not_taken_is_found_and_set_aside_and_the_others_go_on(
    endpoint: Endpoint, file: Path, status: int
) -> None:
    endpoint.answer = lambda ids: status if "c5" in ids else 200

    async def during(engine: Engine) -> None:
        await engine.submit(*range(1, 11))
        await engine.until_idle()
        counters = engine.uploader.counters()
        assert (counters.waiting, counters.set_aside, counters.sent) == (0, 1, 9)
        assert [line[0] for line in rows(file)] == ["c5"]
        endpoint.answer = lambda _: 200
        assert await engine.uploader.take_back() == 1
        await engine.until_idle()
        assert engine.uploader.counters().set_aside == 0

    lines = run(file, settings(endpoint, refusals=3), during)
    assert endpoint.taken == ids(1, 2, 3, 4, 6, 7, 8, 9, 10, 5)
    assert endpoint.requests.count(["c5"]) == 4, "three times, and once more when it was asked for"
    aside = [line for line in lines if line["event"] == "cdr_upload.set_aside"]
    assert [(line["cdr"], line["reason"], line["log_level"]) for line in aside] == [
        ("c5", f"status {status} so it is", "error")
    ]


def rows(file: Path) -> list[tuple[str, str | None]]:
    with sqlite3.connect(file) as connection:
        found = connection.execute("SELECT id, set_aside FROM cdr_outbox ORDER BY seq").fetchall()
    connection.close()
    return found


def test_an_endpoint_that_takes_only_one_at_a_time_gets_one_at_a_time(endpoint: Endpoint, file: Path) -> None:
    endpoint.answer = lambda ids: 413 if len(ids) > 1 else 200

    async def during(engine: Engine) -> None:
        await engine.submit(*range(1, 7))
        await engine.until_idle()
        assert engine.uploader.counters().set_aside == 0

    run(file, settings(endpoint), during)
    assert endpoint.taken == ids(*range(1, 7))


def test_what_was_not_acknowledged_is_sent_after_a_restart_in_order(endpoint: Endpoint, file: Path) -> None:
    endpoint.answer = lambda _: None

    async def down(engine: Engine) -> None:
        await engine.submit(1, 2)
        await engine.until(lambda: engine.uploader.counters().failures > 2)

    async def up(engine: Engine) -> None:
        assert engine.uploader.counters() == UploadCounters(waiting=2)
        await engine.submit(3)
        await engine.until_idle()

    run(file, settings(endpoint), down)
    assert endpoint.taken == []
    endpoint.answer = lambda _: 200
    run(file, settings(endpoint), up)
    assert endpoint.taken == ids(1, 2, 3)
    assert rows(file) == []


def test_an_engine_killed_before_it_noted_the_answer_sends_the_same_ids_again(endpoint: Endpoint, file: Path) -> None:
    async def killed() -> None:
        engine = Engine(file, settings(endpoint))
        engine.outbox.sent = _never  # type: ignore[method-assign,assignment]
        engine.uploader.start()
        await engine.submit(1, 2)
        await engine.until(lambda: bool(endpoint.taken))
        assert engine.uploader._task is not None
        engine.uploader._task.cancel()
        await asyncio.to_thread(engine.store.close)
        await engine.uploader.close()

    async def again(engine: Engine) -> None:
        await engine.submit(3)
        await engine.until_idle()

    with capture_logs():
        asyncio.run(killed())
    run(file, settings(endpoint), again)
    assert list(dict.fromkeys(endpoint.taken)) == ids(1, 2, 3)
    assert set(endpoint.taken[:2]) == set(ids(1, 2))


def _never(_: object) -> None:
    raise OutboxError("the power went")


def test_what_is_set_aside_stays_so_after_a_restart(endpoint: Endpoint, file: Path) -> None:
    endpoint.answer = lambda ids: 422 if "c1" in ids else 200

    async def first(engine: Engine) -> None:
        await engine.submit(1)
        await engine.until_idle()

    async def second(engine: Engine) -> None:
        assert engine.uploader.counters() == UploadCounters(set_aside=1)
        await engine.submit(2)
        await engine.until_idle()
        endpoint.answer = lambda _: 200
        assert await engine.uploader.take_back() == 1
        await engine.until_idle()

    run(file, settings(endpoint, refusals=2), first)
    run(file, settings(endpoint, refusals=2), second)
    assert endpoint.taken == ids(2, 1)


def test_the_end_waits_for_what_goes_at_once(endpoint: Endpoint, file: Path) -> None:
    async def during(engine: Engine) -> None:
        await engine.submit(1, 2, 3)

    run(file, settings(endpoint, batch=1), during)
    assert endpoint.taken == ids(1, 2, 3)


def test_the_end_waits_for_what_was_written_since_the_last_look(endpoint: Endpoint, file: Path) -> None:
    looked, released = threading.Event(), threading.Event()

    async def during(engine: Engine) -> None:
        find = engine.outbox.next

        def late(limit: int) -> list[Due]:
            found = find(limit)
            looked.set()
            released.wait(BOUND)
            return found

        engine.outbox.next = late  # type: ignore[method-assign]
        await engine.until(looked.is_set)
        await engine.submit(1, 2, 3)
        ending = asyncio.ensure_future(engine.uploader.close())
        await asyncio.sleep(0)
        released.set()
        await ending

    run(file, settings(endpoint, batch=1), during)
    assert endpoint.taken == ids(1, 2, 3)


def test_a_database_that_fails_meanwhile_loses_nothing(endpoint: Endpoint, file: Path) -> None:
    def rename(before: str, after: str) -> None:
        with sqlite3.connect(file) as connection:
            connection.execute(f"ALTER TABLE {before} RENAME TO {after}")
        connection.close()

    def breaks(_: Ids) -> int:
        if len(endpoint.requests) == 1:
            rename("cdr_outbox", "hidden")
        return 200

    endpoint.answer = breaks

    async def during(engine: Engine) -> None:
        await engine.submit(1)
        await engine.until(lambda: engine.uploader.counters().failures > 1)
        await asyncio.to_thread(rename, "hidden", "cdr_outbox")
        await engine.until_idle()

    lines = run(file, settings(endpoint), during)
    assert set(endpoint.taken) == {"c1"}
    assert "no such table" in lines[0]["reason"]
    assert seldom(lines) == ["cdr_upload.failed", "cdr_upload.recovered"]


def test_a_defect_of_ours_delays_and_does_not_end_the_upload(endpoint: Endpoint, file: Path) -> None:
    async def during(engine: Engine) -> None:
        sent = engine.outbox.sent

        def broken(seqs: Sequence[int]) -> None:
            engine.outbox.sent = sent  # type: ignore[method-assign]
            raise RuntimeError(seqs)

        engine.outbox.sent = broken  # type: ignore[method-assign]
        await engine.submit(1)
        await engine.until_idle()

    lines = run(file, settings(endpoint), during)
    assert endpoint.taken == ids(1, 1)
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["cdr_upload.broke"]


def test_records_from_before_there_was_an_endpoint_are_not_sent(endpoint: Endpoint, file: Path) -> None:
    store = CdrStore(f"sqlite:///{file}")
    store.open()
    store.submit(cdr(1))
    assert store.close()

    async def during(engine: Engine) -> None:
        await engine.submit(2)
        await engine.until_idle()

    run(file, settings(endpoint), during)
    assert endpoint.taken == ids(2)


def test_records_that_somebody_deleted_are_not_waited_for(endpoint: Endpoint, file: Path) -> None:
    endpoint.answer = lambda _: 500

    async def down(engine: Engine) -> None:
        await engine.submit(1, 2)
        await engine.until(lambda: engine.uploader.counters().failures > 0)

    async def up(engine: Engine) -> None:
        await engine.until_idle()

    run(file, settings(endpoint), down)
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM cdr WHERE id = 'c1'")
    connection.close()
    endpoint.answer = lambda _: 200
    run(file, settings(endpoint), up)
    assert endpoint.taken == ids(2)


def test_an_endpoint_with_a_certificate_of_ones_own_authority(tmp_path: Path, file: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    endpoint = Endpoint(authority.issue("127.0.0.1"))

    async def refused(engine: Engine) -> None:
        await engine.submit(1)
        await engine.until(lambda: engine.uploader.counters().failures > 0)

    async def trusted(engine: Engine) -> None:
        await engine.until_idle()

    lines = run(file, settings(endpoint, ca=str(stranger.file)), refused)
    assert "CERTIFICATE_VERIFY_FAILED" in lines[0]["reason"]
    assert endpoint.requests == []
    run(file, settings(endpoint, ca=str(authority.file)), trusted)
    assert endpoint.taken == ids(1)
    endpoint.close()
    with pytest.raises(OSError, match="No such file"):
        Uploader(settings(endpoint, ca=str(tmp_path / "none.pem")), Outbox(), lambda: 0.5)


def test_http_tells_how_it_stands_and_has_what_is_set_aside_sent_again() -> None:
    class Standing:
        taken = 3

        def counters(self) -> UploadCounters:
            return UploadCounters(waiting=1, set_aside=self.taken, sent=2, failures=4)

        async def take_back(self) -> int:
            if not self.taken:
                raise OutboxError("the disk is full")
            count, self.taken = self.taken, 0
            return count

    with TestClient(Litestar(list(upload_routes(cast(Uploader, Standing()))))) as client:
        told = client.get("/api/v1/cdr-upload").json()
        assert told == {"waiting": 1, "set_aside": 3, "sent": 2, "failures": 4}
        assert client.post("/api/v1/cdr-upload/retry").json() == {"records": 3}
        failed = client.post("/api/v1/cdr-upload/retry")
        assert (failed.status_code, failed.json()["detail"]) == (503, "the disk is full")


def test_an_outbox_without_database_says_so() -> None:
    with pytest.raises(OutboxError, match="not open"):
        Outbox().next(1)


def test_postgresql_has_types_for_the_outbox() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    ddl = str(sa.schema.CreateTable(outbox_table).compile(dialect=dialect))
    assert "seq BIGSERIAL NOT NULL" in ddl
    assert "UNIQUE (id)" in ddl


# The course


SETTINGS = CdrUpload(url="http://192.0.2.1/", batch=8, retry_seconds=1.0, longest_retry_seconds=60.0, refusals=3)


def test_pauses_double_up_to_the_longest_and_half_of_them_is_chance() -> None:
    course = Course(SETTINGS, lambda: 1.0)
    assert [course.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    course.accepted()
    assert course.failed() == 1
    assert Course(SETTINGS, lambda: 0.0).failed() == 0.5
    for _ in range(2000):
        assert course.failed() <= 60


@pytest.mark.parametrize(("asked", "pause"), [("30", 30.0), ("3600", 60.0), ("0", 1.0), ("", 1.0), ("soon", 1.0)])
def test_a_retry_after_is_heeded_within_bounds(asked: str, pause: float) -> None:
    assert Course(SETTINGS, lambda: 1.0).failed(retry_after(asked)) == pause


@given(
    bad=st.sets(st.integers(0, 29)),
    count=st.integers(0, 30),
    answers=st.lists(st.sampled_from([200, 500, 429])),
)
def test_whatever_an_endpoint_answers_each_record_is_taken_or_set_aside_in_order(
    bad: set[int], count: int, answers: list[int]
) -> None:
    course, waiting = Course(SETTINGS, lambda: 0.5), list(range(count))
    taken: list[int] = []
    aside: list[int] = []
    tries = iter(answers)
    for _ in range(10 * count + len(answers)):
        some = waiting[: course.size]
        if not some:
            break
        assert 1 <= len(some) <= SETTINGS.batch
        status = next(tries, 200)
        if status == 200 and bad.intersection(some):
            status = 422
        match Verdict.of(status):
            case Verdict.ACCEPTED:
                course.accepted()
                taken += some
                del waiting[: len(some)]
            case Verdict.FAILED:
                assert course.failed() > 0
            case Verdict.REFUSED:
                if course.refused(len(some)) is None:
                    aside.append(waiting.pop(0))
    assert waiting == []
    assert taken == [each for each in range(count) if each not in bad]
    assert aside == [each for each in range(count) if each in bad]
