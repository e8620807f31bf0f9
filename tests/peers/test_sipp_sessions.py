"""SIPp changes, refreshes and ends sessions of the queue: re-INVITE, UPDATE, PRACK, session timers."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Server, Sipp

pytestmark = pytest.mark.peer("sipp")

SHORT = {"sip.session_expires_seconds": 4, "sip.min_session_seconds": 4}
by_both = pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])


def talk(
    bench: Bench, server: Server, agents: int, scenario: str, *, tcp: bool, agent: str = "agent", refused: int = 0
) -> Sipp:
    """Have a caller run ``scenario`` with an agent, to its end; nothing is left but re-INVITEs ``refused``."""
    phone = bench.sipp(agent, port=agents, pause=0.0, keys={"caller": "agent"})
    caller = bench.sipp(scenario, remote=server.sip, pause=0.3, tcp=tcp)
    caller.succeed()
    phone.succeed()
    server.wait_until_idle(refused=refused)
    return phone if agent != "agent" else caller


@pytest.mark.rfc("3261-14.2", "3264-4")
@by_both
def test_a_reinvite_without_offer_gets_ours(bench: Bench, tcp: bool) -> None:
    server, agents = bench.serve_lab()
    caller = talk(bench, server, agents, "call_reinvite_without_offer", tcp=tcp)
    assert "RTP/AVP 0" in caller.said("offer")[0]
    assert server.wait_for_cdrs()[0]["outcome"] == "answered"


@pytest.mark.rfc("3311-5.2", "3264-8.4")
@by_both
def test_a_call_is_held_and_resumed_by_update(bench: Bench, tcp: bool) -> None:
    server, agents = bench.serve_lab()
    caller = talk(bench, server, agents, "call_hold_update", tcp=tcp)
    assert caller.said("answer") == ["recvonly", "sendrecv"]
    assert server.wait_for_cdrs()[0]["outcome"] == "answered"


@pytest.mark.rfc("3262-3")
@by_both
def test_a_caller_who_requires_reliable_responses_acknowledges_ours(bench: Bench, tcp: bool) -> None:
    server = bench.serve(settings={"sip.authentication": "off"})
    caller = bench.sipp("call_100rel", remote=server.sip, tcp=tcp)
    caller.succeed()
    assert len(caller.said("reliable")) == 1
    assert server.wait_for_cdrs()[0]["outcome"] == "no_agent"
    server.wait_until_idle()


@pytest.mark.rfc("3262-4", "3262-5")
@by_both
def test_an_agents_phone_describes_its_session_in_a_reliable_183(bench: Bench, tcp: bool) -> None:
    server, agents = bench.serve_lab()
    phone = talk(bench, server, agents, "call", tcp=tcp, agent="agent_100rel")
    assert phone.said("acknowledged") == ["4711 1 INVITE"]
    assert server.wait_for_cdrs()[0]["outcome"] == "answered"


@pytest.mark.rfc("4028-9", "4028-6")
@by_both
def test_an_interval_too_small_gets_422_and_a_longer_one_is_taken(bench: Bench, tcp: bool) -> None:
    server, agents = bench.serve_lab()
    caller = talk(bench, server, agents, "call_timer_422", tcp=tcp)
    assert caller.said("least") == ["90"]
    assert caller.said("refresher") == ["uas"]


@pytest.mark.rfc("4028-9", "4028-10")
@by_both
def test_a_caller_who_stops_refreshing_is_hung_up(bench: Bench, tcp: bool) -> None:
    server, agents = bench.serve_lab(settings=SHORT)
    caller = talk(bench, server, agents, "call_timer_refreshes", tcp=tcp)
    assert caller.said("ended")[0] == 'SIP;cause=408;text="Session timer expired"'
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["reason"]) == ("peer_lost", "Session timer expired")
    assert server.metrics()["acd_sip_sessions_expired_total"] == 1


@pytest.mark.rfc("4028-10")
@by_both
def test_we_refresh_a_session_that_the_caller_leaves_to_us(bench: Bench, tcp: bool) -> None:
    server, agents = bench.serve_lab(settings=SHORT)
    caller = talk(bench, server, agents, "call_timer_refreshed", tcp=tcp)
    assert len(caller.said("refreshed")) == 2
    assert server.wait_for_cdrs()[0]["outcome"] == "answered"


@pytest.mark.rfc("4028-7.2", "4028-10")
def test_an_agents_phone_refreshes_its_own_leg(bench: Bench) -> None:
    server, agents = bench.serve_lab(settings=SHORT)
    phone = bench.sipp("agent_refreshes", port=agents, keys={"caller": "agent"})
    bench.sipp("call", remote=server.sip, pause=5.0).succeed()
    phone.succeed()
    assert len(phone.said("refreshed")) == 2
    assert server.wait_for_cdrs()[0]["outcome"] == "answered"


@pytest.mark.rfc("3261-14.1", "3261-14.2")
@by_both
def test_reinvites_that_meet_both_get_491_and_come_again(bench: Bench, tcp: bool) -> None:
    server, agents = bench.serve_lab(settings={"sip.session_expires_seconds": 15, "sip.min_session_seconds": 15})
    caller = talk(bench, server, agents, "call_glare", tcp=tcp, refused=1)
    assert [len(caller.said(what)) for what in ("glare", "again", "taken")] == [1, 1, 1]
    assert server.metrics()["acd_sip_glares_total"] == 2
    assert server.wait_for_cdrs()[0]["outcome"] == "answered"


@pytest.mark.rfc("3261-15.1.2")
@by_both
def test_a_bye_that_comes_instead_of_an_answer_to_our_reinvite(bench: Bench, tcp: bool) -> None:
    server, agents = bench.serve_lab(settings=SHORT)
    caller = talk(bench, server, agents, "call_bye_in_reinvite", tcp=tcp, refused=1)
    assert len(caller.said("asked")) == 1
    (cdr,) = server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["ended_by"]) == ("answered", "caller")
