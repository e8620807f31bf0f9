"""The RTP worker process: `python -m media.worker.process DESCRIPTOR`.

DESCRIPTOR is an inherited unix stream socket on which commands come and reports go (`media.worker.control`). The worker
ends when that connection does, never before: signals meant for the engine are ignored.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
import sys
from typing import Final, cast

from media.frames import FrameReader, encode
from media.worker import control
from media.worker.loop import WorkerLoop
from media.worker.worker import Worker

HEARTBEAT_SECONDS: Final = 1.0
SWITCH_SECONDS: Final = 0.0005  # the longest that a thread which reads prompts keeps a packet waiting
COLLECTOR_THRESHOLDS: Final = (50_000, 20, 20)  # it finds nothing: what belonged to a leg is freed with it
_MAX_UNSENT_REPORTS: Final = 16 * 1024 * 1024


class ControlConnection(asyncio.Protocol):
    """The worker's end of the control connection: commands in, reports out, gathered once per loop turn."""

    def __init__(self, loop: WorkerLoop) -> None:
        self.closed: asyncio.Future[None] = loop.create_future()
        self.worker: Worker | None = None
        self._loop = loop
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Perform the commands."""
        for body in self._frames.feed(data):
            command = control.command_decoder.decode(body)
            if isinstance(command, control.Start):
                self._start(command)
            elif self.worker is not None:
                self._handle(self.worker, command)

    def _handle(self, worker: Worker, command: control.Command) -> None:
        """Perform a command. A fault of ours in it is told, and is of no other leg."""
        try:
            worker.handle(command)
        except Exception as error:  # noqa: BLE001
            self._loop.call_exception_handler({"message": f"{type(command).__name__} failed.", "exception": error})

    def connection_lost(self, exc: Exception | None) -> None:
        """End the worker."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.closed.done():
            self.closed.set_result(None)

    def post(self, report: control.Report) -> None:
        """Send a report at the end of this loop turn."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(encode(report))

    def _flush(self) -> None:
        data = b"".join(self._out)
        self._out.clear()
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _MAX_UNSENT_REPORTS:
            self._transport.abort()

    def _start(self, start: control.Start) -> None:
        ports = range(start.first_port, start.last_port + 1, 2)
        self.worker = Worker(self._loop, start.settings, ports, self.post, start.identity, poller=self._loop.poller)
        mistakes = self.worker.prompts.preload()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECTOR_THRESHOLDS)
        self.post(control.Ready(len(self.worker.prompts), tuple(mistakes)))
        self._beat(self._loop.time())

    def _beat(self, due: float) -> None:
        due = max(due + HEARTBEAT_SECONDS, self._loop.time())
        self._timer = self._loop.call_at(due, self._beat, due)
        if self.worker is not None:
            self.worker.heartbeat()


async def serve(loop: WorkerLoop, sock: socket.socket) -> None:
    """Serve one engine until it goes away."""
    connection = ControlConnection(loop)
    await loop.create_unix_connection(lambda: connection, sock=sock)
    try:
        await connection.closed
    finally:
        if connection.worker is not None:
            connection.worker.close()


def main() -> None:
    """Run the worker on the socket whose descriptor is the first argument."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a leg has two sockets
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_SECONDS)
    sock = socket.socket(fileno=int(sys.argv[1]))
    with asyncio.Runner(loop_factory=WorkerLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, WorkerLoop)
        runner.run(serve(loop, sock))


if __name__ == "__main__":
    main()
