"""tshark's reading of the events that a worker sends: a program that knows telephone-events, and nothing of ours."""

import subprocess
from pathlib import Path

import pytest

from media.rtp.stream import EVENTS, Format
from media.worker import control
from tests.media.conftest import Bench, until
from tests.peers.kit.pcap import Datagram, write_pcap

pytestmark = pytest.mark.peer("tshark")

PORT = 4000
FIELDS = ("rtp.marker", "rtp.timestamp", "rtpevent.event_id", "rtpevent.end_of_event", "rtpevent.duration")


def read(file: Path) -> list[tuple[bool, int, int, bool, int]]:
    """Return what tshark reads of each packet: marker, timestamp, event, end, duration."""
    command = ["tshark", "-n", "-r", str(file), "-d", f"udp.port=={PORT},rtp", "-d", "rtp.pt==101,rtpevent"]
    command += ["-T", "fields", *(part for field in FIELDS for part in ("-e", field))]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    return [(_true(row[0]), int(row[1]), int(row[2]), _true(row[3]), int(row[4])) for row in rows]


def _true(text: str) -> bool:
    return text.lower() in {"1", "true"}


@pytest.mark.rfc("4733-2.5.1.2", "4733-2.5.1.4")
@pytest.mark.parametrize("clock_rate", [8000, 48_000])
async def test_tshark_reads_the_keys_that_are_sent(bench: Bench, tmp_path: Path, clock_rate: int) -> None:
    phone, leg, _ = bench.leg(send_events=Format(101, EVENTS, clock_rate=clock_rate))
    bench.handle(control.SendDigits(leg, "5#", 60))
    await until(lambda: len(phone.read()) == 10)
    write_pcap(tmp_path / "keys.pcap", [Datagram(n * 0.02, PORT, PORT, data) for n, data in enumerate(phone.read())])
    told = read(tmp_path / "keys.pcap")
    tick = clock_rate // 50
    lasted = [tick, 2 * tick, 3 * tick, 3 * tick, 3 * tick]
    assert [event for _, _, event, _, _ in told] == [5] * 5 + [11] * 5
    assert [marker for marker, *_ in told] == ([True] + [False] * 4) * 2
    assert [end for _, _, _, end, _ in told] == ([False] * 2 + [True] * 3) * 2
    assert [duration for *_, duration in told] == lasted * 2
    assert len({timestamp for _, timestamp, *_ in told}) == 2
