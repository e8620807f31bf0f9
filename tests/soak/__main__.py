"""Mixed calls for ten minutes, with 2 % of all datagrams lost and 1 % of those to the server spoilt.

python -m tests.soak [--seconds 600] [--rate 10] [--seed 1]

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
from pathlib import Path
from statistics import median

from tests.conftest import Ports
from tests.peers.kit import LAB_AGENT_PORT, Program, Server, Sipp, wait_until
from tests.peers.kit.process import LOOPBACK

# scenario of tests/sipp, its share of the calls, the number dialled
MIX = (
    ("call", 0.5, "10001"),
    ("call_cancel", 0.1, "r001"),
    ("call_hold", 0.15, "10001"),
    ("call_without_offer", 0.1, "10001"),
    ("call_unacknowledged", 0.02, "10001"),
    ("call", 0.08, "404"),
    ("register_off", 0.05, ""),
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
RING_SECONDS = 60  # and a caller who has gone while it rings
SETTLED = SESSION_SECONDS + 60.0  # until everything must be gone: 64 times T1, and wrap-up, are over before
SAMPLES = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=10.0, help="calls a second")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ims-acd-soak-") as directory, contextlib.ExitStack() as cleanup:
        faults = soak(Path(directory), cleanup, chosen.seconds, chosen.rate, chosen.seed)
    for fault in faults:
        print(f"FAULT: {fault}")
    print("failed" if faults else "passed")
    return bool(faults)


def soak(directory: Path, cleanup: contextlib.ExitStack, seconds: float, rate: float, seed: int) -> list[str]:
    """Run it all; returns what went wrong."""
    ports = Ports()
    cleanup.callback(ports.close)

    def keep(program: Program) -> None:
        cleanup.callback(program.end)

    def relay(beyond: int, number: int, *how: str) -> int:
        port = ports.one()
        command = [sys.executable, "-m", "tests.soak.relay", str(port), str(beyond), "--seed", str(seed + number), *how]
        program = Program(command, directory / f"relay-{number}.log", cwd=Path(__file__).parents[2])
        keep(program)
        wait_until(lambda: "ready" in program.output, what="a relay")
        relays.append(program)
        return port

    relays: list[Program] = []
    sip_port, phones = ports.one(), ports.one()
    silent = ports.one()
    way = LOOPBACK, relay(sip_port, 1)
    agents, rings = relay(phones, 2, "--server-in-front"), relay(silent, 3, "--server-in-front")
    server = Server(
        "lab.toml",
        directory,
        sip_port=sip_port,
        settings={
            "sip.advertise": f"{LOOPBACK}:{way[1]}",
            "sip.session_expires_seconds": SESSION_SECONDS,
            "sip.ring_seconds": RING_SECONDS,
        },
        http_port=ports.one(),
        rtp_ports="20000-29999",
        changes={LAB_AGENT_PORT: str(agents), FIRST_NUMBER: RINGING.format(port=rings) + FIRST_NUMBER},
    )
    keep(server)
    server.wait_until_ready()
    before = server.metrics()
    for scenario, port in (("agent", phones), ("agent_rings", silent)):
        keep(
            Sipp(
                scenario,
                directory,
                port=port,
                media_port=ports.block(4),
                calls=None,
                seconds=seconds + 120,
                keys={"caller": "agent"},
            )
        )
    for scenario, share, number in MIX:
        calls = max(1, round(seconds * rate * share))
        caller = Sipp(
            scenario,
            directory,
            port=ports.one(),
            media_port=ports.block(4),
            remote=way,
            number=number or "x",
            calls=calls,
            rate=rate * share,
            pause=1.0,
            seconds=seconds + 60,
        )
        keep(caller)
    memory, answered = [], []
    for _ in range(SAMPLES):
        time.sleep(seconds / SAMPLES)
        if not server.running:
            return [f"the server died: {server.report()}"]
        memory.append(server.resident_kilobytes() / 1024)
        answered.append(server.metrics()["acd_queue_answered_total{queue=lab}"])
        print(f"{memory[-1]:6.1f} MiB, {answered[-1]:.0f} answered", flush=True)
    faults = []
    middle, end = median(memory[SAMPLES // 2 : SAMPLES // 2 + 5]), median(memory[-5:])
    if end > middle * GROWTH:
        faults.append(f"memory grew from {middle:.1f} to {end:.1f} MiB over the second half")
    if any(later <= earlier for earlier, later in itertools.pairwise(answered)):
        faults.append(f"for a while no call was answered: {answered}")
    try:
        server.wait_until_idle(before["acd_tasks"], SETTLED)
    except AssertionError as left:
        faults += [str(left), *(f"left over: {call}" for call in server.calls)]
    after = server.metrics()
    print({name: count for name, count in after.items() if "dropped" in name and count})
    if errors := [line for line in server.output.splitlines() if '"error"' in line]:
        faults.append(f"{len(errors)} errors in the log, the first: {errors[0]}")
    server.stop()
    for program in relays:
        program.end()
        print("network:", json.loads(program.output.splitlines()[-1]))
    return faults


if __name__ == "__main__":
    sys.exit(main())
