"""What one peer hears: a single RTP stream, whoever feeds it."""

from __future__ import annotations

from typing import Final

from media.codecs import same_bitstream
from media.codecs.g711 import TRANSCODE
from media.codecs.names import CN, G722, PCMA, PCMU
from media.rtp.packet import HEADER, HEADER_SIZE, MARKER, PLAIN, Sender
from media.rtp.stream import Format, Stream
from media.worker import wire
from media.worker.rtpsocket import RtpSocket
from media.worker.wire import LARGEST_PACKET, packet

_OCTET_A_SAMPLE: Final = frozenset({PCMU, PCMA, G722})  # at the RTP clock, RFC 3551 4.5.2 for G722
_frame = bytearray(LARGEST_PACKET)
_frame_view = memoryview(_frame)
_pack_header = HEADER.pack_into
_PLAIN, _MARKER = PLAIN, MARKER
_TIMESTAMPS: Final = 0xFFFFFFFF


class Outgoing:
    """The stream to one peer: relayed packets, shifted to its numbers, and frames of our own making.

    `stream` is what SDP agreed, `noise` the format of comfort noise if the peer takes it. While it is `sounding`, the
    tone of a key takes the place of everything else.
    """

    __slots__ = (
        "_octet_a_sample",
        "_socket",
        "noise",
        "sender",
        "sounding",
        "stream",
        "unsent",
    )

    def __init__(self, stream: Stream, sender: Sender, sock: RtpSocket) -> None:
        self.sender = sender
        self.unsent = 0
        self.sounding = False
        self._socket = sock
        self.configure(stream)

    def configure(self, stream: Stream) -> None:
        """Take what the latest SDP agreed."""
        self.stream = stream
        send = stream.send
        self.sender.set_clock(send.clock_rate)
        self._octet_a_sample = send.name in _OCTET_A_SAMPLE
        self.noise = stream.send_noise
        if not stream.sends:
            self.sender.source = None

    @property
    def reachable(self) -> bool:
        """Tell whether the peer listens, and where."""
        return self.stream.sends and self._socket.reachable

    @property
    def open(self) -> bool:
        """Tell whether what is said to the peer can be heard."""
        return self.reachable and not self.sounding

    def break_off(self) -> None:
        """What is left out from now on must not look like loss when it goes on."""
        if not self.sounding:
            self.sender.source = None

    def relay(  # noqa: PLR0917 - keywords would cost as much as the arithmetic
        self, source: object, second: int, sequence: int, timestamp: int, size: int, now: float
    ) -> None:
        """Send the packet in the shared buffer on to the peer, as part of the stream that it hears."""
        sender = self.sender
        if sender.source is not source:
            sender.join(source, sequence, timestamp, now, self._samples(second & 0x7F, size - HEADER_SIZE))
            second |= _MARKER
        sequence = (sequence + sender.sequence_shift) & 0xFFFF
        timestamp = (timestamp + sender.timestamp_shift) & _TIMESTAMPS
        wire.write_header(_PLAIN, second, sequence, timestamp, sender.ssrc)
        if 0 < (sequence - sender.sequence) & 0xFFFF < 3000:  # MAX_DROPOUT
            sender.sequence = sequence
            sender.timestamp = timestamp
        elif not sender.admits(sequence):
            return
        sender.sent_at = now
        if self._socket.forward(size):
            sender.packets += 1
            sender.octets += size
        else:
            self.unsent += 1

    def relay_payload(  # noqa: PLR0917
        self, source: object, received: Format, payload: bytes, marker: int, sequence: int, timestamp: int, now: float
    ) -> None:
        """Send on audio or comfort noise that `can_relay` allows."""
        send = self.stream.send
        if received.name == CN:
            if self.noise is None:
                self.leave_out(source, sequence)
                return
            send = self.noise
        elif received.name != send.name:
            payload = payload.translate(TRANSCODE[received.name, send.name])
        self._relay(source, payload, send.payload | marker, sequence, timestamp, now)

    def leave_out(self, source: object, sequence: int) -> None:
        """Pass over a number on purpose: the receiver must not count it as lost."""
        self.sender.leave_out(source, sequence)

    def insert_event(self, events: Format, payload: bytes, timestamp: int, *, marker: bool) -> None:
        """Send an event beside what is said, at the time that it has in this stream (RFC 4733 2.5.1.2)."""
        sender = self.sender
        second = events.payload | (MARKER if marker else 0)
        _pack_header(_frame, 0, PLAIN, second, sender.insert(), timestamp, sender.ssrc)
        self._transmit(payload)

    def send(self, source: object, second: int, payload: bytes, samples: int, now: float) -> None:
        """Send a packet of our own making that lasts `samples` of the RTP clock."""
        sender = self.sender
        second |= sender.advance(source, now, samples)
        _pack_header(_frame, 0, PLAIN, second, sender.sequence, sender.timestamp, sender.ssrc)
        self._transmit(payload)

    def _transmit(self, payload: bytes) -> None:
        size = HEADER_SIZE + len(payload)
        _frame[HEADER_SIZE:size] = payload
        try:
            self._socket.send(_frame_view[:size])
        except OSError:
            self.unsent += 1
        else:
            self.sender.packets += 1
            self.sender.octets += size

    def _relay(  # noqa: PLR0917
        self, source: object, payload: bytes, second: int, sequence: int, timestamp: int, now: float
    ) -> None:
        size = HEADER_SIZE + len(payload)
        packet[HEADER_SIZE:size] = payload
        self.relay(source, second, sequence, timestamp, size, now)

    def _samples(self, payload: int, octets: int) -> int:
        """Return how long a relayed packet lasts, as far as that is known."""
        if self._octet_a_sample and octets and payload == self.stream.send.payload:
            return octets
        return self.sender.clock_rate // 50


def can_relay(received: Format, send: Format) -> bool:
    """Tell whether what is received can be sent in that format without being decoded."""
    return same_bitstream(received, send) or (received.name, send.name) in TRANSCODE
