"""What an operator and a wallboard see while calls go on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import wait_until


@pytest.mark.peer("sipp", "promtool")
def test_the_metrics_pass_promtool_under_load(bench: Bench) -> None:
    server, agents = bench.serve_lab(rtp_ports="20000-29999")
    bench.sipp("agent", port=agents, calls=None, keys={"caller": "agent"})
    callers = bench.sipp("call", remote=server.sip, calls=60, rate=20, pause=0.5)
    wait_until(lambda: len(server.calls) >= 5, 10, "calls under way")
    pages = []
    while callers.running:
        status, page = server.get("/metrics")
        assert status == 200
        pages.append(page)
    for page in (pages[0], pages[len(pages) // 2], pages[-1]):
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=30, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert not checked.stderr.strip(), checked.stderr
    callers.succeed()


@pytest.mark.peer("sipp")
def test_a_call_is_listed_while_it_lasts_and_no_longer(bench: Bench) -> None:
    server, agents = bench.serve_lab(settings={"trace.sip": True})
    bench.sipp("agent", port=agents, keys={"caller": "agent"})
    caller = bench.sipp("call", remote=server.sip, pause=1.0)
    call = server.wait_for_call("talking")
    assert (call["dialled"], call["caller"], call["queue"], call["agent"]) == ("10001", "caller1", "lab", "a001")
    assert server.agent("a001")["call_id"] == call["id"]
    assert server.queue("lab")["agents"]["talking"] == 1
    status, ladder = server.get(f"/api/v1/calls/{call['id']}/ladder")
    assert status == 200
    assert "INVITE" in ladder
    caller.succeed()
    ended = time.monotonic()
    wait_until(lambda: not server.calls, 5, "no call listed")
    assert time.monotonic() - ended < 1.0
    assert server.metrics()["acd_calls"] == 0


def test_ready_is_said_only_while_sip_and_media_take_calls(bench: Bench) -> None:
    server = bench.serve()
    assert server.get("/readyz")[0] == 200
    assert server.get("/healthz")[0] == 200
    assert server.get("/schema")[0] == 200
    (worker,) = server.children()
    os.kill(worker, signal.SIGSTOP)
    try:
        wait_until(lambda: server.get("/readyz")[0] == 503, 20, "not ready without media")
        assert server.get("/healthz")[0] == 200
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGCONT)
    wait_until(lambda: server.get("/readyz")[0] == 200, 20, "ready again")
    server.stop()
    assert server.get("/readyz")[0] == 0
