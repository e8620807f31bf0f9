"""The lite agent, alone and against a full agent that we did not write."""

from __future__ import annotations

import asyncio
from typing import Any

import aioice
import pytest

from media.rtp.stream import Ice
from media.secure import stun
from media.secure.ice import MAX_PAIRS, LiteAgent
from media.worker import control
from tests.media.conftest import Bench, stream, until

from .conftest import CREDENTIALS, check, sdes

A, B = ("192.0.2.1", 1000), ("192.0.2.2", 2000)


def code(answer: bytes | None) -> int:
    assert answer is not None
    value = stun.read(answer).attributes[stun.ERROR_CODE]
    return value[2] * 100 + value[3]


@pytest.mark.rfc("8445-7.3.1.5")
def test_the_pair_nominated_last_is_selected() -> None:
    agent = LiteAgent(CREDENTIALS)
    agent.receive(check(nominate=False), A)
    assert (agent.selected, list(agent.valid)) == (None, [A])
    agent.receive(check(), A)
    agent.receive(check(nominate=False), B)
    assert agent.selected == A
    agent.receive(check(), B)
    assert agent.selected == B


@pytest.mark.rfc("8489-9.1.3", "8445-7.3.1.1", "8489-6.3.1")
def test_requests_that_are_refused_change_nothing() -> None:
    agent = LiteAgent(CREDENTIALS)
    unsigned = stun.write(stun.BINDING_REQUEST, b"x" * 12, {stun.USERNAME: b"ours:theirs", stun.USE_CANDIDATE: b""})
    assert code(agent.receive(unsigned, A)) == 400
    assert code(agent.receive(stun.write(stun.BINDING_REQUEST, b"x" * 12, {}, b"o" * 22), A)) == 400
    assert code(agent.receive(check(password="guess"), A)) == 401
    assert code(agent.receive(check(Ice("ours", "o" * 22, "another", "")), A)) == 401
    assert code(agent.receive(check(more={0x0019: bytes(4)}), A)) == 420
    assert code(agent.receive(check(more={stun.ICE_CONTROLLED: bytes(8)}), A)) == 487
    assert (agent.valid, agent.selected, agent.refused) == ({}, None, 6)


def test_responses_and_indications_get_no_answer() -> None:
    agent = LiteAgent(CREDENTIALS)
    for kind in (stun.BINDING_SUCCESS, stun.BINDING_ERROR, stun.BINDING_INDICATION):
        assert agent.receive(stun.write(kind, b"x" * 12, {}, b"o" * 22), A) is None


@pytest.mark.rfc("8445-7.3")
def test_checks_may_come_before_the_peers_description() -> None:
    agent = LiteAgent(Ice("ours", "o" * 22, "", ""))
    agent.receive(check(), A)
    assert agent.selected == A
    agent.use(CREDENTIALS)
    assert code(agent.receive(check(Ice("ours", "o" * 22, "another", "")), B)) == 401


@pytest.mark.rfc("8445-9")
def test_a_restart_goes_on_with_the_old_pair_until_another_is_nominated() -> None:
    agent = LiteAgent(CREDENTIALS)
    agent.receive(check(), A)
    again = Ice("ours1", "p" * 22, "new", "q" * 22)
    agent.use(again)
    assert agent.selected == A
    assert code(agent.receive(check(), B)) == 401
    agent.receive(check(again), B)
    assert agent.selected == B


def test_a_check_that_was_overheard_moves_nothing() -> None:
    agent = LiteAgent(CREDENTIALS)
    overheard = check()
    agent.receive(overheard, A)
    assert agent.receive(overheard, B) is None
    assert (agent.selected, list(agent.valid), agent.refused) == (A, [A], 1)
    assert agent.receive(overheard, A) is not None, "sent again because the answer was lost"
    for number in range(1000):
        agent.receive(check(transaction=number.to_bytes(12, "big")), A)
    assert agent.receive(check(transaction=(999).to_bytes(12, "big")), B) is None


def test_only_so_many_sources_are_remembered_and_the_selected_one_always() -> None:
    agent = LiteAgent(CREDENTIALS)
    agent.receive(check(), A)
    for port in range(1, 200):
        agent.receive(check(nominate=False), ("192.0.2.9", port))
    assert len(agent.valid) == MAX_PAIRS
    assert A in agent.valid


@pytest.mark.rfc("8445-2.5", "8445-6.1.1", "7675-5.1")
async def test_a_full_agent_gets_through(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"])
    full: Any = aioice.Connection(ice_controlling=True)
    await full.gather_candidates()
    credentials = Ice("ours", "o" * 22, full.local_username, full.local_password)
    number, port = bench.open(stream(9, host="192.0.2.1", ice=credentials, security=sdes()))
    full.remote_username, full.remote_password, full.remote_is_lite = "ours", "o" * 22, True
    await full.add_remote_candidate(aioice.Candidate("1", 1, "udp", 2130706431, "127.0.0.1", port, "host"))
    await full.add_remote_candidate(None)
    async with asyncio.timeout(10):
        await full.connect()
    bench.handle(control.Play(number, ("long",), True, False, 1))
    async with asyncio.timeout(10):
        data = await full.recv()
    assert data[0] == 0x80
    bench.handle(control.Close(number))
    await until(lambda: bool(bench.of(control.Closed)))
    await full.close()


@pytest.mark.rfc("8445-2.5", "8839-5.1")
async def test_a_full_agent_gets_through_with_rtcp_on_a_port_of_its_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"])
    full: Any = aioice.Connection(ice_controlling=True, components=2)
    await full.gather_candidates()
    credentials = Ice("ours", "o" * 22, full.local_username, full.local_password)
    number, port = bench.open(stream(9, host="192.0.2.1", ice=credentials))
    full.remote_username, full.remote_password, full.remote_is_lite = "ours", "o" * 22, True
    for component in (1, 2):
        await full.add_remote_candidate(
            aioice.Candidate("1", component, "udp", 2130706432 - component, "127.0.0.1", port + component - 1, "host")
        )
    await full.add_remote_candidate(None)
    async with asyncio.timeout(10):
        await full.connect()
    await full.sendto(b"\x80\x00" + bytes(10) + b"\x55" * 160, 1)
    await until(lambda: bench.counters().packets_received == 1)
    bench.handle(control.Close(number))
    await full.close()
