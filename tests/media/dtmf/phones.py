"""Phones that press keys, and hear them: what the tests of keys in a worker share."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from media.codecs import make_decoder
from media.codecs.g711 import PCMU, encode
from media.dtmf.detector import BLOCK, Detector
from media.dtmf.tones import tone
from media.rtp.events import DIGITS, EventReceiver, EventWriter
from media.rtp.stream import EVENTS, Format
from media.worker import control
from tests.media.conftest import Bench, Phone

EVENTS_8, EVENTS_16, EVENTS_48 = (
    Format(101, EVENTS),
    Format(97, EVENTS, clock_rate=16_000),
    Format(98, EVENTS, clock_rate=48_000),
)
L_PCMU, L_PCMA, G722 = Format(0, "PCMU"), Format(8, "PCMA"), Format(9, "G722")


def stream_of(send: Format, *events: Format, **changes: Any) -> dict[str, Any]:
    """Return what differs in the description of a peer that speaks this, and takes the first of these events."""
    receive = {f.payload: f for f in (send, *events)}
    return {"send": send, "receive": receive, "send_events": events[0] if events else None, **changes}


async def pair(bench: Bench, one: dict[str, Any], other: dict[str, Any]) -> tuple[tuple[Phone, int, int], ...]:
    """Open and bridge two legs, of which each peer is known."""
    legs = tuple(bench.leg(**changes) for changes in (one, other))
    bench.handle(control.Bridge(legs[0][1], legs[1][1], None))
    return legs


def read(phone: Phone, *events: Format) -> tuple[str, list[float]]:
    """Return which keys the phone was told of by events, and how long each was in milliseconds."""
    clocks = {f.payload: f.clock_rate for f in events}
    receiver, digits, lasted = EventReceiver(), "", []
    for data in phone.read():
        second, timestamp = data[1], int.from_bytes(data[4:8], "big")
        if (clock := clocks.get(second & 0x7F)) is None:
            continue
        progress = receiver.receive(data[12:], timestamp, marker=second > 0x7F)
        assert progress is not None
        if progress.began:
            digits += DIGITS[progress.event]
            lasted.append(0.0)
        lasted[-1] = progress.duration * 1000 / clock
    return digits, lasted


def listen(phone: Phone, coding: Format = L_PCMU) -> str:
    """Return which keys are heard in the phone's audio."""
    decoder, pcm = make_decoder(coding), np.zeros(0, np.int16)
    for data in phone.read():
        if data[1] & 0x7F == coding.payload:
            samples = decoder.decode(data[12:])
            pcm = np.concatenate((pcm, samples[:: decoder.sample_rate // 8000]))
    detector = Detector()
    channel = detector.add()
    blocks = pcm[: len(pcm) // BLOCK * BLOCK].reshape(-1, 1, BLOCK)
    return "".join(h.digit for block in blocks for h in detector.feed([channel], block) if h.held_ms is None)


def numbers_follow(phone: Phone) -> bool:
    numbers = [sequence for _, _, sequence, *_ in phone.headers()]
    return [(b - a) & 0xFFFF for a, b in pairwise(numbers)] == [1] * (len(numbers) - 1)


def press(
    phone: Phone, port: int, digit: str, events: Format, *, ms: int = 100, drop: Iterator[bool] | None = None
) -> None:
    """Send a press as a phone does, less what `drop` says."""
    writer = EventWriter(DIGITS.index(digit), phone.timestamp)
    steps = [(passed, False) for passed in range(20, ms, 20)] + [(ms, True)] * 3
    for passed, ended in steps:
        for payload, timestamp, marker in writer.write(passed * events.clock_rate // 1000, ended=ended):
            header = phone.header(events.payload | (0x80 if marker else 0))
            data = header[:4] + timestamp.to_bytes(4, "big") + header[8:] + payload
            if drop is None or not next(drop):
                phone.raw(port, data)
            phone.sequence = (phone.sequence + 1) & 0xFFFF
    phone.timestamp = (phone.timestamp + (ms + 100) * events.clock_rate // 1000) & 0xFFFFFFFF


def say(phone: Phone, port: int, pcm: npt.NDArray[np.int16]) -> None:
    """Send samples as PCMU, in packets of 20 ms."""
    for begin in range(0, len(pcm), BLOCK):
        phone.send(port, encode(pcm[begin : begin + BLOCK].tobytes(), PCMU))


def told(bench: Bench, leg: int) -> list[tuple[str, str]]:
    return [(report.digit, report.source) for report in bench.of(control.Pressed) if report.leg == leg]


SILENCE = np.zeros(BLOCK * 5, np.int16)


def dialled(number: str, ms: int = 100, pause_ms: int = 80) -> npt.NDArray[np.int16]:
    pieces = [np.concatenate((tone(digit, 0, 8 * ms), np.zeros(8 * pause_ms, np.int16))) for digit in number]
    return np.concatenate((SILENCE, *pieces, SILENCE))
