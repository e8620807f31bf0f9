"""How many calls a core of the media worker bears whose sound it has to make or mix, and how evenly it relays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from benchmarks.media_host import Order
from benchmarks.ours import engine, media_worker
from benchmarks.processes import LOOPBACK, BenchmarkError, temporary_directory
from benchmarks.report import Single
from benchmarks.rtp_load import Voice, phones
from benchmarks.sampling import Scale, measured
from benchmarks.sipp import Sipp
from media.codecs import ENCODABLE, make_encoder
from media.rtp.stream import Format

LOAD_SECONDS, TONE_HZ, PACKET_MS = 8.0, 440, 20
CALLS = 50  # whose jitter is measured
FLOOD_RATE, SUBSCRIBERS = 20_000, 5_000  # more REGISTERs a second than a core bears


class Kind(NamedTuple):
    """Sessions of one kind: how many are tried, of how many phones, and what the second phone speaks."""

    name: str
    title: str
    work: Literal["bridge", "play", "mix"]
    sessions: int
    size: int
    codec: Format = Format(0, "PCMU")


KINDS = (
    Kind("prompts", "callers who hear music", "play", 200, 1),
    Kind("conferences", "conferences of three", "mix", 30, 3),
    Kind("g722", "calls between G.711 and G.722", "bridge", 40, 2, Format(9, "G722")),
    Kind("opus", "calls between G.711 and Opus", "bridge", 15, 2, Format(96, "opus", 48_000, 2)),
    Kind("amr", "calls between G.711 and AMR", "bridge", 25, 2, Format(97, "AMR", 8_000, 1, "octet-align=1")),
)


def _voice(coding: Format) -> Voice:
    """Return the packet that a phone repeats: a moment of a tone."""
    if coding.name == "PCMU":
        return Voice()
    encoder = make_encoder(coding, PACKET_MS)
    samples = np.arange(encoder.sample_rate * PACKET_MS // 1000 * 10)
    tone = (8000 * np.sin(2 * np.pi * TONE_HZ * samples / encoder.sample_rate)).astype(np.int16)
    payload = b""
    for frame in np.split(tone, 10):
        payload = encoder.encode(frame) or payload
    return Voice(coding.payload, payload, coding.clock_rate * PACKET_MS // 1000)


def _rtpmap(coding: Format) -> str:
    channels = f"/{coding.channels}" if coding.channels > 1 else ""
    fmtp = f"\r\na=fmtp:{coding.payload} {coding.parameters}" if coding.parameters else ""
    return f"{coding.payload} {coding.name}/{coding.clock_rate}{channels}{fmtp}"


def capacity(kind: Kind, scale: Scale) -> float:
    """Return how many sessions of the kind a core would bear, by the CPU time that some take."""
    seconds = scale.seconds(LOAD_SECONDS)
    with (
        temporary_directory() as directory,
        media_worker(directory, {}) as target,
        phones(kind.sessions * kind.size, seconds, directory) as fleet,
    ):
        ports = iter(fleet.ports)
        sessions = tuple(tuple(next(ports) for _ in range(kind.size)) for _ in range(kind.sessions))
        opened = target.perform(Order(kind.work, sessions, _rtpmap(kind.codec)))
        voices = [Voice()] * kind.size
        if kind.size > 1:
            voices[1] = _voice(kind.codec)
        with measured(target.pid) as sample:
            report = fleet.run([port for session in opened for port in session], voices)
        sample.seconds = report.seconds
        if report.silent or report.received < 0.95 * report.sent:
            raise BenchmarkError(f"{report.received} packets were heard of {report.sent} said")
    return kind.sessions * 100 / sample.share_of_a_core


def jitter(scale: Scale, *, signalling: bool) -> float:
    """Return the p99 of the jitter, in µs, that relaying adds to calls, while the engine has all it can do or nothing.

    The engine's own media worker would be another process beside it, too.
    """
    seconds = scale.seconds(LOAD_SECONDS)
    with (
        temporary_directory() as directory,
        engine(directory, {}) as server,
        media_worker(directory, {}) as target,
        phones(2 * CALLS, seconds, directory) as fleet,
    ):
        pairs = list(zip(fleet.ports[::2], fleet.ports[1::2], strict=True))
        targets = [port for pair in target.bridge(pairs) for port in pair]
        if not signalling:
            return fleet.run(targets).jitter_us
        users = [f"u{number:05d};{LOOPBACK}:9" for number in range(SUBSCRIBERS)]
        options = ["-r", f"{FLOOD_RATE}", "-l", "20000"]
        flood = Sipp("register", directory, remote=server.address, users=users, options=options)
        try:
            report = fleet.run(targets)
        finally:
            flood.end()
        if not flood.counts().completed:
            raise BenchmarkError("nobody could be registered meanwhile")
        return report.jitter_us


def figures(scale: Scale) -> list[Single]:
    """Measure all of it."""
    found = []
    for kind in KINDS:
        if kind.codec.name not in ENCODABLE:
            found.append(Single(kind.name, kind.title, "per core", None, f"{kind.codec.name} cannot be encoded here"))
            continue
        found.append(_single(kind.name, kind.title, "per core", partial(capacity, kind, scale)))
    title = f"jitter added to {CALLS} relayed calls, p99"
    return [
        *found,
        _single("jitter", title, "µs", lambda: jitter(scale, signalling=False)),
        _single("jitter_loaded", f"{title}, signalling at full load", "µs", lambda: jitter(scale, signalling=True)),
    ]


def _single(name: str, title: str, unit: str, measure: Callable[[], float]) -> Single:
    try:
        return Single(name, title, unit, measure())
    except BenchmarkError as error:
        return Single(name, title, unit, None, str(error))
