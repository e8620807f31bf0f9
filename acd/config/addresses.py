"""Addresses, listeners, networks and ports, as a configuration file writes them; in the second form of `values`."""

import ipaddress
import re
from typing import Literal, Self, get_args

from msgspec import Struct

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise ValueError(text)
    return int(text)


def _host(text: str) -> str:
    """Return an IPv4 or IPv6 address without brackets; `localhost` is 127.0.0.1."""
    if text == "localhost":
        return "127.0.0.1"
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    return str(ipaddress.ip_address(bare))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class Address(Struct, frozen=True):
    """An IP address to bind. `host` carries no brackets."""

    host: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `127.0.0.1` or `::1`."""
        try:
            return cls(_host(text))
        except ValueError:
            raise ValueError('an IP address, like "127.0.0.1"') from None

    @property
    def version(self) -> int:
        """The version of IP, 4 or 6."""
        return ipaddress.ip_address(self.host).version

    @property
    def is_unspecified(self) -> bool:
        """Say whether it stands for every address of the host (0.0.0.0, ::)."""
        return ipaddress.ip_address(self.host).is_unspecified

    def __str__(self) -> str:
        return self.host


class HostPort(Struct, frozen=True):
    """An IP address and a port to bind; port 0 lets the system choose one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `127.0.0.1:8080` or `[::1]:8080`."""
        host, _, port = text.rpartition(":")
        try:
            return cls(_host(host), _port(port))
        except ValueError:
            raise ValueError('an IP address and a port, like "127.0.0.1:8080"') from None

    @property
    def is_loopback(self) -> bool:
        """Say whether only programs of this host can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"


class Nameserver(Struct, frozen=True):
    """A nameserver: an IP address without brackets and a port, 53 where none is written."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53` or `[2001:db8::53]:5353`."""
        has_port = "]:" in text or text.count(":") == 1
        host, _, port = text.rpartition(":") if has_port else (text, "", "53")
        try:
            read = cls(_host(host), _port(port))
        except ValueError:
            read = None
        if read is None or not read.port:
            raise ValueError('an IP address, with a port if it is not 53, like "192.0.2.53:5353"')
        return read

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"


Transport = Literal["udp", "tcp", "tls", "ws", "wss"]


class Listener(Struct, frozen=True):
    """Where SIP is served: a transport, an IP address without brackets, a port (0 lets the system choose)."""

    transport: Transport
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `udp:127.0.0.1:5060` or `tls:[::1]:5061`."""
        transport, _, rest = text.partition(":")
        host, _, port = rest.rpartition(":")
        try:
            for known in get_args(Transport):
                if transport == known:
                    return cls(known, _host(host), _port(port))
        except ValueError:
            pass
        raise ValueError(
            "a transport, an IP address and a port, like "
            '"udp:127.0.0.1:5060" or "tls:127.0.0.1:5061" (also tcp, ws and wss)'
        )

    @property
    def is_for_browsers(self) -> bool:
        """Say whether only peers open connections here: nobody can be called by opening one."""
        return self.transport in {"ws", "wss"}

    @property
    def needs_certificate(self) -> bool:
        """Say whether TLS is spoken."""
        return self.transport in {"tls", "wss"}

    @property
    def is_unspecified(self) -> bool:
        """Say whether it stands for every address of the host (0.0.0.0, ::)."""
        return ipaddress.ip_address(self.host).is_unspecified

    @property
    def version(self) -> int:
        """Return the version of IP, 4 or 6."""
        return ipaddress.ip_address(self.host).version

    def __str__(self) -> str:
        return f"{self.transport}:{_bracketed(self.host)}:{self.port}"


class Advertised(Struct, frozen=True):
    """The host that peers shall send to, where it differs from the one bound; `port` None: the port bound."""

    host: str
    port: int | None = None

    @property
    def version(self) -> int | None:
        """Return the version of IP, 4 or 6, None for a name, which may have addresses of both."""
        try:
            return ipaddress.ip_address(self.host).version
        except ValueError:
            return None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `sip.ims.example`, `192.0.2.1:5060` or `[2001:db8::1]:5060`."""
        for host, port in ((text, ""), text.rpartition(":")[::2]):
            try:
                return cls(_host(host), _port(port) if port else None)
            except ValueError:
                if _HOST_NAME.fullmatch(host) and (not port or (port.isdecimal() and int(port) < 65536)):
                    return cls(host, int(port) if port else None)
        raise ValueError('a host, or a host and a port, like "192.0.2.1" or "sip.ims.example:5060"')

    def __str__(self) -> str:
        return _bracketed(self.host) if self.port is None else f"{_bracketed(self.host)}:{self.port}"


class Network(Struct, frozen=True):
    """A set of IP addresses, as `192.0.2.0/24`; a single address is a network of one."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `192.0.2.0/24` or `192.0.2.1`."""
        try:
            return cls(ipaddress.ip_network(text))
        except ValueError:
            raise ValueError('an IP address or network, like "192.0.2.1" or "192.0.2.0/24"') from None

    def __contains__(self, host: object) -> bool:
        try:
            return ipaddress.ip_address(str(host)) in self.network
        except ValueError:
            return False

    def __str__(self) -> str:
        return str(self.network)


class PortRange(Struct, frozen=True):
    """UDP ports for RTP and RTCP, both ends included; a leg takes an even port and the odd one after it."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `20000-29999`."""
        first, _, last = text.partition("-")
        try:
            ports = cls(_port(first.strip()), _port(last.strip()))
        except ValueError:
            ports = cls(0, 0)
        if not 1024 <= ports.first <= ports.last:
            raise ValueError('two ports from 1024 to 65535, the lower one first, like "20000-29999"')
        return ports

    @property
    def legs(self) -> int:
        """How many legs find a pair of ports here."""
        return (self.last + 1 - (self.first + self.first % 2)) // 2

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"
