"""What is received of one peer, and the way that it takes to those who hear the peer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from media.codecs import same_bitstream, sample_rate_of
from media.codecs.names import CN, EVENTS
from media.rtp.packet import HEADER_SIZE, MARKER, PLAIN, payload_range
from media.rtp.rtcp import FIRST_TYPE, LAST_TYPE
from media.rtp.stream import Format, Stream
from media.rtp.tap import Tap
from media.worker import wire
from media.worker.decoding import Decoding
from media.worker.inband import Ear, Inband
from media.worker.outgoing import Outgoing
from media.worker.rtcp import Rtcp
from media.worker.rtpsocket import RtpSocket
from media.worker.wire import LARGEST_PACKET, packet, view

if TYPE_CHECKING:
    from media.worker.health import Health
    from media.worker.keys import Keys

_NOT_RELAYED: Final = [-1] * 256
_PLAIN: Final = PLAIN
_SMALLEST, _LARGEST = HEADER_SIZE, LARGEST_PACKET
_CHANGES_AT_ONCE: Final = 10
_CHANGE_SECONDS: Final = 0.2
_monotonic = time.monotonic


class Incoming:
    """Counts what a peer sends, and hands it to taps and to those who hear the peer.

    Relaying is looked up in `_routes` by the second header octet: 0..255 is the octet to send in its place with the
    payload as it is, -1 means that the packet needs a closer look (events, transcoding, nobody to relay to, or
    several). `plan` is called when the peer speaks another codec: who hears it how is to be found anew.
    """

    __slots__ = (
        "_changed",
        "_clock_rate",
        "_coding",
        "_discarded",
        "_ear",
        "_health",
        "_hearers",
        "_inband",
        "_keys",
        "_overhear_at",
        "_overheard",
        "_plan",
        "_relay",
        "_relays",
        "_routes",
        "_rtcp",
        "_sample_at",
        "_socket",
        "_stream",
        "_taps",
        "decoding",
        "heard_at",
        "invalid",
        "octets",
        "reception",
        "rested_at",
        "spoken",
        "wrong",
        "wrong_payload",
    )

    def __init__(
        self,
        stream: Stream,
        rtcp: Rtcp,
        keys: Keys,
        health: Health,
        *,
        plan: Callable[[], None],
        inband: Inband | None,
    ) -> None:
        self.reception = rtcp.reporter.reception
        self.decoding: Decoding | None = None
        self.octets = self.invalid = 0
        self._discarded = 0  # by jitter buffers before this one
        self.wrong, self.wrong_payload = 0, -1
        self.rested_at = -1.0
        self._rtcp = rtcp
        self._keys = keys
        self._health = health
        self._plan = plan
        self._inband = inband
        self._ear: Ear | None = None
        self._taps: tuple[Tap, ...] = ()
        self._relays: tuple[Outgoing, ...] = ()
        self._hearers: tuple[Outgoing, ...] = ()
        self._routes = _NOT_RELAYED
        self._sample_at = 0.0
        self._changed = 0.0
        self._overheard, self._coding = -1, stream.send  # the number of what was overheard last, and its format
        self._socket: RtpSocket
        self._stream = stream
        self.configure(stream)

    def attach(self, sock: RtpSocket) -> None:
        """Read from this socket."""
        self._socket = sock

    def configure(self, stream: Stream) -> None:
        """Take what the latest SDP agreed."""
        if stream.receive != self._stream.receive:
            self._drop_decoding()
        self._stream = stream
        self._overheard = -1
        self._speak(_presumed(stream))
        self.heard_at = _monotonic()
        # What is left out while nobody listens must not look like loss afterwards.
        if not stream.receives:
            for hearer in self._hearers:
                hearer.break_off()
        self._listen_for_tones(wanted=self._inband is not None and self._inband.wants(stream))

    def close(self) -> None:
        """Hear no more."""
        self._listen_for_tones(wanted=False)

    def add_tap(self, tap: Tap) -> None:
        """Hand what is received to the tap as well."""
        self._taps = (*self._taps, tap)
        self._find_routes()

    def remove_tap(self, tap: Tap) -> None:
        """Hand nothing more to the tap, if it is one."""
        self._taps = tuple(other for other in self._taps if other is not tap)
        self._find_routes()

    def route(
        self, relays: tuple[Outgoing, ...], hearers: tuple[Outgoing, ...], *, decoded: bool, sample_at: float
    ) -> None:
        """Take who hears the peer, to which of them it is relayed, and whether for others it is decoded.

        `sample_at` is when it is next to be listened to whether the peer is loud.
        """
        for hearer in self._relays:
            if hearer not in relays:
                hearer.break_off()
        self._relays, self._hearers = relays, hearers
        self._sample_at = sample_at
        sample_rate = sample_rate_of(self.spoken) if decoded else None
        if self.decoding is not None and self.decoding.playout.sample_rate != sample_rate:
            self._drop_decoding()
        if self.decoding is None and sample_rate is not None:
            self.decoding = Decoding(sample_rate)
        self._find_routes()

    @property
    def refused(self) -> int:
        """Packets that are not what was agreed, or cannot be decoded."""
        return self.invalid + (self.decoding.playout.undecodable if self.decoding is not None else 0)

    @property
    def discarded(self) -> int:
        """Packets that came too late to be played, where they were decoded."""
        return self._discarded + (self.decoding.playout.discarded if self.decoding is not None else 0)

    def readable(self) -> None:
        """Read one packet from the latched peer: the path of every relayed packet."""
        size = self._socket.receive()
        if size < 0:
            return
        first, second, sequence, timestamp, ssrc = wire.read_header()
        now = _monotonic()
        reception = self.reception
        route = self._routes[second]
        if route < 0 or ssrc != reception.ssrc or first != _PLAIN or not _SMALLEST < size < _LARGEST:
            self._take(size, now)
            return
        reception.receive(sequence, timestamp, now * self._clock_rate)
        self.octets += size
        self.heard_at = now
        self._relay.relay(reception.source, route, sequence, timestamp, size, now)
        if now >= self._overhear_at:
            self._overhear(second & 0x7F, sequence, timestamp, size, now)

    def _overhear(self, number: int, sequence: int, timestamp: int, size: int, now: float) -> None:
        """Hand a relayed packet to the taps, and now and then to who looks whether it is loud."""
        if number != self._overheard:
            self._overheard, self._coding = number, self._stream.receive[number]
        received, source = self._coding, self.reception.source
        payload = bytes(view[HEADER_SIZE:size])
        for tap in self._taps:
            tap.take(received, source, sequence, timestamp, payload, now)
        if now >= self._sample_at:
            self._sample_at = self._health.listen(received, payload, now)
        if not self._taps:
            self._overhear_at = self._sample_at

    def is_valid(self, size: int) -> bool:
        """Tell whether the packet in the shared buffer is one that was agreed."""
        span = payload_range(packet, size) if size < LARGEST_PACKET else None
        return span is not None and span[0] < span[1] and packet[1] & 0x7F in self._stream.receive

    def take_first(self, size: int) -> None:
        """Handle a packet of the time of latching."""
        self._take(size, _monotonic())

    def _take(self, size: int, now: float) -> None:
        """Handle the packet in the shared buffer with all checks."""
        span = payload_range(packet, size) if size < LARGEST_PACKET else None
        _, second, sequence, timestamp, ssrc = wire.read_header()
        received = self._stream.receive.get(second & 0x7F)
        if span is None or received is None:
            self._take_other(second, size, known=span is None)
            return
        reception = self.reception
        if ssrc != reception.ssrc:
            self._rtcp.avoid_collision(ssrc, sequence)
            reception.start(ssrc, sequence)
            self._keys.restart()
        self.octets += size
        self.heard_at = now
        payload = bytes(view[span[0] : span[1]])
        marker = second & MARKER
        if received.name == EVENTS:
            reception.receive_event(sequence)
            self._hand_on(received, reception.source, payload, marker, sequence, timestamp, now)
            self._keys.take_event(received, payload, timestamp, now, marker=bool(marker))
            return
        reception.receive(sequence, timestamp, now * self._clock_rate)
        if received.name == CN:
            self.rested_at = now
        else:
            if received is not self.spoken and not self._change_codec(received, now):
                return
            if now >= self._sample_at:
                self._sample_at = self._health.listen(received, payload, now)
        hand_on = self._hand_on if self._ear is None else self._ear.take
        hand_on(received, reception.source, payload, marker, sequence, timestamp, now)

    def _hand_on(  # noqa: PLR0917
        self, received: Format, source: object, payload: bytes, marker: int, sequence: int, timestamp: int, now: float
    ) -> None:
        """Hand a packet to the taps and to those who hear the peer, but keys, which are pressed for them anew."""
        is_event = received.name == EVENTS
        for tap in () if is_event and self._keys.hidden else self._taps:
            tap.take(received, source, sequence, timestamp, payload, now)
        if self.decoding is not None:
            self.decoding.take(received, source, sequence, timestamp, payload, now)
        if is_event:
            for hearer in self._hearers:
                hearer.leave_out(source, sequence)
            return
        for hearer in self._relays:
            hearer.relay_payload(source, received, payload, marker, sequence, timestamp, now)

    def _take_other(self, second: int, size: int, *, known: bool) -> None:
        """Handle what is no RTP that was agreed: RTCP on the same port, or something wrong."""
        if self._stream.mux and FIRST_TYPE <= second <= LAST_TYPE:
            self._rtcp.take(bytes(view[:size]))
            return
        self.invalid += 1
        if not known:
            self.wrong += 1
            self.wrong_payload = second & 0x7F

    def _change_codec(self, spoken: Format, now: float) -> bool:
        """Follow a peer that speaks another codec; False if it does that too often, which costs more than a packet."""
        self._changed = max(self._changed, now - _CHANGES_AT_ONCE * _CHANGE_SECONDS) + _CHANGE_SECONDS
        if self._changed > now:
            self._changed -= _CHANGE_SECONDS
            self.invalid += 1
            return False
        self._speak(spoken)
        self._plan()
        return True

    def _speak(self, spoken: Format) -> None:
        """The peer speaks this of the codecs that were agreed."""
        self.spoken = spoken
        self._clock_rate = spoken.clock_rate
        self.reception.set_clock(spoken.clock_rate)

    def _drop_decoding(self) -> None:
        self.invalid, self._discarded = self.refused, self.discarded
        self.decoding = None

    def _find_routes(self) -> None:
        """Find which packets can be relayed as they are, to exactly one peer."""
        self._routes = _NOT_RELAYED
        self._overhear_at = 0.0 if self._taps else self._sample_at
        if self._ear is not None or self.decoding is not None or len(self._relays) != 1:
            return
        (self._relay,) = self._relays
        send = self._relay.stream.send
        self._routes = _NOT_RELAYED.copy()
        for payload, received in self._stream.receive.items():
            if same_bitstream(received, send):
                self._routes[payload] = send.payload
                self._routes[payload | MARKER] = send.payload | MARKER

    def _listen_for_tones(self, *, wanted: bool) -> None:
        if self._ear is not None and not wanted:
            self._ear.close()
            self._ear = None
        elif self._ear is None and wanted and self._inband is not None:
            self._ear = self._inband.listen(self._keys, self._hand_on)
        self._find_routes()


def _presumed(stream: Stream) -> Format:
    """Return what the peer will speak, until it has: most speak what they are spoken to in."""
    audio = [heard for heard in stream.receive.values() if heard.name not in {CN, EVENTS}]
    return next((heard for heard in audio if same_bitstream(heard, stream.send)), audio[0] if audio else stream.send)
