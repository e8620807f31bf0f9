"""An agent's baresip holds the caller and takes him back; the session timer runs beside it."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import wait_until

pytestmark = pytest.mark.peer("baresip")


@pytest.mark.rfc("3261-14.2", "3264-8.4")
def test_an_agent_holds_and_resumes(bench: Bench) -> None:
    server = bench.serve(settings={"queues.support.announce_agent": False})
    agent = bench.baresip("1001", server, tone=440, answers=True).wait_until_registered()
    caller = bench.baresip("caller1", server, tone=620).wait_until_registered()
    server.wait_for_agent("1001", "ready")
    caller.dial("10001")
    server.wait_for_call("talking", 15)
    for _ in range(2):
        agent.command("hold")
        server.wait_for_agent("1001", "hold")
        agent.command("resume")
        server.wait_for_agent("1001", "talking")
    heard = caller.heard_bytes()
    wait_until(lambda: caller.heard_bytes() > heard + 8_000, 10, "talk again")
    caller.hang_up()
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"]) == ("answered", "caller")
    server.wait_until_idle()
