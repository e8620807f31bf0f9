"""The ways to a SIP element that SIPp knows: UDP and TCP, IPv4 and IPv6."""

from __future__ import annotations

import socket
from typing import NamedTuple

import pytest

from tests.peers.kit.process import LOOPBACK, wait_until

SIX = "::1"


def has_ipv6() -> bool:
    """Whether this host has IPv6, at least to itself."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((SIX, 0))
        except OSError:
            return False
    return True


class Way(NamedTuple):
    """A loopback address and a transport."""

    host: str = LOOPBACK
    tcp: bool = False

    @property
    def name(self) -> str:
        """``udp4``, ``tcp4``, ``udp6`` or ``tcp6``."""
        return f"{'tcp' if self.tcp else 'udp'}{6 if self.host == SIX else 4}"

    @property
    def written(self) -> str:
        """The host as it stands in a URI."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def uri(self, user: str, port: int) -> str:
        """The URI of somebody at a port of this host."""
        return f"sip:{user}@{self.written}:{port}" + (";transport=tcp" if self.tcp else "")

    def wait_for_listener(self, port: int) -> None:
        """Return once somebody takes connections there; datagrams are sent again anyway."""

        def connects() -> bool:
            try:
                socket.create_connection((self.host, port), 1.0).close()
            except OSError:
                return False
            return True

        if self.tcp:
            wait_until(connects, what=f"a listener at {self.name} {port}")


WAYS = tuple(Way(host, tcp) for host in ((LOOPBACK, SIX) if has_ipv6() else (LOOPBACK,)) for tcp in (False, True))
"""Those that this host has."""

by_each_way = pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
"""For a test that takes the ways one at a time; `Bench.each_way` takes them all at once, which costs less."""
