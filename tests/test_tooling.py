"""The scripts and helpers that the make targets and the tests stand on."""

import os
import re
import socket
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.conftest import Ports

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts/system-packages"
COMPILER = ("gcc", "libc6-dev", "python3-dev")


def system_packages(installed: list[str], tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script where dpkg-query tells that just `installed` is there."""
    fake = tmp_path / "dpkg-query"
    lines = "".join(f"echo 'ii  {name}'\n" for name in installed)
    fake.write_text(f"#!/bin/sh\n{lines}exit 1\n", encoding="utf-8")
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run(
        [SCRIPT, *arguments], check=False, env=environment, capture_output=True, text=True, timeout=60
    )


def test_what_is_missing_is_named_with_what_it_limits(tmp_path: Path) -> None:
    done = system_packages([*COMPILER, "sip-tester", "rtpengine-daemon"], tmp_path, "--check", "bench", "demo")
    assert done.returncode == 3
    assert "not installed: baresip kamailio\n" in done.stderr
    assert re.search(r"without baresip +make demo uses phones of our own", done.stderr)
    assert "apt-get install --no-install-recommends baresip kamailio\n" in done.stderr


def test_nothing_is_said_when_nothing_is_missing(tmp_path: Path) -> None:
    done = system_packages([*COMPILER, "sip-tester", "kamailio", "rtpengine-daemon"], tmp_path, "--check", "bench")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_program_from_elsewhere_stands_for_its_package(tmp_path: Path) -> None:
    """Node.js of its makers brings npm along, and Debian's package of that name conflicts with it."""
    for program in ("node", "npm"):
        (tmp_path / program).write_text("#!/bin/sh\n", encoding="utf-8")
        (tmp_path / program).chmod(0o755)
    done = system_packages([], tmp_path, "--check", "test")
    assert "sip-tester" in done.stderr
    assert not re.search(r"\b(nodejs|npm)\b", done.stderr)


def test_every_package_of_a_group_has_its_limit_told(tmp_path: Path) -> None:
    done = system_packages([], tmp_path, "--check", "test", "demo", "bench", "prompts")
    told = re.findall(r"^  without (\S+) +(?:make|as without) \S+", done.stderr, re.MULTILINE)
    assert told == done.stderr.splitlines()[0].partition("installed: ")[2].split()


def test_a_wrong_argument_is_answered_with_the_usage(tmp_path: Path) -> None:
    done = system_packages([], tmp_path, "everything")
    assert done.returncode == 2
    assert "scripts/system-packages [--check]" in done.stderr


def test_make_help_lists_the_targets() -> None:
    done = subprocess.run(["make", "help"], check=True, cwd=ROOT, capture_output=True, text=True, timeout=60)
    listed = set(re.findall(r"^  make (\S+) +\S", done.stdout, re.MULTILINE))
    assert listed >= {"demo", "run", "test", "lint", "types", "bench", "prompts", "conformance", "clean", "help"}


def test_the_constraints_are_exact_and_cover_what_the_project_asks_for() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+", line) for line in lines)
    pinned = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = project["dependencies"] + [
        name for extra in ("dev", "demo", "bench") for name in project["optional-dependencies"][extra]
    ]
    # What only other versions of Python need is not pinned by the one that wrote the file.
    needed = {re.split(r"[<>=~\[; ]", one)[0].lower() for one in asked if "python_version" not in one}
    assert needed - pinned == set()
    assert len(needed) >= 10


def test_ports_are_free_and_given_to_one_process_only(ports: Ports) -> None:
    beside = type(ports)()
    try:
        given = [ports.one() for _ in range(50)] + [beside.one() for _ in range(50)]
        assert len(set(given)) == 100
        first = ports.block(10)
        assert first % 2 == 0
        taken = ports.one()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", taken + 1))
            assert ports.one() != taken + 1
    finally:
        beside.close()


def test_a_range_of_ports_that_does_not_fit_is_refused(ports: Ports) -> None:
    with pytest.raises(RuntimeError, match="no 1000 adjacent free ports"):
        ports.block(1000)
