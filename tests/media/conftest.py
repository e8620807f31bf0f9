"""What media tests share: prompt files, a clock that moves when told, and a worker on loopback sockets."""

import asyncio
import socket
import struct
import time
import wave
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media.api import MediaCounters
from media.rtp.stream import EVENTS, Format, Stream
from media.settings import MediaSettings
from media.worker import control
from media.worker.poller import Poller
from media.worker.worker import Worker
from tests.fuzz.rtp_target import MODULES

BOUND = 5.0
PCMU, PCMA, DIGITS = Format(0, "PCMU"), Format(8, "PCMA"), Format(101, EVENTS)


def write_wav(path: Path, samples: Sequence[int], rate: int = 8000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, dtype="<i2").tobytes())


async def until(condition: Callable[[], Any], what: str = "condition") -> None:
    """Wait until the condition holds, within a bound."""
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        await asyncio.sleep(0.002)


class Phone:
    """A peer with a socket of its own on loopback."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind((host, port))
        self.port: int = self.socket.getsockname()[1]
        self.sequence = 1000
        self.timestamp = 50_000
        self.ssrc = 77
        self.received: list[bytes] = []

    def send(self, port: int, payload: bytes = b"\x55" * 160, payload_type: int = 0, first: int = 0x80) -> None:
        self.raw(port, self.header(payload_type, first) + payload)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + 160) & 0xFFFFFFFF

    def header(self, payload_type: int, first: int = 0x80) -> bytes:
        return struct.pack(">BBHII", first, payload_type, self.sequence, self.timestamp, self.ssrc)

    def press(self, port: int, event: int, payload_type: int = 101) -> None:
        """Press a key for three packets and three end packets."""
        for number in range(6):
            end = 0x80 if number > 2 else 0
            data = bytes([event, end | 10]) + (160 * min(number + 1, 4)).to_bytes(2, "big")
            marker = 0x80 if number == 0 else 0
            self.raw(port, self.header(payload_type | marker) + data)
            self.sequence += 1
        self.timestamp += 960

    def raw(self, port: int, data: bytes) -> None:
        self.socket.sendto(data, ("127.0.0.1", port))

    def read(self) -> list[bytes]:
        """Return everything received so far."""
        while True:
            try:
                self.received.append(self.socket.recv(4096))
            except BlockingIOError:
                return self.received
            except ConnectionRefusedError:
                continue

    def headers(self) -> list[tuple[int, int, int, int, int]]:
        return [struct.unpack(">BBHII", packet[:12]) for packet in self.read()]

    def payloads(self) -> list[bytes]:
        return [packet[12:] for packet in self.read()]

    def close(self) -> None:
        self.socket.close()


class Bench:
    """A worker in this process, driven by control commands, with phones."""

    def __init__(self, settings: MediaSettings) -> None:
        self.reports: list[control.Report] = []
        ports = settings.rtp_ports()
        loop, self._poller = asyncio.get_running_loop(), Poller()
        loop.add_reader(self._poller.fileno(), self._poller.turn)
        self.worker = Worker(loop, settings, ports, self.reports.append, poller=self._poller)
        self.phones: list[Phone] = []
        self._legs = 0

    def phone(self, port: int = 0, host: str = "127.0.0.1") -> Phone:
        phone = Phone(port, host)
        self.phones.append(phone)
        return phone

    def open(self, stream: Stream) -> tuple[int, int]:
        """Open a leg; returns its number and port."""
        self._legs += 1
        (port,) = self.provide(1)
        self.worker.handle(control.Open(self._legs, port, stream))
        return self._legs, port

    def provide(self, count: int) -> tuple[int, ...]:
        """Ask for ports."""
        self.worker.handle(control.Provide(count))
        provided = self.reports[-1]
        assert isinstance(provided, control.Provided), provided
        assert (len(provided.ports) < count) == bool(provided.reason)
        return provided.ports

    def leg(self, codec: str = "PCMU", **changes: Any) -> tuple[Phone, int, int]:
        """Open a leg towards a new phone."""
        phone = self.phone()
        return phone, *self.open(stream(phone.port, codec, **changes))

    def handle(self, *commands: control.Command) -> None:
        for command in commands:
            self.worker.handle(command)

    def counters(self) -> MediaCounters:
        return self.worker.counters()

    def of(self, kind: type[Any]) -> list[Any]:
        return [report for report in self.reports if isinstance(report, kind)]

    def close(self) -> None:
        self.worker.close()
        asyncio.get_running_loop().remove_reader(self._poller.fileno())
        self._poller.close()
        for phone in self.phones:
            phone.close()


def stream(port: int, codec: str = "PCMU", **changes: Any) -> Stream:
    """Return what SDP would agree with a phone on loopback."""
    fields: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "send": PCMU if codec == "PCMU" else PCMA,
        "receive": {f.payload: f for f in (PCMU, PCMA, DIGITS)},
        "send_events": DIGITS,
    }
    return Stream(**(fields | changes))


@pytest.fixture
def prompt_directory(tmp_path: Path) -> Path:
    """Prompts of known samples: "tone" lasts 100 ms, "odd" 250 samples, "long" five seconds."""
    directory = tmp_path / "prompts"
    write_wav(directory / "tone.wav", [8000] * 800)
    write_wav(directory / "en" / "odd.wav", [-8000] * 250)
    write_wav(directory / "long.wav", [4000] * 40_000)
    return directory


@pytest.fixture
async def bench(ports: Any, prompt_directory: Path) -> AsyncIterator[Bench]:
    first = ports.block(20)
    settings = MediaSettings(
        port_min=first, port_max=first + 19, rtp_timeout_seconds=0, prompt_directories=(str(prompt_directory),)
    )
    bench = Bench(settings)
    yield bench
    bench.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The worker's time, in seconds, in a list of one: it moves when a test moves it."""
    now = [1000.0]
    for module in MODULES:
        monkeypatch.setattr(f"{module}._monotonic", lambda: now[0])
    return now
