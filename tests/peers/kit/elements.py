"""An element of ours in the process of the test, where programs of others reach it by every way at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ims_core.element import Element
from ims_core.transactions.machines import TimerValues
from tests.peers.kit.sipp import Sipp
from tests.peers.kit.ways import WAYS, Way

if TYPE_CHECKING:
    from ims_core.ua.useragent import UserAgent
    from tests.peers.conftest import Bench

OFFER = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
US = "<sip:us@ims.example>"


class Here:
    """The element, with one port on every way. Times of transactions are a tenth of the usual."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.port = bench.port()
        listen = [f"{way.name[:3]}:{way.written}:{self.port}" for way in WAYS]
        self.element = Element(*listen, domain="ims.example", timers=TimerValues(0.05, 0.4, 0.5))

    @property
    def ua(self) -> UserAgent:
        """Its user agent."""
        return self.element.node.ua

    def at(self, way: Way) -> tuple[str, int]:
        """Where it listens on that way."""
        return way.host, self.port

    def flush(self) -> None:
        """Send what is to be sent."""
        self.element.stack.flush()

    def come(self, scenario: str, **options: object) -> list[Sipp]:
        """Have SIPp come by each way; its caller is named after the way."""
        return [
            self.bench.sipp(scenario, **{"remote": self.at(way), "way": way, "keys": {"caller": way.name}, **options})
            for way in WAYS
        ]

    async def waiting(self, scenario: str, **options: object) -> list[Sipp]:
        """Have SIPp wait on each way, as the user that is named after it; see `uris`."""
        phones = [self.bench.sipp(scenario, **{"way": way, "keys": {"caller": way.name}, **options}) for way in WAYS]
        for way, phone in zip(WAYS, phones, strict=True):
            await asyncio.to_thread(way.wait_for_listener, phone.port)
        return phones


@asynccontextmanager
async def here(bench: Bench) -> AsyncIterator[Here]:
    """Run an element of ours, for half a minute at most."""
    us = Here(bench)
    async with asyncio.timeout(30.0), us.element:
        yield us
        await until(lambda: not len(us.ua), "no session is left")


def uris(phones: list[Sipp]) -> list[str]:
    """Where the phones of `Here.waiting` are called."""
    return [way.uri(way.name, phone.port) for way, phone in zip(WAYS, phones, strict=True)]


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that another program brings about."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)  # between two looks
    raise AssertionError(f"not within 10 s: {what}")


async def succeed(*groups: list[Sipp]) -> None:
    """See that each did what its scenario says."""
    for phones in groups:
        for phone in phones:
            await asyncio.to_thread(phone.succeed)
