"""One leg's RTP session inside a worker: a socket, what is received on it, and what is sent to its peer."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final

from media.api import Digit, LegReport, Lost, MediaEvent, PlayFinished, RtpTimeout
from media.codecs.g711 import TRANSCODE
from media.playing.prompts import FRAME_SAMPLES, Playlist
from media.rtp.account import Account
from media.rtp.events import DigitReceiver
from media.rtp.packet import CLOCK_RATE, HEADER, HEADER_SIZE, MARKER, PLAIN, Reception, Sender, payload_range
from media.rtp.stream import EVENTS, Stream
from media.rtp.tap import Tap
from media.worker.poller import Poller
from media.worker.rtpsocket import LARGEST_PACKET, RtpSocket, packet, view
from media.worker.ticker import Ticker

_NOT_RELAYED: Final = [-1] * 256
TOTALS: Final = (
    "packets_received",
    "packets_sent",
    "octets_received",
    "octets_sent",
    "packets_lost",
    "packets_invalid",
    "packets_foreign",
    "packets_unsent",
    "digits",
)
"""The names of what `Session.totals` returns, as in `MediaCounters`."""

_frame = bytearray(HEADER_SIZE + FRAME_SAMPLES)
_unpack_header = HEADER.unpack_from
_pack_header = HEADER.pack_into
_monotonic = time.monotonic


class Session:
    """Receives from one peer, and sends to it what a playlist, another session or the peer itself (echo) feeds.

    Relaying is looked up in `routes` by the second header octet: 0..255 is the octet to send in its place with the
    payload as it is, -1 means that the packet needs a closer look (events, transcoding, taps, nobody to relay to).
    Whatever changes who hears whom must call `_update_routes`.
    """

    __slots__ = (
        "_account",
        "_digits",
        "_heard_at",
        "_listener",
        "_playlist",
        "_socket",
        "_taps",
        "_ticker",
        "_told_at",
        "closed",
        "digits",
        "invalid",
        "octets_received",
        "peer",
        "reception",
        "routes",
        "sender",
        "stream",
        "unsent",
    )

    def __init__(
        self,
        sock: socket.socket,
        stream: Stream,
        sender: Sender,
        *,
        poller: Poller,
        ticker: Ticker,
        listener: Callable[[MediaEvent], None],
        is_own: Callable[[str, int], bool],
    ) -> None:
        self.stream = stream
        self.sender = sender
        self.reception = Reception()
        self.peer: Session | None = None
        self.routes = _NOT_RELAYED
        self.octets_received = self.digits = self.invalid = self.unsent = 0
        self.closed = False
        self._account = Account()
        self._ticker = ticker
        self._listener = listener
        self._digits = DigitReceiver()
        self._playlist: Playlist | None = None
        self._taps: tuple[Tap, ...] = ()
        self._told_at = -1.0
        self._socket = RtpSocket(
            sock, poller, on_readable=self._readable, is_valid=self._is_valid, take=self._take_first, is_own=is_own
        )
        self.configure(stream)
        self._socket.drop_stale()

    def configure(self, stream: Stream) -> None:
        """Take what the latest SDP agreed. A peer that moved is latched anew."""
        if self.closed:
            return
        self.stream = stream
        self._heard_at = _monotonic()
        if stream.host is not None:
            try:
                self._socket.declare(stream.host, stream.port)
            except OSError as error:
                self.close()
                self._listener(Lost(f"RTP port {self.port} could not be bound again: {error.strerror}"))
                return
        # What is left out while nobody listens must not look like loss afterwards.
        if not stream.sends:
            self.sender.source = None
        if not stream.receives and self.peer is not None:
            self.peer.sender.source = None
        self._update_routes()

    def play(self, playlist: Playlist) -> None:
        """Send the playlist in place of everything else."""
        if self.closed:
            return
        self.stop()
        self._playlist = playlist
        self._update_routes()
        self._ticker.add(self)

    def stop(self) -> None:
        """End what plays, as an interruption."""
        if self._playlist is not None:
            self._finish_playing(interrupted=True)

    def add_tap(self, tap: Tap) -> None:
        """Hand what is received to the tap as well."""
        self._taps = (*self._taps, tap)
        self._update_routes()

    def remove_tap(self, tap: Tap) -> None:
        """Hand nothing more to the tap, if it is one."""
        self._taps = tuple(other for other in self._taps if other is not tap)
        self._update_routes()

    def bridge(self, other: Session) -> None:
        """Relay both ways."""
        for session in (self, other):
            session.unbridge()
            session.stop()
        self.peer, other.peer = other, self
        self._update_routes()

    def echo(self) -> None:
        """Send the peer's own audio back to it."""
        self.unbridge()
        self.stop()
        self.peer = self
        self._update_routes()

    def unbridge(self) -> None:
        """End the bridge at both ends."""
        peer = self.peer
        if peer is not None:
            self.part()
            peer.part()

    def part(self) -> None:
        """Cease to be an end of a bridge (`unbridge` does it at both)."""
        self.peer = None
        self.routes = _NOT_RELAYED

    def close(self) -> None:
        """Free the port."""
        if self.closed:
            return
        self.unbridge()
        self.closed = True
        self._playlist = None
        self._ticker.discard(self)
        self._socket.close()

    @property
    def port(self) -> int:
        """The port that the peer sends to."""
        return self._socket.port

    @property
    def playing(self) -> bool:
        """Tell whether a playlist is running."""
        return self._playlist is not None

    def check_timeout(self, limit: float) -> bool:
        """Tell once when nothing was received for `limit` seconds, unless the peer holds the call."""
        if self.stream.held or not self.stream.port or self._told_at >= self._heard_at:
            return False
        now = _monotonic()
        if now - self._heard_at <= limit:
            return False
        self._told_at = now
        self._listener(RtpTimeout())
        return True

    def totals(self) -> tuple[int, ...]:
        """Return the counts in the order of TOTALS."""
        return (
            self.reception.received,
            self.sender.packets,
            self.octets_received,
            self.sender.octets,
            self.reception.lost,
            self.invalid + self._socket.invalid,
            self._socket.foreign,
            self.unsent,
            self.digits,
        )

    def report(self, recording: str | None = None) -> LegReport:
        """Tell how the leg fared since it was measured last, or opened."""
        return self._account.report(self.stream.codec, self.reception, self.sender, recording)

    def measure(self) -> LegReport:
        """Return the report up to now, and begin a new one."""
        report = self.report()
        self._account.settle(self.reception, self.sender)
        return report

    def tick(self) -> None:
        """Send the next frame of the playlist."""
        playlist = self._playlist
        if playlist is None:
            return
        stream = self.stream
        frame = playlist.next_frame(stream.codec)
        if frame is None:
            self._finish_playing(interrupted=False)
            return
        sender = self.sender
        if not self._can_send():
            sender.source = None
            return
        marker = sender.advance(playlist, _monotonic(), FRAME_SAMPLES)
        _pack_header(_frame, 0, PLAIN, stream.send.payload | marker, sender.sequence, sender.timestamp, sender.ssrc)
        _frame[HEADER_SIZE:] = frame
        self._transmit(_frame)

    @property
    def listens(self) -> bool:
        """Tell whether what is relayed to this session can be heard: its peer is known, listens, hears no prompt."""
        return self._playlist is None and self._can_send()

    def _can_send(self) -> bool:
        return self.stream.sends and self._socket.reachable

    def _transmit(self, data: bytearray) -> None:
        try:
            self._socket.send(data)
        except OSError:
            self.unsent += 1
        else:
            self.sender.packets += 1
            self.sender.octets += len(data)

    def relay(  # noqa: PLR0917 - keywords would cost as much as the arithmetic
        self, source: object, second: int, sequence: int, timestamp: int, size: int, now: float
    ) -> None:
        """Send the packet in the shared buffer on to the peer, as part of the stream that it hears."""
        sender = self.sender
        if sender.source is not source:
            sender.join(source, sequence, timestamp, now)
            second |= MARKER
        sequence = (sequence + sender.sequence_shift) & 0xFFFF
        timestamp = (timestamp + sender.timestamp_shift) & 0xFFFFFFFF
        _pack_header(packet, 0, PLAIN, second, sequence, timestamp, sender.ssrc)
        if (sequence - sender.sequence) & 0xFFFF < 0x8000:
            sender.sequence = sequence
            sender.timestamp = timestamp
        sender.sent_at = now
        try:
            self._socket.send(view[:size])
        except OSError:
            self.unsent += 1
        else:
            sender.packets += 1
            sender.octets += size

    def _finish_playing(self, *, interrupted: bool) -> None:
        playlist, self._playlist = self._playlist, None
        self._ticker.discard(self)
        self._update_routes()
        if playlist is not None:
            self._listener(PlayFinished(playlist.token, playlist.heard_ms, interrupted))

    def _update_routes(self) -> None:
        self.routes = self.find_routes()
        if self.peer is not None:
            self.peer.routes = self.peer.find_routes()

    def find_routes(self) -> list[int]:
        """Tell which packets can be relayed to the peer as they are."""
        peer = self.peer
        if peer is None or self._taps or not self._reaches(peer):
            return _NOT_RELAYED
        routes = _NOT_RELAYED.copy()
        send = peer.stream.send
        for payload, received in self.stream.receive.items():
            if received.name == send.name:
                routes[payload] = send.payload
                routes[payload | MARKER] = send.payload | MARKER
        return routes

    def _reaches(self, peer: Session) -> bool:
        return self.stream.receives and peer.listens

    def _readable(self) -> None:
        """Read one packet from the latched peer: the path of every relayed packet."""
        try:
            size = self._socket.receive_into(packet)
        except OSError:
            return
        first, second, sequence, timestamp, ssrc = _unpack_header(packet)
        now = _monotonic()
        reception = self.reception
        route = self.routes[second]
        if route < 0 or ssrc != reception.ssrc or first != PLAIN or not HEADER_SIZE < size < LARGEST_PACKET:
            self._take(size, now)
            return
        reception.receive(sequence, timestamp, now * CLOCK_RATE)
        self.octets_received += size
        self._heard_at = now
        self.peer.relay(reception.source, route, sequence, timestamp, size, now)  # type: ignore[union-attr]

    def _is_valid(self, size: int) -> bool:
        span = payload_range(packet, size) if size < LARGEST_PACKET else None
        return span is not None and span[0] < span[1] and packet[1] & 0x7F in self.stream.receive

    def _take_first(self, size: int) -> None:
        """Handle a packet of the time of latching, when the peer becomes reachable."""
        self._update_routes()
        self._take(size, _monotonic())

    def _take(self, size: int, now: float) -> None:
        """Handle the packet in the shared buffer with all checks."""
        span = payload_range(packet, size) if size < LARGEST_PACKET else None
        _, second, sequence, timestamp, ssrc = _unpack_header(packet)
        received = self.stream.receive.get(second & 0x7F)
        if span is None or received is None:
            self.invalid += 1
            return
        reception = self.reception
        if ssrc != reception.ssrc:
            reception.start(ssrc, sequence)
            self._digits.reset()
        self.octets_received += size
        self._heard_at = now
        payload = bytes(view[span[0] : span[1]])
        marker = second & MARKER
        name = received.name
        if name == EVENTS:
            reception.receive_event(sequence)
        else:
            reception.receive(sequence, timestamp, now * CLOCK_RATE)
        for tap in self._taps:
            tap.take(received, reception.source, sequence, timestamp, payload, now)
        if name == EVENTS:
            self._relay_event(payload, marker, sequence, timestamp, now)
            self._receive_event(payload, marker, timestamp)
            return
        peer = self.peer
        if peer is not None and self._reaches(peer):
            if name != peer.stream.codec:
                payload = payload.translate(TRANSCODE[name, peer.stream.codec])
            self._relay_payload(payload, peer.stream.send.payload | marker, sequence, timestamp, now)

    def _relay_event(self, payload: bytes, marker: int, sequence: int, timestamp: int, now: float) -> None:
        peer = self.peer
        if peer is None or not self._reaches(peer):
            return
        if peer is self or peer.stream.send_events is None:
            # Left out on purpose: the receiver must not count it as lost.
            if peer.sender.source is self.reception.source:
                peer.sender.sequence_shift -= 1
            return
        self._relay_payload(payload, peer.stream.send_events.payload | marker, sequence, timestamp, now)

    def _relay_payload(self, payload: bytes, second: int, sequence: int, timestamp: int, now: float) -> None:
        if self.peer is not None:
            size = HEADER_SIZE + len(payload)
            packet[HEADER_SIZE:size] = payload
            self.peer.relay(self.reception.source, second, sequence, timestamp, size, now)

    def _receive_event(self, payload: bytes, marker: int, timestamp: int) -> None:
        digit = self._digits.receive(payload, timestamp, marker=bool(marker))
        if digit is None:
            return
        self.digits += 1
        self._listener(Digit(digit))
        if self._playlist is not None and self._playlist.interruptible:
            self._finish_playing(interrupted=True)
