"""Kamailio as an application server of our S-CSCF: a proxy that stays in the path, on both sides of a call."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ims_core.profiles.model import SessionCase
from tests.kit.isc import criterion
from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, WAYS, Kamailio
from tests.peers.kit.elements import succeed
from tests.peers.kit.scscf import DOMAIN, callee, core

pytestmark = [pytest.mark.peer("kamailio"), pytest.mark.peer("sipp")]

CONFIG = Path(__file__).with_name("kamailio_as.cfg")
ORIGINATING, TERMINATING = SessionCase.ORIGINATING, SessionCase.TERMINATING_REGISTERED


async def kamailio(bench: Bench, divert: str = "") -> Kamailio:
    program = Kamailio(CONFIG, bench.directory, bench.port(), {"DIVERT": divert})
    bench.keep(program)
    return await asyncio.to_thread(program.wait_until_ready)


@pytest.mark.rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.3", "TS24.229-5.4.3.4", "3261-16.12.1.1")
@pytest.mark.parametrize("between", ["udp", "tcp"])
async def test_a_call_passes_it_for_the_caller_and_for_the_callee(bench: Bench, between: str) -> None:
    async with core(bench) as home:
        theirs = await kamailio(bench)
        server = f"sip:{LOOPBACK}:{theirs.address[1]}{';transport=tcp' * (between == 'tcp')}"
        for name in [name for way in WAYS for name in (way.name, callee(way))]:
            home.serve(name, criterion(1, server, ORIGINATING), criterion(2, server, TERMINATING))
        phones = await home.phones()
        await succeed(home.call(), phones)
        assert home.services.outcomes["returned"] == home.services.outcomes["answered"] == 2 * len(WAYS)
        ports = [home.us.port, theirs.address[1], home.us.port, theirs.address[1], home.us.port]
        for phone in phones:
            for start in ("INVITE ", "ACK ", "BYE "):
                vias = [line for line in phone.heard(start)[0].splitlines() if line.startswith("Via:")]
                came_by = [via.partition(";")[0].rpartition(":")[2] for via in vias]
                assert [int(port) for port in came_by[: len(ports)]] == ports, start


@pytest.mark.rfc("TS24.229-5.4.3.3")
async def test_it_diverts_a_call_to_somebody_else(bench: Bench) -> None:
    async with core(bench) as home:
        first, *others = WAYS
        theirs = await kamailio(bench, f'$ru = "sip:{callee(first)}@{DOMAIN}";')
        for way in others:
            home.serve(callee(way), criterion(1, f"sip:{LOOPBACK}:{theirs.address[1]}", TERMINATING))
        phone, *never = await home.phones(calls=len(WAYS))
        await succeed(home.call(), [phone])
        assert phone.counts().successful == len(WAYS)
        assert [other.received("INVITE ") for other in never] == [0] * len(others)
        assert home.scscf.sessions[SessionCase.ORIGINATING_CDIV] == len(others)
