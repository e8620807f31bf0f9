"""Phones that say a tone in any codec, in virtual time, and tell which tones they hear and how loud."""

import asyncio
import math
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from media.codecs import make_decoder, make_encoder, sample_rate_of
from media.codecs.names import AMR, AMR_WB, CN, EVENTS, G722, OPUS, PCMA, PCMU
from media.rtp.packet import payload_range
from media.rtp.stream import Format, Stream
from media.worker import control
from media.worker.ticker import Ticker

from .conftest import Bench, Phone, until

TICK: Final = 0.020
AMPLITUDE: Final = 8000.0
FORMATS: Final = {
    PCMU: Format(0, PCMU),
    PCMA: Format(8, PCMA),
    G722: Format(9, G722),
    OPUS: Format(111, OPUS, 48000, 2),
    AMR: Format(96, AMR, parameters="octet-align=1"),
    AMR_WB: Format(97, AMR_WB, 16000, parameters="octet-align=1"),
}
NOISE: Final = Format(13, CN)


def events_of(format_: Format) -> Format:
    """Return the telephone-event of the same clock."""
    return Format({8000: 101, 16000: 102, 48000: 103}[format_.clock_rate], EVENTS, format_.clock_rate)


class HandTicker(Ticker):
    """A ticker that ticks when it is told to."""

    def __init__(self, *_: Any) -> None:
        super().__init__(lambda *_: _Never(), lambda: 0.0, lambda: 0.0)

    def tick(self, now: float) -> None:
        for member in list(self._members):
            if member in self._members:
                member.tick(now)


class _Never:
    def cancel(self) -> None: ...


class Talker:
    """A phone that says a sine of `frequency` Hz and `amplitude`, or sends nothing while it is `silent`.

    `said` are the payloads that it has sent. Whatever else belongs to its `Stream` may be given.
    """

    def __init__(self, bench: Bench, name: str, format_: Format, *, frequency: float, **changes: Any) -> None:
        self.name = name
        self.format = format_
        self.frequency = frequency
        self.amplitude = AMPLITUDE
        self.said: list[bytes] = []
        self.packet_ms: int = changes.pop("sends_ms", 20)
        self.phone: Phone = bench.phone()
        events = events_of(format_)
        self.stream = Stream(
            host="127.0.0.1",
            port=self.phone.port,
            send=changes.pop("send", format_),
            receive={each.payload: each for each in (*changes.pop("also", ()), format_, events)},
            **({"send_events": events} | changes),
        )
        self.leg, self.port = bench.open(self.stream)
        self.silent = False
        self.speaks(format_)
        self._samples = 0
        self._due = 0

    def speaks(self, format_: Format) -> None:
        """Speak another codec from now on."""
        self.format = format_
        self._rate = sample_rate_of(format_)
        self._encoder = make_encoder(format_, self.packet_ms)
        self._samples = 0

    def say(self) -> int:
        """Send what 20 ms bring; returns how many packets that are."""
        self._due += 20
        sent = 0
        while self._due >= self.packet_ms:
            self._due -= self.packet_ms
            count = self._rate * self.packet_ms // 1000
            time = (np.arange(count) + self._samples) / self._rate
            self._samples += count
            tone = self.amplitude * np.sin(2 * np.pi * self.frequency * time)
            payload = self._encoder.encode(tone.astype(np.int16))
            if not self.silent:
                self.said.append(payload)
                self.phone.raw(self.port, self.phone.header(self.format.payload) + payload)
                sent += 1
            self.phone.sequence = (self.phone.sequence + 1) & 0xFFFF
            self.phone.timestamp = (self.phone.timestamp + self.format.clock_rate * self.packet_ms // 1000) & 0xFFFFFFFF
        return sent

    def packets(self) -> list[tuple[int, int, int, int, int, bytes]]:
        """Return what was heard: payload number, marker, sequence, timestamp, SSRC and payload of each packet."""
        packets = []
        for data in self.phone.read():
            _, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", data)
            span = payload_range(data, len(data))
            assert span is not None
            packets.append((second & 0x7F, second >> 7, sequence, timestamp, ssrc, data[span[0] : span[1]]))
        return packets

    def heard(self, seconds: float = 0.4) -> NDArray[np.float64]:
        """Return the last of what was heard, decoded, in the order of its timestamps."""
        decoder = make_decoder(self.stream.send)
        pieces = [
            decoder.decode(payload)
            for number, _, _, _, _, payload in self.packets()
            if number == self.stream.send.payload
        ]
        if not pieces:
            return np.zeros(0)
        return np.concatenate(pieces)[-int(seconds * decoder.sample_rate) :].astype(np.float64)

    def level(self, frequency: float, seconds: float = 0.4) -> float:
        """Return how loud a tone is heard, in dB relative to the amplitude that talkers speak with (Goertzel)."""
        heard = self.heard(seconds)
        if not len(heard):
            return -math.inf
        rate = sample_rate_of(self.stream.send)
        window = np.hanning(len(heard))
        wave = np.exp(-2j * np.pi * frequency * np.arange(len(heard)) / rate)
        return 20 * math.log10(max(abs(np.sum(heard * window * wave)) * 2 / window.sum(), 1e-3) / AMPLITUDE)

    def hears(self, talkers: Sequence["Talker"], threshold: float = -25.0) -> dict[str, int]:
        """Return which of the talkers are heard, and at which level in whole dB."""
        levels = {talker.name: self.level(talker.frequency) for talker in talkers}
        return {name: round(level) for name, level in levels.items() if level > threshold}


class Studio:
    """A bench whose time is moved by hand, 20 ms at a time."""

    def __init__(self, bench: Bench, clock: list[float], ticker: HandTicker) -> None:
        self.bench = bench
        self.clock = clock
        self.ticker = ticker
        self.talkers: list[Talker] = []

    def talker(self, name: str, codec: str | Format = PCMU, *, frequency: float = 440.0, **changes: Any) -> Talker:
        """Open a leg towards a new talker."""
        format_ = FORMATS[codec] if isinstance(codec, str) else codec
        talker = Talker(self.bench, name, format_, frequency=frequency, **changes)
        self.talkers.append(talker)
        return talker

    def mix(self, gains: dict[tuple[Talker, Talker], float]) -> None:
        """Connect the talkers exactly so."""
        self.bench.handle(control.Mix(tuple((one.leg, other.leg, gain) for (one, other), gain in gains.items())))

    async def run(self, seconds: float) -> None:
        """Let everybody talk for that long."""
        for _ in range(round(seconds / TICK)):
            self.clock[0] += TICK
            before = self.bench.counters().packets_received
            sent = sum(talker.say() for talker in self.talkers)
            await until(lambda n=before + sent: self.bench.counters().packets_received >= n, "what was said")  # type: ignore[misc]
            self.ticker.tick(self.clock[0])
        await asyncio.sleep(0)
