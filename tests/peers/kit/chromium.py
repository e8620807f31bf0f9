"""A page in a headless Chromium with a microphone that plays a tone, driven over a WebSocket of the test's own."""

from __future__ import annotations

import asyncio
import http
import json
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tests.peers.kit.process import LOOPBACK, Program
from tests.peers.kit.tones import write_tone

JS = Path(__file__).parents[2] / "js"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".json": "application/json"}
PATIENCE = 20.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--allow-loopback-in-peer-connection",
)


class NoChecks(Exception):
    """Chromium gave a connection up without having sent a single check of ICE."""


class Page:
    """A page of ``tests/js``, whose microphone is a tone of ``hertz``. Use it with ``async with``."""

    def __init__(self, directory: Path, port: int, hertz: float, name: str = "call.html") -> None:
        self._name = name
        self._directory = directory
        self._port = port
        self._hertz = hertz
        self._connections: asyncio.Queue[ServerConnection] = asyncio.Queue()
        self.states: list[str] = []

    async def __aenter__(self) -> Self:
        self._server = await serve(self._meet, LOOPBACK, self._port, process_request=self._show)
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={write_tone(self._directory / 'mic.wav', self._hertz)}"]
        command = [
            "chromium",
            *flags,
            f"--user-data-dir={self._directory / 'profile'}",
            f"http://{LOOPBACK}:{self._port}/{self._name}",
        ]
        self.program = Program(command, self._directory / "chromium.log", cwd=self._directory)
        await self._load()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.program.end)
        self._server.close()

    async def reload(self) -> None:
        """Begin anew."""
        await self.tell(reload=True)
        self.states.clear()
        await self._load()

    async def tell(self, **message: Any) -> None:
        """Have the page do something."""
        await self._connection.send(json.dumps(message))

    async def next(self, key: str) -> Any:
        """Return the next thing of this kind that the page tells. Raises NoChecks."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = json.loads(await self._connection.recv())
                assert "failed" not in message, message["failed"]
                _check_reached(message.get("unreachable"))
                if "state" in message:
                    self.states.append(message["state"])
                if key in message:
                    return message[key]

    async def offer(self, **how: Any) -> str:
        """Return the page's offer."""
        await self.tell(offer=True, **how)
        return str(await self.next("sdp"))

    async def describe(self, kind: str, sdp: str) -> str:
        """Give the page an offer or an answer; returns its answer to the one."""
        await self.tell(type=kind, sdp=sdp)
        return str(await self.next("sdp")) if kind == "offer" else ""

    async def wait_for_state(self, state: str) -> None:
        """Return once the connection is in this state."""
        try:
            while state not in self.states:
                await self.next("state")
        except TimeoutError:
            await self.tell(ways=True)
            raise AssertionError(f"after {self.states} not {state}: {await self.next('ways')}") from None

    async def wait_for_fragment(self, fragment: str) -> None:
        """Return once ICE has got through with the page's credentials that begin so."""
        for _ in range(100):
            await self.tell(ways=True)
            transport = next(way for way in await self.next("ways") if way["type"] == "transport")
            if (transport["iceLocalUsernameFragment"], transport["iceState"]) in {
                (fragment, "connected"),
                (fragment, "completed"),
            }:
                return
            await asyncio.sleep(0.1)  # between two looks
        raise AssertionError(f"ICE does not get through as {fragment}: {transport}")

    async def wait_for_tone(self, hertz: float) -> None:
        """Return once the page hears this tone, loudly."""
        heard: list[tuple[float, float]] = []
        for _ in range(100):
            await self.tell(measure=True)
            message = {}
            async with asyncio.timeout(PATIENCE):
                while "hertz" not in message:
                    message = json.loads(await self._connection.recv())
            heard.append((message["hertz"], message["level"] if message["level"] is not None else -200.0))
            if abs(heard[-1][0] - hertz) < 8 and heard[-1][1] > -40:
                return
            await asyncio.sleep(0.1)  # between two looks
        raise AssertionError(f"the page does not hear {hertz:g} Hz but {heard[-5:]}")

    async def _load(self) -> None:
        async with asyncio.timeout(2 * PATIENCE):
            self._connection = await self._connections.get()
        assert await self.next("ready"), self.program.report()

    async def _meet(self, connection: ServerConnection) -> None:
        await self._connections.put(connection)
        await connection.wait_closed()

    def _show(self, _: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" in request.headers:
            return None
        file = JS / request.path.lstrip("/")
        status = http.HTTPStatus.OK if file.is_file() and file.suffix in TYPES else http.HTTPStatus.NOT_FOUND
        body = file.read_bytes() if status is http.HTTPStatus.OK else b""
        headers = Headers({"Content-Type": TYPES.get(file.suffix, "text/plain"), "Content-Length": str(len(body))})
        return Response(status, status.phrase, headers, body)


def _check_reached(unreachable: list[dict[str, Any]] | None) -> None:
    if unreachable is not None:
        if not any(stat.get("requestsSent") for stat in unreachable):
            raise NoChecks
        raise AssertionError(f"ICE or DTLS failed: {json.dumps(unreachable)}")
