"""tshark's RTP statistics and its reading of our RTCP, on captures of what the tests sent."""

import re
import subprocess
from pathlib import Path

import pytest

from media.rtp.packet import HEADER, Reception, Sender
from media.rtp.reporting import Reporter
from media.rtp.rtcp import SenderReport, read
from media.rtp.xr import VoipMetrics
from tests.kit.impairment import GilbertElliott, Impairments, LossModel, RandomLoss
from tests.kit.impairment import Path as Wire
from tests.peers.kit.pcap import Datagram, write_pcap

pytestmark = pytest.mark.peer("tshark")

BEGIN = 1_700_000_000.0
PORT = 4000
AS_RTP = ("-d", f"udp.port=={PORT},rtp")
AS_RTCP = ("-d", f"udp.port=={PORT},rtcp")


def tshark(file: Path, *arguments: str) -> str:
    command = ("tshark", "-n", "-r", str(file), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def stream_of(output: str) -> dict[str, float]:
    """The one stream in `-z rtp,streams`."""
    (line,) = [line for line in output.splitlines() if "192.0.2.1" in line]
    match = re.search(r"0x[0-9A-F]+\s+.*?\s(\d+)\s+(-?\d+) \(.*?%\)\s+(.*)$", line)
    assert match is not None, line
    times = [float(value) for value in re.findall(r"[\d.]+", match[3])]
    return {"packets": float(match[1]), "lost": float(match[2]), "mean": times[-2], "max": times[-1]}


@pytest.mark.rfc("3550-A.8")
@pytest.mark.parametrize(
    ("loss", "jitter"),
    [(RandomLoss(0.0), 0.0), (RandomLoss(0.03), 0.012), (GilbertElliott(0.02, 0.3), 0.015)],
    ids=["clean", "random", "bursts"],
)
def test_loss_and_jitter_are_those_of_tshark(tmp_path: Path, loss: LossModel, jitter: float) -> None:
    wire = Wire(Impairments(loss, delay=0.05, jitter=jitter), seed=6)
    for number in range(2000):
        header = HEADER.pack(0x80, 0, (65_100 + number) & 0xFFFF, 160 * number, 77)
        wire.send(header + b"\xd5" * 160, BEGIN + number * 0.020)
    reception = Reception()
    jitters = []
    datagrams = []
    for at, data in wire.arrive():
        _, _, sequence, timestamp, ssrc = HEADER.unpack_from(data)
        if reception.ssrc != ssrc:
            reception.start(ssrc, sequence)
        seen = round(at, 6)  # as exact as the file
        reception.receive(sequence, timestamp, (seen - BEGIN) * 8000)
        jitters.append(reception.jitter_ms)
        datagrams.append(Datagram(seen, PORT, PORT, data))
    write_pcap(tmp_path / "rtp.pcap", datagrams)
    theirs = stream_of(tshark(tmp_path / "rtp.pcap", *AS_RTP, "-q", "-z", "rtp,streams"))
    assert theirs["packets"] == reception.received
    assert theirs["lost"] == reception.lost
    assert theirs["max"] == pytest.approx(max(jitters), abs=0.01)
    assert theirs["mean"] == pytest.approx(sum(jitters) / len(jitters), abs=0.01)


@pytest.mark.rfc("3550-6.4", "3611-4.7")
def test_tshark_reads_our_reports_as_they_are_meant(tmp_path: Path) -> None:
    sender, reception = Sender(0x11223344, 10, 20), Reception()
    reporter = Reporter(sender, reception, "name@example", now=0.0, unix_offset=BEGIN, chance=lambda: 0.5)
    reception.start(0x55667788, 1)
    for sequence in (1, 2, 3, 6, 7, 8, 9, 10):
        reception.receive(sequence, 160 * sequence, 160.0 * sequence)
    sender.advance("voice", 1.0)
    sender.packets, sender.octets = 1, 172
    metrics = VoipMetrics(
        ssrc=0x55667788, loss_rate=51, burst_density=128, gap_density=3, burst_ms=80, gap_ms=9000, round_trip_ms=120,
        end_system_ms=60, r_factor=82, mos_listening=4.1, mos_conversational=4.0, buffer_ms=40, buffer_maximum_ms=60,
    )  # fmt: skip
    report = reporter.compose(2.0, metrics)
    begin, *_ = read(report)
    assert isinstance(begin, SenderReport)
    bye = reporter.end(3.0)
    write_pcap(tmp_path / "rtcp.pcap", [Datagram(BEGIN, PORT, PORT, report), Datagram(BEGIN + 1, PORT, PORT, bye)])
    fields = {
        "rtcp.senderssrc": "0x11223344",
        "rtcp.timestamp.rtp": str(begin.timestamp),
        "rtcp.sender.packetcount": "1",
        "rtcp.sender.octetcount": "160",
        "rtcp.ssrc.fraction": str((2 << 8) // 10),
        "rtcp.ssrc.cum_nr": "2",
        "rtcp.ssrc.ext_high": "10",
        "rtcp.sdes.text": "name@example",
        "rtcp.xr.voipmetrics.burstdensity": "128",
        "rtcp.xr.voipmetrics.rtdelay": "120",
        "rtcp.xr.voipmetrics.rfactor": "82",
        "rtcp.xr.voipmetrics.moslq": "4.1",
        "rtcp.xr.voipmetrics.jbmax": "60",
    }
    output = tshark(
        tmp_path / "rtcp.pcap", *AS_RTCP, "-T", "fields", *(part for name in fields for part in ("-e", name))
    )
    first = dict(zip(fields, output.splitlines()[0].split("\t"), strict=True))
    assert {name: value.split(",")[0] for name, value in first.items()} == fields
    assert "Goodbye" in tshark(tmp_path / "rtcp.pcap", *AS_RTCP)
    assert "Malformed" not in tshark(tmp_path / "rtcp.pcap", *AS_RTCP, "-V")
