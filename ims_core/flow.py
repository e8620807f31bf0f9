"""Where a message came from and where its answer goes (RFC 5626 section 3.1: a flow)."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

Address = tuple[str, int]

TRANSPORTS = ("UDP", "TCP", "TLS", "WS", "WSS")
SECURE = frozenset(("TLS", "WSS"))
WEBSOCKETS = frozenset(("WS", "WSS"))


class Flow(NamedTuple):
    """One pairing of a local and a remote transport address.

    ``transport`` is as in a Via: UDP, TCP, TLS, WS or WSS. ``connection`` numbers a stream connection; it is 0 for UDP
    and for a stream that is still to be opened. A flow with a number goes by that connection or fails. ``server_name``
    is the host that a TLS peer must prove to be (RFC 5922); empty, it must prove its address.
    """

    transport: str
    local: Address
    remote: Address
    connection: int = 0
    server_name: str = ""

    @property
    def reliable(self) -> bool:
        """Whether the transport retransmits by itself (everything but UDP)."""
        return self.transport != "UDP"

    @property
    def secure(self) -> bool:
        """Whether TLS protects this hop, as a ``sips:`` request demands of each (RFC 3261 section 26.2.2)."""
        return self.transport in SECURE

    @property
    def of_browser(self) -> bool:
        """Whether it is a WebSocket: only the client opens such a connection, nothing listens there (RFC 7118)."""
        return self.transport in WEBSOCKETS

    def __str__(self) -> str:
        return f"{self.transport.lower()}:{format_address(self.remote)}"


def format_address(address: Address) -> str:
    """Return ``host:port``, an IPv6 host in brackets (RFC 3261 section 25.1 ``hostport``)."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@lru_cache(10_000)
def source_of(host: str) -> str:
    """What peers are limited by: the host itself, or the first address of its /64, which is what one customer has."""
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))


def transport_parameter(transport: str, scheme: str = "sip") -> str:
    """Return what says in a URI of ours by which transport we are reached, with its semicolon; empty for the default.

    For Contact, Record-Route and Path. ``sips`` means TLS by itself. In a ``sip:`` URI TLS is ``transport=tls``: RFC
    3261 section 26.2.2 deprecates it, but for a hop that is secure by chance and not by demand there is no other word,
    and it is what phones write. Both kinds of WebSocket are ``ws`` (RFC 7118 section 5.2.4).
    """
    return "" if scheme == "sips" and transport == "TLS" else _PARAMETERS[transport]


_PARAMETERS = {
    "UDP": "",
    "TCP": ";transport=tcp",
    "TLS": ";transport=tls",
    "WS": ";transport=ws",
    "WSS": ";transport=ws",
}
