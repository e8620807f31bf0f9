"""A program in a process of its own, its output in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
LOOPBACK = "127.0.0.1"
TAIL = 25  # lines of a log shown with a failure


def wait_until(condition: Callable[[], T | None], seconds: float = 10.0, what: str = "") -> T:
    """Return the first true value of ``condition``; fail when there is none within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what or condition}; last seen {value!r}")
        time.sleep(0.02)  # between two looks
    return value


class Program:
    """A started program. ``end`` must be called; ``log`` names the file with its output."""

    patience = 3.0  # seconds to end by itself, before it is killed

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.log = log
        self.name = log.stem
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, "TERM": "dumb", **(environment or {})},
            )
        self.pid = self.process.pid

    @property
    def output(self) -> str:
        """What the program has written so far."""
        return self.log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def wait(self, seconds: float) -> int:
        """Wait for its end and return the exit status; fail when it goes on for longer."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds:g} s") from None

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> None:
        """End it whatever it does."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.running:
            self.process.terminate()
            try:
                self.process.wait(self.patience)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait(5.0)

    def report(self) -> str:
        """What to show with a failure."""
        state = "running" if self.running else f"exit status {self.process.returncode}"
        return f"[{state}]\n" + "\n".join(self.output.splitlines()[-TAIL:])
