"""kill -9 in the middle of calls, and the next start."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing

import pytest

from acd import facts
from acd.journal.calls import fold_call
from acd.journal.port import Entry
from acd.journal.reader import Reader
from acd.store import CdrStore
from tests.peers.conftest import Bench
from tests.peers.kit import LAB_AGENT_PORT, Server, Sipp, wait_until

pytestmark = pytest.mark.peer("sipp")

TALKING, WAITING, SHORT = 200, 15, 60
SLACK = 10  # a machine that runs many tests at once may let a thread wait


def start_again(bench: Bench, server: Server, agents: int) -> Server:
    """Start the server anew, where it was."""
    changes = {LAB_AGENT_PORT: str(agents)}
    return bench.serve("lab.toml", changes=changes, sip_port=server.sip[1], rtp_ports="20000-29999")


def log_of(server: Server) -> list[Entry]:
    with Reader(server.storage / "journal.sqlite") as log:
        return list(log.entries())


def answered_at(callers: Sipp) -> dict[str, float]:
    """When each call of SIPp was answered, by its Call-ID."""
    received = (line.split("\t") for line in callers.messages if "\tR\t" in line and "SIP/2.0 200" in line)
    return {fields[4]: float(fields[2]) for fields in received}


def arrived_in(entries: list[Entry]) -> dict[str, str]:
    """The calls, with the Call-ID of the caller."""
    return {entry.fact.call: entry.fact.sip_call_id for entry in entries if isinstance(entry.fact, facts.CallArrived)}


def test_a_server_killed_in_the_middle_of_200_calls_leaves_its_log_its_cdrs_and_its_agents_in_order(
    bench: Bench,
) -> None:
    server, agents = bench.serve_lab(rtp_ports="20000-29999")
    phones = bench.sipp("agent", port=agents, calls=None, keys={"caller": "agent"}, seconds=120)
    bench.sipp("call", remote=server.sip, calls=SHORT, rate=60, pause=0.05).succeed()
    callers = bench.sipp("call", remote=server.sip, calls=TALKING + WAITING, rate=100, pause=90, seconds=120)
    wait_until(lambda: len([call for call in server.calls if call["stage"] == "talking"]) == TALKING, 30)
    talking = next(call for call in server.calls if call["stage"] == "talking")
    status, body = server.get(f"/api/v1/calls/{talking['id']}/routing")
    assert (status, json.loads(body)["offers"][-1]["result"]) == (200, "answered")
    assert server.get("/api/v1/calls/nobody/routing")[0] == 404
    wait_until(lambda: callers.received("SIP/2.0 200") == TALKING + WAITING, 10)

    more = bench.sipp("call_wait", remote=server.sip, calls=1000, rate=100, seconds=120)
    wait_until(lambda: more.received("SIP/2.0 200") > 30, 10)
    server.signal(signal.SIGKILL)
    killed_at = time.time()
    assert server.wait(10) == -signal.SIGKILL
    for peer in (more, callers, phones):
        peer.end()

    calls = arrived_in(log_of(server))
    known = set(calls.values())
    lost = [killed_at - at for call_id, at in answered_at(more).items() if call_id not in known]
    assert max(lost, default=0.0) < SLACK * 0.05, "what is at risk are the facts of 50 ms"

    again = start_again(bench, server, agents)
    entries = log_of(server)
    ended = Counter(entry.fact.call for entry in entries if isinstance(entry.fact, facts.CallEnded))
    assert ended == dict.fromkeys(calls, 1), "every call is recorded once"
    (recovered,) = again.logged("journal.recovered")
    assert recovered["calls"] == len(calls) - SHORT
    store = CdrStore(f"sqlite:///{server.storage / 'cdr.sqlite'}")
    store.open()
    cdrs = {cdr.id: cdr for cdr in store.recent(10_000)}
    assert store.close()
    assert cdrs.keys() == calls.keys()
    assert Counter(cdr.outcome for cdr in cdrs.values()) == {"answered": SHORT, "crashed": len(calls) - SHORT}
    by_call: dict[str, list[Entry]] = {}
    for entry in entries:
        if not isinstance(entry.fact, facts.AgentChanged):
            by_call.setdefault(getattr(entry.fact, "call", ""), []).append(entry)
    for name, cdr in cdrs.items():
        fold = fold_call(by_call[name])
        assert fold is not None
        assert fold.cdr() == cdr
    assert sum(cdr.talked_seconds > 0 for cdr in cdrs.values()) >= TALKING

    assert again.metrics()["acd_agents{state=ready}"] == 200
    assert again.calls == []
    bench.sipp("agent", port=agents, calls=None, keys={"caller": "agent"}, seconds=60)
    bench.sipp("call", remote=again.sip, calls=20, rate=20, pause=0.05).succeed()
    again.wait_until_idle()
    again.stop()

    third = start_again(bench, server, agents)
    assert third.logged("journal.recovered") == []
    third.stop()
    with closing(sqlite3.connect(server.storage / "journal.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_agents_word_holds_over_both_kinds_of_end(bench: Bench) -> None:
    server = bench.serve()
    bench.sign_in(server, "1001")
    bench.sign_in(server, "1002")
    bench.dial_code(server, "1001", "*13")
    bench.dial_code(server, "1002", "*12")
    server.wait_for_agent("1001", "paused")
    server.wait_for_agent("1002", "logged_out")
    server.stop()
    again = bench.serve(sip_port=server.sip[1])
    assert again.wait_for_agent("1001", "paused")["reason"] == "feature code"
    assert again.agent("1002")["state"] == "logged_out"
    again.signal(signal.SIGKILL)
    again.wait(10)
    third = bench.serve(sip_port=server.sip[1])
    assert third.wait_for_agent("1001", "paused")["reason"] == "feature code"
    assert third.agent("1002")["state"] == "logged_out"
    third.stop()
