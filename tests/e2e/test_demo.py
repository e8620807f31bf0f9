"""`ims-acd demo` as a new user starts it: real processes, real UDP and RTP."""

import contextlib
import fcntl
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 75
CALL_LINE = re.compile(
    r"^(?P<caller>caller\d) +10\d{3}( \d)? +(Sales|Support|Any agent) +100[12] +\d+\.\d s +\d+\.\d s +"
    r"(?P<heard>\d\.\d\d)/(?P<spoken>\d\.\d\d) +(caller|agent) +answered$",
    re.MULTILINE,
)


class PortsFixture(Protocol):
    def one(self) -> int: ...
    def block(self, count: int) -> int: ...


def command(directory: Path, ports: PortsFixture, *options: str, sip: int | None = None) -> list[str]:
    sip = ports.one() if sip is None else sip
    rtp = ports.block(60)
    settings = (
        f"storage.dir={directory}",
        f'sip.listen=["udp:127.0.0.1:{sip}", "tcp:127.0.0.1:{sip}"]',
        f"http.listen=127.0.0.1:{ports.one()}",
        f"media.ports={rtp}-{rtp + 59}",
    )
    given = [part for setting in settings for part in ("--set", setting)]
    return [sys.executable, "-m", "acd.cli", "demo", "--config", "configs/demo.toml", *given, *options]


def left_over(directory: Path) -> list[str]:
    """The command lines of processes that name the directory: the engine and the phones do."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(directory) in line:
                found.append(line)
    return found


@contextlib.contextmanager
def started(arguments: list[str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()  # lets it end what it started
            process.wait(timeout=60)
        assert process.stdout is not None
        process.stdout.close()


def pitch(samples: "np.ndarray[tuple[int], np.dtype[np.int16]]") -> float:
    """The strongest frequency in hertz."""
    spectrum = np.abs(np.fft.rfft(samples.astype(float)))
    return float(np.argmax(spectrum) * 8000 / len(samples))


@pytest.mark.parametrize(
    "phones", [pytest.param("baresip", marks=pytest.mark.peer("baresip")), pytest.param("own", id="phones of our own")]
)
def test_the_demo_serves_five_callers_and_leaves_its_records(
    phones: str, storage_dir: Path, ports: PortsFixture
) -> None:
    begun = time.monotonic()
    with started(command(storage_dir, ports, "--phones", phones)) as demo:
        output, _ = demo.communicate(timeout=LONGEST_SECONDS)
    assert demo.returncode == 0, output
    assert time.monotonic() - begun < 70

    assert ("phones: baresip" if phones == "baresip" else "phones: of our own") in output
    lines = list(CALL_LINE.finditer(output))
    assert [line["caller"] for line in lines] == ["caller1", "caller2", "caller3", "caller4", "caller5"], output
    assert all(float(line[side]) > 4 for line in lines for side in ("heard", "spoken"))
    assert re.search(r"floor: [1-9] waiting; 1001 talking, 1002 talking; service level Sales 100%", output)

    ladder = output[output.index("The SIP messages of caller1's call") :]
    assert re.search(r"INVITE 10000.*200 OK \(INVITE\).*INVITE (100[12]).*BYE 10000.*BYE \1", ladder, re.DOTALL)

    with contextlib.closing(sqlite3.connect(storage_dir / "demo" / "cdr.sqlite")) as records:
        (answered,) = records.execute("SELECT count(*) FROM cdr WHERE outcome = 'answered'").fetchone()
    assert answered == 5
    told = re.search(r"^recording: +(\S+\.wav)", output, re.MULTILINE)
    assert told is not None
    with wave.open(told[1]) as recording:
        assert recording.getnchannels() == 2
        voices = np.frombuffer(recording.readframes(recording.getnframes()), "<i2").reshape(-1, 2)
    assert pitch(voices[:, 0]) == pytest.approx(440, abs=5)
    assert min(abs(pitch(voices[:, 1]) - agent) for agent in (620, 700)) < 5
    assert not left_over(storage_dir)


def test_an_interrupted_demo_leaves_nothing_running(storage_dir: Path, ports: PortsFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        port = ports.one()
        taken.bind(("127.0.0.1", port))
        with started(command(storage_dir, ports, "--phones", "own", sip=port)) as demo:
            assert demo.stdout is not None
            seen = []
            for line in demo.stdout:
                seen.append(line)
                if "presses 1" in line:
                    break
            demo.send_signal(signal.SIGINT)
            rest, _ = demo.communicate(timeout=30)
    output = "".join(seen) + rest
    assert demo.returncode == 130, output
    assert f"port {port} is taken: SIP is served on port" in output
    assert "Traceback" not in output
    assert not left_over(storage_dir)


def test_an_engine_that_cannot_start_is_told_in_one_sentence_with_the_end_of_its_log(
    storage_dir: Path, ports: PortsFixture
) -> None:
    arguments = command(storage_dir, ports, "--phones", "own", "--set", "storage.cdr=sqlite:////proc/none/cdr.sqlite")
    with started(arguments) as demo:
        output, _ = demo.communicate(timeout=LONGEST_SECONDS)
    assert demo.returncode == 1, output
    assert "ims-acd demo: the engine ended with status 1 before it was ready" in output
    assert "storage.cdr" in output
    assert "Traceback" not in output
    assert not left_over(storage_dir)


def test_two_demos_do_not_share_a_directory(storage_dir: Path, ports: PortsFixture) -> None:
    (storage_dir / "demo").mkdir()
    with (storage_dir / "demo" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = subprocess.run(
            command(storage_dir, ports, "--phones", "own"),
            cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False,
        )  # fmt: skip
    assert finished.returncode == 1
    assert finished.stderr == f"ims-acd demo: another demonstration is using {storage_dir}/demo\n"
