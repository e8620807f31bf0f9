"""Keys that are heard in the audio of legs, those of all legs at a time; and the audio without them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from media.codecs import CodecError, Decoder, Resampler, Samples, make_decoder, make_encoder, sample_rate_of
from media.codecs.g711 import SILENCE
from media.codecs.names import CN
from media.dtmf.detector import BLOCK, Detector
from media.dtmf.tones import SAMPLE_RATE
from media.rtp.stream import Format, Stream
from media.settings import InbandDigits

if TYPE_CHECKING:
    from media.worker.keys import Keys

HandOn = Callable[[Format, object, bytes, int, int, int, float], None]
"""Takes a packet: format, source, payload, marker, sequence number, timestamp, arrival."""
_PAUSE_SECONDS: Final = 0.06  # without packets, which is more than what a press is interrupted by
_BRIDGED_SECONDS: Final = 0.2  # of lost packets, in which a press goes on
_LATEST_SECONDS: Final = 2.0
_NOTHING: Final = np.zeros(0, np.int16)


class _Packet(NamedTuple):
    coding: Format
    source: object
    payload: bytes
    marker: int
    sequence: int
    timestamp: int
    now: float
    follows: bool  # what was heard before
    samples: int  # decoded
    blocks: list[Samples]


class Inband:
    """The ears of a worker. What comes in one turn of the loop is heard together at its end, then handed on.

    So detection delays nothing that is relayed, and its cost is shared. `call_soon` is that of the loop.
    """

    def __init__(self, wanted: InbandDigits, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._wanted = wanted
        self._call_soon = call_soon
        self._detector = Detector()
        self._waiting: dict[Ear, list[_Packet]] = {}
        self._ears: dict[int, Ear] = {}

    def wants(self, stream: Stream) -> bool:
        """Tell whether keys are to be heard in the audio of a peer with whom this is agreed."""
        return self._wanted == "always" or (self._wanted == "auto" and stream.port > 0 and stream.send_events is None)

    def listen(self, keys: Keys, hand_on: HandOn) -> Ear:
        """Return what a leg's audio is to be given to."""
        channel = self._detector.add()
        ear = self._ears[channel] = Ear(self, self._detector, channel, keys, hand_on)
        return ear

    def forget(self, ear: Ear) -> None:
        """Hand on what waits, and hear no more of it."""
        for packet in self._waiting.pop(ear, ()):
            ear.hand_on(packet)
        del self._ears[ear.channel]
        self._detector.remove(ear.channel)

    def put(self, ear: Ear, packet: _Packet) -> None:
        """Have the packet heard and handed on in this turn of the loop."""
        if not self._waiting:
            self._call_soon(self._hear)
        self._waiting.setdefault(ear, []).append(packet)

    def _hear(self) -> None:
        waiting, self._waiting = self._waiting, {}
        place = 0
        while waiting:
            for ear in [ear for ear, packets in waiting.items() if place >= len(packets)]:
                del waiting[ear]
            self._hear_packets({ear: packets[place] for ear, packets in waiting.items() if not ear.closed})
            place += 1

    def _hear_packets(self, packets: dict[Ear, _Packet]) -> None:
        """Hear one packet of each ear, block by block, and hand them on."""
        suspects: set[Ear] = set()
        number = 0
        for ear, packet in packets.items():
            if not packet.follows:
                ear.forget()
        while full := {ear: packet for ear, packet in packets.items() if number < len(packet.blocks)}:
            channels = [ear.channel for ear in full]
            heard = self._detector.feed(channels, np.stack([packet.blocks[number] for packet in full.values()]))
            suspects.update(ear for ear in full if self._detector.suspects[ear.channel])
            for channel, digit, held_ms in heard:
                self._ears[channel].hear(digit, held_ms)
            number += 1
        for ear, packet in packets.items():
            if not packet.blocks and self._detector.suspects[ear.channel]:
                suspects.add(ear)
            ear.hold()
            if ear in suspects and ear.keys.passes_tones_as_events:
                ear.hand_on_silence(packet)
            else:
                ear.hand_on(packet)


