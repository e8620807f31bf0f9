"""Carriers who are known by their addresses call us, by each way at once; whoever else calls is asked who he is."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, SIX, WAYS, Sipp, Way

pytestmark = pytest.mark.peer("sipp")

EACH = len(WAYS)
DIALLED, CALLED = "01065551234", "+861065551234"
SETTINGS = {
    "sip.authentication": "digest",
    "dialling.country": "86",
    "dialling.area": "10",
    f'numbers."{CALLED}".queue': "lab",
}


def national(way: Way) -> str:
    """The mobile number of who calls by this way, as it is dialled in the country."""
    return f"1380013800{WAYS.index(way)}"


def call(bench: Bench, address: tuple[str, int], way: Way) -> Sipp:
    """Dial the number as the country does."""
    keys = {"caller": national(way)}
    return bench.sipp("call_wait", remote=address, way=way, number=DIALLED, keys=keys)


def test_numbers_of_a_carrier_become_e164(bench: Bench) -> None:
    trunks = {"trunks.four.sources": [LOOPBACK], "trunks.six.sources": [f"{SIX}/128"]}
    server, port = bench.serve_each_way(settings={**SETTINGS, **trunks})
    agents = bench.each_way("agent_hangs_up", port=port, calls=None, keys={"caller": "agent"})
    for caller in [call(bench, server.at(way), way) for way in WAYS]:
        caller.succeed()
    told = {cdr["caller"]: (cdr["trunk"], cdr["dialled"], cdr["outcome"]) for cdr in server.wait_for_cdrs(EACH)}
    assert told == {f"+86{national(way)}": ("six" if way.host == SIX else "four", CALLED, "answered") for way in WAYS}
    shown = sorted(rang.partition("<sip:")[2].partition("@")[0] for agent in agents for rang in agent.said("rang"))
    assert shown == sorted(told)


@pytest.mark.rfc("3261-22.3")
def test_who_calls_from_elsewhere_is_asked_for_a_password(bench: Bench) -> None:
    trunks = {"trunks.four.sources": ["127.0.0.64/26"], "trunks.six.sources": ["2001:db8::/32"]}
    server, _ = bench.serve_each_way(settings={**SETTINGS, **trunks})
    callers = [call(bench, server.at(way), way) for way in WAYS]
    for caller in callers:
        caller.wait(20.0)
        assert [caller.received(f"SIP/2.0 {status}") for status in ("407", "200")] == [1, 0]
    assert server.cdrs == []
