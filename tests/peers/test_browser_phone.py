"""A phone in a real browser: JsSIP over a WebSocket, ICE and DTLS-SRTP, as a caller and as an agent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Baresip, Server, wait_until
from tests.peers.kit.browser import INSTALLED
from tests.peers.kit.chromium import Page
from tests.peers.kit.secure import SecureServer
from tests.peers.test_baresip_queue import AGENT_HZ, CALLER_HZ, hears

pytestmark = [
    pytest.mark.peer("chromium", "baresip"),
    pytest.mark.skipif(not INSTALLED, reason="jssip of npm is not installed: make browser-phones"),
    pytest.mark.rfc("7118-5", "5763-5", "8445-2.5"),
]


async def register(page: Page, secure: SecureServer, user: str) -> None:
    host, port = secure.address("ws")
    await page.tell(register=user, server=f"ws://{host}:{port}/sip")
    await page.next("registered")


async def talk(server: Server, page: Page, phone: Baresip, hertz: float) -> dict[str, Any]:
    """Have the page hear the phone's tone and the phone some seconds of the page's; returns the call's record."""
    await page.wait_for_tone(hertz)
    heard = phone.heard_bytes()
    await asyncio.to_thread(wait_until, lambda: phone.heard_bytes() > heard + 64_000, 20, "4 s of talk")
    await page.tell(bye=True)
    (cdr,) = await asyncio.to_thread(server.wait_for_cdrs)
    await asyncio.to_thread(server.wait_until_idle)
    return cdr


async def test_a_page_calls_an_agent(bench: Bench) -> None:
    secure = SecureServer(bench)
    agent = bench.baresip("1001", secure.server, tone=AGENT_HZ, answers=True)
    await asyncio.to_thread(agent.wait_until_registered)
    async with Page(bench.directory, bench.port(), CALLER_HZ, "phone.html") as page:
        await register(page, secure, "caller1")
        await page.tell(call="10001")
        await page.next("confirmed")
        cdr = await talk(secure.server, page, agent, AGENT_HZ)
    hears(agent, CALLER_HZ, AGENT_HZ)
    assert cdr["quality_caller"]["security"].startswith("DTLS")
    assert cdr["quality_agent"]["security"] is None


async def test_an_agent_needs_nothing_but_a_page(bench: Bench) -> None:
    secure = SecureServer(bench)
    caller = bench.baresip("caller1", secure.server, tone=CALLER_HZ)
    await asyncio.to_thread(caller.wait_until_registered)
    async with Page(bench.directory, bench.port(), AGENT_HZ, "phone.html") as page:
        await register(page, secure, "1001")
        await asyncio.to_thread(secure.server.wait_for_agent, "1001", "ready")
        caller.dial("10001")
        await page.next("confirmed")
        cdr = await talk(secure.server, page, caller, CALLER_HZ)
    hears(caller, AGENT_HZ, CALLER_HZ)
    assert cdr["quality_agent"]["security"].startswith("DTLS")
    assert cdr["quality_caller"]["security"] is None
