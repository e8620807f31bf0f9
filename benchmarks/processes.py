"""Starting and surely ending what a benchmark needs: programs, free ports, temporary directories."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import itertools
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import machine

REPOSITORY = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
END_SECONDS = 10.0
# Apart from what the shipped configurations and the tests use, and from the ports that the kernel gives to clients
# (ip_local_port_range).
PORTS = range(30_000, 32_768)
BLOCK, STEP = 346, 4  # a program that is given a port may take the next ones, too
RTP_PORTS = range(16_100, 20_000)

Address = tuple[str, int]


class BenchmarkError(Exception):
    """A figure could not be measured; the text says why."""


class Process:
    """A program in a process group of its own, with its output in a file."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        directory: Path | None = None,
        pipes: bool = False,
    ) -> None:
        self.name = Path(command[0]).name
        self.log = log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else output,
                stderr=output,
                cwd=directory or log.parent,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def running(self) -> bool:
        """Tell whether the program has not ended yet."""
        return self._popen.poll() is None

    def wait(self, seconds: float) -> int:
        """Wait for the program's own end and return its exit code; raise `BenchmarkError` when it is late."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"{self.name} did not end within {seconds:.0f} s") from None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone, not to its children."""
        if self.running():
            self._popen.send_signal(number)

    def end(self) -> None:
        """End the program and all it started: SIGTERM, and SIGKILL for what is left after `END_SECONDS`."""
        family = machine.tree(self.pid) if self.running() else []
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.running():
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def last_lines(self, count: int = 5) -> str:
        """Return the end of the program's output, for error texts."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


class Helper(Process):
    """A module of this package run as a process of its own that we talk to in lines of text."""

    def __init__(
        self, module: str, arguments: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
        log = directory / f"{module}.log"
        super().__init__(command, log, environment, directory=REPOSITORY, pipes=True)
        self.name = module
        self._unread = b""

    def say(self, line: str) -> None:
        """Write a line to the process."""
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # what went wrong shows when its answer is waited for
            self._popen.stdin.write(line.encode() + b"\n")
            self._popen.stdin.flush()

    def hear(self, seconds: float) -> str:
        """Return the next line of the process; raise `BenchmarkError` when it ends or is silent for `seconds`."""
        assert self._popen.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._popen.stdout], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._popen.stdout.fileno(), 65536) if ready else b""
            if not data:
                state = "ended early" if ready else f"said nothing for {seconds:.0f} s"
                raise BenchmarkError(f"{self.name} {state}: {self.last_lines()}")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()


@contextlib.contextmanager
def helper(
    module: str, *arguments: object, directory: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Helper]:
    """Run a module of this package, ended with the block."""
    process = Helper(module, [str(argument) for argument in arguments], directory, environment)
    try:
        yield process
    finally:
        process.end()


@contextlib.contextmanager
def server(
    command: Sequence[str],
    directory: Path,
    ready: Callable[[Process], bool],
    *,
    environment: Mapping[str, str] | None = None,
    seconds: float = 20.0,
) -> Iterator[Process]:
    """Run a server until the block ends; enter the block once `ready` says so.

    Raises `BenchmarkError` with the end of its output when the server ends early or is not ready in time.
    """
    process = Process(command, directory / f"{Path(command[0]).name}.log", environment)
    try:
        deadline = time.monotonic() + seconds
        while not ready(process):
            if not process.running() or time.monotonic() > deadline:
                state = "is not ready" if process.running() else "ended at once"
                raise BenchmarkError(f"{process.name} {state}: {process.last_lines()}")
            time.sleep(0.05)
        yield process
    finally:
        process.end()


@contextlib.contextmanager
def temporary_directory() -> Iterator[Path]:
    """Give a directory that is removed with everything in it, at the end of all measurements.

    Where many files were removed lately, ext4 searches for long until it has an inode for another one.
    """
    path = Path(tempfile.mkdtemp(prefix="ims-acd-bench-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    yield path


def port_is_free(port: int) -> bool:
    """Tell whether UDP and TCP `port` can be bound on 127.0.0.1."""
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind((LOOPBACK, port))
    except OSError:
        return False
    return True


def free_port(*also: int) -> int:
    """Return a port that is free for UDP and TCP at the moment; another one on each call, until all were given.

    So are those that lie so far above it.
    """
    ports = _own_ports()
    for _ in range(BLOCK // STEP):
        port = next(ports)
        if all(port_is_free(port + above) for above in (0, *also)):
            return port
    raise BenchmarkError(f"no free port between {PORTS.start} and {PORTS.stop}")


@functools.cache
def _own_ports() -> Iterator[int]:
    """Give the ports of a block that this process alone has, over and over: some time passes before they are used."""
    for base in PORTS[::BLOCK]:
        path = Path(tempfile.gettempdir()) / f"ims-acd-bench-ports-{base}.lock"
        with contextlib.ExitStack() as stack:
            try:
                lock = stack.enter_context(path.open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # of another user, or locked
                continue
            stack.pop_all()
        atexit.register(lock.close)  # which holds it until then
        block = list(range(base, min(base + BLOCK, PORTS.stop) - STEP, STEP))
        random.shuffle(block)
        return itertools.cycle(block)
    raise BenchmarkError("every block of ports is taken by another process")


def program(name: str) -> str:
    """Return the path of an installed program; raise `BenchmarkError` naming it when it is missing."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise BenchmarkError(f"{name} is not installed")
    return path
