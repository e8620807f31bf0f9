"""Media workers that come and go while baresip talks to baresip: by HTTP, and by a reload."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Server, read_wav, wait_until
from tests.peers.test_baresip_queue import AGENT_HZ, CALLER_HZ, hears, only

pytestmark = pytest.mark.peer("baresip")


def legs(server: Server) -> dict[str, int]:
    """How many legs each worker that serves has."""
    return {each["name"]: each["legs"] for each in server.items("media/workers") if each["state"] == "serving"}


def test_a_worker_is_added_and_the_first_drained_while_two_talk(bench: Bench) -> None:
    server = bench.serve()
    agent = bench.baresip("1001", server, tone=AGENT_HZ, answers=True).wait_until_registered()
    caller = bench.baresip("caller1", server, tone=CALLER_HZ).wait_until_registered()
    server.wait_for_agent("1001", "ready")
    caller.dial("10001")
    server.wait_for_call("talking", 15)
    wait_until(lambda: agent.heard_bytes() > 16_000, 15, "a second of talk")
    assert legs(server) == {"0": 2}

    status, added = server.change("POST", "media/workers", {})
    assert (status, added["name"]) == (201, "1")
    wait_until(lambda: legs(server) == {"0": 2, "1": 0}, 30, "the second worker")
    assert server.change("DELETE", "media/workers/0")[0] == 202
    assert server.get("/readyz")[0] == 200
    other = bench.baresip("caller2", server, tone=CALLER_HZ).wait_until_registered()
    other.dial("10002")
    wait_until(lambda: legs(server) == {"1": 1}, 15, "a call in the second worker")

    heard = agent.heard_bytes()
    wait_until(lambda: agent.heard_bytes() > heard + 48_000, 15, "3 s of talk")
    caller.hang_up()
    (cdr,) = server.wait_for_cdrs()
    wait_until(lambda: [each["name"] for each in server.items("media/workers")] == ["1"], 15, "the first worker's end")
    other.hang_up()
    server.wait_for_cdrs(2)
    server.wait_until_idle()

    assert (cdr["outcome"], cdr["ended_by"]) == ("answered", "caller")
    left, right = read_wav(Path(cdr["recording"]))
    only(left, CALLER_HZ, AGENT_HZ)
    only(right, AGENT_HZ, CALLER_HZ)
    hears(agent, CALLER_HZ, AGENT_HZ)
    hears(caller, AGENT_HZ, CALLER_HZ)
    metrics = server.metrics()
    assert metrics["acd_media_worker_restarts_total"] == 0
    assert metrics["acd_media_members{backend=builtin,state=serving}"] == 1
    server.stop()


def test_a_reload_starts_and_drains_workers(bench: Bench) -> None:
    server = bench.serve()
    file = server.config
    text = file.read_text()
    for count in (3, 1):
        file.write_text(text.replace("[media]\n", f"[media]\nworkers = {count}\n"))
        status, installed = server.change("POST", "reload", {})
        assert (status, installed["changed"], installed["needs_restart"]) == (200, ["media"], [])
        wait_until(lambda: len(server.items("media/workers")) == len(legs(server)) == count, 30, f"{count} workers")  # noqa: B023
    server.stop()
