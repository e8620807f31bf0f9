"""Streams to a recording server: what is offered and answered, and that they carry what is said (RFC 7866)."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media.api import MediaUnavailable, NotAcceptable, Protection
from media.builtin.supervisor import MediaSupervisor
from media.codecs.g711 import PCMU, decode, encode
from media.conference import together
from media.sdp.description import parse
from media.settings import MediaSettings
from media.siprec.fork import Fork, open_fork
from media.testing import FakeLeg, FakeMedia
from tests.media.conftest import Phone, until


def sdp(port: int, formats: str = "0 101") -> str:
    return (
        f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n"
        "a=rtpmap:101 telephone-event/8000\r\n"
    )


def answer(*ports: int, formats: str = "0", direction: str = "recvonly") -> str:
    sections = "".join(f"m=audio {port} RTP/AVP {formats}\r\na={direction}\r\n" for port in ports)
    return f"v=0\r\no=srs 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n{sections}"


async def opened(media: FakeMedia) -> tuple[FakeLeg, FakeLeg, Fork]:
    caller = await media.open("caller", print, offer=sdp(4000))
    agent = await media.open("agent", print, offer=sdp(4002, "8 101"))
    return caller, agent, await open_fork(media, "siprec", (caller, agent))


@pytest.mark.rfc("7866-7.1.1")
async def test_each_speaker_has_a_section_with_a_label_that_only_sends() -> None:
    media = FakeMedia()
    *_, fork = await opened(media)
    description = parse(fork.offer())
    assert [section.attributes("label") for section in description.media] == [["1"], ["2"]]
    for section in description.media:
        assert description.direction(section) == "sendonly"
        assert not any("telephone-event" in value for value in section.attributes("rtpmap"))
        assert not any(value.startswith("101 ") for value in section.attributes("fmtp"))
    assert [section.formats[0] for section in description.media] == ["0", "8"]
    assert len({section.port for section in description.media}) == 2


@pytest.mark.rfc("7866-7.1.1.1")
@pytest.mark.rfc("3264-8")
async def test_a_pause_is_offered_as_inactive_with_a_new_version() -> None:
    *_, fork = await opened(FakeMedia())
    versions, directions = [], []
    for paused in (False, False, True, False):
        description = parse(fork.offer(paused=paused))
        (origin,) = (value for letter, value in description.lines if letter == "o")
        versions.append(int(origin.split(" ")[2]))
        directions += [description.direction(section) for section in description.media]
    assert [version - versions[0] for version in versions] == [0, 0, 1, 2]
    assert directions == ["sendonly"] * 4 + ["inactive"] * 2 + ["sendonly"] * 2


async def test_what_the_server_refuses_is_not_sent() -> None:
    caller, agent, fork = await opened(FakeMedia())
    fork.offer()
    assert fork.gains((caller, agent)) == {}
    fork.accept(answer(0, 5000, formats="8"))
    ((speaker, _),) = fork.gains((caller, agent))
    assert speaker is agent


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (answer(0, 0), "refuses every stream"),
        (answer(5000), "has 1 m= lines, the offer had 2"),
        (answer(5000, 5002, formats="18"), "codec"),
    ],
)
async def test_an_answer_that_takes_nothing_is_refused(text: str, reason: str) -> None:
    *_, fork = await opened(FakeMedia())
    fork.offer()
    with pytest.raises(NotAcceptable, match=reason):
        fork.accept(text)


async def test_without_ports_nothing_stays_open() -> None:
    media = FakeMedia()
    caller = await media.open("caller", print, offer=sdp(4000))

    class Full(FakeMedia):
        async def open(self, *args: Any, **keys: Any) -> FakeLeg:
            if media.legs.get("siprec-1"):
                raise MediaUnavailable("No RTP port is free.")
            return await media.open(*args, **keys)

    with pytest.raises(MediaUnavailable):
        await open_fork(Full(), "siprec", (caller, caller))
    assert set(media.legs) == {"caller"}
    *_, fork = await opened(FakeMedia())
    await fork.close()


# Through a worker ------------------------------------------------------------------------------------------


@pytest.fixture
async def worker(ports: Any, prompt_directory: Path) -> AsyncIterator[MediaSupervisor]:
    first = ports.block(20)
    settings = MediaSettings(port_min=first, port_max=first + 19, prompt_directories=(str(prompt_directory),))
    media = MediaSupervisor(settings)
    await media.start()
    yield media
    await media.stop()


@pytest.fixture
def phones() -> Iterator[list[Phone]]:
    made = [Phone() for _ in range(4)]
    yield made
    for phone in made:
        phone.close()


def port_of(description: str) -> int:
    return parse(description).media[0].port


def heard(phone: Phone, law: str) -> float:
    """Return the frequency that the phone heard."""
    audio = np.frombuffer(decode(b"".join(phone.payloads()), law), np.int16)
    return float(np.argmax(np.abs(np.fft.rfft(audio * np.hanning(len(audio))))) * 8000 / len(audio))


def tone(hertz: float, number: int) -> bytes:
    samples = 8000 * np.sin(2 * np.pi * hertz / 8000 * (number * 160 + np.arange(160)))
    return encode(samples.astype("<i2").tobytes(), PCMU)


@pytest.mark.rfc("7866-7.1.1")
async def test_a_server_hears_each_of_them_apart_and_nobody_hears_it(
    worker: MediaSupervisor, phones: list[Phone], prompt_directory: Path
) -> None:
    caller, agent, *servers = phones
    legs = [await worker.open(f"leg{phone.port}", print, offer=sdp(phone.port)) for phone in (caller, agent)]
    legs[0].bridge(legs[1], record=str(prompt_directory / "call.wav"))
    fork = await open_fork(worker, "siprec", legs)
    fork.offer()
    fork.accept(answer(*(server.port for server in servers)))
    worker.connect(together(*legs) | fork.gains(legs))
    reports = await _settled(legs)
    assert len(reports) == 2
    for number in range(50):
        for phone, leg, hertz in ((caller, legs[0], 440), (agent, legs[1], 1000)):
            phone.send(port_of(leg.local_sdp), tone(hertz, number))
        for server in servers:
            server.raw(port_of(legs[0].local_sdp), b"\x80\x00" + bytes(170))
        await until(lambda n=number: all(len(server.read()) > n for server in servers))  # type: ignore[misc]
    assert heard(servers[0], PCMU) == pytest.approx(440, abs=10)
    assert heard(servers[1], PCMU) == pytest.approx(1000, abs=10)
    await until(lambda: len(agent.read()) == len(caller.read()) == 50)
    for server in servers:
        headers = server.headers()
        assert len({header[4] for header in headers}) == 1
        assert [header[2] for header in headers] == [(headers[0][2] + n) & 0xFFFF for n in range(50)]
    await fork.close()
    report = await legs[0].close()
    await legs[1].close()
    assert report.recording is not None, "the file goes on beside it"


async def _settled(legs: list[Any]) -> list[Any]:
    """Wait until the worker has done what it was told."""
    return [await leg.measure() for leg in legs]


@pytest.mark.rfc("7866-12.2")
@pytest.mark.rfc("4568-6.1")
async def test_streams_may_be_protected_by_keys_of_their_own(worker: MediaSupervisor) -> None:
    caller = await worker.open("caller", print, offer=sdp(4000))
    fork = await open_fork(worker, "siprec", (caller, caller), protection=Protection.SDES)
    sections = parse(fork.offer()).media
    assert [section.protocol for section in sections] == ["RTP/SAVP"] * 2
    first, second = (section.attributes("crypto") for section in sections)
    assert first
    assert first != second
    await fork.close()
    await caller.close()
