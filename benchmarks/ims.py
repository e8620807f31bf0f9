"""The IMS core of ``configs/ims.toml`` under load: a process for each hop, or one process that has all roles."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.ours import Environment, says_ready
from benchmarks.processes import LOOPBACK, REPOSITORY, Address, BenchmarkError, free_port, server
from benchmarks.sampling import Sample, Sampler, Scale, measured
from benchmarks.sipp import DOMAIN, Counts, run_clients, serving

HOPS = "P-CSCF", "S-CSCF", "application server"
ECHO_NUMBER = "10002"
SUBSCRIBERS = 1000  # each registers once
REGISTER_RATE, REGISTER_SECONDS = 100.0, 10.0
CALLERS = 100  # and as many who are called
CALL_RATE, CALL_SECONDS = 60.0, 10.0
_SHIPPED = REPOSITORY / "configs" / "ims.toml"
_LISTENERS = '["udp:127.0.0.1:{0}", "tcp:127.0.0.1:{0}"]'
_PORTS = 5060, 5062, 5064  # of the hops, in their order


@dataclass(frozen=True, slots=True)
class Core:
    """A core that accepts traffic: its processes in the order of `HOPS`, or the only one, and its P-CSCF's address."""

    pids: tuple[int, ...]
    address: Address


@dataclass(frozen=True, slots=True)
class Usim:
    """A subscriber of the core: as the first one shipped, but with a key of its own."""

    number: int

    @property
    def user(self) -> str:
        """The user of the public identity."""
        return f"+86139{self.number:08}"

    @property
    def private(self) -> str:
        """The private identity."""
        return f"00101{9_000_000_000 + self.number}@{DOMAIN}"

    @property
    def keys(self) -> dict[str, str]:
        """What the USIM holds, as a configuration names it."""
        shipped = _shipped()["subscribers"][0]
        return {"k": f"{int(shipped['k'], 16) ^ self.number:032x}", "op": shipped["op"], "amf": shipped["amf"]}

    @property
    def table(self) -> str:
        """It as a table of a configuration."""
        told = {"private": self.private, "public": [f"sip:{self.user}@{DOMAIN}", f"tel:{self.user}"], **self.keys}
        return "\n".join(["[[subscribers]]", *(f"{key} = {json.dumps(value)}" for key, value in told.items())])

    @property
    def line(self) -> str:
        """The CSV line by which SIPp registers it."""
        keys = self.keys
        k = "".join(f"\\x{keys['k'][at : at + 2]}" for at in range(0, 32, 2))  # SIPp takes a 5b for a bracket
        usim = f"aka_K={k} aka_OP=0x{keys['op']} aka_AMF=0x{keys['amf']}"
        return f"{self.user};{self.private};[authentication username={self.private} {usim}]"


USIMS = [Usim(number) for number in range(SUBSCRIBERS)]


@cache
def _shipped() -> dict[str, Any]:
    return tomllib.loads(_SHIPPED.read_text())


StartCore = Callable[[Path], AbstractContextManager[Core]]


def start_core(environment: Environment, *, apart: bool) -> StartCore:
    """Give a starter of the core with additional environment variables: the hops `apart`, or all in one process."""
    return lambda directory: _core(directory, environment, apart=apart)


@contextmanager
def _core(directory: Path, environment: Environment, *, apart: bool) -> Iterator[Core]:
    ports = [free_port() for _ in _PORTS] if apart else [free_port()] * len(_PORTS)
    configuration = directory / "ims.toml"
    configuration.write_text(_configuration(ports, apart=apart))
    with ExitStack() as stack:
        pids = []
        for run in (["pcscf"], ["scscf"], ["as"]) if apart else (["pcscf", "scscf", "as"],):
            own = directory / run[0]
            own.mkdir()
            settings = {"ims.run": run, "http.listen": f"{LOOPBACK}:{free_port()}", "storage.dir": str(own / "var")}
            command = [sys.executable, "-m", "acd.cli", "serve", "--config", str(configuration)]
            for key, value in settings.items():
                command += ["--set", f"{key}={json.dumps(value)}"]
            pids.append(stack.enter_context(server(command, own, says_ready, environment=environment)).pid)
        yield Core(tuple(pids), (LOOPBACK, ports[0]))


def _configuration(ports: list[int], *, apart: bool) -> str:
    """Return the configuration as it is shipped, but for ports, domain, more subscribers, and nobody turned away."""
    text = _SHIPPED.read_text().replace(_shipped()["server"]["domain"], DOMAIN).replace('format = "console"', "")
    if not apart:
        for hop, port in zip(("pcscf", "scscf"), _PORTS[:2], strict=True):
            text = text.replace(f"[ims.{hop}]\nlisten = {_LISTENERS.format(port)}\n", "")
    for shipped_port, port in zip(_PORTS, ports, strict=True):
        text = text.replace(f"127.0.0.1:{shipped_port}", f"{LOOPBACK}:{port}")
    unlimited = "[protection]\nenabled = false\n\n[overload]\nenabled = false"
    return "\n\n".join([text, unlimited, *(usim.table for usim in USIMS)])


# Loads ------------------------------------------------------------------------------------------------------


def registrations(start: StartCore) -> Sampler:
    """Give a sampler: one unit is the first registration of a subscriber by AKA, answered with 401 and with 200.

    The application server is told of it by a third-party REGISTER.
    """

    def sample(directory: Path, scale: Scale) -> Sample:
        usims = USIMS[: scale.calls(REGISTER_RATE, REGISTER_SECONDS)]
        with start(directory) as core, measured(*core.pids) as measurement:
            counts = _register(directory, core, usims, REGISTER_RATE, free_port())
            measurement.judge_calls(counts, len(usims), REGISTER_RATE)
        return measurement

    return sample


def calls(start: StartCore, number: str | None = None) -> Sampler:
    """Give a sampler: one unit is a call of a handset to another one, or to the service `number`."""

    def sample(directory: Path, scale: Scale) -> Sample:
        expected = scale.calls(CALL_RATE, CALL_SECONDS)
        with start(directory) as core, ExitStack() as stack:
            callers, callees = USIMS[:CALLERS], USIMS[CALLERS : 2 * CALLERS]
            port = _registered(directory, core, callers)
            if number is None:
                stack.enter_context(serving("callee", directory, _registered(directory, core, callees)))
            called = [number or callee.user for callee in callees]
            lines = [f"{caller.user};{user}" for caller, user in zip(callers, called, strict=True)]
            with measured(*core.pids) as measurement:
                counts = run_clients(
                    "handset_calls", directory, core.address, [lines], calls=expected, rate=CALL_RATE, port=port
                )
                measurement.judge_calls(counts, expected, CALL_RATE)
        return measurement

    return sample


def _register(directory: Path, core: Core, usims: list[Usim], rate: float, port: int) -> Counts:
    """Register handsets, all of them at `port`."""
    lines = [usim.line for usim in usims]
    uri = ["-auth_uri", DOMAIN]
    return run_clients(
        "register_aka", directory, core.address, [lines], calls=len(lines), rate=rate, port=port, more=uri
    )


def _registered(directory: Path, core: Core, usims: list[Usim]) -> int:
    """Register handsets before a measurement and return the port that all of them are at."""
    port = free_port()
    if _register(directory, core, usims, 50.0, port).completed < len(usims):
        raise BenchmarkError("the handsets could not be registered")
    return port
