"""A real browser speaks with a media leg: ICE, DTLS-SRTP and Opus or G.711, heard at both ends."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from media.api import Media, MediaEvent, MediaLeg, Protection
from media.builtin.supervisor import MediaSupervisor
from media.codecs.g711 import decode, encode
from media.codecs.names import PCMU
from media.settings import MediaSettings
from tests.conftest import Ports
from tests.media.conftest import Phone
from tests.peers.kit.chromium import NoChecks, Page
from tests.peers.kit.tones import level, loudest_part, write_tone

pytestmark = [pytest.mark.peer("chromium"), pytest.mark.rfc("8445-2.5", "5763-5", "8827-6.5", "7983-7")]

PAGE_HZ, PROMPT_HZ, PHONE_HZ = 440.0, 1000.0, 700.0
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"


@asynccontextmanager
async def serving(ports: Ports, directory: Path, codecs: tuple[str, ...]) -> AsyncIterator[MediaSupervisor]:
    first = ports.block(20)
    prompts = directory / "prompts"
    prompts.mkdir()
    write_tone(prompts / "tone.wav", PROMPT_HZ, 2.0)
    settings = MediaSettings(
        port_min=first, port_max=first + 19, prompt_directories=(str(prompts),), codecs=codecs, offers=codecs
    )
    media = MediaSupervisor(settings)
    await media.start()
    try:
        yield media
    finally:
        await media.stop()


async def connected(media: Media, page: Page, events: list[MediaEvent], *, ours: bool) -> MediaLeg:
    """Have the page and a leg agree, by our offer or by the page's; once more if Chromium does not even try."""
    leg = await agreed(media, page, events, ours=ours)
    try:
        await page.wait_for_state("connected")
    except NoChecks:
        await leg.close()
        await page.reload()
        leg = await agreed(media, page, events, ours=ours)
        await page.wait_for_state("connected")
    return leg


async def agreed(media: Media, page: Page, events: list[MediaEvent], *, ours: bool) -> MediaLeg:
    if ours:
        leg = await media.open("page", events.append, protection=Protection.DTLS)
        leg.accept(await page.describe("offer", leg.local_sdp))
    else:
        leg = await media.open("page", events.append, offer=await page.offer())
        await page.describe("answer", leg.local_sdp)
    return leg


async def talk(phone: Phone, port: int, seconds: float) -> np.ndarray:
    """Have a phone without SRTP play its tone in G.711; returns what it hears meanwhile."""
    times = np.arange(8000) / 8000
    tone = encode((16384 * np.sin(2 * np.pi * PHONE_HZ * times)).astype("<i2").tobytes(), PCMU)
    clock = asyncio.get_running_loop().time
    began, sent = clock(), 0
    while len(phone.read()) < 50 * seconds:
        assert clock() < began + 30, "the phone hears nothing"
        while sent < (clock() - began) * 50:
            at = sent * 160 % 8000
            phone.send(port, tone[at : at + 160])
            sent += 1
        await asyncio.sleep(0.005)
    payloads = [packet[12:] for packet in phone.received if packet[1] & 0x7F == 0 and len(packet) == 172]
    samples = struct.unpack(f"<{160 * len(payloads)}h", decode(b"".join(payloads), PCMU))
    return np.array(samples) / 32768


@pytest.mark.parametrize("ours", [False, True], ids=["its offer", "our offer"])
@pytest.mark.parametrize("codecs", [("PCMU",), ("opus", "PCMU")], ids=["PCMU", "opus"])
async def test_a_browser_hears_us_and_we_hear_it(
    ports: Ports, tmp_path: Path, codecs: tuple[str, ...], ours: bool
) -> None:
    events: list[MediaEvent] = []
    async with serving(ports, tmp_path, codecs) as media, Page(tmp_path, ports.one(), PAGE_HZ) as page:
        leg = await connected(media, page, events, ours=ours)
        leg.play(["tone"], loop=True)
        await page.wait_for_tone(PROMPT_HZ)
        assert (await leg.measure()).codec == codecs[0]
        leg.stop()
        phone = Phone()
        other = await media.open("phone", events.append, offer=OFFER.format(port=phone.port), like=leg)
        leg.bridge(other)
        port = int(other.local_sdp.partition("m=audio ")[2].split()[0])
        heard = await talk(phone, port, 4)
        assert level(loudest_part(heard, PAGE_HZ, 1.0), PAGE_HZ) > -1
        talking = asyncio.ensure_future(talk(phone, port, 14))
        await page.wait_for_tone(PHONE_HZ)
        talking.cancel()
        report, _ = await asyncio.gather(leg.close(), other.close())
        phone.close()
        assert (report.security or "").startswith("DTLS ")
        assert report.packets_received > 50


@pytest.mark.rfc("8445-9", "8839-4.4.1.1.1", "8842-5.2")
async def test_a_browser_restarts_ice_and_is_offered_again(ports: Ports, tmp_path: Path) -> None:
    events: list[MediaEvent] = []
    async with serving(ports, tmp_path, ("opus",)) as media, Page(tmp_path, ports.one(), PAGE_HZ) as page:
        leg = await connected(media, page, events, ours=False)
        before = leg.local_sdp
        leg.play(["tone"], loop=True)
        await page.wait_for_tone(PROMPT_HZ)
        offer = await page.offer(restart=True)
        await page.describe("answer", await leg.reoffer(offer))
        assert credentials(leg.local_sdp) != credentials(before)
        await page.wait_for_fragment(offer.partition("a=ice-ufrag:")[2].split()[0])
        await page.wait_for_tone(PROMPT_HZ)
        leg.accept(await page.describe("offer", await leg.reoffer(None)))
        await page.wait_for_tone(PROMPT_HZ)
        report = await leg.close()
        assert (report.security or "").startswith("DTLS ")
        assert media.counters().handshakes_failed == 0


def credentials(sdp: str) -> list[str]:
    return [line for line in sdp.splitlines() if line.startswith("a=ice-")][1:]
