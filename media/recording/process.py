"""The process that writes the recordings of a worker: `python -m media.recording.process DESCRIPTOR`.

DESCRIPTOR is an inherited unix stream socket on which jobs come and reports go (`media.recording.jobs`). When that
ends, whatever became of the worker, the recordings are completed; signals meant for the engine are ignored.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from typing import Final

from media.frames import FrameReader, encode
from media.recording import jobs
from media.recording.desk import Desk

GATHER_SECONDS: Final = 0.25  # for jobs to gather: much at once is cheaper by far, and nobody waits for it
_NICENESS: Final = 3  # audio comes first
_MOST_OCTETS: Final = 1024 * 1024


class Scribe:
    """Does what comes in, and reports."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._frames = FrameReader()
        self._reports: list[bytes] = []
        self._desk: Desk | None = None
        self._told = jobs.Counted(0, 0)

    def run(self) -> None:
        """Serve one worker until it goes away."""
        while data := self._receive():
            while data:
                self._perform(data)
                data = self._receive(socket.MSG_DONTWAIT)
            self._report()
            time.sleep(GATHER_SECONDS)
        if self._desk is not None:
            self._desk.close(time.monotonic())
            self._report()

    def _receive(self, flags: int = 0) -> bytes:
        """Return what has come; nothing: the worker has gone away, or with flags, no more has come."""
        try:
            return self._socket.recv(_MOST_OCTETS, flags)
        except (ConnectionError, BlockingIOError):
            return b""

    def _perform(self, data: bytes) -> None:
        for body in self._frames.feed(data):
            job = jobs.job_decoder.decode(body)
            if isinstance(job, jobs.Start):
                self._desk = Desk(job.settings, self._post)
            elif self._desk is not None:
                self._desk.perform(job)

    def _post(self, report: jobs.Report) -> None:
        self._reports.append(encode(report))

    def _report(self) -> None:
        if self._desk is None:
            return
        counted = jobs.Counted(self._desk.errors, self._desk.octets)
        if counted != self._told:
            self._told = counted
            self._reports.insert(0, encode(counted))  # who hears that a recording is complete has heard of its octets
        if self._reports:
            with contextlib.suppress(ConnectionError):  # the worker has ended
                self._socket.sendall(b"".join(self._reports))
            self._reports.clear()


def main() -> None:
    """Run on the socket whose descriptor is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # the filter of a service may forbid it
        os.nice(_NICENESS)
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        Scribe(sock).run()


if __name__ == "__main__":
    main()
