"""SIPp changes, refreshes and ends sessions of the queue: re-INVITE, UPDATE, PRACK, session timers.

Callers and agents come by each way, UDP and TCP over IPv4 and IPv6, and all at once.
"""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Server, Sipp

pytestmark = pytest.mark.peer("sipp")

SHORT = {"sip.session_expires_seconds": 4, "sip.min_session_seconds": 4}
SHORT_FOR_WHO_ASKS = {"sip.session_expires_seconds": 90, "sip.min_session_seconds": 4}
EACH = len(WAYS)


def talk(
    bench: Bench,
    server: Server,
    agents: int,
    scenario: str = "call",
    *,
    agent: str = "agent",
    pause: float = 0.3,
    refused: int = 0,
) -> tuple[list[Sipp], list[Sipp]]:
    """Have a caller of each way run ``scenario`` with an agent, to its end; returns callers and agents.

    Nothing is left but the INVITEs ``refused``, so many a call.
    """
    phones = bench.each_way(agent, port=agents, keys={"caller": "agent"})
    callers = bench.each_way(scenario, server, pause=pause)
    for sipp in (*callers, *phones):
        sipp.succeed()
    server.wait_until_idle(refused=refused * EACH)
    return callers, phones


def outcomes(server: Server) -> set[object]:
    return {cdr["outcome"] for cdr in server.wait_for_cdrs(EACH)}


@pytest.mark.rfc("3261-14.2", "3264-4")
def test_a_reinvite_without_offer_gets_ours(bench: Bench) -> None:
    server, agents = bench.serve_each_way()
    callers, _ = talk(bench, server, agents, "call_reinvite_without_offer")
    assert all("RTP/AVP 0" in caller.said("offer")[0] for caller in callers)
    assert outcomes(server) == {"answered"}


@pytest.mark.rfc("3264-8.4", "3261-14.2")
def test_a_call_is_held_and_resumed_by_reinvite(bench: Bench) -> None:
    server, agents = bench.serve_each_way()
    callers, _ = talk(bench, server, agents, "call_hold")
    assert [caller.said("answer") for caller in callers] == [["recvonly", "sendrecv"]] * EACH
    assert outcomes(server) == {"answered"}


@pytest.mark.rfc("3311-5.2", "3264-8.4")
def test_a_call_is_held_and_resumed_by_update(bench: Bench) -> None:
    server, agents = bench.serve_each_way()
    callers, _ = talk(bench, server, agents, "call_hold_update")
    assert [caller.said("answer") for caller in callers] == [["recvonly", "sendrecv"]] * EACH
    assert outcomes(server) == {"answered"}


@pytest.mark.rfc("3262-3")
def test_a_caller_who_requires_reliable_responses_acknowledges_ours(bench: Bench) -> None:
    server = bench.serve(settings={"sip.authentication": "off"})
    for caller in bench.each_way("call_100rel", server):
        caller.succeed()
        assert len(caller.said("reliable")) == 1
    assert outcomes(server) == {"no_agent"}
    server.wait_until_idle()


@pytest.mark.rfc("3262-4", "3262-5")
def test_an_agents_phone_describes_its_session_in_a_reliable_183(bench: Bench) -> None:
    server, agents = bench.serve_each_way()
    _, phones = talk(bench, server, agents, agent="agent_100rel")
    assert [phone.said("acknowledged") for phone in phones] == [["4711 1 INVITE"]] * EACH
    assert outcomes(server) == {"answered"}


@pytest.mark.rfc("4028-9", "4028-6")
def test_an_interval_too_small_gets_422_and_a_longer_one_is_taken(bench: Bench) -> None:
    server, agents = bench.serve_each_way()
    callers, _ = talk(bench, server, agents, "call_timer_422")
    assert [caller.said("least") for caller in callers] == [["90"]] * EACH
    assert [caller.said("refresher") for caller in callers] == [["uas"]] * EACH


@pytest.mark.rfc("4028-9", "4028-10")
def test_a_caller_who_stops_refreshing_is_hung_up(bench: Bench) -> None:
    server, agents = bench.serve_each_way(settings=SHORT)
    callers, _ = talk(bench, server, agents, "call_timer_refreshes", agent="agent_refreshed")
    assert {caller.said("ended")[0] for caller in callers} == {'SIP;cause=408;text="Session timer expired"'}
    assert {cdr["reason"] for cdr in server.wait_for_cdrs(EACH)} == {"Session timer expired"}
    assert outcomes(server) == {"peer_lost"}
    assert server.metrics()["acd_sip_sessions_expired_total"] == EACH


@pytest.mark.rfc("4028-10", "4028-7.2")
def test_we_refresh_who_leaves_it_to_us_and_who_knows_of_no_timers(bench: Bench) -> None:
    server, agents = bench.serve_each_way(settings=SHORT)
    callers, phones = talk(bench, server, agents, "call_timer_refreshed", agent="agent_refreshed")
    assert [len(caller.said("refreshed")) for caller in callers] == [2] * EACH
    assert all(phone.said("refreshed") for phone in phones)
    assert outcomes(server) == {"answered"}


@pytest.mark.rfc("4028-7.2", "4028-10")
def test_an_agents_phone_refreshes_its_own_leg(bench: Bench) -> None:
    server, agents = bench.serve_each_way(settings=SHORT)
    _, phones = talk(bench, server, agents, "call_timer_refreshed", agent="agent_refreshes")
    assert [len(phone.said("refreshed")) for phone in phones] == [2] * EACH
    assert outcomes(server) == {"answered"}


@pytest.mark.rfc("3261-14.1", "3261-14.2")
def test_reinvites_that_meet_both_get_491_and_come_again(bench: Bench) -> None:
    server, agents = bench.serve_each_way(settings=SHORT_FOR_WHO_ASKS)
    callers, _ = talk(bench, server, agents, "call_glare", refused=1)
    for caller in callers:
        assert [len(caller.said(what)) for what in ("glare", "again", "taken")] == [1, 1, 1]
    assert server.metrics()["acd_sip_glares_total"] == 2 * EACH
    assert outcomes(server) == {"answered"}


@pytest.mark.rfc("3261-15.1.2")
def test_a_bye_that_comes_instead_of_an_answer_to_our_reinvite(bench: Bench) -> None:
    server, agents = bench.serve_each_way(settings=SHORT_FOR_WHO_ASKS)
    callers, _ = talk(bench, server, agents, "call_bye_in_reinvite", refused=1)
    assert [len(caller.said("asked")) for caller in callers] == [1] * EACH
    assert {cdr["ended_by"] for cdr in server.wait_for_cdrs(EACH)} == {"caller"}
    assert outcomes(server) == {"answered"}
