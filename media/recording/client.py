"""The process that writes a worker's recordings, as the worker sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from media.frames import FrameReader, encode
from media.recording import jobs
from media.recording.recorder import Recording
from media.recording.report import Recorded
from media.recording.settings import RecordingSettings

REPLACE_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0
MOST_WAITING: Final = 64 * 1024 * 1024


class RecordingClient:
    """Has recordings written by a process of their own, so that neither decoders nor a slow disk delay audio.

    It is started with the first recording and replaced when it dies; what was recorded then goes on in a further file.
    Its number is `process`.
    At most `limit` octets wait for it: what exceeds that is left out, which is silence in the file. `complain` is
    called with a path and one sentence. `now` is the clock of packets, `unix` the time of day.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: RecordingSettings,
        *,
        now: Callable[[], float],
        unix: Callable[[], float],
        complain: Callable[[str, str], None],
        limit: int = MOST_WAITING,
    ) -> None:
        self.errors = 0
        self.octets = 0
        self.left_out = 0
        self.process: int | None = None
        self._loop = loop
        self._settings = settings
        self._now = now
        self._unix = unix
        self._complain = complain
        self._limit = limit
        self._recordings: dict[int, Recording] = {}
        self._finishing: dict[int, tuple[jobs.Finish, Callable[[Recorded], None], asyncio.TimerHandle]] = {}
        self._socket: socket.socket | None = None
        self._counted = jobs.Counted(0, 0)  # by this process
        self._frames = FrameReader()
        self._out: list[bytes] = []  # of this turn of the loop
        self._backlog: deque[memoryview] = deque()
        self._waiting = 0
        self._replacing: asyncio.TimerHandle | None = None

    def begin(self, recording: Recording) -> None:
        """Have a recording written."""
        self._recordings[recording.number] = recording
        if self._socket is None and self._replacing is None:
            self._start()
        if self._socket is not None:
            recording.begin(self._now(), self._unix())

    def takes(self, octets: int) -> bool:
        """Tell whether there is room for so much audio."""
        if self._socket is not None and self._waiting + octets <= self._limit:
            return True
        self.errors += 1
        return False

    def send(self, job: jobs.Start | jobs.Job) -> None:
        """Have a job done; without a process it is not."""
        if self._socket is None:
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        data = encode(job)
        self._waiting += len(data)
        self._out.append(data)

    def finish(self, job: jobs.Finish, done: Callable[[Recorded], None]) -> None:
        """Have a recording completed; `done` hears of it within `ANSWER_SECONDS`, even if the disk hangs."""
        timer = self._loop.call_later(ANSWER_SECONDS, self._give_up, job.recording)
        self._finishing[job.recording] = job, done, timer
        self.send(job)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Wait until everything is written, for so long at most; the process goes on until it is."""
        if self._replacing is not None:
            self._replacing.cancel()
        for _, _, timer in self._finishing.values():
            timer.cancel()
        self._finishing.clear()
        self._recordings.clear()
        sock, process = self._socket, self.process
        if sock is None or process is None:
            return
        deadline = time.monotonic() + seconds
        self._flush()
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)
        with sock, contextlib.suppress(OSError):  # a TimeoutError is one, too
            for data in self._backlog:
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
                sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            while sock.recv(65536):  # its reports have no reader any more
                pass
            os.waitpid(process, 0)
        self._socket = self.process = None

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            theirs.set_inheritable(True)
            command = [sys.executable, "-P", "-m", "media.recording.process", str(theirs.fileno())]
            try:
                self.process = os.posix_spawn(sys.executable, command, os.environ)
            except OSError as error:
                ours.close()
                self.errors += 1
                self._complain("", f"The process for recordings does not start: {error}.")
                self._replacing = self._loop.call_later(REPLACE_SECONDS, self._replace)
                return
        ours.setblocking(False)
        self._socket = ours
        self._frames = FrameReader()
        self._loop.add_reader(ours, self._readable)
        self.send(jobs.Start(self._settings))

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        for body in self._frames.feed(data):
            report = jobs.report_decoder.decode(body)
            if isinstance(report, jobs.Counted):
                self._count(report)
            elif isinstance(report, jobs.Complained):
                self._complain(report.path, report.text)
            else:
                self._finished(report.recording, report.recorded)

    def _count(self, counted: jobs.Counted) -> None:
        self.errors += counted.errors - self._counted.errors
        self.octets += counted.octets - self._counted.octets
        self._counted = counted

    def _finished(self, recording: int, recorded: Recorded) -> None:
        self._recordings.pop(recording, None)
        if finishing := self._finishing.pop(recording, None):
            _, done, timer = finishing
            timer.cancel()
            done(recorded)

    def _give_up(self, number: int) -> None:
        path = self._recordings[number].path
        self.errors += 1
        self._complain(path, f"Not complete after {ANSWER_SECONDS:.0f} seconds; it is when the disk answers.")
        self._finished(number, Recorded((path,)))

    def _flush(self) -> None:
        """Send what there is to be sent, as far as it goes."""
        if self._out:
            self._backlog.append(memoryview(b"".join(self._out)))
            self._out.clear()
        sock = self._socket
        while self._backlog and sock is not None:
            data = self._backlog[0]
            try:
                sent = sock.send(data)
            except BlockingIOError:
                self._loop.add_writer(sock, self._flush)
                return
            except OSError:  # it has ended, as is read in a moment
                break
            self._waiting -= sent
            if sent < len(data):
                self._backlog[0] = data[sent:]
            else:
                self._backlog.popleft()
        if sock is not None:
            self._loop.remove_writer(sock)

    def _lost(self) -> None:
        """The process has ended, which it must not."""
        assert self._socket is not None
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._socket = None
        self._out.clear()
        self._backlog.clear()
        self._waiting = 0
        self._counted = jobs.Counted(0, 0)
        self.errors += 1
        self._replacing = self._loop.call_later(REPLACE_SECONDS, self._replace)

    def _replace(self) -> None:
        """Start another process, if one is wanted."""
        self._replacing = None
        process = self.process
        if process is not None:
            ended, status = os.waitpid(process, os.WNOHANG)
            if not ended:  # it hangs at its end, perhaps where nothing can kill it: nobody waits for that
                os.kill(process, signal.SIGKILL)
                self._replacing = self._loop.call_later(REPLACE_SECONDS, self._replace)
                return
            code = os.waitstatus_to_exitcode(status)
            self._complain("", f"The process for recordings has ended ({code}); they go on in further files.")
            self.process = None
        if not self._recordings:
            return
        self._start()
        if self._socket is not None:
            for recording in self._recordings.values():
                recording.begin(self._now(), self._unix())
            for job, _, _ in self._finishing.values():
                self.send(job)
