"""The phones of an RTP measurement: a process that sends 20 ms packets and counts what comes back.

Run as ``python -m benchmarks.rtp_load PHONES SECONDS``. It prints ``{"ports": […]}``, one RTP port a phone, reads
``{"targets": […], "voices": […]}``, where each phone sends to and what, and prints a `Report` when the time is over.

A G.711 packet bears the time at which it was sent. Some phones have the kernel note when a packet came, and tell from
both how long it was on its way through the relay, and how much that varied.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import socket
import struct
import sys
import time
from array import array
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
WATCHED = 40  # phones at most that tell delays: asking the kernel costs more than receiving
_TIMESTAMPNS = 35  # SO_TIMESTAMPNS of Linux, which `socket` does not name
_STAMP = struct.Struct("!Q")
_TIMESPEC = struct.Struct("qq")
_HEADER_SIZE = 12
_LONGEST_NS = 10_000_000_000


class Voice(msgspec.Struct, frozen=True):
    """What a phone sends every 20 ms: the payload type, the payload, and by how much the RTP timestamp advances."""

    payload_type: int = 0
    payload: bytes = b""  # empty: G.711 with the time at which it is sent
    step: int = SAMPLES_PER_PACKET


class Report(msgspec.Struct, frozen=True):
    """What the phones did. `late` counts packets sent more than 10 ms after their time.

    `delay_us` is the time on the way that 99 of 100 packets stay below, `jitter_us` likewise for the difference to the
    packet before; 0 where no packet tells.
    """

    sent: int
    received: int
    late: int
    worst_ms: float
    silent: int  # phones that received nothing
    seconds: float
    delay_us: float = 0.0
    jitter_us: float = 0.0


class Orders(msgspec.Struct, frozen=True):
    """What the phones are told."""

    targets: tuple[int, ...]
    voices: tuple[Voice, ...] = ()


class Phones:
    """Sockets that each play one phone: constant rate out, a count in."""

    def __init__(self, count: int) -> None:
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        self._received: dict[int, int] = {}
        self._by_descriptor: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        self._delays: dict[int, array[int]] = {}
        for number, phone in enumerate(self._sockets):
            phone.bind((LOOPBACK, 0))
            phone.setblocking(False)
            if number % max(1, count // WATCHED) == 0:
                phone.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
                self._delays[phone.fileno()] = array("q")
            self._epoll.register(phone, select.EPOLLIN)
            self._received[phone.fileno()] = 0
            self._by_descriptor[phone.fileno()] = phone

    def ports(self) -> list[int]:
        """Return each phone's RTP port."""
        return [phone.getsockname()[1] for phone in self._sockets]

    def run(self, targets: Sequence[int], seconds: float, voices: Sequence[Voice] = ()) -> Report:
        """Send for `seconds`, each phone to its target port, and collect what arrives until shortly after.

        The voices go round among the phones.
        """
        packets = []
        for number, (phone, port) in enumerate(zip(self._sockets, targets, strict=True)):
            voice = voices[number % len(voices)] if voices else Voice()
            phone.connect((LOOPBACK, port))
            header = struct.pack("!BBHII", 0x80, voice.payload_type, 0, 0, 0x1000_0000 + number)
            payload = voice.payload or bytes([0xD5 ^ number & 0x7F]) * SAMPLES_PER_PACKET
            packets.append((bytearray(header + payload), voice.step, not voice.payload))
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
            for phone, (packet, samples, stamped) in slots[tick % SLOTS]:
                struct.pack_into("!HI", packet, 2, number & 0xFFFF, number * samples & 0xFFFF_FFFF)
                if stamped:
                    _STAMP.pack_into(packet, _HEADER_SIZE, time.time_ns())
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
        silent = sum(not count for count in counts)
        delays = [delay for told in self._delays.values() for delay in told]
        steps = [abs(b - a) for told in self._delays.values() for a, b in itertools.pairwise(told)]
        return Report(sent, sum(counts), late, worst * 1000, silent, elapsed, _p99_us(delays), _p99_us(steps))

    def _receive(self) -> None:
        received, by_descriptor = self._received, self._by_descriptor
        for descriptor, _ in self._epoll.poll(0):
            with contextlib.suppress(ConnectionRefusedError):
                if (delays := self._delays.get(descriptor)) is not None:
                    _note(by_descriptor[descriptor], delays)
                else:
                    by_descriptor[descriptor].recv(2048)
                received[descriptor] += 1


def _note(phone: socket.socket, delays: array[int]) -> None:
    """Receive a packet, and how long it was on its way."""
    data, notes, _, _ = phone.recvmsg(2048, 64)
    seconds, nanoseconds = _TIMESPEC.unpack_from(notes[0][2])
    if len(data) >= _HEADER_SIZE + _STAMP.size:
        delay = seconds * 1_000_000_000 + nanoseconds - _STAMP.unpack_from(data, _HEADER_SIZE)[0]
        if 0 <= delay < _LONGEST_NS:
            delays.append(delay)


def _p99_us(nanoseconds: list[int]) -> float:
    return sorted(nanoseconds)[len(nanoseconds) * 99 // 100] / 1000 if nanoseconds else 0.0


class Fleet:
    """The other side of ``python -m benchmarks.rtp_load``: its phones, waiting to be told where to send."""

    def __init__(self, process: Helper, seconds: float) -> None:
        self._process = process
        self._seconds = seconds
        self.ports: list[int] = json.loads(process.hear(START_SECONDS))["ports"]

    def run(self, targets: Sequence[int], voices: Sequence[Voice] = ()) -> Report:
        """Send to `targets`, one port a phone, and return the report when the phones are done."""
        self._process.say(msgspec.json.encode(Orders(tuple(targets), tuple(voices))).decode())
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
    sample.delay_us, sample.jitter_us = report.delay_us, report.jitter_us
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
        orders = msgspec.json.decode(line, type=Orders)
        report = fleet.run(orders.targets, float(sys.argv[2]), orders.voices)
        print(msgspec.json.encode(report).decode(), flush=True)


if __name__ == "__main__":
    main()
