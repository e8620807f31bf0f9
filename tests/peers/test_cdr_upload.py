"""The server sends its CDRs to an endpoint that fails, and is killed meanwhile: every call arrives there."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.acd.test_cdr_upload import Endpoint
from tests.peers.conftest import Bench
from tests.peers.kit import LAB_AGENT_PORT, wait_until

pytestmark = pytest.mark.peer("sipp")

FIRST, MORE = 20, 10
NETWORK = "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=460001234567890A"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


@pytest.mark.rfc("7315-4.6")
def test_no_record_is_lost_by_an_endpoint_that_fails_nor_by_kill_9(bench: Bench, endpoint: Endpoint) -> None:
    upload = {
        "url": endpoint.url,
        "token": "opensesame",
        "retry_seconds": 0.05,
        "longest_retry_seconds": 0.2,
        "batch": 7,
    }
    settings = {f"cdr_upload.{key}": value for key, value in upload.items()}
    endpoint.answer = lambda _: 503 if len(endpoint.requests) % 2 else None
    server, agents = bench.serve_lab(settings=settings)
    phones = bench.sipp("agent", port=agents, calls=None, keys={"caller": "agent"}, seconds=120)
    bench.sipp("call_charged", remote=server.sip, calls=FIRST, rate=40, pause=0.05).succeed()
    server.wait_for_cdrs(FIRST)
    wait_until(lambda: server.metrics()["acd_cdr_upload_waiting"] == FIRST, 10, "all are to be sent")
    wait_until(lambda: server.metrics()["acd_cdr_upload_failures_total"] > 3, 10, "attempts")
    (failed,) = server.logged("cdr_upload.failed")
    assert failed["level"] == "warning"
    server.signal(signal.SIGKILL)
    assert server.wait(10) == -signal.SIGKILL
    assert endpoint.taken == []

    endpoint.answer = lambda _: 200
    again = bench.serve("lab.toml", changes={LAB_AGENT_PORT: str(agents)}, settings=settings, sip_port=server.sip[1])
    wait_until(lambda: len(set(endpoint.taken)) == FIRST, 15, "those from before")
    bench.sipp("call_charged", remote=again.sip, calls=MORE, rate=40, pause=0.05).succeed()
    wait_until(lambda: again.metrics()["acd_cdr_upload_sent_total"] == FIRST + MORE, 10, "the new ones")
    assert again.metrics()["acd_cdr_upload_waiting"] == 0
    cdrs = {cdr["id"]: cdr for cdr in again.wait_for_cdrs(FIRST + MORE)}
    again.stop()
    phones.end()

    assert set(endpoint.taken) == cdrs.keys()
    sent = {record["id"]: record for body in endpoint.bodies for record in body["records"]}
    assert sent == cdrs, "as the API shows them"
    assert {headers["Authorization"] for headers in endpoint.headers} == {"Bearer opensesame"}
    assert len({record["icid"] for record in sent.values()}) == FIRST + MORE
    for record in sent.values():
        assert (record["orig_ioi"], record["term_ioi"]) == ("home.example", None)
        assert record["access_network"] == NETWORK
        assert record["asserted_identity"].startswith("sip:+86138000")
        assert record["called_party"].startswith("sip:10001@")
