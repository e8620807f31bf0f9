"""What a worker process tells the engine of the voice: troubles as they come and go, and the report."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from media.api import MediaEvent, Recovered, Trouble, Troubled
from media.builtin.supervisor import MediaSupervisor
from media.rtp.rtcp import Description, ReceiverReport, read
from media.rtp.troubles import Thresholds
from media.sdp.description import parse
from media.settings import MediaSettings

from .conftest import Phone, until


@pytest.fixture
def pair() -> Iterator[tuple[Phone, Phone]]:
    """A phone's sockets of RTP and, above it, of RTCP."""
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            low = Phone()
            stack.callback(low.close)
            if low.port % 2 == 0:
                with contextlib.suppress(OSError):
                    high = Phone(low.port + 1)
                    stack.callback(high.close)
                    break
        yield low, high


async def test_troubles_reach_the_owner_of_the_leg(
    ports: Any, prompt_directory: Path, pair: tuple[Phone, Phone]
) -> None:
    phone, rtcp = pair
    first = ports.block(20)
    media = MediaSupervisor(
        MediaSettings(
            port_min=first,
            port_max=first + 19,
            prompt_directories=(str(prompt_directory),),
            quality=Thresholds(no_rtp_seconds=0.2),
        )
    )
    await media.start()
    try:
        events: list[MediaEvent] = []
        offer = (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {phone.port} RTP/AVP 0\r\n"
        )
        leg = await media.open("caller", events.append, offer=offer)
        port = parse(leg.local_sdp).media[0].port
        phone.send(port)
        await until(lambda: events, "trouble")
        (troubled,) = events
        assert isinstance(troubled, Troubled)
        assert troubled.trouble is Trouble.NO_RTP

        def recovered() -> bool:
            phone.send(port)
            return len(events) > 1

        await until(recovered, "recovery")
        assert isinstance(events[1], Recovered)
        await until(rtcp.read, "the first report")
        report, description, *_ = read(rtcp.received[0])
        assert isinstance(report, ReceiverReport)
        assert report.blocks[0].ssrc == phone.ssrc
        assert isinstance(description, Description)
        closed = await leg.close()
        assert closed.troubles[0] is Trouble.NO_RTP
        await until(lambda: media.counters().rtcp_sent >= 1, "heartbeat")
    finally:
        await media.stop()
