"""Where a call was before it came, and why it goes on elsewhere: told by SIPp and to SIPp, by each way at once."""

from __future__ import annotations

import pytest

from tests.peers.conftest import NUMBER, Bench
from tests.peers.kit import LAB_AGENT_PORT, WAYS

pytestmark = pytest.mark.peer("sipp")

BEFORE = "<sip:bob@ims.example>;index=1"
QUEUE = """
[queues.{way}]
name = "{way}"
announce_agent = false
record = false
overflow = [{{ when = "no_agent", to = "external:{target}" }}]
[numbers.{number}]
queue = "{way}"
"""


@pytest.mark.rfc("7044-10.3", "5806-5.2")
def test_agents_and_those_whom_calls_are_diverted_to_are_told_where_the_call_was(bench: Bench) -> None:
    agents, outside = bench.port(), bench.port()
    first, *others = WAYS
    tables = "".join(
        f'[agents.{way.name}]\nqueues = ["lab"]\ncontact = "{way.uri(way.name, agents)}"\nalways_ready = true\n'
        for way in others
    ) + "".join(
        QUEUE.format(way=way.name, target=way.uri("away", outside), number=20000 + place)
        for place, way in enumerate(WAYS)
    )
    changes = {'"a001..a200"': first.name, LAB_AGENT_PORT: str(agents), NUMBER: f"{tables}{NUMBER}"}
    server = bench.serve("lab.toml", changes=changes)
    phones = bench.each_way("agent_history", port=agents)
    aways = bench.each_way("agent_history", port=outside)
    callers = bench.each_way("call_history", server, pause=0.2)
    diverted = [
        bench.sipp("call_history", remote=server.at(way), way=way, number=str(20000 + place), pause=0.2)
        for place, way in enumerate(WAYS)
    ]
    for sipp in (*callers, *phones, *diverted, *aways):
        sipp.succeed()
    assert {cdr["outcome"] for cdr in server.wait_for_cdrs(2 * len(WAYS))} == {"answered", "external"}
    dialled = f"{BEFORE}, <sip:10001@ims.example>;index=1.1;mp=1"
    told = {phone.said("history")[0] for phone in phones}
    assert told == {f"{dialled}, <{way.uri(way.name, agents)}>;index=1.1.1;mp=1.1" for way in WAYS}
    assert {phone.said("diversion")[0] for phone in phones} == {"<sip:bob@ims.example>;reason=no-answer"}
    for place, (way, away) in enumerate(zip(WAYS, aways, strict=True)):
        number, target = f"<sip:{20000 + place}@ims.example>", way.uri("away", outside)
        assert away.said("history") == [f"{BEFORE}, {number};index=1.1;mp=1, <{target}>;index=1.1.1;mp=1.1"]
        (diversion,) = away.said("diversion")
        assert diversion.startswith(f"<sip:{20000 + place}@")
        assert "reason=unavailable" in diversion
    server.wait_until_idle()
