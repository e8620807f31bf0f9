"""A real browser speaks with a leg of rtpengine: ICE and DTLS-SRTP by its offer and by ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from media.api import MediaEvent
from media.rtpengine.backend import RtpengineMedia
from media.rtpengine.settings import RtpengineSettings
from media.settings import PROMPT_DIRECTORY
from tests.conftest import Ports
from tests.media.conftest import Phone
from tests.media.contract.rtpengines import Rtpengine
from tests.peers.kit.chromium import Page
from tests.peers.kit.tones import level, loudest_part, write_tone
from tests.peers.test_browser_media import OFFER, PAGE_HZ, PHONE_HZ, PROMPT_HZ, connected, credentials, talk

pytestmark = [pytest.mark.peer("chromium", "rtpengine"), pytest.mark.rfc("8445-2.5", "5763-5", "8827-6.5")]


@asynccontextmanager
async def serving(ports: Ports, directory: Path) -> AsyncIterator[RtpengineMedia]:
    prompts = directory / "prompts"
    prompts.mkdir()
    write_tone(prompts / "tone.wav", PROMPT_HZ, 2.0)
    digits, ng, first = ports.block(1), ports.block(1), ports.block(40)
    engine = Rtpengine(directory, ng=ng, rtp=range(first, first + 40), digits=digits)
    engine.start()
    media = RtpengineMedia(
        RtpengineSettings(
            nodes=(engine.node,),
            digits=("127.0.0.1", digits),
            spool=str(directory / "spool"),
            prompt_directories=(str(prompts), PROMPT_DIRECTORY),
        )
    )
    try:
        await media.start()
        yield media
    finally:
        await media.stop()
        engine.kill()


@pytest.mark.parametrize("ours", [False, True], ids=["its offer", "our offer"])
async def test_a_browser_hears_us_and_we_hear_it(ports: Ports, tmp_path: Path, ours: bool) -> None:
    events: list[MediaEvent] = []
    async with serving(ports, tmp_path) as media, Page(tmp_path, ports.one(), PAGE_HZ) as page:
        leg = await connected(media, page, events, ours=ours)
        leg.play(["tone"], loop=True)
        await page.wait_for_tone(PROMPT_HZ)
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
        assert report.security == "DTLS"
        assert report.packets_received > 50


@pytest.mark.rfc("8445-9", "8839-4.4.1.1.1")
async def test_a_browser_restarts_ice(ports: Ports, tmp_path: Path) -> None:
    events: list[MediaEvent] = []
    async with serving(ports, tmp_path) as media, Page(tmp_path, ports.one(), PAGE_HZ) as page:
        leg = await connected(media, page, events, ours=False)
        before = leg.local_sdp
        leg.play(["tone"], loop=True)
        await page.wait_for_tone(PROMPT_HZ)
        offer = await page.offer(restart=True)
        await page.describe("answer", await leg.reoffer(offer))
        assert credentials(leg.local_sdp) != credentials(before)
        await page.wait_for_fragment(offer.partition("a=ice-ufrag:")[2].split()[0])
        await page.wait_for_tone(PROMPT_HZ)
        await leg.close()
