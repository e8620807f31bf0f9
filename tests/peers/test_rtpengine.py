"""Calls whose media are rtpengine's: tones prove who hears whom, and one of two is killed with calls up."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Server, wait_until
from tests.peers.kit.rtpengine import Rtpengine
from tests.peers.test_baresip_queue import hears
from tests.peers.test_baresip_secured import DTLS, DTLS_UNMUXED, ICE, SDES, talk

pytestmark = pytest.mark.peer("rtpengine")

CALLER_HZ, AGENT_HZ = 440.0, 620.0
QUEUES = "sales", "support", "anybody"
PORTS = 40


class Relays:
    """rtpengines, and the server that has them do the work."""

    def __init__(self, bench: Bench, count: int) -> None:
        self._bench = bench
        self.digits = bench.port()
        self.all = [self.start(bench.port()) for _ in range(count)]

    def start(self, ng: int) -> Rtpengine:
        first = self._bench.port(PORTS)
        rtpengine = Rtpengine(self._bench.directory, ng=ng, rtp=range(first, first + PORTS), digits=self.digits)
        self._bench.keep(rtpengine)
        return rtpengine

    def serve(self, **settings: Any) -> Server:
        listed = ", ".join(f'{{ address = "{each.address}" }}' for each in self.all)
        section = f'[media]\nbackend = "rtpengine"\ndigits = "127.0.0.1:{self.digits}"\nrtpengine = [{listed}]\n'
        server = self._bench.serve(
            changes={"[media]\n": section},
            settings={**{f"queues.{queue}.record": False for queue in QUEUES}, **settings},
        )
        wait_until(lambda: all(state == "serving" for state in self.states(server).values()), 10, "all rtpengines")
        return server

    @staticmethod
    def states(server: Server) -> dict[str, str]:
        """The states of the rtpengines, by their addresses."""
        return {each["name"]: each["state"] for each in server.items("media/workers")}

    @staticmethod
    def legs(server: Server) -> dict[str, int]:
        """How many legs each has."""
        return {each["name"]: each["legs"] for each in server.items("media/workers")}


@pytest.mark.peer("baresip")
@pytest.mark.parametrize("agents_codec", ["PCMU/8000/1", "PCMA/8000/1"])
def test_the_hotline_over_rtpengine(bench: Bench, agents_codec: str) -> None:
    server = Relays(bench, 1).serve()
    (started,) = server.logged("media.started")
    assert started["backend"] == "rtpengine"
    assert "recording" in started["unable"]
    agent = bench.baresip("1001", server, tone=AGENT_HZ, answers=True, codecs=agents_codec).wait_until_registered()
    caller = bench.baresip("caller1", server, tone=CALLER_HZ, codecs="PCMU/8000/1").wait_until_registered()
    server.wait_for_agent("1001", "ready")

    caller.dial("10000")
    caller.wait_for("CALL_ESTABLISHED")
    server.wait_for_call("menu")
    caller.press("2")
    server.wait_for_call("talking", 15)
    heard = agent.heard_bytes()
    wait_until(lambda: agent.heard_bytes() > heard + 64_000, 15, "4 s of talk")
    caller.hang_up()
    (cdr,) = server.wait_for_cdrs()
    agent.wait_for("CALL_CLOSED")
    server.wait_until_idle()

    assert (cdr["outcome"], cdr["ended_by"], cdr["agent"]) == ("answered", "caller", "1001")
    assert [step["detail"] for step in cdr["timeline"] if step["event"] == "caller.pressed"] == ["2"]
    assert cdr["quality_caller"]["codec"] == "PCMU"
    assert cdr["quality_agent"]["codec"] == agents_codec[:4]
    assert cdr["quality_caller"]["packets"] > 200
    hears(agent, CALLER_HZ, AGENT_HZ)
    hears(caller, AGENT_HZ, CALLER_HZ)
    server.stop()


@pytest.mark.peer("baresip")
@pytest.mark.rfc("4568-5.1", "5763-5", "8445-7.3")
@pytest.mark.parametrize(
    ("how", "said"), [(SDES, "SDES AES_CM_128_HMAC_SHA1_80"), (DTLS, "DTLS"), (ICE, "DTLS"), (DTLS_UNMUXED, "DTLS")]
)
def test_a_caller_over_srtp_talks_to_an_agent_without(bench: Bench, how: dict[str, Any], said: str) -> None:
    server = Relays(bench, 1).serve()
    agent = bench.baresip("1001", server, tone=AGENT_HZ, answers=True)
    caller = bench.baresip("caller1", server, tone=CALLER_HZ, **how)
    cdr = talk(server, caller, agent)
    assert cdr["quality_caller"]["security"] == said
    assert cdr["quality_agent"]["security"] is None


@pytest.mark.peer("baresip")
def test_where_srtp_is_required_both_sides_have_it(bench: Bench) -> None:
    server = Relays(bench, 1).serve(**{"media.srtp": "required"})
    agent = bench.baresip("1001", server, tone=AGENT_HZ, answers=True, **SDES)
    caller = bench.baresip("caller1", server, tone=CALLER_HZ, **SDES)
    cdr = talk(server, caller, agent)
    assert {cdr[side]["security"][:4] for side in ("quality_caller", "quality_agent")} == {"SDES"}


@pytest.mark.peer("sipp")
def test_one_of_two_rtpengines_dies_with_calls_up(bench: Bench) -> None:
    relays = Relays(bench, 2)
    server = relays.serve()
    first, second = relays.all
    calls = [bench.visit(server, f"caller{number}", number="10002", pause=60) for number in (1, 2, 3, 4)]
    wait_until(lambda: relays.legs(server) == {first.address: 2, second.address: 2}, 15, "two calls on each")

    first.signal(signal.SIGKILL)
    cdrs = server.wait_for_cdrs(2, 15)
    assert {(cdr["outcome"], cdr["ended_by"]) for cdr in cdrs} == {("media_lost", "system")}
    assert relays.states(server) == {first.address: "failed", second.address: "serving"}
    assert server.get("/readyz")[0] == 200
    assert server.metrics()["acd_media_members{backend=rtpengine,state=failed}"] == 1

    calls.append(bench.visit(server, "caller5", number="10002", pause=60))
    wait_until(lambda: relays.legs(server)[second.address] == 3, 15, "a new call on the other")
    relays.start(int(first.address.rpartition(":")[2]))
    wait_until(lambda: relays.states(server)[first.address] == "serving", 15, "the first, returned")

    status, drained = server.change("DELETE", f"media/workers/{second.address}")
    assert (status, drained["state"], drained["legs"]) == (202, "draining", 3)
    calls.append(bench.visit(server, "alice", number="10002", pause=60))
    wait_until(lambda: relays.legs(server) == {first.address: 1, second.address: 3}, 15, "a call on the first")
    assert len(server.calls) == 4
    assert server.logged("rtpengine.draining")
    server.stop()


def test_a_configuration_that_rtpengine_cannot_serve_is_refused(bench: Bench) -> None:
    section = (
        '[media]\nbackend = "rtpengine"\ndigits = "127.0.0.1:2224"\nrtpengine = [{ address = "127.0.0.1:2223" }]\n'
    )
    server = bench.serve(changes={"[media]\n": section}, ready=False)
    assert server.wait(20) == 2
    assert (
        'queues.sales.record: expected false, because media.backend = "rtpengine" is without recording' in server.output
    )


def test_no_rtpengine_that_serves_is_told_in_one_line(bench: Bench) -> None:
    """It answers, but tells somebody else of digits: that is found out before a call is."""
    relays = Relays(bench, 1)
    relays.digits = bench.port()
    listed = f'rtpengine = [{{ address = "{relays.all[0].address}" }}]'
    section = f'[media]\nbackend = "rtpengine"\ndigits = "127.0.0.1:{relays.digits}"\n{listed}\n'
    settings = {f"queues.{queue}.record": False for queue in QUEUES}
    server = bench.serve(changes={"[media]\n": section}, settings=settings, ready=False)
    assert server.wait(30) == 1
    last = server.output.splitlines()[-1]
    assert last.startswith("media: No rtpengine serves.")
    assert "dtmf-log-dest must be the address of media.digits" in last
    assert not [line for line in server.output.splitlines() if line.startswith("{") and "Traceback" in json.loads(line)]
