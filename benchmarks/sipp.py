"""Load from SIPp: one process each, its counters read from the statistics it writes."""

from __future__ import annotations

import contextlib
import csv
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import LOOPBACK, Address, BenchmarkError, Process, free_port, program

SCENARIOS = Path(__file__).resolve().parent / "sipp"
DOMAIN = "ims.example"
GRACE_SECONDS = 10.0  # for the last calls after the rate has been kept up to the end


@dataclass(frozen=True, slots=True)
class Counts:
    """What one or more SIPp processes counted."""

    completed: int = 0
    failed: int = 0
    retransmissions: int = 0
    seconds: float = 0.0  # from the first call to the end of the last, the longest of the processes

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.completed + other.completed,
            self.failed + other.failed,
            self.retransmissions + other.retransmissions,
            max(self.seconds, other.seconds),
        )


def read_counts(statistics: Path) -> Counts:
    """Read the last line of a file that SIPp wrote for ``-trace_stat``; zeros when there is none yet."""
    try:
        with statistics.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
    except FileNotFoundError:
        return Counts()
    if not rows:
        return Counts()
    last = rows[-1]
    # Each instant is given three ways: date, time of day and, behind a tab, seconds since 1970. (The column
    # ElapsedTime is cut to whole seconds.)
    started, written = (float(last[name].rpartition("\t")[2]) for name in ("StartTime", "CurrentTime"))
    return Counts(
        int(last["SuccessfulCall(C)"]),
        int(last["FailedCall(C)"]),
        int(last["Retransmissions(C)"]),
        written - started,
    )


class Sipp:
    """A SIPp process bound to a port of its own on 127.0.0.1."""

    def __init__(
        self,
        scenario: str,
        directory: Path,
        *,
        port: int | None = None,
        remote: Address | None = None,
        users: Sequence[str] | None = None,
        options: Sequence[str] = (),
        seconds: float = 120.0,
    ) -> None:
        self.port = port or free_port()
        self._statistics = directory / f"{scenario}-{self.port}.csv"
        self._errors = directory / f"{scenario}-{self.port}.errors"
        command = [
            program("sipp"), "-sf", str(SCENARIOS / f"{scenario}.xml"), "-key", "domain", DOMAIN,
            "-i", LOOPBACK, "-mi", LOOPBACK, "-p", str(self.port),
            "-mp", str(free_port(2)),  # two above it is for video
            "-nostdin", "-nd", "-buff_size", "4000000", "-timeout", f"{seconds:.0f}s", "-timeout_error",
            "-trace_stat", "-stf", str(self._statistics), "-fd", "1",
            "-trace_err", "-error_file", str(self._errors),
        ]  # fmt: skip
        if users is not None:
            lines = directory / f"users-{self.port}.csv"
            lines.write_text("SEQUENTIAL\n" + "".join(f"{user};\n" for user in users))
            command += ["-inf", str(lines)]
        command += options
        if remote is not None:
            command.append(f"{remote[0]}:{remote[1]}")
        self._process = Process(command, directory / f"sipp-{scenario}-{self.port}.log", {"TERM": "dumb"})
        self._scenario = scenario

    def counts(self) -> Counts:
        """Return what SIPp has written so far; it writes once a second and when it ends."""
        return read_counts(self._statistics)

    def finish(self, seconds: float) -> Counts:
        """Wait until a client has made all its calls or its time is over, and return its counts.

        Raises `BenchmarkError` when not a single call was completed.
        """
        self._process.wait(seconds)
        counts = self.counts()
        if not counts.completed:
            raise BenchmarkError(f"sipp {self._scenario} completed no call: {self._first_error()}")
        return counts

    def _first_error(self) -> str:
        try:
            lines = self._errors.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return "it does not say why"
        return " ".join(line.rpartition("\t")[2] for line in lines[1:4])

    def stop(self) -> Counts:
        """Ask a server to quit (SIPp: SIGUSR1 ends once no call is left) and return its counts."""
        self._process.signal(signal.SIGUSR1)
        with contextlib.suppress(BenchmarkError):
            self._process.wait(5.0)
        self._process.end()
        return self.counts()

    def end(self) -> None:
        """End SIPp at once, whatever it is doing."""
        self._process.end()


@contextlib.contextmanager
def serving(scenario: str, directory: Path, port: int | None = None) -> Iterator[Sipp]:
    """Run a SIPp that waits for calls until the block ends."""
    process = Sipp(scenario, directory, port=port, seconds=300)
    try:
        yield process
    finally:
        process.end()


def run_clients(
    scenario: str,
    directory: Path,
    remote: Address,
    shares: Sequence[Sequence[str]],
    *,
    calls: int,
    rate: float,
    port: int | None = None,
    more: Sequence[str] = (),
) -> Counts:
    """Make `calls` calls at `rate` a second, both divided among one client per share, and return all counts.

    A share holds the CSV lines that its client takes in turn; a single one may send from `port`. `more` are further
    options of SIPp's. Ends within `GRACE_SECONDS` of the planned time.
    """
    own_calls, own_rate = calls // len(shares), rate / len(shares)
    seconds = calls / rate + GRACE_SECONDS
    options = ["-m", str(own_calls), "-r", f"{own_rate:.0f}", "-l", str(max(1000, own_calls)), *more]
    started: list[Sipp] = []
    try:
        for users in shares:
            client = Sipp(scenario, directory, remote=remote, users=users, port=port, options=options, seconds=seconds)
            started.append(client)
        return sum((client.finish(seconds + 5) for client in started), Counts())
    finally:
        for client in started:
            client.end()
