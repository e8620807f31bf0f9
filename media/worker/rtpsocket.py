"""The socket of one RTP session: bound to our port, and after the first valid packet connected to the peer."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from media.rtp.latching import Address, Latching, Probation
from media.rtp.rtcp import FIRST_TYPE, LAST_TYPE
from media.rtp.stream import Stream
from media.secure.guard import Guard
from media.secure.surroundings import Shared
from media.worker import wire
from media.worker.poller import Poller
from media.worker.wire import packet, view

RECEIVE_BUFFER: Final = 512 * 1024
_EXPEDITED_FORWARDING: Final = 46 << 2
_LATCH_BACKLOG: Final = 1024
GUARDED_TOTALS: Final = ("packets_unauthentic", "packets_replayed", "handshakes_failed", "checks_refused")
"""The names of what `RtpSocket.guarded_totals` returns, as in `MediaCounters`."""


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
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


class Owner(NamedTuple):
    """What an `RtpSocket` tells the session that it belongs to, and asks it.

    `readable` is called for each packet of the peer, which it reads with `receive`. What comes before the peer is
    known is read into `packet` first, and what of it `is_valid(size)` accepts is handed to `take(size)`. `changed` is
    called when the peer becomes reachable, `failed` when there will never be media, `complained` with what is for the
    log.
    """

    readable: Callable[[], None]
    is_valid: Callable[[int], bool]
    take: Callable[[int], None]
    changed: Callable[[], None]
    failed: Callable[[str], None]
    complained: Callable[[str], None]


def _ignore(*_: object) -> None:
    """Nobody is there to be told."""


def _deny(_: int) -> bool:
    return False


def _closed(_: bytearray | memoryview) -> int:
    raise OSError(errno.EBADF, "closed")


_NOBODY: Final = Owner(_ignore, _deny, _ignore, _ignore, _ignore, _ignore)


class RtpSocket:
    """Symmetric RTP (RFC 4961): the peer is where its first valid packets come from, as `Probation` judges.

    Until then we send to the address of its SDP. From then on the socket is connected, so that the kernel filters
    everybody else. An address that `is_own(host, port)` is nobody's: two legs that sent to each other would not cease.

    Where SDP agreed on SRTP or ICE a `Guard` stands in between: it says who the peer is, nothing is connected, and
    what is received and sent goes through it. Whoever reads and writes has to do with plain RTP all the same; RTCP
    comes and goes by the same port where it is multiplexed.
    """

    __slots__ = (
        "_before",
        "_descriptor",
        "_foreign",
        "_former",
        "_guard",
        "_host",
        "_invalid",
        "_is_own",
        "_latched_to",
        "_latching",
        "_owner",
        "_poller",
        "_probation",
        "_socket",
        "latched",
        "port",
        "remote",
        "send",
        "shared",
    )

    def __init__(
        self,
        sock: socket.socket,
        poller: Poller,
        owner: Owner,
        *,
        is_own: Callable[[str, int], bool],
        shared: Shared,
        latching: Latching,
    ) -> None:
        self._latching = latching
        self._probation = Probation(latching)
        self._latched_to: Address | None = None
        self._former: Address | None = None
        self._host: str
        self.port: int
        self._host, self.port = sock.getsockname()[:2]
        self._poller = poller
        self._owner = owner
        self._is_own = is_own
        self.shared = shared
        self.remote: tuple[str, int] | None = None
        self._foreign = self._invalid = 0
        self._guard: Guard | None = None
        self._before = (0,) * len(GUARDED_TOTALS)
        self._descriptor = -1  # while packets come and go as they are, and to the peer alone
        self.send: Callable[[bytearray | memoryview], int]
        self._listen(sock)

    def receive(self) -> int:
        """Read a packet of the peer into `packet`; returns the size of it as plain RTP, -1 when there is none."""
        if self._descriptor >= 0:
            return wire.receive(self._descriptor)
        try:
            return self._receive_guarded() if self._guard is not None else self._socket.recv_into(packet)
        except OSError:
            return -1

    def forward(self, size: int) -> bool:
        """Send the plain RTP in `packet`; False when the kernel does not take it."""
        if self._descriptor >= 0:
            return wire.send(self._descriptor, size)
        try:
            self.send(view[:size])
        except OSError:
            return False
        return True

    def drop_stale(self) -> None:
        """Pass over what came before this session was there, up to the first packet from the declared peer."""
        if self._guard is not None:
            return  # keys tell who it is from
        for _ in range(_LATCH_BACKLOG):
            try:
                size, address = self._socket.recvfrom_into(packet)
            except OSError:
                return
            if address[:2] == self.remote and self._owner.is_valid(size) and self._connect(address):
                self._take([bytes(view[:size])], address)
                return

    @property
    def reachable(self) -> bool:
        """Tell whether we know where to send, and under which keys."""
        if self._guard is not None:
            return self._guard.ready
        return self.latched or self.remote is not None

    @property
    def awaited(self) -> bool:
        """Tell whether the peer will be reachable any moment, when its handshake or its checks are over."""
        return self._guard is not None and self._guard.awaited

    @property
    def peer(self) -> tuple[str, int] | None:
        """Where RTP goes."""
        if self._guard is not None:
            return self._guard.remote
        return self._latched_to or self.remote

    @property
    def foreign(self) -> int:
        """Packets from who is not the peer."""
        return self._foreign + (self._guard.foreign if self._guard is not None else 0)

    @property
    def invalid(self) -> int:
        """Packets that are not what could come here."""
        return self._invalid + (self._guard.invalid if self._guard is not None else 0)

    @property
    def guard(self) -> Guard | None:
        """Who stands between this socket and its session, if anybody does."""
        return self._guard

    @property
    def protection(self) -> str | None:
        """How what we send is protected, None: not at all."""
        return self._guard.protection if self._guard is not None else None

    def guarded_totals(self) -> tuple[int, ...]:
        """Return the counts in the order of GUARDED_TOTALS."""
        return self._guard.totals() if self._guard is not None else self._before

    def configure(self, stream: Stream) -> None:
        """Take the peer's address and keys from what SDP agreed; a peer that moved is latched anew. Raises OSError."""
        declared = None
        if stream.host is not None:
            if self._is_own(stream.host, stream.port):
                self._foreign += 1
            else:
                declared = stream.host, stream.port
        if stream.security is not None or stream.ice is not None:
            self._secure(stream, declared)
            return
        if self._guard is not None:
            self._drop_guard()
        if declared is not None:
            self._declare(declared)

    def close(self) -> None:
        """Free the port."""
        if self._socket.fileno() != -1:
            if self._guard is not None:
                self._guard.close()
            self._poller.forget(self._socket.fileno())
            self._socket.close()
            self._descriptor = -1

    def let_go(self) -> None:
        """Forget, once closed and asked for the last time, what knows this socket in its turn."""
        self._guard = None
        self._owner = _NOBODY
        self.send = _closed

    def send_raw(self, data: bytes, address: tuple[str, int]) -> None:
        """Send a datagram as it is."""
        with contextlib.suppress(OSError):
            self._socket.sendto(data, address)

    def changed(self) -> None:
        """Pass on what the guard tells."""
        self._owner.changed()

    def failed(self, reason: str) -> None:
        """Pass on what the guard tells."""
        self._owner.failed(reason)

    def complain(self, reason: str) -> None:
        """Pass on what the guard tells."""
        self._owner.complained(reason)

    def seek_anew(self) -> None:
        """Listen to others, too: the peer may be where it was, or have moved without a word. Raises OSError."""
        if self._guard is not None:
            self._guard.seek_anew()
        elif self.latched:
            self._listen_anew()

    def _declare(self, remote: tuple[str, int]) -> None:
        moved = self.remote is not None and self.remote != remote
        self.remote = remote
        if not moved:
            self._probation.begin(remote, self._latched_to, former=self._former)
            return
        known, self._latched_to = self._latched_to, None
        self._former = known or self._former
        if self.latched:
            self._listen_anew()
        self._probation.begin(remote, former=self._former)
        if known is not None and self._latching.relatch == "never":
            self._connect(remote)

    def _secure(self, stream: Stream, declared: tuple[str, int] | None) -> None:
        if self._guard is None:
            self._guard = Guard(self, self._before)
            if self.latched:
                self._listen_anew()
            self._descriptor = -1
            self.send = self._send_guarded
            self._poller.watch(self._socket.fileno(), self._owner.readable)
        self._guard.configure(stream.security, stream.ice, declared)

    def _drop_guard(self) -> None:
        assert self._guard is not None
        self._guard.close()
        self._foreign, self._invalid = self.foreign, self.invalid
        self._before = self._guard.totals()
        self._guard = self.remote = self._latched_to = None
        self._listen(self._socket)

    def _listen(self, sock: socket.socket) -> None:
        self._socket = sock
        self.latched = False
        self._probation.begin(self.remote, self._latched_to)
        self._descriptor = -1
        self.send = self._send_to_remote
        self._poller.watch(sock.fileno(), self._readable_unlatched)

    def _listen_anew(self) -> None:
        """Take the port again: a connected socket hears only its old peer."""
        self._poller.forget(self._socket.fileno())
        self._socket.close()
        self._listen(bind_socket(self._host, self.port))

    def _send_to_remote(self, data: bytearray | memoryview) -> int:
        remote = self._latched_to or self.remote
        return self._socket.sendto(data, remote) if remote else 0

    def _receive_guarded(self) -> int:
        size, address = self._socket.recvfrom_into(packet)
        guard = self._guard
        plain = guard.receive(bytes(view[:size]), address[:2]) if guard is not None else None
        if plain is None:
            return -1
        packet[: len(plain)] = plain
        return len(plain)

    def _send_guarded(self, data: bytearray | memoryview) -> int:
        guard = self._guard
        if guard is None or guard.remote is None:
            return 0
        return self._socket.sendto(guard.protect(bytes(data)), guard.remote)

    def _readable_unlatched(self) -> None:
        try:
            size, address = self._socket.recvfrom_into(packet)
        except OSError:
            return
        if not self._owner.is_valid(size):
            if address[:2] == self.remote and FIRST_TYPE <= packet[1] <= LAST_TYPE:
                self._owner.take(size)  # RTCP on this port comes from who only listens as well
            else:
                self._invalid += 1
            return
        if self._is_own(*address[:2]):
            self._foreign += 1
            return
        heard = self._probation.judge(bytes(view[:size]), address[:2])
        if heard and self._connect(address):
            self._take(heard, address)
        else:
            self._foreign += 1

    def _connect(self, address: Any) -> bool:
        """Hear and send to nobody else."""
        try:
            self._socket.connect(address)
        except OSError:
            return False
        was_reachable = self.reachable
        self.latched = True
        self._latched_to = address[:2]
        self._former = None
        self._descriptor = self._socket.fileno()
        self.send = self._socket.send
        self._poller.watch(self._socket.fileno(), self._owner.readable)
        if not was_reachable:
            self._owner.changed()
        return True

    def _take(self, heard: list[bytes], address: Any) -> None:
        """Have the packets of the peer heard that came before it was known."""
        self._foreign -= len(heard) - 1
        for data in heard:
            packet[: len(data)] = data
            self._owner.take(len(data))
        self._drop_foreign_backlog(address)

    def _drop_foreign_backlog(self, address: Any) -> None:
        """Read what came before connecting: the kernel filters only what comes after."""
        for _ in range(_LATCH_BACKLOG):
            try:
                size, source = self._socket.recvfrom_into(packet)
            except OSError:
                return
            if source == address:
                self._owner.take(size)
            else:
                self._foreign += 1
