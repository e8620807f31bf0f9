"""Mixed calls for ten minutes, with 2 % of all datagrams lost and 1 % of those to the server spoilt.

python -m tests.soak [--seconds 600] [--rate 10] [--seed 1] [--loss 0.02] [--spoil 0.01]

It passes when the server's memory is flat over the second half, every gauge is back where it was, calls were
answered all the time, and the server ends well.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.conftest import Ports
from tests.peers.kit import LAB_AGENT_PORT, Program, Server, Sipp, Way, wait_until
from tests.peers.kit.process import LOOPBACK
from tests.soak.gauges import FILES, gauges, left_over


class Part(NamedTuple):
    """A scenario of tests/sipp, its share of the calls, and the number dialled."""

    scenario: str
    share: float
    number: str = "x"
    tcp: bool = False  # straight to the server, so that nothing is lost: who registers leaves by word, not by time


MIX = (
    Part("call", 0.5, "10001"),
    Part("call_cancel", 0.1, "r001"),
    Part("call_hold", 0.15, "10001"),
    Part("call_without_offer", 0.1, "10001"),
    Part("call_unacknowledged", 0.02, "10001"),
    Part("call", 0.05, "404"),
    Part("register_and_leave", 0.05),
    Part("register_and_leave", 0.03, tcp=True),
)
FIRST_NUMBER = "[numbers.10001]"
GROWTH = 1.05  # of the memory over the second half, at most: what varies by itself is less
RINGING = """
[queues.unused]
name = "Unused"

[agents.r001]               # rings until the caller gives up
queues = ["unused"]
contact = "sip:r001@127.0.0.1:{port}"

