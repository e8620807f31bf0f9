"""The phones of the demonstration: baresip where it is installed, else phones of ours, controlled alike."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Literal, NamedTuple

from acd.demo import baresip, netstring, voice
from acd.demo.phone import PASSWORD
from acd.demo.processes import HOST, DemoError, end, start

Kind = Literal["baresip", "own"]

START_SECONDS = 10.0
REGISTER_SECONDS = 10.0
QUIT_SECONDS = 3.0
LIFE_SECONDS = 150  # a baresip that nobody controls any more ends by itself


class PhoneEvent(NamedTuple):
    """What a phone tells: ``CALL_INCOMING``, ``CALL_ESTABLISHED``, ...; ``peer`` is the user of the peer's URI."""

    type: str
    peer: str
    param: str


class Place(NamedTuple):
    """Where phones register: the domain, ``host:port`` by transport, and a directory for their files."""

    domain: str
    servers: dict[str, str]
    directory: Path


class Wanted(NamedTuple):
    """A phone to be started: its account, the transport it had best use, how it sounds, where it is controlled."""

    user: str
    password: str
    transport: str
    hertz: int
    control_port: int


class Phone:
    """A phone in a process of its own. ``events`` are to be taken by one reader."""

    def __init__(self, user: str, domain: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.user = user
        self.events: asyncio.Queue[PhoneEvent] = asyncio.Queue()
        self._domain = domain
        self._process = process
        self._log = log
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def connect(self, port: int) -> None:
        """Begin to control it, as soon as it listens. Raises ``DemoError``."""
        try:
            async with asyncio.timeout(START_SECONDS):
                while True:
                    if self._process.returncode is not None:
                        raise DemoError(f"the phone of {self.user} ended as soon as it was started", self._log)
                    try:
                        reader, self._writer = await asyncio.open_connection(HOST, port)
                        break
                    except OSError:
                        await asyncio.sleep(0.05)
        except TimeoutError:
            raise DemoError(f"the phone of {self.user} did not start", self._log) from None
        self._reading = asyncio.create_task(self._read(reader))

    async def registered(self) -> None:
        """Wait until it has registered. Raises ``DemoError``."""
        try:
            async with asyncio.timeout(REGISTER_SECONDS):
                event = await self.next_of("REGISTER_OK", "REGISTER_FAIL")
        except TimeoutError:
            raise DemoError(f"the phone of {self.user} got no answer to its REGISTER", self._log) from None
        if event.type == "REGISTER_FAIL":
            raise DemoError(f"the phone of {self.user} could not register: {event.param}", self._log)

    async def next_of(self, *types: str) -> PhoneEvent:
        """Return the next event of these types; what comes before it is dropped. Raises ``DemoError``."""
        while (event := await self.events.get()).type not in types:
            if event.type == "GONE":
                raise DemoError(f"the phone of {self.user} went away", self._log)
        return event

    def dial(self, number: str) -> None:
        """Call a number of the domain."""
        self.command("dial", f"sip:{number}@{self._domain}")

    def accept(self) -> None:
        """Answer the call that rings."""
        self.command("accept")

    def press(self, key: str) -> None:
        """Press a key during a call (RFC 4733)."""
        self.command("sndcode", key)

    def hang_up(self) -> None:
        """End the call."""
        self.command("hangup")

    def command(self, command: str, parameter: str = "") -> None:
        """Send a command; what comes of it is told by events."""
        if self._writer is not None:
            self._writer.write(netstring.encode({"command": command, "params": parameter, "token": command}))

    async def close(self) -> None:
        """Let it de-register and end; a phone that hangs is killed."""
        self.command("quit")
        await end(self._process, QUIT_SECONDS, ask=self._writer is None)
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, EOFError, netstring.ControlError, asyncio.LimitOverrunError):
            while True:
                message = await netstring.read(reader)
                if message.get("event"):
                    peer = str(message.get("peeruri", "")).partition("@")[0].rpartition(":")[2]
                    self.events.put_nowait(PhoneEvent(str(message.get("type")), peer, str(message.get("param", ""))))
        self.events.put_nowait(PhoneEvent("GONE", "", ""))


def choose(wanted: Literal["auto", "baresip", "own"]) -> Kind:
    """Say which phones to use. Raises ``DemoError`` when baresip is wanted and not there."""
    if wanted == "own":
        return "own"
    if baresip.modules() is not None:
        return "baresip"
    if wanted == "baresip":
        raise DemoError("baresip is not installed, or not with the modules that the demonstration needs")
    return "own"


async def open_phone(kind: Kind, wanted: Wanted, place: Place) -> Phone:
    """Start a phone and let it register. Raises ``DemoError``."""
    user, password, port = wanted.user, wanted.password, wanted.control_port
    transport = wanted.transport if kind == "baresip" and wanted.transport in place.servers else "udp"
    if transport not in place.servers:
        raise DemoError("the phones need SIP over UDP: sip.listen has none")
    directory = place.directory / user
    directory.mkdir(parents=True, exist_ok=True)
    sound, log = directory / "voice.wav", directory / "phone.log"
    voice.write(sound, wanted.hertz)
    if kind == "own":
        names = ("--user", user, "--domain", place.domain, "--server", place.servers[transport])
        command = [sys.executable, "-m", "acd.demo.phone", *names, "--control", str(port), "--voice", str(sound)]
    else:
        text = baresip.configuration(module_path=baresip.modules() or "", control_port=port, voice=sound.resolve())
        (directory / "config").write_text(text, encoding="utf-8")
        command = [baresip.PROGRAM, "-f", str(directory), "-t", str(LIFE_SECONDS)]
    with log.open("wb") as output:
        process = await start(command, output=output, environment={PASSWORD: password})
    phone = Phone(user, place.domain, process, log)
    try:
        await phone.connect(port)
        if kind == "baresip":
            account = baresip.account(
                user=user,
                domain=place.domain,
                password=password,
                server=place.servers[transport],
                transport=transport,
            )
            phone.command("uanew", account)
        await phone.registered()
    except BaseException:
        await phone.close()
        raise
    return phone
