"""Our own servers under test: the engine on the lab configuration, and the media worker alone."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import (
    LOOPBACK,
    REPOSITORY,
    BenchmarkError,
    Process,
    free_port,
    helper,
    port_is_free,
    server,
)
from benchmarks.targets import RelayTarget, SipTarget, StartRelay, StartSip

AGENTS_PORT = 16060  # where configs/lab.toml expects the phones of its 200 agents
AGENTS = 200
QUEUE_NUMBER = "10001"
PORT_SECONDS = 30.0
START_SECONDS = 30.0

Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EngineTarget(SipTarget):
    """The engine with its HTTP interface."""

    http_port: int


def wait_for_agents_port() -> None:
    """Wait until nobody uses the fixed port of the lab agents' phones; raise `BenchmarkError` when it stays used."""
    deadline = time.monotonic() + PORT_SECONDS
    while not port_is_free(AGENTS_PORT):
        if time.monotonic() > deadline:
            raise BenchmarkError(f"port {AGENTS_PORT} of the lab configuration's agents is in use")
        time.sleep(0.2)


@contextmanager
def engine(directory: Path, environment: Environment) -> Iterator[EngineTarget]:
    """Run ``ims-acd serve`` on the lab configuration, on free ports, with its files in `directory`."""
    sip, http = free_port(), free_port()
    settings = {
        "sip.listen": json.dumps([f"udp:{LOOPBACK}:{sip}", f"tcp:{LOOPBACK}:{sip}"]),
        "http.listen": json.dumps(f"{LOOPBACK}:{http}"),
        "storage.dir": json.dumps(str(directory / "var")),
    }
    command = [sys.executable, "-m", "acd.cli", "serve", "--config", str(REPOSITORY / "configs/lab.toml")]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    with server(command, directory, _says_ready, environment=environment) as process:
        yield EngineTarget(process.pid, (LOOPBACK, sip), http)


def _says_ready(process: Process) -> bool:
    return '"server.ready"' in process.log.read_text(errors="replace")


def start_engine(environment: Environment) -> StartSip:
    """Give a starter of the engine with additional environment variables."""
    return lambda directory: engine(directory, environment)


@contextmanager
def media_worker(directory: Path, environment: Environment) -> Iterator[RelayTarget]:
    """Run `benchmarks.media_host`: the supervisor and its worker as in the engine, without SIP."""
    with helper("media_host", directory=directory, environment=environment) as process:
        if process.hear(START_SECONDS) != "ready":
            raise BenchmarkError(f"the media worker is not ready: {process.last_lines()}")

        def bridge(sessions: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
            process.say(json.dumps(sessions))
            return [(caller, callee) for caller, callee in json.loads(process.hear(START_SECONDS))]

        def counted() -> int:
            process.say("report")
            return int(process.hear(START_SECONDS))

        yield RelayTarget(process.pid, bridge, counted)


def start_media_worker(environment: Environment) -> StartRelay:
    """Give a starter of the media worker with additional environment variables."""
    return lambda directory: media_worker(directory, environment)