"""
SESSION_SECONDS = 90  # how soon a call is noticed whose phone has gone; RFC 4028 allows no less
RING_SECONDS = 60  # and a caller who has gone while it rings; a registration whose end was spoilt lasts as long
SETTLED = SESSION_SECONDS + 60.0  # until everything must be gone: 64 times T1, and wrap-up, are over before
SAMPLES = 20
RECENT = 5  # of them make a median


class Load(NamedTuple):
    """What is to be done to the server, for how long; `rate` in calls a second."""

    seconds: float
    rate: float
    seed: int = 1
    loss: float = 0.02
    spoil: float = 0.01
    mix: Sequence[Part] = MIX


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=10.0, help="calls a second")
    for name, default in (("seed", 1), ("loss", 0.02), ("spoil", 0.01)):
        parser.add_argument(f"--{name}", type=type(default), default=default)
    load = Load(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="ims-acd-soak-") as directory, World(Path(directory), load) as world:
        faults = world.soak()
    for fault in faults:
        print(f"FAULT: {fault}")
    print("failed" if faults else "passed")
    return bool(faults)


class World(contextlib.ExitStack):
    """The server, phones on both sides of it, and the bad network between them."""

    def __init__(self, directory: Path, load: Load) -> None:
        super().__init__()
        self._directory = directory
        self._load = load
        self._ports = Ports()
        self.callback(self._ports.close)
        self._relays: list[Program] = []
        self.callers: list[Sipp] = []
        self._phones, self._silent, sip_port = (self._ports.one() for _ in range(3))
        self._way = LOOPBACK, self._relay(sip_port)
        agents, rings = (self._relay(port, "--server-in-front") for port in (self._phones, self._silent))
        self.server = Server(
            "lab.toml",
            directory,
            sip_port=sip_port,
            settings={
                "sip.advertise": f"{LOOPBACK}:{self._way[1]}",
                "sip.session_expires_seconds": SESSION_SECONDS,
                "sip.ring_seconds": RING_SECONDS,
            },
            http_port=self._ports.one(),
            rtp_ports="20000-29999",
            changes={LAB_AGENT_PORT: str(agents), FIRST_NUMBER: RINGING.format(port=rings) + FIRST_NUMBER},
        )
        self.callback(self.server.end)

    def _relay(self, beyond: int, *how: str) -> int:
        port = self._ports.one()
        command = [sys.executable, "-m", "tests.soak.relay", str(port), str(beyond), *how]
        command += ["--seed", str(self._load.seed + len(self._relays))]
        command += ["--loss", str(self._load.loss), "--spoil", str(self._load.spoil)]
        log = self._directory / f"relay-{len(self._relays)}.log"
        program = Program(command, log, cwd=Path(__file__).parents[2])
        self.callback(program.end)
        wait_until(lambda: "ready" in program.output, what="a relay")
        self._relays.append(program)
        return port

    def soak(self) -> list[str]:
        """Do it all; return what went wrong."""
        before = self._begin()
        memory, answered, highest = [], [], before
        for _ in range(SAMPLES):
            time.sleep(self._load.seconds / SAMPLES)
            if not self.server.running:
                return [f"the server died: {self.server.report()}"]
            memory.append(self.server.resident_kilobytes() / 1024)
            answered.append(self.server.metrics()["acd_queue_answered_total{queue=lab}"])
            highest = {name: max(now, highest.get(name, now)) for name, now in self._gauges.items()}
            print(f"{memory[-1]:6.1f} MiB, {answered[-1]:.0f} answered", flush=True)
        print("highest:", {name: top for name, top in highest.items() if top > before.get(name, 0.0)})
        faults = [*grown(memory), *stood_still(answered), *self._settle(before)]
        dropped = {name: count for name, count in self.server.metrics().items() if "dropped" in name and count}
        print("dropped:", dropped)
        if errors := [line for line in self.server.output.splitlines() if '"error"' in line]:
            faults.append(f"{len(errors)} errors in the log, the first: {errors[0]}")
        self.server.stop()
        for program in self._relays:
            program.end()
            print("network:", json.loads(program.output.splitlines()[-1]))
        return faults

    def _begin(self) -> dict[str, float]:
        """Start the phones; return the gauges as they were before, but all files open that the first calls need."""
        self.server.wait_until_ready()
        before = self._gauges
        self._start_agents()
        for scenario in ("call", "register_and_leave"):
            self._caller(Part(scenario, 0.0, "10001")).wait(SETTLED)
        wait_until(lambda: self.server.metrics()["acd_cdr_written_total"], what="a record")
        before[FILES] = self._gauges[FILES]
        self.callers = [self._caller(part) for part in self._load.mix]
        return before

    @property
    def _gauges(self) -> dict[str, float]:
        return gauges(self.server.get("/metrics")[1])

    def _start_agents(self) -> None:
        for scenario, port in (("agent", self._phones), ("agent_rings", self._silent)):
            agents = Sipp(
                scenario,
                self._directory,
                port=port,
                media_port=self._ports.block(4),
                calls=None,
                seconds=self._load.seconds + 120,
                keys={"caller": "agent"},
            )
            self.callback(agents.end)

    def _caller(self, part: Part) -> Sipp:
        rate = self._load.rate * part.share
        caller = Sipp(
            part.scenario,
            self._directory,
            port=self._ports.one(),
            media_port=self._ports.block(4),
            remote=self.server.sip if part.tcp else self._way,
            way=Way(tcp=part.tcp),
            number=part.number,
            keys={"caller": "tcp", "expires": 3600} if part.tcp else {},
            calls=max(1, round(self._load.seconds * rate)),
            rate=rate or None,
            pause=1.0,
            seconds=self._load.seconds + 60,
        )
        self.callback(caller.end)
        return caller

    def _settle(self, before: dict[str, float]) -> list[str]:
        for caller in self.callers:
            caller.wait(SETTLED)
        deadline = time.monotonic() + SETTLED
        while (left := left_over(before, self._gauges)) and time.monotonic() < deadline:
            time.sleep(1.0)  # between two looks
        if not left:
            return []
        found = [f"{name} was {was:g} and is {now:g} after {SETTLED:g} s" for name, (was, now) in left.items()]
        return [*found, *(f"left over: {call}" for call in self.server.calls)]


def grown(memory: Sequence[float]) -> list[str]:
    """Say that the memory was not flat over the second half."""
    half = memory[len(memory) // 2 :]
    middle, end = median(half[:RECENT]), median(half[-RECENT:])
    return [f"memory grew from {middle:.1f} to {end:.1f} MiB over the second half"] if end > middle * GROWTH else []


def stood_still(answered: Sequence[float]) -> list[str]:
    """Say that calls were not answered all the time."""
    still = any(later <= earlier for earlier, later in itertools.pairwise(answered))
    return [f"for a while no call was answered: {answered}"] if still else []


if __name__ == "__main__":
    sys.exit(main())
