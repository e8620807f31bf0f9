"""Where a message came from and where its answer goes (RFC 5626 section 3.1: a flow)."""

from __future__ import annotations

from typing import NamedTuple

Address = tuple[str, int]


class Flow(NamedTuple):
    """One pairing of a local and a remote transport address.

    ``connection`` numbers a stream connection; it is 0 for UDP and for a stream that is still to be opened.
    """

    transport: str
    local: Address
    remote: Address
    connection: int = 0

    @property
    def reliable(self) -> bool:
        """Whether the transport retransmits by itself (everything but UDP)."""
        return self.transport != "UDP"

    def __str__(self) -> str:
        return f"{self.transport.lower()}:{format_address(self.remote)}"


def format_address(address: Address) -> str:
    """Return ``host:port``, an IPv6 host in brackets (RFC 3261 section 25.1 ``hostport``)."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
