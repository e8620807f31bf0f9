"""SIPp against the live engine: who is called for whom, as the agents' phones see it."""

from __future__ import annotations

import re
import signal
from collections import Counter

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import LAB_AGENT_PORT, Server, Sipp, wait_until

pytestmark = pytest.mark.peer("sipp")

NUMBER = '[numbers.10001]\nqueue = "lab"'
AGENTS = '[agents."a001..a200"]\nqueues = ["lab"]'
RANG = re.compile(r"<sip:([^@]*)@.* to .*<sip:([^@]*)@")


def rang(phones: Sipp) -> list[tuple[str, str]]:
    """Which caller rang at which agent, in order."""
    return [(found[1], found[2]) for line in phones.said("rang") if (found := RANG.search(line))]


def lab(agents: str, more: str) -> dict[str, str]:
    """Change the lab: these agents, and more tables at its end."""
    return {AGENTS: agents, NUMBER: f"{NUMBER}\n{more}"}


def serve(bench: Bench, changes: dict[str, str]) -> tuple[Server, int]:
    """Start the server on a changed lab; returns the port of its agents as well."""
    port = bench.port()
    return bench.serve("lab.toml", changes={**changes, LAB_AGENT_PORT: str(port)}, rtp_ports="20000-29999"), port


def pause(server: Server, *agents: str) -> None:
    for agent in agents:
        assert server.change("POST", f"agents/{agent}/state", {"state": "paused", "reason": "test"})[0] == 200


def unpause(server: Server, *agents: str) -> None:
    for agent in agents:
        assert server.change("POST", f"agents/{agent}/state", {"state": "ready"})[0] == 200


def call(bench: Bench, server: Server, users: list[str], number: str, queue: str = "lab") -> Sipp:
    """Let users call one after the other, and return when all of them wait in the queue."""
    before = server.queue(queue)["waiting"]
    callers = bench.sipp("call_user_wait", remote=server.sip, calls=len(users), rate=50, users=users, number=number)
    wait_until(lambda: server.queue(queue)["waiting"] == before + len(users), 10, f"{users} to wait in {queue}")
    return callers


def test_a_number_of_higher_priority_overtakes_who_waits(bench: Bench) -> None:
    agents = '[agents."a001..a001"]\nqueues = ["lab"]'
    server, port = serve(bench, lab(agents, '[numbers.10009]\nqueue = "lab"\npriority = 5\n'))
    phones = bench.sipp("agent_hangs_up", port=port, pause=0.2, calls=4, keys={"caller": "agent"})
    pause(server, "a001")
    callers = [call(bench, server, ["first", "second", "third"], "10001"), call(bench, server, ["vip"], "10009")]
    unpause(server, "a001")
    for sipp in (*callers, phones):
        sipp.succeed()
    assert [caller for caller, _ in rang(phones)] == ["vip", "first", "second", "third"]
    assert {cdr["caller"]: cdr["outcome"] for cdr in server.wait_for_cdrs(4)} == dict.fromkeys(
        ("vip", "first", "second", "third"), "answered"
    )
    server.wait_until_idle()


def test_calls_of_a_number_reach_only_agents_with_its_skills(bench: Bench) -> None:
    contact = '\ncontact = "sip:{agent}@127.0.0.1:16060"\nalways_ready = true\n'
    skilled = "".join(
        f'[agents."{names}"]\nqueues = "*"\nskills = {{ {skills} }}{contact}'
        for names, skills in (("b001..b002", "french = 1"), ("c001..c002", "french = 3, trainee = 1"), ("d001", ""))
    )
    numbers = "".join(
        f'[numbers.{number}]\nqueue = "lab"\nneeds = {{ {needs} }}\n'
        for number, needs in (
            ("10011", "required = { french = 1 }"),
            ("10012", "required = { french = 2 }"),
            ("10013", 'required = { french = 1 }, excluded = ["trainee"]'),
        )
    )
    agents = '[agents."a001..a004"]\nqueues = ["lab"]'
    server, port = serve(bench, lab(agents, skilled + numbers))
    phones = bench.sipp("agent_hangs_up", port=port, pause=0.2, calls=60, keys={"caller": "agent"})
    callers = []
    for number in ("10011", "10012", "10013"):
        users = [f"u{number}x{index:02}" for index in range(20)]
        callers.append(bench.sipp("call_user_wait", remote=server.sip, calls=20, rate=20, users=users, number=number))
    for sipp in (*callers, phones):
        sipp.succeed()
    reached: dict[str, set[str]] = {}
    for caller, agent in rang(phones):
        reached.setdefault(caller[1:6], set()).add(agent)
    assert reached["10011"] <= {"b001", "b002", "c001", "c002"}
    assert reached["10012"] == {"c001", "c002"}
    assert reached["10013"] == {"b001", "b002"}
    assert Counter(cdr["outcome"] for cdr in server.wait_for_cdrs(60)) == {"answered": 60}
    server.wait_until_idle()


