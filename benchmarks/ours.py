"""Our own servers under test: the engine on the lab configuration, and the media worker alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.media_host import Order
from benchmarks.processes import (
    LOOPBACK,
    REPOSITORY,
    Address,
    BenchmarkError,
    Process,
    free_port,
    helper,
    server,
)
from benchmarks.targets import RelayTarget, SipTarget, StartForwarding, StartRelay, StartSip

AGENTS = 200  # in configs/lab.toml, at fixed contacts
QUEUE_NUMBER = "10001"
START_SECONDS = 30.0
NOWHERE = (LOOPBACK, 9)

Environment = Mapping[str, str]
Settings = Mapping[str, str]  # configuration keys and values as TOML
DIGEST: Settings = {
    "sip.authentication": '"digest"',
    "accounts": '[{ users = ["u00000..u04999"], password = "demo" }]',
}
FORGETFUL: Settings = {"registrar.survive_restart": "false"}
CLEVER: Settings = {
    "queues.lab.strategy": '["best_skills", "longest_idle"]',
    "queues.lab.ageing_seconds": "60",
    "queues.lab.weight": "1.5",
    "queues.lab.hours": '"always"',
    "queues.lab.prefer_agent_seconds": "5",
    "queues.lab.rings": "[{ after_seconds = 10, relax = 1 }, { after_seconds = 20, drop = ['lab'] }]",
    "queues.lab.under_load": "{ from_waiting = 50, to_waiting = 10, strategy = ['fewest_calls'] }",
    "queues.lab.overflow": """[
        { when = "closed", to = "release" },
        { when = "expected_wait", above = 600, to = "release" },
        { when = "length", above = 500, to = "release" },
    ]""",
    "calendars.always.weekly": '{ mon-sun = "00:00-24:00" }',
    "numbers.10001.needs": "{ required = { lab = 1 }, preferred = { patience = 2 } }",
    'agents."a001..a200".skills': "{ lab = 3, patience = 2, french = 1 }",
    "callers.rules": "[{ when = { vip = true }, priority = 1 }, { when = { language = 'zh' }, priority = 1 }]",
    "journal.queue_log": "true",
}
"""What a queue can do for its callers, as far as it does not keep them waiting."""
KNOWN_CALLERS = 10_000


@dataclass(frozen=True, slots=True)
class EngineTarget(SipTarget):
    """The engine with its HTTP interface."""

    http_port: int


@contextmanager
def engine(
    directory: Path, environment: Environment, agents: Address = NOWHERE, changed: Settings | None = None
) -> Iterator[EngineTarget]:
    """Run ``ims-acd serve`` on the lab configuration, on free ports, with its files in `directory`.

    `agents` is where the SIPp that plays all agents' phones waits; `changed` are further settings.
    """
    sip, http = free_port(), free_port()
    settings = {
        "sip.listen": [f"udp:{LOOPBACK}:{sip}", f"tcp:{LOOPBACK}:{sip}"],
        "http.listen": f"{LOOPBACK}:{http}",
        "storage.dir": str(directory / "var"),
        'agents."a001..a200".contact': f"sip:{{agent}}@{agents[0]}:{agents[1]}",
    }
    command = [sys.executable, "-m", "acd.cli", "serve", "--config", str(REPOSITORY / "configs/lab.toml")]
    for key, value in settings.items():
        command += ["--set", f"{key}={json.dumps(value)}"]
    for key, written in (changed or {}).items():
        command += ["--set", f"{key}={written}"]
    with server(command, directory, says_ready, environment=environment) as process:
        yield EngineTarget(process.pid, (LOOPBACK, sip), http)


def says_ready(process: Process) -> bool:
    """Tell whether a process of ours has logged that it takes traffic."""
    return '"server.ready"' in process.log.read_text(errors="replace")


def start_engine(environment: Environment, *changes: Settings) -> StartSip:
    """Give a starter of the engine with additional environment variables and settings; its agents have no phones."""
    changed = {key: value for settings in changes for key, value in settings.items()}
    return lambda directory: engine(directory, environment, changed=changed)


def start_queue(environment: Environment) -> StartForwarding:
    """Give a starter of the engine whose agents' phones are where the starter is told."""
    return lambda directory, agents: engine(directory, environment, agents)


def start_clever_queue(environment: Environment) -> StartForwarding:
    """Give a starter of the same with all that queues can do switched on, and many callers known."""

    def start(directory: Path, agents: Address) -> AbstractContextManager[EngineTarget]:
        known = directory / "callers.csv"
        rows = (f"{number},true,large,zh,,a{number % AGENTS + 1:03}" for number in range(KNOWN_CALLERS))
        known.write_text("\n".join(["number,vip,segment,language,age_group,agent", *rows]) + "\n")
        return engine(directory, environment, agents, {**CLEVER, "callers.file": f'"{known}"'})

    return start


@dataclass(frozen=True, slots=True)
class MediaTarget(RelayTarget):
    """The media worker: `perform` takes an order and returns the ports that the phones of each session send to."""

    perform: Callable[[Order], list[list[int]]]


@contextmanager
def media_worker(directory: Path, environment: Environment, *, recording: bool = False) -> Iterator[MediaTarget]:
    """Run `benchmarks.media_host`: the supervisor and its worker as in the engine, without SIP."""
    arguments = [directory / "recordings"] if recording else []
    with helper("media_host", *arguments, directory=directory, environment=environment) as process:
        if process.hear(START_SECONDS) != "ready":
            raise BenchmarkError(f"the media worker is not ready: {process.last_lines()}")

        def perform(order: Order) -> list[list[int]]:
            process.say(msgspec.json.encode(order).decode())
            return msgspec.json.decode(process.hear(START_SECONDS), type=list[list[int]])

        def bridge(sessions: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
            return [(caller, callee) for caller, callee in perform(Order("bridge", tuple(sessions)))]

        def counted() -> int:
            process.say("report")
            return int(process.hear(START_SECONDS))

        yield MediaTarget(process.pid, bridge, counted, perform)


def start_media_worker(environment: Environment, *, recording: bool = False) -> StartRelay:
    """Give a starter of the media worker with additional environment variables."""
    return lambda directory: media_worker(directory, environment, recording=recording)
