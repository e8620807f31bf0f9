"""The phones of an RTP measurement: a process that sends 20 ms G.711 packets and counts what comes back.

Run as ``python -m benchmarks.rtp_load PHONES SECONDS``. It prints ``{"ports": […]}``, one RTP port a phone, reads
``{"targets": […]}``, where each phone sends to, and prints a `Report` when the time is over.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.processes import LOOPBACK, Helper, helper
from benchmarks.sampling import Sample

PACKET_SECONDS = 0.020
SAMPLES_PER_PACKET = 160
SLOTS = 20  # phones start at one of 20 instants, 1 ms apart
LATE_SECONDS = 0.010
DRAIN_SECONDS = 0.3
START_SECONDS = 20.0


class Report(msgspec.Struct, frozen=True):
    """What the phones did. `late` counts packets sent more than 10 ms after their time."""

    sent: int
    received: int
    late: int
    worst_ms: float
    silent: int  # phones that received nothing
    seconds: float


class Phones:
    """Sockets that each play one phone: constant rate out, a count in."""

    def __init__(self, count: int) -> None:
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        self._received: dict[int, int] = {}
        self._by_descriptor: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        for phone in self._sockets:
            phone.bind((LOOPBACK, 0))
            phone.setblocking(False)
            self._epoll.register(phone, select.EPOLLIN)
            self._received[phone.fileno()] = 0
            self._by_descriptor[phone.fileno()] = phone

    def ports(self) -> list[int]:
        """Return each phone's RTP port."""
        return [phone.getsockname()[1] for phone in self._sockets]

    def run(self, targets: Sequence[int], seconds: float) -> Report:
        """Send for `seconds`, each phone to its target port, and collect what arrives until shortly after."""
        packets = []
        for number, (phone, port) in enumerate(zip(self._sockets, targets, strict=True)):
            phone.connect((LOOPBACK, port))
            header = struct.pack("!BBHII", 0x80, 0, 0, 0, 0x1000_0000 + number)
            packets.append(bytearray(header + bytes([0xD5 ^ number & 0x7F]) * SAMPLES_PER_PACKET))
        slots = [list(zip(self._sockets, packets, strict=True))[slot::SLOTS] for slot in range(SLOTS)]
        step = PACKET_SECONDS / SLOTS
        sent = late = 0
        worst = 0.0
        started = time.monotonic()
        for tick in range(round(seconds / step)):
            due = started + tick * step
            while (ahead := due - time.monotonic()) > 0:
                self._receive()
                time.sleep(min(max(due - time.monotonic(), 0), ahead, step / 2))
            number = tick // SLOTS
            for phone, packet in slots[tick % SLOTS]:
                struct.pack_into("!HI", packet, 2, number & 0xFFFF, number * SAMPLES_PER_PACKET & 0xFFFF_FFFF)
                with contextlib.suppress(ConnectionRefusedError):
                    phone.send(packet)
            behind = time.monotonic() - due
            worst = max(worst, behind)
            size = len(slots[tick % SLOTS])
            sent += size
            late += size if behind > LATE_SECONDS else 0
            self._receive()
        elapsed = time.monotonic() - started
        end = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < end:
            self._receive()
            time.sleep(0.001)
        counts = self._received.values()
        return Report(sent, sum(counts), late, worst * 1000, sum(not count for count in counts), elapsed)

    def _receive(self) -> None:
        received, by_descriptor = self._received, self._by_descriptor
        for descriptor, _ in self._epoll.poll(0):
            with contextlib.suppress(ConnectionRefusedError):
                by_descriptor[descriptor].recv(2048)
                received[descriptor] += 1


class Fleet:
    """The other side of ``python -m benchmarks.rtp_load``: its phones, waiting to be told where to send."""

    def __init__(self, process: Helper, seconds: float) -> None:
        self._process = process
        self._seconds = seconds
        self.ports: list[int] = json.loads(process.hear(START_SECONDS))["ports"]

    def run(self, targets: Sequence[int]) -> Report:
        """Send to `targets`, one port a phone, and return the report when the phones are done."""
        self._process.say(json.dumps({"targets": list(targets)}))
        return msgspec.json.decode(self._process.hear(self._seconds + START_SECONDS), type=Report)


@contextmanager
def phones(count: int, seconds: float, directory: Path) -> Iterator[Fleet]:
    """Start a process with `count` phones that will send for `seconds`; it is ended with the block."""
    with helper("rtp_load", count, seconds, directory=directory) as process:
        yield Fleet(process, seconds)


def judge(sample: Sample, report: Report, counted: int) -> None:
    """Take the relayed packets over from the phones' report and doubt the sample when the load was not as meant.

    `counted` is how many packets the relay says it received.
    """
    sample.units, sample.seconds = report.received, report.seconds
    if report.received < report.sent * 0.999:
        sample.doubts.append(f"{report.sent - report.received} of {report.sent} packets did not come back")
    if counted != report.sent:
        sample.doubts.append(f"the relay counted {counted} of {report.sent} packets")
    if report.silent:
        sample.doubts.append(f"{report.silent} phones heard nothing")
    if report.late > report.sent * 0.01:
        sample.doubts.append(f"sender late: {report.late} of {report.sent} packets by more than 10 ms")


def main() -> None:
    fleet = Phones(int(sys.argv[1]))
    print(json.dumps({"ports": fleet.ports()}), flush=True)
    line = sys.stdin.readline()
    if line:
        report = fleet.run(json.loads(line)["targets"], float(sys.argv[2]))
        print(msgspec.json.encode(report).decode(), flush=True)


if __name__ == "__main__":
    main()
