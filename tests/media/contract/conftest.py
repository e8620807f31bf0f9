"""The backends that the contract is tested with, and phones that talk to them in tones."""

import asyncio
import os
import signal
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from media.api import Capability, Media, MediaEvent, MediaLeg
from media.builtin.supervisor import MediaSupervisor
from media.codecs import make_decoder, make_encoder
from media.rtp.stream import Format
from media.rtpengine.backend import RtpengineMedia
from media.rtpengine.settings import RtpengineSettings
from media.sdp.description import parse
from media.settings import PROMPT_DIRECTORY, MediaSettings
from tests.media.conftest import BOUND, Phone, until, write_wav

from .rtpengines import Rtpengine

LOUD = 8000
BLOCK = 800  # samples that a tone is looked for in
FORMATS = {
    "PCMU": Format(0, "PCMU"),
    "PCMA": Format(8, "PCMA"),
    "G722": Format(9, "G722"),
}


def sine(frequency: float, milliseconds: int, rate: int = 8000) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A tone whose next piece goes on where this one ends, if the milliseconds hold whole periods."""
    moments = np.arange(rate * milliseconds // 1000) / rate
    return (LOUD * np.sin(2 * np.pi * frequency * moments)).astype(np.int16)


def strength(samples: np.ndarray[Any, Any], frequency: float, rate: int = 8000) -> float:
    """How much of the samples' energy is at the frequency (Goertzel), 0 to 1."""
    values = np.asarray(samples, dtype=np.float64)
    energy = float(values @ values)
    if not energy:
        return 0.0
    turn = 2 * np.pi * frequency / rate
    coefficient = 2 * np.cos(turn)
    one = two = 0.0
    for value in values:
        one, two = float(value) + coefficient * one - two, one
    power = one * one + two * two - coefficient * one * two
    return float(2 * power / (len(values) * energy))


class TonePhone(Phone):
    """A phone that speaks and hears by a codec."""

    def __init__(self, codec: str = "PCMU") -> None:
        super().__init__()
        self.format = FORMATS[codec]
        self._encoder = make_encoder(self.format, 20)
        self._events: list[bytes] = []

    def sdp(self, direction: str = "sendrecv", *more: str, port: int = 0) -> str:
        """Offer or answer this phone's codec first, then those of `more`, and telephone-events."""
        formats = [self.format, *(FORMATS[name] for name in more)]
        numbers = " ".join(str(each.payload) for each in formats)
        maps = "".join(f"a=rtpmap:{each.payload} {each.name}/{each.clock_rate}\r\n" for each in formats)
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port or self.port} RTP/AVP {numbers} 101\r\n{maps}"
            f"a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        )

    def tone(self, port: int, frequency: float) -> None:
        """Send the next 20 ms of a tone; the frequency is to be a multiple of 50 Hz."""
        samples = sine(frequency, 20, self._encoder.sample_rate)
        self.send(port, self._encoder.encode(samples), payload_type=self.format.payload)

    def heard(self) -> np.ndarray[Any, np.dtype[np.int16]]:
        """Everything heard so far, in the order of its arrival, at the codec's rate; G.711 by either law."""
        alike = ("PCMU", "PCMA") if self.format.name in {"PCMU", "PCMA"} else (self.format.name,)
        decoders = {FORMATS[name].payload: make_decoder(FORMATS[name]) for name in alike}
        pieces = [
            decoders[payload].decode(packet[12:])
            for packet in self.read()
            if (payload := struct.unpack_from(">BB", packet)[1] & 0x7F) in decoders
        ]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)

    def hears(self, frequency: float) -> bool:
        """Tell whether what was heard last is this tone."""
        rate = make_decoder(self.format).sample_rate
        samples = self.heard()[-BLOCK:]
        return len(samples) == BLOCK and strength(samples, frequency, rate) > 0.9

    def says(self, *frequencies: float) -> bool:
        """Tell whether what was heard last is these tones together."""
        rate = make_decoder(self.format).sample_rate
        samples = self.heard()[-BLOCK:]
        shares = [strength(samples, frequency, rate) for frequency in frequencies] if len(samples) == BLOCK else [0.0]
        return min(shares) > 0.2 and sum(shares) > 0.9

    def forget(self) -> None:
        """Forget what was heard."""
        self.read()
        self.received.clear()


class Backend(Protocol):
    """A media backend of two members, either of which can be lost."""

    @property
    def media(self) -> Media:
        """The backend itself."""

    def lose(self, leg: MediaLeg) -> None:
        """Have what serves the leg die."""


class Builtin:
    def __init__(self, media: MediaSupervisor) -> None:
        self.media = media

    def lose(self, leg: Any) -> None:
        os.kill(self.media.pid_of(leg), signal.SIGKILL)


class Rtpengines:
    def __init__(self, media: RtpengineMedia, engines: list[Rtpengine], digits: int) -> None:
        self.media = media
        self.engines = engines
        self.digits = digits

    def lose(self, leg: Any) -> None:
        port = port_of(leg.local_sdp)
        next(engine for engine in self.engines if port in engine.rtp).kill()


