"""The media supervisor and its worker as the engine runs them, bridging phones of a measurement without SIP.

Run as ``python -m benchmarks.media_host [DIRECTORY]``; with a directory every session is recorded there. It prints
``ready``. Then each line read is answered by one: a list of ``[caller's RTP port, callee's]`` by the list of our ports
that these send to; ``report`` closes all legs and is answered by the number of packets received by those that measured
their jitter. It ends when its input does.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import structlog
import uvloop

from benchmarks.processes import RTP_PORTS
from benchmarks.targets import audio_port, sdp
from media.api import MediaEvent
from media.builtin.client import WorkerLeg
from media.builtin.supervisor import MediaSupervisor
from media.settings import MediaSettings

SETTINGS = MediaSettings(port_min=RTP_PORTS.start, port_max=RTP_PORTS.stop - 1, rtp_timeout_seconds=0)


async def _bridge(
    media: MediaSupervisor, sessions: list[tuple[int, int]], recordings: Path | None
) -> tuple[list[WorkerLeg], str]:
    legs: list[WorkerLeg] = []
    ports = []
    for number, (caller, callee) in enumerate(sessions):
        first = await media.open(f"caller{number}", _ignore, offer=sdp(caller))
        second = await media.open(f"callee{number}", _ignore, offer=sdp(callee), like=first)
        first.bridge(second, record=str(recordings / f"{number}.wav") if recordings else None)
        assert isinstance(first, WorkerLeg)
        assert isinstance(second, WorkerLeg)
        legs += [first, second]
        ports.append((audio_port(first.local_sdp), audio_port(second.local_sdp)))
    return legs, json.dumps(ports)


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
                reports = [await leg.close() for leg in legs]
                # Phones never send at perfectly equal intervals: no jitter at all means that it was not measured.
                answer = str(sum(report.packets_received for report in reports if report.jitter_ms > 0))
            else:
                sessions = [(caller, callee) for caller, callee in json.loads(line)]
                opened, answer = await _bridge(media, sessions, recordings)
                legs += opened
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
