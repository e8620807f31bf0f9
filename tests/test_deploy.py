"""The files of deploy/: what systemd, Prometheus, Docker and the engine must agree on."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from acd.cdr import Outcome
from acd.config.model import Server
from acd.core.agents import AgentState
from acd.metrics import ABANDONED, ANSWERED, Metrics, Readings
from media.api import MemberState

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "ims-acd.service"

needs_systemd_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")


def settings(section: str) -> dict[str, list[str]]:
    """The settings of one section of the unit; a repeated one has several values."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif "=" in line and not line.startswith("#") and current == section:
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True, timeout=120)


def test_the_service_may_drain_before_systemd_loses_patience() -> None:
    service = settings("Service")
    assert service["KillSignal"] == ["SIGTERM"]
    assert service["KillMode"] == ["mixed"]  # a SIGTERM to the media workers would cut the calls being drained
    assert int(service["TimeoutStopSec"][0]) >= Server(domain="ims.example").drain_seconds + 30
    assert service["RestartPreventExitStatus"] == ["2"]


def test_the_service_is_confined() -> None:
    service = settings("Service")
    assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"] == [""]
    for name in ("DynamicUser", "NoNewPrivileges", "MemoryDenyWriteExecute", "PrivateTmp", "ProtectHome"):
        assert service[name] == ["yes"], name
    assert service["ProtectSystem"] == ["strict"]
    assert service["StateDirectory"] == ["ims-acd"]
    assert "storage.dir=/var/lib/ims-acd" in service["ExecStart"][0]
    assert set(service["RestrictAddressFamilies"][0].split()) == {"AF_INET", "AF_INET6", "AF_UNIX"}
    assert int(service["LimitNOFILE"][0]) >= 65_536


@needs_systemd_analyze
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "ims-acd.service"  # its programs must exist for systemd-analyze
    text = UNIT.read_text(encoding="utf-8")
    unit.write_text(re.sub(r"/opt/ims-acd/bin/ims-acd", "/bin/true", text), encoding="utf-8")
    done = run("systemd-analyze", "verify", "--man=no", unit)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd_analyze
def test_systemd_finds_the_service_little_exposed() -> None:
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", UNIT)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_runtime_lives_without_writable_executable_memory() -> None:
    """`MemoryDenyWriteExecute=yes` is a seccomp filter; the kernel's own PR_SET_MDWE refuses the same."""
    refuse = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) and sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
"""
    program = """
import ctypes, mmap, numpy, uvloop, litestar, msgspec, prometheus_client, sqlalchemy.ext.asyncio, structlog, uvicorn
assert ctypes.CDLL(None).prctl(66, 0, 0, 0, 0) == 1
numpy.fft.rfft(numpy.ones(160)); numpy.ones((64, 64)) @ numpy.ones((64, 64))
async def main(): return 5
assert uvloop.run(main()) == 5
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    print("lived")
"""
    done = run(sys.executable, "-c", refuse, sys.executable, "-c", program)
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert (done.returncode, done.stdout) == (0, "lived\n"), done.stderr


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of system calls are those of x86-64")
def test_recordings_are_written_where_the_unit_forbids_to_alter_priorities(tmp_path: Path) -> None:
    """`SystemCallFilter=~@resources` has setpriority, setrlimit and others of that kind fail."""
    assert "~@privileged @resources" in settings("Service")["SystemCallFilter"]
    refuse = """
import ctypes, os, struct, sys
def instruction(code, jump_true, jump_false, operand):
    return struct.pack("HBBI", code, jump_true, jump_false, operand)
load, equal, back, permitted, not_permitted = 0x20, 0x15, 0x06, 0x7FFF0000, 0x50001
filter = instruction(load, 0, 0, 0)
for number in (141, 142, 144, 160, 203, 237, 238, 251, 256, 279, 314):  # @resources
    filter += instruction(equal, 0, 1, number) + instruction(back, 0, 0, not_permitted)
filter += instruction(back, 0, 0, permitted)
held = ctypes.create_string_buffer(filter)
program = struct.pack("HxxxxxxP", len(filter) // 8, ctypes.addressof(held))
prctl = ctypes.CDLL(None).prctl
(prctl(38, 1, 0, 0, 0) or prctl(22, 2, program, 0, 0)) and sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
"""
    program = """
import asyncio, os, sys, time
from media.recording.client import RecordingClient
from media.recording.recorder import Recording
from media.recording.settings import RecordingSettings
try:
    os.nice(1)
except PermissionError:
    print("forbidden")
async def main():
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    client = RecordingClient(loop, RecordingSettings(), now=time.monotonic, unix=time.time, complain=print)
    recording = Recording(1, sys.argv[1], client)
    client.begin(recording)
    recording.finish(time.monotonic() + 1, told.set_result)
    print((await told).seconds > 0.9)
    client.close()
asyncio.run(main())
"""
    done = run(sys.executable, "-c", refuse, sys.executable, "-c", program, tmp_path / "call.wav")
    if done.returncode == 77:
        pytest.skip("this kernel takes no filter of system calls")
    assert (done.returncode, done.stdout) == (0, "forbidden\nTrue\n"), done.stderr


def test_the_image_runs_as_nobody_special_and_holds_no_password() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    assert text.count("FROM ") == 2
    assert "configs" not in text.rpartition("FROM ")[2]
    # What the build copies is what the build may see.
    copied = {name for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for name in line.split()}
    seen = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert copied == {name[1:] for name in seen if name.startswith("!")}


@pytest.mark.peer("promtool")
def test_prometheus_understands_its_files_and_the_alerts_fire_when_they_should() -> None:
    done = run(ROOT / "scripts/check-rules")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    rules = (DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8")
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert len(alerts) == len(set(alerts)) >= 5
    tested = set(re.findall(r"alertname: (\w+)", (DEPLOY / "prometheus/alerts_test.yml").read_text(encoding="utf-8")))
    assert set(alerts) == tested
    for name in ("severity", "summary", "description"):
        assert len(re.findall(rf"^ +{name}:", rules, re.MULTILINE)) == len(alerts), name


def test_alerts_speak_of_metrics_and_labels_that_the_engine_has() -> None:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
    families = list(Metrics({"support": 15.0}, Readings).registry.collect())
    shown = {family.name + suffix for family in families for suffix in suffixes.get(family.type, [""])}
    rules = (DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8")
    written = re.findall(r"expr: (?:\|\n((?: {10,}.*\n)+)|(.+))", rules)
    expressions = "\n".join(block or line for block, line in written)
    used = set(re.findall(r"\bacd_\w+", expressions))
    assert used - shown == set()
    assert len(used) >= 10

    outcomes = {value for text in re.findall(r'outcome=~?"([^"]+)"', expressions) for value in text.split("|")}
    assert outcomes <= {outcome.value for outcome in Outcome} | {ANSWERED, ABANDONED}
    states = set(re.findall(r'state!?="([^"]+)"', expressions))
    assert states == {AgentState.LOGGED_OUT.value, "failed"}
    assert "failed" in get_args(MemberState)
    boundaries = {
        sample.labels["le"]
        for family in families
        for sample in family.samples
        if sample.name == "acd_queue_wait_seconds_bucket"
    }
    assert set(re.findall(r'\ble="([^"]+)"', expressions)) <= boundaries
