"""The process of a media worker, as the engine meets it on its control connection."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from media.frames import FrameReader, encode
from media.settings import MediaSettings
from media.worker import control

from .conftest import stream

Kind = TypeVar("Kind", bound=control.Report)
PORTS = range(23_000, 23_100, 2)


class Engine:
    """The other end of the control connection; `errors` is where the worker writes what has gone wrong."""

    def __init__(self, sock: socket.socket, errors: Path) -> None:
        self.errors = errors
        self._socket = sock
        self._frames = FrameReader()
        self._heard: list[control.Report] = []

    def say(self, *commands: control.Command) -> None:
        self._socket.sendall(b"".join(map(encode, commands)))

    def hear(self, kind: type[Kind]) -> Kind:
        """Return the next report of a kind."""
        while True:
            while self._heard:
                report = self._heard.pop(0)
                if isinstance(report, kind):
                    return report
            data = self._socket.recv(65536)
            assert data, "the worker has ended"
            self._heard += map(control.report_decoder.decode, self._frames.feed(data))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(20)
        theirs.set_inheritable(True)
        command = [sys.executable, "-m", "media.worker.process", str(theirs.fileno())]
        errors = tmp_path / "errors"
        to_file = (os.POSIX_SPAWN_OPEN, 2, errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        process = os.posix_spawn(sys.executable, command, os.environ, file_actions=[to_file])
        theirs.close()
        yield Engine(ours, errors)
        ours.close()
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def test_a_command_that_cannot_be_performed_disturbs_no_other_leg(engine: Engine) -> None:
    engine.say(control.Start(MediaSettings(prompt_directories=()), PORTS.start, PORTS[-1]), control.Provide(1))
    (port,) = engine.hear(control.Provided).ports
    engine.say(control.Open(1, port, stream(9)), control.Open(2, 1, stream(9)), control.Close(1))
    assert engine.hear(control.Closed).leg == 1
    assert "Open failed." in engine.errors.read_text()
