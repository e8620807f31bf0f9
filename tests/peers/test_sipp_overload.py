"""Overload, as SIPp sees it by each way at once: 503 with Retry-After for what is new, and what must pass passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from acd.app import start
from acd.config.source import Source
from acd.core.foretold import Place
from ims_core.security.admission import Admission
from tests.peers.conftest import RTP_PORTS, Bench
from tests.peers.kit import LOOPBACK, ROOT, WAYS, Sipp
from tests.peers.kit.elements import here, succeed, until
from tests.peers.kit.server import value

if TYPE_CHECKING:
    from acd.engine import Engine

pytestmark = pytest.mark.peer("sipp")

EACH = len(WAYS)
ASKED, RATE = 60, 60.0
AGENTS = 200
WAIT = 100.0  # seconds
NOBODY = "10009"
CONTACT = 5061
URGENT = {"CSeq: 1 INVITE": "CSeq: 1 INVITE\nResource-Priority: ets.0"}


@pytest.mark.rfc("3261-21.5.4", "4412-3.1")
async def test_what_is_new_is_put_off_and_what_has_priority_is_not(bench: Bench) -> None:
    """No datagram is as young as this element wants it, so that it finds itself overloaded by the first of them."""
    async with here(bench) as us:
        door = us.element.node.door
        door.admission = Admission(target=1e-9)
        usual, urgent = (
            us.come("asks_under_load", calls=ASKED, rate=RATE, keys={"caller": "alice", "more": more})
            for more in ("Priority: normal", "Resource-Priority: ets.0")
        )
        await succeed(usual, urgent)
        refused = [len(sipp.said("refused")) for sipp in usual]
        assert min(refused) > 0
        assert [sipp.said("refused") for sipp in urgent] == [[]] * len(WAYS)
        assert {sipp.counts().successful for sipp in (*usual, *urgent)} == {ASKED}
        assert door.rejected.keys() == {"OPTIONS"}


class Lab:
    """The engine of the lab in the process of the test, with a port that has every way."""

    def __init__(self, bench: Bench, engine: Engine, port: int) -> None:
        self.bench = bench
        self.engine = engine
        self.door = engine.node.door
        self.port = port

    def come(self, scenario: str, prefix: str = "", **options: Any) -> list[Sipp]:
        """Have SIPp come by each way; its caller is named after the way."""
        return [
            self.bench.sipp(
                scenario,
                remote=(way.host, self.port),
                way=way,
                keys={"caller": f"{prefix}{way.name}", "at": CONTACT},
                **options,
            )
            for way in WAYS
        ]

    def has_seen(self, wait: float) -> None:
        """Let the queue have seen callers who waited so long each, because that is what its agents' calls take."""
        waits, now = self.engine.dispatcher.distributor._queues["lab"].waits, self.engine.loop.time()
        waits.handled(wait * AGENTS)
        for number in range(9):
            waits.joined(f"c{number}", (0.0, float(number)), Place(1, 1, 0.0), now)
        for number in range(9):
            waits.answered(f"c{number}", 0.0, now + wait)

    def overload(self) -> None:
        """Let next to nothing new begin from now on."""
        self.door.admission = Admission()
        self.door.admission.rate = 1e-9


@asynccontextmanager
async def lab_here(bench: Bench) -> AsyncIterator[Lab]:
    """Run the engine, for half a minute at most; there is no overload but that of the test."""
    port, agents, media = bench.port(), bench.port(), bench.port(RTP_PORTS)
    settings = {
        "sip.listen": [f"{way.name[:3]}:{way.written}:{port}" for way in WAYS],
        "http.listen": f"{LOOPBACK}:{bench.port()}",
        "media.ports": f"{media}-{media + RTP_PORTS - 1}",
        "storage.dir": str(bench.directory / "var"),
        "overload.enabled": False,
        'agents."a001..a200".contact': f"sip:{{agent}}@{LOOPBACK}:{agents}",
        "queues.nobody.name": "Nobody",
        f"numbers.{NOBODY}.queue": "nobody",
    }
    source = Source(ROOT / "configs" / "lab.toml", [f"{key}={value(written)}" for key, written in settings.items()])
    bench.sipp("agent", port=agents, calls=None, keys={"caller": "agent"})
    async with asyncio.timeout(30.0), start(source.read(), source) as running:
        yield Lab(bench, running.engine, port)


@pytest.mark.rfc("3261-21.5.4", "3261-20.33")
async def test_callers_of_a_queue_are_told_the_wait_while_what_is_under_way_goes_on(bench: Bench) -> None:
    """Phones register again and again; calls let in for their priority alone are held and resumed, or given up."""
    async with lab_here(bench) as lab:
        phones = lab.come("register_open", calls=None, rate=20.0)
        await until(lambda: all(len(phone.said("bound")) > 1 for phone in phones), "a phone on each way")
        lab.has_seen(WAIT)
        lab.overload()
        before = [len(phone.said("bound")) for phone in phones]
        callers = lab.come("call_drained")
        strangers = lab.come("register_open", "stranger-")
        await succeed(callers)
        assert all(WAIT <= int(*caller.said("later")) <= 1.2 * WAIT for caller in callers)
        for stranger in strangers:
            await asyncio.to_thread(stranger.wait, 10.0)
        assert [stranger.received("SIP/2.0 503") for stranger in strangers] == [1] * EACH
        assert lab.door.rejected == {"INVITE": EACH, "REGISTER": EACH}

        holding = lab.come("call_hold", pause=0.1, changes=URGENT)
        cancelling = lab.come("call_cancel", number=NOBODY, changes=URGENT)
        await succeed(holding, cancelling)
        await until(lambda: all(len(p.said("bound")) > b + 5 for p, b in zip(phones, before, strict=True)), "refreshed")
        assert [(await asyncio.to_thread(phone.finish)).failed for phone in phones] == [0] * EACH
        assert lab.door.rejected == {"INVITE": EACH, "REGISTER": EACH}
