"""The RTCP of one session, on the port above that of RTP or, where that was agreed, on the same (RFC 5761)."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Final

from media.rtp.reporting import Reporter
from media.rtp.stream import Stream
from media.rtp.xr import MalformedRtcp, VoipMetrics
from media.secure.guard import Guard
from media.secure.surroundings import Shared
from media.worker.poller import Poller
from media.worker.rtpsocket import GUARDED_TOTALS, RtpSocket
from media.worker.wire import LARGEST_PACKET

_READ_AT_ONCE: Final = 16
_monotonic = time.monotonic


class Rtcp:
    """Sends reports when they are due, unless the peer wants none, and takes the peer's.

    Reports on a port of their own are taken from the peer's host only, and answered where they come from: the ports of
    a NAT are not those of the SDP. `received`, `sent`, `invalid` and `foreign` count datagrams.

    Where RTP is secured, or speaks ICE, such a port has a guard as well: it is the second component of ICE, with a DTLS
    handshake of its own (RFC 5764 4).
    """

    __slots__ = (
        "_guard",
        "_is_own",
        "_learned",
        "_metrics",
        "_poller",
        "_rtp",
        "_socket",
        "_stream",
        "foreign",
        "invalid",
        "received",
        "reporter",
        "sent",
    )

    def __init__(
        self,
        sock: socket.socket,
        reporter: Reporter,
        *,
        poller: Poller,
        is_own: Callable[[str, int], bool],
    ) -> None:
        self.reporter = reporter
        self.received = self.sent = self.invalid = self.foreign = 0
        self._socket = sock
        self._poller = poller
        self._is_own = is_own
        self._guard: Guard | None = None
        self._learned: tuple[str, int] | None = None

    def begin(self, rtp: RtpSocket, stream: Stream, metrics: Callable[[], VoipMetrics | None]) -> None:
        """Report from now on; `metrics` tells how what is received is heard."""
        self._rtp = rtp
        self._stream = stream
        self._metrics = metrics
        self._poller.watch(self._socket.fileno(), self._readable)

    def configure(self, stream: Stream) -> None:
        """Take what the latest SDP agreed."""
        if stream.rtcp != self._stream.rtcp:
            self._learned = None
        self._stream = stream
        if stream.mux or (stream.security is None and stream.ice is None):
            if self._guard is not None:
                self._guard.close()
                self._guard = None
            return
        if self._guard is None:
            self._guard = Guard(self, (0,) * len(GUARDED_TOTALS))
        self._guard.configure(stream.security, stream.ice, stream.rtcp)

    def close(self) -> None:
        """Say goodbye, if the peer knows of us, and free the port (RFC 3550 6.3.7)."""
        if self.sent or self.reporter.has_sent:
            self._send(self.reporter.end(_monotonic()))
        if self._guard is not None:
            self._guard.close()
        self._poller.forget(self._socket.fileno())
        self._socket.close()

    def let_go(self) -> None:
        """Forget, once closed and asked for the last time, what knows this in its turn."""
        self._guard = None

    @property
    def refused(self) -> int:
        """Datagrams that were not what could come here, or from who is not the peer."""
        guard = self._guard
        guarded = guard.foreign + guard.invalid + sum(guard.totals()) if guard is not None else 0
        return self.invalid + self.foreign + guarded

    @property
    def shared(self) -> Shared:
        """What the guard needs of the worker."""
        return self._rtp.shared

    def send_raw(self, data: bytes, address: tuple[str, int]) -> None:
        """Send a datagram of the guard's."""
        with contextlib.suppress(OSError):
            self._socket.sendto(data, address)

    def changed(self) -> None:
        """The guard has found the peer; the next report goes there."""

    def failed(self, reason: str) -> None:
        """The guard has found somebody else: there are no reports, and what that means for the leg RTP's guard says."""

    def complain(self, reason: str) -> None:
        """Pass on what the guard has for the log."""
        self._rtp.complain(reason)

    def look(self, now: float) -> None:
        """Report if it is time; to be called about once a second. A timer of its own would cost each leg more."""
        if now >= self.reporter.deadline and self.reporter.handle_timer(now):
            self._send(self.reporter.compose(now, self._metrics()))

    def take(self, data: bytes) -> None:
        """Take a datagram of the peer's."""
        try:
            self.reporter.receive(data, _monotonic())
        except MalformedRtcp:
            self.invalid += 1
        else:
            self.received += 1

    def avoid_collision(self, ssrc: int, sequence: int) -> None:
        """Take another SSRC if the peer's first packet bears ours (RFC 3550 8.2), unless it is our own come back."""
        reporter = self.reporter
        if ssrc == reporter.sender.ssrc and reporter.collides(sequence, now := _monotonic()):
            self._send(reporter.take_other_ssrc(now))

    def _readable(self) -> None:
        for _ in range(_READ_AT_ONCE):
            try:
                data, source = self._socket.recvfrom(LARGEST_PACKET)
            except OSError:
                return
            if self._guard is not None:
                plain = self._guard.receive(data, source[:2])
                if plain is not None:
                    self.take(plain)
                continue
            peer = self._rtp.peer
            if peer is None or source[0] != peer[0]:
                self.foreign += 1
                continue
            invalid = self.invalid
            self.take(data)
            if self.invalid == invalid:
                self._learned = source[:2]

    def _send(self, data: bytes) -> None:
        """Send, if it is known whereto; what cannot be sent is told in the next report."""
        if self._stream.rtcp is None:
            return
        try:
            if self._stream.mux:
                if not self._rtp.reachable:
                    return
                self._rtp.send(bytearray(data))
            else:
                guard = self._guard
                address = (guard.found if guard is not None else self._learned) or self._told()
                if address is None:
                    return
                self._socket.sendto(data if guard is None else guard.protect(data), address)
        except OSError:
            return
        self.sent += 1

    def _told(self) -> tuple[str, int] | None:
        """Return where RTCP goes by the SDP, or next to where RTP came from if that was elsewhere."""
        peer, told = self._rtp.peer, self._stream.rtcp
        if peer is not None and told is not None and told[0] != peer[0]:
            told = (peer[0], peer[1] + 1)
        return None if told is None or not self._stream.port or self._is_own(*told) else told
