"""What is known of a caller by his number (用户画像): from the configured table, else from an HTTP service."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import msgspec
import structlog

from acd.config import CallerProfile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from acd.config import Callers

CACHED = 10_000
CONNECTIONS = 100
LONGEST_ANSWER = 16_384  # bytes
UNKNOWN = CallerProfile()

log = structlog.get_logger()


class Source(StrEnum):
    """Where a profile came from; the last three are that of a caller of whom nothing is known."""

    TABLE = "table"
    HTTP = "http"
    CACHE = "cache"  # an earlier answer of the HTTP service
    NOWHERE = "nowhere"  # in no table, and there is no service to ask
    SLOW = "slow"  # no answer within the time limit
    FAILED = "failed"  # no answer, or one that makes no sense

    @property
    def for_log(self) -> str:
        """The word of `acd.facts.CallerKnown` for it."""
        return {Source.TABLE: "table", Source.HTTP: "http", Source.CACHE: "http"}.get(self, "fallback")


class Found(msgspec.Struct, frozen=True):
    """A caller's profile, and where it came from."""

    profile: CallerProfile
    source: Source


NOTHING = Found(UNKNOWN, Source.NOWHERE)


class Profiles:
    """Looks profiles up. ``found`` counts the look-ups by their source.

    Answers of the service are remembered for ``cache_seconds``. ``transport`` replaces the network in tests.
    """

    def __init__(self, callers: Callers, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.found: Counter[Source] = Counter(dict.fromkeys(Source, 0))
        self._transport = transport
        self._asking: set[asyncio.Task[bytes | None]] = set()
        self._client: httpx.AsyncClient | None = None
        self._retired: set[asyncio.Task[None]] = set()
        self._remembered: OrderedDict[str, tuple[float, CallerProfile]] = OrderedDict()
        self._loop = asyncio.get_running_loop()
        self.configure(callers)

    def configure(self, callers: Callers) -> None:
        """Take what a changed configuration says; those under way may fall back."""
        self._callers = callers
        self._remembered.clear()
        self._retire()
        if callers.url is not None:
            self._client = httpx.AsyncClient(
                headers={"Authorization": f"Bearer {callers.token}"} if callers.token else None,
                limits=httpx.Limits(max_connections=CONNECTIONS),
                timeout=callers.timeout_seconds,  # of each step; `_ask` sees to the whole
                transport=self._transport,
                trust_env=False,
            )

    def find(self, number: str) -> asyncio.Future[Found]:
        """Begin to look ``number`` up; what is returned is done within ``timeout_seconds`` and never fails."""
        known = self._known(number)
        if known is None and self._client is not None and number:
            return self._loop.create_task(self._ask(self._client, number), name="caller's profile")
        done: asyncio.Future[Found] = self._loop.create_future()
        done.set_result(self._count(known or NOTHING))
        return done

    async def close(self) -> None:
        """Let go of the connections."""
        self._retire()
        if self._retired:
            await asyncio.wait(self._retired, timeout=1.0)

    def _known(self, number: str) -> Found | None:
        profile = self._callers.known.get(number)
        if profile is not None:
            return Found(profile, Source.TABLE)
        expires, profile = self._remembered.get(number, (0.0, UNKNOWN))
        return Found(profile, Source.CACHE) if expires > self._loop.time() else None

    async def _ask(self, client: httpx.AsyncClient, number: str) -> Found:
        """Ask the service. The request is left to itself when time is up: its end may take longer."""
        callers = self._callers
        asking = self._loop.create_task(_get(client, str(callers.url).replace("{number}", quote(number, safe=""))))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        try:
            await asyncio.wait((asking,), timeout=callers.timeout_seconds)
        finally:
            asking.cancel()
        if not asking.done():
            return self._fall_back(Source.SLOW, f"no answer within {callers.timeout_seconds:g} s")
        try:
            body = asking.result()
            profile = UNKNOWN if body is None else msgspec.json.decode(body, type=CallerProfile)
        except (httpx.HTTPError, OSError, ValueError) as error:
            return self._fall_back(Source.FAILED, str(error) or type(error).__name__)
        if callers is self._callers:
            self._remember(number, profile)
        return self._count(Found(profile, Source.HTTP))

    def _remember(self, number: str, profile: CallerProfile) -> None:
        self._remembered[number] = self._loop.time() + self._callers.cache_seconds, profile
        self._remembered.move_to_end(number)
        if len(self._remembered) > CACHED:
            self._remembered.popitem(last=False)

    def _fall_back(self, source: Source, error: str) -> Found:
        log.warning("caller.lookup_failed", reason=source.value, error=error)
        return self._count(Found(UNKNOWN, source))

    def _count(self, found: Found) -> Found:
        self.found[found.source] += 1
        return found

    def _retire(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            task = self._loop.create_task(client.aclose())
            self._retired.add(task)
            task.add_done_callback(self._retired.discard)


async def _get(client: httpx.AsyncClient, url: str) -> bytes | None:
    """Return the body of the answer, None where no such caller is known. Raises httpx.HTTPError and ValueError."""
    async with client.stream("GET", url) as response:
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"status {response.status_code}")
        body = b""
        async for part in response.aiter_bytes():
            body += part
            if len(body) > LONGEST_ANSWER:
                raise ValueError(f"more than {LONGEST_ANSWER} bytes")
        return body


class LastAgents:
    """Whom each caller talked to last, of the latest ``most`` callers."""

    def __init__(self, most: int = 100_000) -> None:
        self._agents: OrderedDict[str, str] = OrderedDict()
        self._most = most

    def note(self, caller: str, agent: str) -> None:
        """Note that the two talk."""
        if not caller:
            return
        self._agents[caller] = agent
        self._agents.move_to_end(caller)
        if len(self._agents) > self._most:
            self._agents.popitem(last=False)

    def restore(self, talks: Mapping[str, str]) -> None:
        """Take what is known from before; ``talks`` gives agents by caller, the latest last."""
        for caller, agent in talks.items():
            self.note(caller, agent)

    def of(self, caller: str) -> str:
        """Return the agent, empty if there is none."""
        return self._agents.get(caller, "")
