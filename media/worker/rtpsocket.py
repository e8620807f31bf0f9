"""The socket of one RTP session: bound to our port, and after the first valid packet connected to the peer."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

from media.worker.poller import Poller

LARGEST_PACKET: Final = 2048
RECEIVE_BUFFER: Final = 512 * 1024
_EXPEDITED_FORWARDING: Final = 46 << 2
_LATCH_BACKLOG: Final = 1024

# Shared by all sessions: a worker has one thread and finishes with a packet before it reads the next.
packet: Final = bytearray(LARGEST_PACKET)
view: Final = memoryview(packet)


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a non-blocking UDP socket for RTP. Raises OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _EXPEDITED_FORWARDING)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _EXPEDITED_FORWARDING)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


class RtpSocket:
    """Symmetric RTP (RFC 4961): the peer is where its first valid packet comes from.

    Until then we send to the address of its SDP. From then on the socket is connected, so that the kernel filters
    everybody else, and `on_readable` is called for each packet, which it reads with `receive_into`. Before that,
    packets are read here into `packet` and those that `is_valid(size)` accepts are handed to `take(size)`.
    An address that `is_own(host, port)` is nobody's: two legs that sent to each other would never cease.
    """

    __slots__ = (
        "_host",
        "_is_own",
        "_is_valid",
        "_on_readable",
        "_poller",
        "_socket",
        "_take",
        "foreign",
        "invalid",
        "latched",
        "port",
        "receive_into",
        "remote",
        "send",
    )

    def __init__(
        self,
        sock: socket.socket,
        poller: Poller,
        *,
        on_readable: Callable[[], None],
        is_valid: Callable[[int], bool],
        take: Callable[[int], None],
        is_own: Callable[[str, int], bool],
    ) -> None:
        self._host: str
        self.port: int
        self._host, self.port = sock.getsockname()[:2]
        self._poller = poller
        self._on_readable = on_readable
        self._is_valid = is_valid
        self._take = take
        self._is_own = is_own
        self.remote: tuple[str, int] | None = None
        self.foreign = 0
        self.invalid = 0
        self.send: Callable[[bytearray | memoryview], int]
        self._listen(sock)

    def drop_stale(self) -> None:
        """Pass over what came before this session was there, up to the first packet from the declared peer."""
        for _ in range(_LATCH_BACKLOG):
            try:
                size, address = self._socket.recvfrom_into(packet)
            except OSError:
                return
            if address[:2] == self.remote and self._is_valid(size):
                self._latch(size, address)
                return

    @property
    def reachable(self) -> bool:
        """Tell whether we know where to send."""
        return self.latched or self.remote is not None

    def declare(self, host: str, port: int) -> None:
        """Take the peer's address from its SDP; a peer that moved is latched anew. Raises OSError."""
        if self._is_own(host, port):
            self.foreign += 1
            return
        remote = (host, port)
        moved = self.remote is not None and self.remote != remote
        self.remote = remote
        if moved and self.latched:
            # A connected socket hears only the old peer.
            self.close()
            self._listen(bind_socket(self._host, self.port))

    def close(self) -> None:
        """Free the port."""
        if self._socket.fileno() >= 0:
            self._poller.forget(self._socket.fileno())
            self._socket.close()

    def _listen(self, sock: socket.socket) -> None:
        self._socket = sock
        self.latched = False
        self.receive_into = sock.recv_into
        self.send = self._send_to_remote
        self._poller.watch(sock.fileno(), self._readable_unlatched)

    def _send_to_remote(self, data: bytearray | memoryview) -> int:
        return self._socket.sendto(data, self.remote) if self.remote else 0

    def _readable_unlatched(self) -> None:
        try:
            size, address = self._socket.recvfrom_into(packet)
        except OSError:
            return
        if not self._is_valid(size):
            self.invalid += 1
            return
        if self._is_own(*address[:2]):
            self.foreign += 1
            return
        self._latch(size, address)

    def _latch(self, size: int, address: Any) -> None:
        """Connect to whom the packet in the shared buffer came from, and take it."""
        try:
            self._socket.connect(address)
        except OSError:
            self.foreign += 1
            return
        self.latched = True
        self.send = self._socket.send
        self._poller.watch(self._socket.fileno(), self._on_readable)
        self._take(size)
        self._drop_foreign_backlog(address)

    def _drop_foreign_backlog(self, address: Any) -> None:
        """Read what came before connecting: the kernel filters only what comes after."""
        for _ in range(_LATCH_BACKLOG):
            try:
                size, source = self._socket.recvfrom_into(packet)
            except OSError:
                return
            if source == address:
                self._take(size)
            else:
                self.foreign += 1
