"""Legs of workers over IPv6, and over both families of addresses by one socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from media.api import MediaEvent
from media.builtin.supervisor import MediaSupervisor
from media.sdp.description import parse
from media.settings import MediaSettings

from .conftest import until


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6")
HOSTS = {"IP4": "127.0.0.1", "IP6": "::1"}


class Party:
    """A peer with a socket of one family."""

    def __init__(self, family: str) -> None:
        self.family, self.host = family, HOSTS[family]
        kind = socket.AF_INET if family == "IP4" else socket.AF_INET6
        self.socket = socket.socket(kind, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind((self.host, 0))
        self.sequence = 0

    def sdp(self) -> str:
        port = self.socket.getsockname()[1]
        return (
            f"v=0\r\no=- 1 1 IN {self.family} {self.host}\r\ns=-\r\nc=IN {self.family} {self.host}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 8\r\n"
        )

    def send(self, sdp: str, payload: bytes) -> None:
        description = parse(sdp)
        assert description.connection(description.media[0]) == (self.family, self.host)
        self.sequence += 1
        header = b"\x80\x08" + self.sequence.to_bytes(2, "big") + (160 * self.sequence).to_bytes(4, "big") + b"\0\0\0\7"
        self.socket.sendto(header + payload, (self.host, description.media[0].port))

    def heard(self) -> list[bytes]:
        packets = []
        while True:
            try:
                packets.append(self.socket.recv(2048)[12:])
            except BlockingIOError:
                return packets


@pytest.fixture
async def start(ports: Any, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[MediaSupervisor]]]:
    started: list[MediaSupervisor] = []

    async def begin(**settings: Any) -> MediaSupervisor:
        first = ports.block(20)
        range_ = {"port_min": first, "port_max": first + 19, "prompt_directories": (str(tmp_path),)}
        media = MediaSupervisor(MediaSettings(**range_, **settings))
        started.append(media)
        await media.start()
        return media

    yield begin
    await asyncio.gather(*(media.stop() for media in started))


@pytest.mark.rfc("4961-4", "4291-2.5.5.2")
@pytest.mark.parametrize(
    ("settings", "caller", "agent"),
    [
        ({"bind": "::1"}, "IP6", "IP6"),
        ({"bind": "::", "advertise": "::1", "advertise_other": "127.0.0.1"}, "IP4", "IP6"),
        ({"bind": "::", "advertise": "127.0.0.1", "advertise_other": "::1"}, "IP6", "IP4"),
    ],
    ids=["IPv6 alone", "from IPv4 to IPv6", "from IPv6 to IPv4"],
)
async def test_two_legs_of_any_family_are_bridged(
    start: Callable[..., Awaitable[MediaSupervisor]], settings: dict[str, str], caller: str, agent: str
) -> None:
    media = await start(**settings)
    events: list[MediaEvent] = []
    first, second = Party(caller), Party(agent)
    one = await media.open("caller", events.append, offer=first.sdp())
    other = await media.open("agent", events.append, like=one, family=agent)
    other.accept(second.sdp())
    one.bridge(other)
    heard: dict[Party, list[bytes]] = {first: [], second: []}

    def talked() -> bool:
        for party, leg, peer in ((first, one, second), (second, other, first)):
            party.send(leg.local_sdp, f"from {party.family}".encode())
            heard[peer] += peer.heard()
        return bool(heard[first] and heard[second])

    await until(talked, "both heard the other")
    assert set(heard[first]) == {f"from {agent}".encode()}
    assert set(heard[second]) == {f"from {caller}".encode()}
    reports = await asyncio.gather(one.close(), other.close())
    assert all(report.packets_received for report in reports)
    first.socket.close()
    second.socket.close()
