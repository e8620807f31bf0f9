"""One leg's RTP session inside a worker: a socket, and what is received on it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final

from media.api import Lost, MediaEvent, RtpTimeout
from media.codecs import same_bitstream, sample_rate_of
from media.codecs.names import CN, EVENTS
from media.playing.prompts import Playlist
from media.rtp.latching import Latching
from media.rtp.packet import HEADER, HEADER_SIZE, MARKER, PLAIN, payload_range
from media.rtp.rtcp import FIRST_TYPE, LAST_TYPE
from media.rtp.stream import Format, Stream
from media.rtp.tap import Tap
from media.rtp.troubles import Thresholds
from media.secure.surroundings import Shared
from media.worker.decoding import Decoding
from media.worker.health import Health
from media.worker.inband import Ear, Inband
from media.worker.keys import Keys
from media.worker.outgoing import Outgoing
from media.worker.player import Player
from media.worker.poller import Poller
from media.worker.room import Room
from media.worker.rtcp import Rtcp
from media.worker.rtpsocket import GUARDED_TOTALS, LARGEST_PACKET, Owner, RtpSocket, packet, view
from media.worker.speech import Speech
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
    "digits_inband",
    "digits_info",
    "digits_sent",
    "rtcp_received",
    "rtcp_sent",
    "rtcp_refused",
    *GUARDED_TOTALS,
)
"""The names of what `Session.totals` returns, as in `MediaCounters`."""

_unpack_header = HEADER.unpack_from
_monotonic = time.monotonic


class Session:
    """Receives from one peer, and hands what it says to whom its room says; `outgoing` is what the peer hears.

    Relaying is looked up in `_routes` by the second header octet: 0..255 is the octet to send in its place with the
    payload as it is, -1 means that the packet needs a closer look (events, transcoding, nobody to relay to, or
    several). Whatever changes who hears whom must call `_plan`.
    """

    __slots__ = (
        "_clock_rate",
        "_ear",
        "_hearers",
        "_inband",
        "_listener",
        "_overhear_at",
        "_relay",
        "_relays",
        "_routes",
        "_rtcp",
        "_sample_at",
        "_socket",
        "_taps",
        "_told_at",
        "closed",
        "decoding",
        "gain",
        "health",
        "heard_at",
        "invalid",
        "keys",
        "octets_received",
        "outgoing",
        "player",
        "reception",
        "rested_at",
        "room",
        "speech",
        "spoken",
        "stream",
        "wrong",
        "wrong_payload",
    )

    def __init__(
        self,
        sock: socket.socket,
        stream: Stream,
        rtcp: Rtcp,
        *,
        poller: Poller,
        ticker: Ticker,
        listener: Callable[[MediaEvent], None],
        complained: Callable[[str], None],
        is_own: Callable[[str, int], bool],
        shared: Shared,
        latching: Latching,
        thresholds: Thresholds,
        inband: Inband | None = None,
    ) -> None:
        self.reception = rtcp.reporter.reception
        self.room: Room | None = None
        self.decoding: Decoding | None = None
        self.gain = 1.0
        self.octets_received = self.invalid = 0
        self.wrong, self.wrong_payload = 0, -1
        self.closed = False
        self.rested_at = -1.0
        self.health = Health(self, rtcp.reporter, thresholds)
        self._rtcp = rtcp
        self._listener = listener
        self._inband = inband
        self._ear: Ear | None = None
        self._taps: tuple[Tap, ...] = ()
        self._relays: tuple[Outgoing, ...] = ()
        self._told_at = -1.0
        owner = Owner(self._readable, self._is_valid, self._take_first, self._plan, self._fail, complained)
        self._socket = RtpSocket(sock, poller, owner, is_own=is_own, shared=shared, latching=latching)
        self.outgoing = Outgoing(stream, rtcp.reporter.sender, self._socket)
        self.speech = Speech(self.outgoing)
        self.player = Player(self.outgoing, self.speech, ticker, listener, self._plan)
        self.keys = Keys(self, ticker, listener, self._plan)
        self.stream = stream
        self.route((), ())
        rtcp.begin(self._socket, stream, self.health.metrics)
        self.configure(stream)
        self._socket.drop_stale()

    def configure(self, stream: Stream) -> None:
        """Take what the latest SDP agreed. A peer that moved is latched anew."""
        if self.closed:
            return
        if stream.receive != self.stream.receive:
            self.decoding = None
        self.stream = stream
        self.spoken = _presumed(stream)
        self._set_clock()
        self.heard_at = _monotonic()
        try:
            self._socket.configure(stream)
        except OSError as error:
            self._fail(f"RTP port {self.port} could not be bound again: {error.strerror}")
            return
        # What is left out while nobody listens must not look like loss afterwards.
        if not stream.receives:
            for hearer in self._hearers:
                hearer.break_off()
        self.outgoing.configure(stream)
        self._rtcp.configure(stream)
        self.speech.configure()
        self._listen_for_tones(wanted=self._inband is not None and self._inband.wants(stream))
        self._plan()

    def play(self, playlist: Playlist) -> None:
        """Send the playlist in place of everything else."""
        if not self.closed:
            self.player.play(playlist)

    def stop(self) -> None:
        """End what plays, as an interruption."""
        self.player.stop()

    def adjust(self, heard: float, spoken: float) -> None:
        """Set the gains at which the peer hears, and is heard."""
        self.speech.volume, self.gain = heard, spoken
        self._plan()

    def add_tap(self, tap: Tap) -> None:
        """Hand what is received to the tap as well."""
        self._taps = (*self._taps, tap)
        self._find_routes()

    def remove_tap(self, tap: Tap) -> None:
        """Hand nothing more to the tap, if it is one."""
        self._taps = tuple(other for other in self._taps if other is not tap)
        self._find_routes()

    def leave(self) -> None:
        """Hear and be heard no more, whoever goes on to hear each other."""
        if self.room is not None:
            self.room.leave(self)

    def close(self) -> None:
        """Free the port."""
        if self.closed:
            return
        self.leave()
        self.closed = True
        self.player.close()
        self.keys.close()
        self._listen_for_tones(wanted=False)
        self._rtcp.close()
        self._socket.close()

    @property
    def port(self) -> int:
        """The port that the peer sends to."""
        return self._socket.port

    @property
    def protection(self) -> str | None:
        """How what we send is protected: by which keys and suite; None: not at all."""
        return self._socket.protection

    @property
    def listens(self) -> bool:
        """Tell whether what the room says can be heard: the peer is known, listens, hears no prompt."""
        return self.outgoing.open and not self.player.playing

    def check_timeout(self, limit: float) -> bool:
        """Tell once when nothing was received for `limit` seconds, unless the peer holds the call."""
        if self.stream.held or not self.stream.port or self._told_at >= self.heard_at:
            return False
        now = _monotonic()
        if now - self.heard_at <= limit:
            return False
        self._told_at = now
        self._listener(RtpTimeout())
        return True

    def seek_peer(self, silence: float) -> None:
        """Listen to others as well when nothing was received for so many seconds, unless the peer holds the call."""
        if not self.stream.held and _monotonic() - self.heard_at > silence:
            try:
                self._socket.seek_anew()
            except OSError as error:
                self._fail(f"RTP port {self.port} could not be bound again: {error.strerror}")

    def totals(self) -> tuple[int, ...]:
        """Return the counts in the order of TOTALS."""
        return (
            self.reception.received,
            self.outgoing.sender.packets,
            self.octets_received,
            self.outgoing.sender.octets,
            self.reception.lost,
            self.invalid + self._socket.invalid + (self.decoding.playout.undecodable if self.decoding else 0),
            self._socket.foreign,
            self.outgoing.unsent,
            self.keys.told["rfc4733"],
            self.keys.told["inband"],
            self.keys.told["info"],
            self.keys.sent,
            self._rtcp.received,
            self._rtcp.sent,
            self._rtcp.invalid + self._rtcp.foreign,
            *self._socket.guarded_totals(),
        )

    def tell(self, event: MediaEvent) -> None:
        """Tell whoever owns the leg."""
        self._listener(event)

    def route(self, relays: tuple[Outgoing, ...], hearers: tuple[Outgoing, ...], *, decoded: bool = False) -> None:
        """Take from the room who hears this leg, to which of them it is relayed, whether for others it is decoded."""
        for hearer in self._relays:
            if hearer not in relays:
                hearer.break_off()
        self._relays, self._hearers = relays, hearers
        self._sample_at = self.health.follow(self.room, _monotonic())
        sample_rate = sample_rate_of(self.spoken) if decoded else None
        if self.decoding is not None and self.decoding.playout.sample_rate != sample_rate:
            self.invalid += self.decoding.playout.undecodable
            self.decoding = None
        if self.decoding is None and sample_rate is not None:
            self.decoding = Decoding(sample_rate)
        self._find_routes()

    def _find_routes(self) -> None:
        """Tell which packets can be relayed as they are, to exactly one peer."""
        self._routes = _NOT_RELAYED
        self._overhear_at = 0.0 if self._taps else self._sample_at
        if self._ear is not None or self.decoding is not None or len(self._relays) != 1:
            return
        (self._relay,) = self._relays
        send = self._relay.stream.send
        self._routes = _NOT_RELAYED.copy()
        for payload, received in self.stream.receive.items():
            if same_bitstream(received, send):
                self._routes[payload] = send.payload
                self._routes[payload | MARKER] = send.payload | MARKER

    def _listen_for_tones(self, *, wanted: bool) -> None:
        if self._ear is not None and not wanted:
            self._ear.close()
            self._ear = None
        elif self._ear is None and wanted and self._inband is not None:
            self._ear = self._inband.listen(self.keys, self._hand_on)
        self._find_routes()

    def _fail(self, reason: str) -> None:
        """There is no more to come."""
        self.close()
        self._listener(Lost(reason))

    def _plan(self) -> None:
        if self.room is not None:
            self.room.plan()

    def _readable(self) -> None:
        """Read one packet from the latched peer: the path of every relayed packet."""
        try:
            size = self._socket.receive_into(packet)
        except OSError:
            return
        first, second, sequence, timestamp, ssrc = _unpack_header(packet)
        now = _monotonic()
        reception = self.reception
        route = self._routes[second]
        if route < 0 or ssrc != reception.ssrc or first != PLAIN or not HEADER_SIZE < size < LARGEST_PACKET:
            self._take(size, now)
            return
        reception.receive(sequence, timestamp, now * self._clock_rate)
        self.octets_received += size
        self.heard_at = now
        self._relay.relay(reception.source, route, sequence, timestamp, size, now)
        if now >= self._overhear_at:
            self._overhear(second & 0x7F, sequence, timestamp, size, now)

    def _overhear(self, number: int, sequence: int, timestamp: int, size: int, now: float) -> None:
        """Hand a relayed packet to the taps, and now and then to who looks whether it is loud."""
        received = self.stream.receive[number]
        payload = bytes(view[HEADER_SIZE:size])
        for tap in self._taps:
            tap.take(received, self.reception.source, sequence, timestamp, payload, now)
        if now >= self._sample_at:
            self._sample_at = self.health.listen(received, payload, now)
        if not self._taps:
            self._overhear_at = self._sample_at

    def _is_valid(self, size: int) -> bool:
        span = payload_range(packet, size) if size < LARGEST_PACKET else None
        return span is not None and span[0] < span[1] and packet[1] & 0x7F in self.stream.receive

    def _take_first(self, size: int) -> None:
        """Handle a packet of the time of latching, when the peer becomes reachable."""
        self._plan()
        self._take(size, _monotonic())

    def _take(self, size: int, now: float) -> None:
        """Handle the packet in the shared buffer with all checks."""
        span = payload_range(packet, size) if size < LARGEST_PACKET else None
        _, second, sequence, timestamp, ssrc = _unpack_header(packet)
        received = self.stream.receive.get(second & 0x7F)
        if span is None or received is None:
            self._take_other(second, size, known=span is None)
            return
        reception = self.reception
        if ssrc != reception.ssrc:
            self._rtcp.avoid_collision(ssrc, sequence)
            reception.start(ssrc, sequence)
            self.keys.restart()
        self.octets_received += size
        self.heard_at = now
        payload = bytes(view[span[0] : span[1]])
        marker = second & MARKER
        is_event = received.name == EVENTS
        if is_event:
            reception.receive_event(sequence)
        else:
            reception.receive(sequence, timestamp, now * self._clock_rate)
            if received.name == CN:
                self.rested_at = now
            elif received is not self.spoken:
                self._change_codec(received)
            if now >= self._sample_at and received.name != CN:
                self._sample_at = self.health.listen(received, payload, now)
        source = reception.source
        if is_event:
            self._hand_on(received, source, payload, marker, sequence, timestamp, now)
            self.keys.take_event(received, payload, timestamp, now, marker=bool(marker))
        elif self._ear is None:
            self._hand_on(received, source, payload, marker, sequence, timestamp, now)
        else:
            self._ear.take(received, source, payload, marker, sequence, timestamp, now)

    def _hand_on(  # noqa: PLR0917
        self, received: Format, source: object, payload: bytes, marker: int, sequence: int, timestamp: int, now: float
    ) -> None:
        """Hand a packet to the taps and to those who hear the leg, but keys, which are pressed for them anew."""
        is_event = received.name == EVENTS
        for tap in () if is_event and self.keys.hidden else self._taps:
            tap.take(received, source, sequence, timestamp, payload, now)
        if self.decoding is not None:
            self.decoding.take(received, source, sequence, timestamp, payload, now)
        if is_event:
            for hearer in self._hearers:
                hearer.leave_out(source, sequence)
            return
        for hearer in self._relays:
            hearer.relay_payload(source, received, payload, marker, sequence, timestamp, now)

    def _change_codec(self, spoken: Format) -> None:
        """The peer speaks another of the codecs that were agreed."""
        self.spoken = spoken
        self._set_clock()
        self._plan()

    def _set_clock(self) -> None:
        self._clock_rate = self.spoken.clock_rate
        self.reception.set_clock(self._clock_rate)

    def _take_other(self, second: int, size: int, *, known: bool) -> None:
        """Handle what is no RTP that was agreed: RTCP on the same port, or something wrong."""
        if self.stream.mux and FIRST_TYPE <= second <= LAST_TYPE:
            self._rtcp.take(bytes(view[:size]))
            return
        self.invalid += 1
        if not known:
            self.wrong += 1
            self.wrong_payload = second & 0x7F


def _presumed(stream: Stream) -> Format:
    """Return what the peer will speak, until it has: most speak what they are spoken to in."""
    audio = [heard for heard in stream.receive.values() if heard.name not in {CN, EVENTS}]
    return next((heard for heard in audio if same_bitstream(heard, stream.send)), audio[0] if audio else stream.send)
