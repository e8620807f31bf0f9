"""The work that both sides of a figure are given: registrations, proxied calls, queued calls, relayed RTP."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from benchmarks.processes import LOOPBACK, BenchmarkError
from benchmarks.rtp_load import judge, phones
from benchmarks.sampling import Sample, Sampler, Scale, measured
from benchmarks.sipp import run_clients, serving
from benchmarks.targets import StartForwarding, StartRelay, StartSip

PAIRS = 2  # of SIPp clients and servers, so that none of them is the limit
SUBSCRIBERS = 5000
REGISTER_RATE, DIGEST_RATE, REGISTER_SECONDS = 6000.0, 3000.0, 6.0
CALLEES = 100  # per pair
PROXY_RATE, PROXY_SECONDS = 500.0, 8.0
QUEUE_RATE, QUEUE_SECONDS = 150.0, 8.0
RELAY_SECONDS = 8.0


def registrations(start: StartSip, *, digest: bool = False) -> Sampler:
    """Give a sampler: one unit is a registration of one of `SUBSCRIBERS` users.

    That is a REGISTER answered with 200, or with `digest` one answered with 401 and another one with 200.
    """
    scenario, rate = ("register_digest", DIGEST_RATE) if digest else ("register", REGISTER_RATE)

    def sample(directory: Path, scale: Scale) -> Sample:
        calls = scale.calls(rate, REGISTER_SECONDS)
        names = [f"u{number:05d}" for number in range(SUBSCRIBERS)]
        answer = ";[authentication username={name} password=demo]" if digest else ""
        users = [f"{name};{LOOPBACK}:9" + answer.format(name=name) for name in names]
        shares = [users[part::PAIRS] for part in range(PAIRS)]
        with start(directory) as target, measured(target.pid) as measurement:
            counts = run_clients(scenario, directory, target.address, shares, calls=calls, rate=rate)
            measurement.judge_calls(counts, calls, rate)
        return measurement

    return sample


def proxied_calls(start: StartSip) -> Sampler:
    """Give a sampler: one unit is a call between two SIPp instances, from the INVITE to the 200 to the BYE."""

    def sample(directory: Path, scale: Scale) -> Sample:
        calls = scale.calls(PROXY_RATE, PROXY_SECONDS)
        with start(directory) as target, ExitStack() as stack:
            shares = []
            for part in range(PAIRS):
                callees = stack.enter_context(serving("callee", directory))
                names = [f"callee{part}x{number}" for number in range(CALLEES)]
                contacts = [f"{name};{LOOPBACK}:{callees.port}" for name in names]
                registered = run_clients("register", directory, target.address, [contacts], calls=CALLEES, rate=500)
                if registered.completed < CALLEES:
                    raise BenchmarkError("the callees could not be registered")
                shares.append(names)
            with measured(target.pid) as measurement:
                counts = run_clients("caller", directory, target.address, shares, calls=calls, rate=PROXY_RATE)
                measurement.judge_calls(counts, calls, PROXY_RATE)
        return measurement

    return sample


def queued_calls(start: StartForwarding, number: str) -> Sampler:
    """Give a sampler: one unit is a call to `number` that the agents' SIPp has answered, held and ended."""

    def sample(directory: Path, scale: Scale) -> Sample:
        calls = scale.calls(QUEUE_RATE, QUEUE_SECONDS)
        with serving("agent", directory) as agents:
            with start(directory, (LOOPBACK, agents.port)) as target, measured(target.pid) as measurement:
                counts = run_clients(
                    "queue_caller", directory, target.address, [[number]] * PAIRS, calls=calls, rate=QUEUE_RATE
                )
                measurement.judge_calls(counts, calls, QUEUE_RATE)
            measurement.judge_agents(agents.stop())
        return measurement

    return sample


def relayed_packets(start: StartRelay, sessions: int) -> Sampler:
    """Give a sampler: one unit is an RTP packet that one phone sent and the other phone of its session received."""

    def sample(directory: Path, scale: Scale) -> Sample:
        with start(directory) as target, phones(2 * sessions, scale.seconds(RELAY_SECONDS), directory) as fleet:
            pairs = list(zip(fleet.ports[::2], fleet.ports[1::2], strict=True))
            targets = [port for pair in target.bridge(pairs) for port in pair]
            with measured(target.pid) as measurement:
                report = fleet.run(targets)
            judge(measurement, report, target.counted())
        return measurement

    return sample
