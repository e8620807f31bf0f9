"""What the sockets of the asyncio shell have in common (RFC 3261 section 18)."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, Protocol

from ims_core.errors import SipError
from ims_core.flow import Flow


class TransportLimits(NamedTuple):
    """What peers may take: see the keys of the same names in the shipped configuration.

    ``handshake_seconds`` bounds TLS and WebSocket handshakes together. Of those connections that peers opened and the
    node does not know, a source has at most ``connections_per_source``, and none stays longer than ``stranger_seconds``
    (0: no such limit). Connections that we opened are kept alive with
    a ping before every ``keepalive_seconds`` are over (0: never), which is to be answered within ``pong_seconds``.
    """

    receive_buffer: int = 4 * 1024 * 1024
    max_message: int = 65_535
    connections: int = 2000
    connections_per_source: int = 500
    stranger_seconds: float = 120.0
    stall_seconds: float = 30.0
    connect_seconds: float = 5.0
    handshake_seconds: float = 10.0
    unsent_bytes: int = 1024 * 1024
    keepalive_seconds: float = 120.0
    pong_seconds: float = 10.0


class Owner(Protocol):
    """What a socket needs of the stack that it belongs to. ``dropped`` counts what was discarded by reason."""

    limits: TransportLimits
    dropped: Counter[str]

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take one whole message; never raises. ``flush`` must follow, after the last message of several."""

    def refuse(self, head: bytes, error: SipError, flow: Flow) -> None:
        """Tell the sender of a message, of which ``head`` is the header, why it is not taken. ``flush`` must follow."""

    def flush(self) -> None:
        """Send what there is to send."""