class Ear:
    """What listens to one leg.

    Packets that were lost are passed over, so that they neither end a press nor make two of it. The first 20 ms of a
    tone at most are over before it is suspected, which is too short to be a key for whoever hears it.
    """

    __slots__ = (
        "_decoder",
        "_decoding",
        "_detector",
        "_expected",
        "_hand_on",
        "_inband",
        "_now",
        "_pcm",
        "_pressed",
        "_resamplers",
        "_sequence",
        "_silence",
        "_silent",
        "_source",
        "channel",
        "closed",
        "keys",
    )

    def __init__(self, inband: Inband, detector: Detector, channel: int, keys: Keys, hand_on: HandOn) -> None:
        self.channel = channel
        self.keys = keys
        self.closed = False
        self._inband = inband
        self._detector = detector
        self._hand_on = hand_on
        self._decoding: Format | None = None
        self._decoder: Decoder | None = None
        self._resamplers: dict[int, Resampler] = {}
        self._silent: tuple[Format, int] | None = None
        self._silence: bytes | None = None
        self._pcm = _NOTHING
        self._source: object = None
        self._sequence = self._expected = 0
        self._pressed = False
        self._now = 0.0

    def close(self) -> None:
        """Listen no more."""
        self.closed = True
        self._inband.forget(self)

    def take(  # noqa: PLR0917
        self, coding: Format, source: object, payload: bytes, marker: int, sequence: int, timestamp: int, now: float
    ) -> None:
        """Take a packet, to be handed on when it has been heard."""
        self._now = now
        samples = self._decode(coding, payload)
        blocks: list[Samples] = []
        follows = True
        if len(samples) and not self._is_late(coding, source, timestamp):
            follows = self._follows(coding, source, sequence, timestamp, len(samples))
            pcm = self._at_8_khz(coding, samples)
            self._pcm = pcm = np.concatenate((self._pcm, pcm)) if follows and len(self._pcm) else pcm
            whole = len(pcm) // BLOCK * BLOCK
            blocks = list(pcm[:whole].reshape(-1, BLOCK))
            self._pcm = pcm[whole:]
        packet = _Packet(coding, source, payload, marker, sequence, timestamp, now, follows, len(samples), blocks)
        self._inband.put(self, packet)

    def forget(self) -> None:
        """What was heard before is over."""
        if self._pressed:
            self.hear("", self._detector.held_ms(self.channel))
        self._detector.reset(self.channel)

    def hear(self, digit: str, held_ms: int | None) -> None:
        """A press has begun, or has ended after so long."""
        self._pressed = held_ms is None
        if held_ms is None:
            self.keys.take_tone(digit, self._detector.held_ms(self.channel), self._now)
        else:
            self.keys.hold_tone(held_ms, ended=True)

    def hold(self) -> None:
        """Tell that the press goes on, if there is one."""
        if self._pressed:
            self.keys.hold_tone(self._detector.held_ms(self.channel), ended=False)

    def hand_on(self, packet: _Packet) -> None:
        """Let others have the packet."""
        self._hand_on(*packet[:7])

    def hand_on_silence(self, packet: _Packet) -> None:
        """Let others have a packet without the tone."""
        coding, samples = packet.coding, packet.samples
        if coding.name in SILENCE:
            silence: bytes | None = bytes([SILENCE[coding.name]]) * len(packet.payload)
        else:
            if self._silent != (coding, samples):
                self._silent, self._silence = (coding, samples), _encode_silence(coding, samples)
            silence = self._silence
        if silence is not None:
            self._hand_on(*packet._replace(payload=silence)[:7])

    def _is_late(self, coding: Format, source: object, timestamp: int) -> bool:
        gap = _signed(timestamp - self._expected)
        return source is self._source and gap < 0 and -gap < _LATEST_SECONDS * coding.clock_rate

    def _follows(self, coding: Format, source: object, sequence: int, timestamp: int, samples: int) -> bool:
        """Tell whether the packet goes on with what was heard before: there is no pause, though some may be lost."""
        gap = _signed(timestamp - self._expected)
        lost = (sequence - self._sequence - 1) & 0xFFFF
        longest = coding.clock_rate * (_BRIDGED_SECONDS if lost else _PAUSE_SECONDS)
        follows = source is self._source and 0 <= gap <= longest
        duration = samples * coding.clock_rate // sample_rate_of(coding)
        self._source, self._sequence, self._expected = source, sequence, (timestamp + duration) & 0xFFFFFFFF
        return follows

    def _decode(self, coding: Format, payload: bytes) -> Samples:
        if coding.name == CN:
            return _NOTHING
        if coding != self._decoding:
            self._decoding, self._decoder = coding, None
            with suppress(CodecError):
                self._decoder = make_decoder(coding)
        try:
            return self._decoder.decode(payload) if self._decoder is not None else _NOTHING
        except CodecError:
            return _NOTHING

    def _at_8_khz(self, coding: Format, samples: Samples) -> Samples:
        rate = sample_rate_of(coding)
        if rate == SAMPLE_RATE:
            return samples
        resampler = self._resamplers.get(rate)
        if resampler is None:
            resampler = self._resamplers[rate] = Resampler(rate, SAMPLE_RATE)
        return resampler.convert(samples)


def _signed(difference: int) -> int:
    """Return the difference of two timestamps."""
    return ((difference + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def _encode_silence(coding: Format, samples: int) -> bytes | None:
    """Return a packet of silence; None where that cannot be made, or need not be sent."""
    try:
        encoder = make_encoder(coding, samples * 1000 // sample_rate_of(coding))
        return encoder.encode(np.zeros(samples, np.int16)) or None
    except (CodecError, ValueError):
        return None
