"""The server under test, as an operator starts it: one process, a configuration, a few overrides."""

from __future__ import annotations

import json
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.peers.kit.process import LOOPBACK, Program, wait_until
from tests.peers.kit.ways import WAYS, Way

ROOT = Path(__file__).parents[3]
LAB_AGENT_PORT = "16060"
Record = dict[str, Any]

# What must be gone when no call is left; see `Server.wait_until_idle`.
GAUGES = ("acd_calls", "acd_sip_dialogs", "acd_sip_transactions", "acd_media_legs", "acd_media_ports_in_use",
          "acd_media_recordings", "acd_cdr_waiting")  # fmt: skip
OCCUPIED = "reserved", "ringing", "talking", "hold", "consulting"


def value(written: object) -> str:
    """Write a value for ``--set``."""
    return json.dumps(written)


class Server(Program):
    """``ims-acd serve`` on ports of its own. Times of transactions are a tenth of the usual, so that they end soon.

    ``changes`` are made to the text of the shipped configuration, ``settings`` are given by ``--set``.
    """

    def __init__(
        self,
        config: str,
        directory: Path,
        *,
        sip_port: int,
        http_port: int,
        rtp_ports: str,
        changes: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | None = None,
        name: str = "server",
    ) -> None:
        self.directory = directory
        self.sip = (LOOPBACK, sip_port)
        self.http_port = http_port
        self.storage = directory / "var"
        self.config = file = directory / config
        text = (ROOT / "configs" / config).read_text()
        for old, new in (changes or {}).items():
            assert old in text, old
            text = text.replace(old, new)
        file.write_text(text)
        chosen: dict[str, object] = {
            "sip.listen": [f"{way.name[:3]}:{way.written}:{sip_port}" for way in WAYS],
            "sip.t1_seconds": 0.05,
            "sip.t2_seconds": 0.4,
            "sip.t4_seconds": 0.5,
            "http.listen": f"{LOOPBACK}:{http_port}",
            "media.ports": rtp_ports,
            "storage.dir": str(self.storage),
            "log.format": "json",
            **(settings or {}),
        }
        command = [sys.executable, "-m", "acd.cli", "serve", "--config", str(file)]
        for key, written in chosen.items():
            command += ["--set", f"{key}={value(written)}"]
        super().__init__(command, directory / f"{name}.log", cwd=directory)

    @property
    def uri_host(self) -> str:
        """The ``host:port`` that stands for the domain."""
        return f"{self.sip[0]}:{self.sip[1]}"

    def at(self, way: Way) -> tuple[str, int]:
        """Where it listens on that way."""
        return way.host, self.sip[1]

    def wait_until_ready(self) -> Server:
        """Return when it accepts traffic."""
        wait_until(lambda: not self.running or self.logged("server.ready"), 30, "server.ready")
        assert self.running, self.report()
        return self

    def stop(self, seconds: float = 20.0) -> None:
        """Ask it to stop, as systemd does, and see that it ends well."""
        self.signal(signal.SIGTERM)
        assert self.wait(seconds) == 0, self.report()

    def logged(self, event: str) -> list[Record]:
        """The log lines of one event so far."""
        wanted = f'"{event}"'
        return [json.loads(line) for line in self.output.splitlines() if wanted in line and line.startswith("{")]

    def children(self) -> list[int]:
        """The processes that it has started: its media workers."""
        return [int(child) for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def resident_kilobytes(self) -> int:
        """Memory of the server and its media workers."""
        total = 0
        for pid in (self.pid, *self.children()):
            status = Path(f"/proc/{pid}/status").read_text()
            total += int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))
        return total

    # What HTTP tells ----------------------------------------------------------------------------------------

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body; status 0 when nobody answers."""
        return self._request(urllib.request.Request(f"http://{LOOPBACK}:{self.http_port}{path}"))

    def change(self, method: str, path: str, body: object = None) -> tuple[int, Record]:
        """Send a request that changes something; returns status and answer."""
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self.http_port}/api/v1/{path}",
            method=method,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        status, answer = self._request(request)
        return status, json.loads(answer)

    def _request(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (OSError, urllib.error.URLError):
            return 0, ""

    def items(self, what: str) -> list[Record]:
        """Return the items of ``/api/v1/{what}``."""
        status, body = self.get(f"/api/v1/{what}")
        assert status == 200, (status, body)
        items: list[Record] = json.loads(body)["items"]
        return items

    @property
    def calls(self) -> list[Record]:
        """Calls under way."""
        return self.items("calls")

    @property
    def cdrs(self) -> list[Record]:
        """Calls that ended, the latest first, at most 1000."""
        return self.items("cdrs?limit=1000")

    def agent(self, agent_id: str) -> Record:
        """One agent."""
        return next(agent for agent in self.items("agents") if agent["id"] == agent_id)

    def queue(self, queue_id: str) -> Record:
        """One queue."""
        return next(queue for queue in self.items("queues") if queue["id"] == queue_id)

    def metrics(self) -> dict[str, float]:
        """The metrics, each under ``name`` or ``name{label=value,…}``, labels in the order of the alphabet."""
        status, page = self.get("/metrics")
        assert status == 200
        found = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels = ",".join(f"{name}={told}" for name, told in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found

    # What to wait for ---------------------------------------------------------------------------------------

    def wait_for_agent(self, agent_id: str, state: str, seconds: float = 10.0) -> Record:
        """Return the agent once it has this state."""
        wait_until(lambda: self.agent(agent_id)["state"] == state, seconds, f"agent {agent_id} {state}")
        return self.agent(agent_id)

    def wait_for_call(self, stage: str, seconds: float = 10.0) -> Record:
        """Return the first call at this stage."""
        return wait_until(
            lambda: next((call for call in self.calls if call["stage"] == stage), None), seconds, f"a call {stage}"
        )

    def wait_for_cdrs(self, count: int = 1, seconds: float = 10.0) -> list[Record]:
        """Return the CDRs once there are ``count``, and no more."""
        wait_until(lambda: len(self.cdrs) >= count, seconds, f"{count} CDRs")
        cdrs = self.cdrs
        assert len(cdrs) == count, cdrs
        return cdrs

    def wait_until_idle(self, tasks: float | None = None, seconds: float = 10.0, *, refused: int = 0) -> None:
        """Return when nothing of any call is left, and no more than ``tasks`` asyncio tasks when that is given.

        ``refused`` is how many INVITEs of the server got a failure: Timer D keeps them "at least 32 seconds".
        """

        def left() -> dict[str, float]:
            metrics = self.metrics()
            rest = {name: metrics[name] for name in GAUGES if metrics[name]}
            if rest.get("acd_sip_transactions", 0) <= refused:
                rest.pop("acd_sip_transactions", None)
            if tasks is not None and metrics["acd_tasks"] > tasks:
                rest["acd_tasks"] = metrics["acd_tasks"]
            for name, count in metrics.items():
                busy = name.startswith("acd_agents{") and any(f"state={state}" in name for state in OCCUPIED)
                if count and (name.startswith("acd_queue_waiting") or busy):
                    rest[name] = count
            return rest

        remains: dict[str, float] = {}

        def idle() -> bool:
            nonlocal remains
            remains = left()
            return not remains

        try:
            wait_until(idle, seconds)
        except AssertionError:
            raise AssertionError(f"left over after {seconds:g} s: {remains}") from None