def test_overflow_to_another_queue_keeps_the_place(bench: Bench) -> None:
    """The overflowed caller goes before somebody who came to the other queue before him, but called later."""
    rules = 'overflow = [{ when = "waited", above = 1, to = "queue:other" }]\n'
    other = '[queues.other]\nname = "Other"\nwrap_up_seconds = 0\nannounce_agent = false\nrecord = false\n'
    remote = '[agents.b001]\nqueues = "other"\ncontact = "sip:b001@127.0.0.1:16060"\nalways_ready = true\n'
    agents = '[agents."a001..a001"]\nqueues = ["lab"]'
    more = other + remote + '[numbers.10009]\nqueue = "other"\n'
    server, port = serve(bench, {**lab(agents, more), 'name = "Lab"\n': f'name = "Lab"\n{rules}'})
    phones = bench.sipp("agent_hangs_up", port=port, pause=0.2, calls=2, keys={"caller": "agent"})
    pause(server, "a001", "b001")
    callers = [call(bench, server, ["early"], "10001"), call(bench, server, ["late"], "10009", "other")]
    wait_until(lambda: server.queue("other")["waiting"] == 2, 10, "the early caller to overflow")
    unpause(server, "b001")
    for sipp in (*callers, phones):
        sipp.succeed()
    assert rang(phones) == [("early", "b001"), ("late", "b001")]
    assert {cdr["caller"]: cdr["queue"] for cdr in server.wait_for_cdrs(2)} == {"early": "other", "late": "other"}
    assert server.metrics()["acd_overflow_moved_total{cause=waited,queue=other}"] == 1
    server.wait_until_idle()


def test_a_full_queue_sends_callers_to_the_agents_of_another(bench: Bench) -> None:
    rules = 'overflow = [{ when = "length", above = 2, to = "queue:other" }]\n'
    other = '[queues.other]\nname = "Other"\nwrap_up_seconds = 0\nannounce_agent = false\nrecord = false\n'
    remote = '[agents."b001..b009"]\nqueues = "other"\ncontact = "sip:{agent}@127.0.0.1:16060"\nalways_ready = true\n'
    agents = '[agents."a001..a001"]\nqueues = ["lab"]'
    changes = {**lab(agents, other + remote), 'name = "Lab"\n': f'name = "Lab"\n{rules}'}
    server, port = serve(bench, changes)
    phones = bench.sipp("agent_hangs_up", port=port, pause=0.2, calls=6, keys={"caller": "agent"})
    pause(server, "a001")
    stay = call(bench, server, ["one", "two"], "10001")
    go = bench.sipp("call_user_wait", remote=server.sip, calls=4, rate=50, users=["p", "q", "r", "s"])
    go.succeed()
    assert {caller for caller, agent in rang(phones) if agent.startswith("b")} == {"p", "q", "r", "s"}
    unpause(server, "a001")
    for sipp in (stay, phones):
        sipp.succeed()
    assert rang(phones)[-2:] == [("one", "a001"), ("two", "a001")]
    server.wait_until_idle()


def test_a_reload_loses_nobody_who_waits(bench: Bench) -> None:
    agents = '[agents."a001..a002"]\nqueues = ["lab"]'
    server, port = serve(bench, lab(agents, ""))
    users = [f"w{index:02}" for index in range(12)]
    phones = bench.sipp("agent_hangs_up", port=port, pause=0.2, calls=len(users), keys={"caller": "agent"})
    pause(server, "a001", "a002")
    callers = call(bench, server, users, "10001")
    text = server.config.read_text()

    server.config.write_text(text.replace('queue = "lab"', 'queue = "nowhere"'))
    server.signal(signal.SIGHUP)
    (line,) = wait_until(lambda: server.logged("config.refused"), 10, "config.refused")
    assert line["mistake"].endswith('numbers.10001.queue: expected a queue (defined: lab), found "nowhere"')
    status, problem = server.change("POST", "reload")
    assert (status, problem["mistakes"]) == (400, [line["mistake"]])
    assert server.queue("lab")["waiting"] == len(users)

    changed = text.replace("a001..a002", "a001..a003").replace(
        'name = "Lab"', 'name = "Lab"\nstrategy = "fewest_calls"'
    )
    server.config.write_text(changed.replace("[media]", "[limits]\ntcp_connections = 9\n[media]"))
    server.signal(signal.SIGHUP)
    (line,) = wait_until(lambda: server.logged("config.installed"), 10, "config.installed")
    assert (line["policy"], line["needs_restart"]) == (2, ["limits.tcp_connections"])
    unpause(server, "a001", "a002")
    for sipp in (callers, phones):
        sipp.succeed()
    assert Counter(cdr["outcome"] for cdr in server.wait_for_cdrs(len(users))) == {"answered": len(users)}
    order = [caller for caller, _ in rang(phones)]
    assert order[0] == users[0], "the new agent takes the first who waits"
    assert {agent for _, agent in rang(phones)} == {"a001", "a002", "a003"}
    server.wait_until_idle()
