"""Starts programs for a test, ends them after it, and shows their logs when it fails."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.conftest import Ports
from tests.peers.kit import LAB_AGENT_PORT, WAYS, Baresip, Program, Server, Sipp

P = TypeVar("P", bound=Program)
PROGRAMS = pytest.StashKey[list[Program]]()
RTP_PORTS = 40
NUMBER = "[numbers.10001]"


class Bench:
    """Where a test starts its programs; each gets ports of its own."""

    def __init__(self, directory: Path, ports: Ports, keep: Callable[[Program], None]) -> None:
        self.directory = directory
        self._ports = ports
        self._given: set[int] = set()
        self.keep = keep
        self._servers = 0

    def port(self, count: int = 1) -> int:
        """Return a port, or the first of ``count`` adjacent ones, that this test was not given before."""
        for _ in range(100):
            first = self._ports.one() if count == 1 else self._ports.block(count)
            wanted = set(range(first, first + count))
            if not wanted & self._given:
                self._given |= wanted
                return first
        raise RuntimeError("no ports are left for this test")

    def serve(self, config: str = "demo.toml", *, ready: bool = True, **options: Any) -> Server:
        """Start the server on a shipped configuration; ``settings`` as for ``--set``."""
        self._servers += 1
        if "sip_port" not in options:
            options["sip_port"] = self.port()
        first = self.port(RTP_PORTS)
        server = Server(
            config,
            self.directory,
            **{
                "http_port": self.port(),
                "rtp_ports": f"{first}-{first + RTP_PORTS - 1}",
                "name": f"server-{self._servers}",
                **options,
            },
        )
        self.keep(server)
        return server.wait_until_ready() if ready else server

    def serve_lab(self, changes: Mapping[str, str] | None = None, **options: Any) -> tuple[Server, int]:
        """Start the server on the lab configuration; returns the port on which its agents are to be as well."""
        agents = self.port()
        return self.serve("lab.toml", changes={LAB_AGENT_PORT: str(agents), **(changes or {})}, **options), agents

    def serve_each_way(self, **options: Any) -> tuple[Server, int]:
        """Start the server on the lab configuration with one agent for each way, and none else.

        Returns the port on which they are to be, each on the way that the agent is named after.
        """
        port = self.port()
        agents = "".join(
            f'[agents.{way.name}]\nqueues = ["lab"]\ncontact = "{way.uri(way.name, port)}"\nalways_ready = true\n'
            for way in WAYS[1:]
        )
        first = {'"a001..a200"': WAYS[0].name, LAB_AGENT_PORT: str(port)}
        return self.serve("lab.toml", changes={**first, NUMBER: f"{agents}\n{NUMBER}"}, **options), port

    def each_way(self, scenario: str, server: Server | None = None, **options: Any) -> list[Sipp]:
        """Start SIPp once for each way, all at once, towards the server; without one, to wait for calls."""
        if server is not None:
            return [self.sipp(scenario, remote=server.at(way), way=way, **options) for way in WAYS]
        waiting = [self.sipp(scenario, way=way, **options) for way in WAYS]
        for way, sipp in zip(WAYS, waiting, strict=True):
            way.wait_for_listener(sipp.port)
        return waiting

    def sipp(self, scenario: str, **options: Any) -> Sipp:
        """Start SIPp; see `Sipp`."""
        chosen = {"port": 0, "media_port": 0, **options}
        chosen["port"] = chosen["port"] or self.port()
        chosen["media_port"] = chosen["media_port"] or self.port(4)
        sipp = Sipp(scenario, self.directory, **chosen)
        self.keep(sipp)
        return sipp

    def register(self, server: Server, user: str, **options: Any) -> int:
        """Register a user's phone with SIPp and return its port."""
        sipp = self.sipp(
            "register",
            remote=server.sip,
            **{"options": ["-au", user, "-ap", "demo"], "keys": {"caller": user}, **options},
        )
        sipp.succeed()
        return sipp.port

    def sign_in(self, server: Server, agent: str) -> int:
        """Register an agent's phone and return its port, at which it is to wait for calls."""
        port = self.register(server, agent)
        server.wait_for_agent(agent, "ready")
        return port

    def visit(self, server: Server, user: str = "caller1", scenario: str = "call", **options: Any) -> Sipp:
        """Register a user's phone, which is not challenged then, and let it run a scenario."""
        port = self.register(server, user)
        return self.sipp(scenario, remote=server.sip, port=port, keys={"caller": user}, **options)

    def dial_code(self, server: Server, agent: str, code: str) -> None:
        """Dial a feature code as an agent, from another phone than the one that is registered."""
        credentials = ["-au", agent, "-ap", "demo", "-auth_uri", f"{code}@{server.uri_host}"]
        self.sipp("call_digest", remote=server.sip, number=code, keys={"caller": agent}, options=credentials).succeed()

    def baresip(self, user: str, server: Server, **options: Any) -> Baresip:
        """Start a baresip that registers as ``user``; see `Baresip`."""
        phone = Baresip(
            user,
            self.directory,
            server=server.sip,
            port=self.port(2),  # it takes the next one too, for TLS
            control=self.port(),
            rtp_ports=self.port(10),
            **options,
        )
        self.keep(phone)
        return phone


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path, ports: Ports) -> Iterator[Bench]:
    """Start programs with this; they are ended after the test, the last one first."""
    programs: list[Program] = []
    request.node.stash[PROGRAMS] = programs
    yield Bench(tmp_path, ports, programs.append)
    for program in reversed(programs):
        program.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and report.when == "call":
        for program in item.stash.get(PROGRAMS, []):
            report.sections.append((f"log of {program.name}", program.report()))
    return report
