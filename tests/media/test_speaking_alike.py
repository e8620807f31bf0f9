"""Two legs of a bridge speak the same codec wherever one of the peers takes what the other speaks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from media.api import MediaEvent
from media.builtin.supervisor import MediaSupervisor
from media.sdp.description import parse
from media.settings import MediaSettings

from .conftest import Phone, until

OPUS = "a=rtpmap:96 opus/48000/2\r\n"


@pytest.fixture
async def media(ports: Any, tmp_path: Path) -> AsyncIterator[MediaSupervisor]:
    first = ports.block(20)
    media = MediaSupervisor(MediaSettings(port_min=first, port_max=first + 19, prompt_directories=(str(tmp_path),)))
    await media.start()
    yield media
    await media.stop()


def sdp(phone: Phone, payloads: str, lines: str = "") -> str:
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {phone.port} RTP/AVP {payloads}\r\n{lines}"
    )


@pytest.mark.rfc("3264-6.1")
async def test_a_caller_hears_the_agents_codec_as_it_is_where_it_offered_that_too(media: MediaSupervisor) -> None:
    caller, agent = Phone(), Phone()
    events: list[MediaEvent] = []
    one = await media.open("caller", events.append, offer=sdp(caller, "96 8", OPUS))
    other = await media.open("agent", events.append, like=one)
    assert parse(other.local_sdp).media[0].formats[:3] == ["96", "8", "0"]
    other.accept(sdp(agent, "8"))
    one.bridge(other)
    port = parse(other.local_sdp).media[0].port

    def relayed() -> list[bytes]:
        agent.send(port, b"from the agent".ljust(160, b"\xd5"), payload_type=8)
        return [packet for packet in caller.read() if b"from the agent" in packet]

    await until(relayed, "the agent's own octets")
    (header, *_) = {packet[1] & 0x7F for packet in relayed()}
    assert header == 8
    report = await one.close()
    assert report.codec == "PCMA"
    await other.close()
    caller.close()
    agent.close()