def port_of(text: str) -> int:
    return parse(text).media[0].port


async def builtin(ports: Any, directories: tuple[str, ...], _: Path) -> AsyncIterator[Backend]:
    first = ports.block(80)
    settings = MediaSettings(
        port_min=first,
        port_max=first + 79,
        workers=2,
        prompt_directories=directories,
        rtp_timeout_seconds=0,
        codecs=tuple(FORMATS),
    )
    media = MediaSupervisor(settings)
    await media.start()
    yield Builtin(media)
    await media.stop()


async def rtpengines(ports: Any, directories: tuple[str, ...], tmp_path: Path) -> AsyncIterator[Rtpengines]:
    digits, *ng = (ports.block(1) for _ in range(3))
    engines = []
    for port in ng:
        first = ports.block(80)
        engines.append(Rtpengine(tmp_path, ng=port, rtp=range(first, first + 80), digits=digits))
        engines[-1].start()
    settings = RtpengineSettings(
        nodes=tuple(engine.node for engine in engines),
        digits=("127.0.0.1", digits),
        spool=str(tmp_path / "spool"),
        prompt_directories=directories,
        rtp_timeout_seconds=0,
        codecs=tuple(FORMATS),
    )
    media = RtpengineMedia(settings)
    try:
        await media.start()
        await eventually(lambda: all(member.state == "serving" for member in media.members()), "rtpengines")
        yield Rtpengines(media, engines, digits)
    finally:
        await media.stop()
        for engine in engines:
            engine.kill()


BACKENDS: dict[str, Callable[[Any, tuple[str, ...], Path], AsyncIterator[Backend]]] = {
    "builtin": builtin,
    "rtpengine": rtpengines,
}


@pytest.fixture(
    params=[pytest.param("builtin"), pytest.param("rtpengine", marks=pytest.mark.peer("rtpengine"))],
)
async def backend(request: Any, ports: Any, tmp_path: Path) -> AsyncIterator[Backend]:
    own = tmp_path / "prompts"
    write_wav(own / "low.wav", list(sine(500, 400)))
    write_wav(own / "high.wav", list(sine(1500, 400)))
    write_wav(own / "long.wav", list(sine(1000, 10_000)))
    async for each in BACKENDS[request.param](ports, (str(own), PROMPT_DIRECTORY), tmp_path):
        yield each


@pytest.fixture
def media(backend: Backend) -> Media:
    return backend.media


@pytest.fixture
def able(media: Media) -> Callable[[Capability], None]:
    """Skip what the backend says that it cannot do."""

    def check(capability: Capability) -> None:
        if capability not in media.capabilities():
            pytest.skip(f"declared: no {capability}")

    return check


class Party:
    """A phone, its leg, and what was told of the leg."""

    def __init__(self, phone: TonePhone) -> None:
        self.phone = phone
        self.events: list[MediaEvent] = []
        self.leg: MediaLeg

    @property
    def port(self) -> int:
        return port_of(self.leg.local_sdp)

    def tone(self, frequency: float) -> None:
        self.phone.tone(self.port, frequency)

    def press(self, event: int) -> None:
        self.phone.press(self.port, event)


Parties = Callable[..., Awaitable[Party]]


@pytest.fixture
async def party(media: Media) -> AsyncIterator[Parties]:
    """Parties that offer (or answer, with `answers`), and hang up at the end."""
    parties: list[Party] = []
    phones: list[TonePhone] = []

    async def make(codec: str = "PCMU", *, answers: bool = False, like: Party | None = None) -> Party:
        one = Party(TonePhone(codec))
        name = f"leg-{len(phones)}"
        phones.append(one.phone)
        beside = like.leg if like is not None else None
        if answers:
            one.leg = await media.open(name, one.events.append, like=beside)
            one.leg.accept(one.phone.sdp())
        else:
            one.leg = await media.open(name, one.events.append, offer=one.phone.sdp(), like=beside)
        parties.append(one)
        return one

    yield make
    await asyncio.gather(*(one.leg.close() for one in parties))
    for phone in (*phones, *(one.phone for one in parties)):
        phone.close()


async def eventually(condition: Callable[[], Any], what: str) -> None:
    """Wait for what takes processes to start, on a machine that has more to do."""
    for _ in range(6):
        try:
            await until(condition, what)
        except AssertionError:
            continue
        return
    raise AssertionError(f"{what} did not come")


async def talking(condition: Callable[[], Any], *talkers: tuple[Party, float], what: str = "condition") -> None:
    """Have each talk in his tone, 20 ms at a time, until the condition holds; it is looked at for a bound of time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BOUND
    due = loop.time()
    while not condition():
        assert loop.time() < deadline, f"{what} did not come"
        for one, frequency in talkers:
            one.tone(frequency)
        due += 0.02
        await asyncio.sleep(max(0.0, due - loop.time()))


async def settled(one: Party) -> Any:
    """Wait until the backend has done what was asked of it for the leg: its answers come in order."""
    return await one.leg.measure()
