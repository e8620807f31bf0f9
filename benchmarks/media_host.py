"""The media supervisor and its worker as the engine runs them, bridging phones of a measurement without SIP.

Run as ``python -m benchmarks.media_host [DIRECTORY]``; with a directory every bridge is recorded there. It prints
``ready``. Then each line read is answered by one: an `Order` by the list of our ports that the phones of each session
send to; ``report`` closes all legs and is answered by the number of packets received by those that measured their
jitter. It ends when its input does.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Literal

import msgspec
import structlog
import uvloop

from benchmarks.processes import RTP_PORTS
from benchmarks.targets import audio_port, sdp
from media.api import MediaEvent
from media.builtin.leg import WorkerLeg
from media.builtin.supervisor import MediaSupervisor
from media.conference import together
from media.settings import MediaSettings

SETTINGS = MediaSettings(
    port_min=RTP_PORTS.start,
    port_max=RTP_PORTS.stop - 1,
    rtp_timeout_seconds=0,
    codecs=("PCMU", "PCMA", "G722", "opus", "AMR"),
)
MUSIC = "music/hold"


class Order(msgspec.Struct, frozen=True):
    """What to do for sessions, each given by the RTP ports of its phones.

    "bridge" relays between two, "play" plays music to one, "mix" lets three hear each other. The second phone of each
    session speaks `codec`, the others G.711.
    """

    work: Literal["bridge", "play", "mix"]
    sessions: tuple[tuple[int, ...], ...]
    codec: str = "0 PCMU/8000"


async def _perform(media: MediaSupervisor, order: Order, recordings: Path | None) -> list[list[WorkerLeg]]:
    """Open the legs of each session and connect them."""
    sessions = []
    for number, ports in enumerate(order.sessions):
        legs: list[WorkerLeg] = []
        for place, port in enumerate(ports):
            offer = sdp(port, order.codec) if place == 1 else sdp(port)
            leg = await media.open(f"{number}/{place}", _ignore, offer=offer, like=legs[0] if legs else None)
            assert isinstance(leg, WorkerLeg)
            legs.append(leg)
        match order.work:
            case "bridge":
                legs[0].bridge(legs[1], record=str(recordings / f"{number}.wav") if recordings else None)
            case "play":
                legs[0].play([MUSIC], loop=True)
            case "mix":
                media.connect(together(*legs))
        sessions.append(legs)
    return sessions


def _ignore(_: MediaEvent) -> None:
    """Take an event of a leg that nobody acts on."""


async def _serve(recordings: Path | None) -> None:
    media = MediaSupervisor(SETTINGS)
    await media.start()
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    reader = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    legs: list[WorkerLeg] = []
    print("ready", flush=True)
    try:
        while line := (await reader.readline()).decode().strip():
            if line == "report":
                reports = await asyncio.gather(*(leg.close() for leg in legs))
                # Phones never send at perfectly equal intervals: hardly any jitter means that it was not measured.
                measured = sum(report.jitter_ms > 0 for report in reports) > 0.9 * len(reports)
                answer = str(sum(report.packets_received for report in reports) if measured else 0)
            else:
                opened = await _perform(media, msgspec.json.decode(line, type=Order), recordings)
                legs += [leg for session in opened for leg in session]
                answer = json.dumps([[audio_port(leg.local_sdp) for leg in session] for session in opened])
            print(answer, flush=True)
    finally:
        await media.stop()


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for the answers
    try:
        uvloop.run(_serve(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
    except asyncio.CancelledError:
        sys.exit(0)


if __name__ == "__main__":
    main()
