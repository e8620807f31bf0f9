"""What the benchmarks read and start: SIPp's statistics, rtpengine's protocol, CPU times, processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import machine
from benchmarks.processes import BenchmarkError, Process, helper, server
from benchmarks.sipp import Counts, read_counts

STATISTICS = """\
StartTime;LastResetTime;CurrentTime;SuccessfulCall(C);FailedCall(C);Retransmissions(C);
2026-01-02\t03:04:05.500000\t1000.5;x;2026-01-02\t03:04:05.500000\t1001.5;10;0;0;
2026-01-02\t03:04:05.500000\t1000.5;x;2026-01-02\t03:04:07.750000\t1002.75;40;2;3;
"""


def test_the_last_line_of_sipps_statistics_counts(tmp_path: Path) -> None:
    file = tmp_path / "statistics.csv"
    file.write_text(STATISTICS)
    assert read_counts(file) == Counts(completed=40, failed=2, retransmissions=3, seconds=2.25)


def test_sipp_that_wrote_nothing_counted_nothing(tmp_path: Path) -> None:
    assert read_counts(tmp_path / "missing.csv") == Counts()
    (tmp_path / "empty.csv").write_text(STATISTICS.splitlines()[0] + "\n")
    assert read_counts(tmp_path / "empty.csv") == Counts()


def test_counts_of_several_clients_add_up_over_the_longest_time() -> None:
    assert Counts(1, 2, 3, 4.0) + Counts(10, 20, 30, 3.0) == Counts(11, 22, 33, 4.0)


def test_cpu_time_of_a_child_counts_also_after_its_end() -> None:
    before = machine.cpu_seconds(os.getpid())
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", burn], check=True, timeout=30)
    assert machine.cpu_seconds(os.getpid()) - before >= 0.28


def test_the_memory_of_a_process_is_not_zero() -> None:
    assert machine.proportional_memory(os.getpid()) > 1_000_000


def running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ending_a_process_ends_what_it_started_even_when_that_ignores_sigterm(tmp_path: Path) -> None:
    script = "trap '' TERM; (sleep 300) & echo $!; trap - TERM; wait"
    process = Process(["/bin/sh", "-c", script], tmp_path / "log")
    deadline = time.monotonic() + 10
    while not process.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    child = int(process.log.read_text())
    assert running(child)
    process.end()
    while running(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not running(child)
    assert not process.running()


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "echo no such port; exit 3"]
    with pytest.raises(BenchmarkError, match="ended at once: no such port"), server(command, tmp_path, lambda _: False):
        pytest.fail("not reached")


def test_a_helper_that_fails_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with (
        helper("rtp_load", "many", directory=tmp_path) as process,
        pytest.raises(BenchmarkError, match="invalid literal for int"),
    ):
        process.hear(30.0)
