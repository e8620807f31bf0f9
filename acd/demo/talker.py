"""The RTP that a phone of ours sends: a voice without end, and the keys pressed (RFC 3550, RFC 4733)."""

from __future__ import annotations

from collections import deque

from media.playing.prompts import FRAME_SAMPLES
from media.rtp.events import DIGITS
from media.rtp.packet import HEADER, MARKER, PLAIN
from media.rtp.stream import Stream

KEY_PACKETS = 6
END_PACKETS = 3  # RFC 4733 2.5.1.4: the last packet "SHOULD be sent a total of three times"
VOLUME = 10


class Talker:
    """Makes one packet every 20 ms. ``voice`` is companded audio for each codec, ``ssrc`` names the source."""

    def __init__(self, voice: dict[str, bytes], ssrc: int) -> None:
        self._voice = voice
        self._ssrc = ssrc
        self._sequence = 0
        self._timestamp = 0
        self._position = 0
        self._began = False
        self._keys: deque[int] = deque()
        self._key_packets = 0
        self._key_timestamp = 0

    def restart(self) -> None:
        """Begin a new call: the voice from its start, no keys."""
        self._position, self._began, self._key_packets = 0, False, 0
        self._keys.clear()

    def press(self, keys: str) -> None:
        """Press keys one after the other; unknown ones are left out."""
        self._keys.extend(DIGITS.index(key) for key in keys if key in DIGITS)

    def packet(self, stream: Stream) -> bytes:
        """Return the next packet for ``stream``."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + FRAME_SAMPLES) & 0xFFFFFFFF
        voice = self._voice[stream.codec]
        if self._position + FRAME_SAMPLES > len(voice):
            self._position = 0
        frame = voice[self._position : self._position + FRAME_SAMPLES]
        self._position += FRAME_SAMPLES
        if self._keys and stream.send_events is not None:
            return self._key_packet(stream.send_events.payload)
        marker = 0 if self._began else MARKER
        self._began = True
        return HEADER.pack(PLAIN, marker | stream.send.payload, self._sequence, self._timestamp, self._ssrc) + frame

    def _key_packet(self, payload: int) -> bytes:
        """One packet of the key that is down: its timestamp stays, its duration grows."""
        first = self._key_packets == 0
        if first:
            self._key_timestamp = self._timestamp
        self._key_packets += 1
        duration = min(self._key_packets, KEY_PACKETS) * FRAME_SAMPLES
        end = 0x80 if self._key_packets >= KEY_PACKETS else 0
        event = bytes((self._keys[0], end | VOLUME)) + duration.to_bytes(2, "big")
        if self._key_packets == KEY_PACKETS + END_PACKETS - 1:
            self._keys.popleft()
            self._key_packets = 0
        marker = MARKER if first else 0
        return HEADER.pack(PLAIN, marker | payload, self._sequence, self._key_timestamp, self._ssrc) + event
