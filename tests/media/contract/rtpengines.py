"""rtpengine as a process that may be killed, and started again at the same place."""

import subprocess
from pathlib import Path

from media.rtpengine.settings import Node
from tests.peers.kit.process import LOOPBACK
from tests.peers.kit.rtpengine import command


class Rtpengine:
    """One rtpengine without its kernel module."""

    def __init__(self, directory: Path, *, ng: int, rtp: range, digits: int) -> None:
        self.node = Node(host=LOOPBACK, port=ng)
        self.rtp = rtp
        self._command = command(directory, ng=ng, rtp=rtp, digits=digits)
        self._log = directory / f"rtpengine-{ng}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
