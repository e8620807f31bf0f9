"""rtpengine as a process of its own, as an operator starts it."""

import subprocess
from pathlib import Path

from media.rtpengine.settings import Node

LOOPBACK = "127.0.0.1"


class Rtpengine:
    """One rtpengine without its kernel module; it may be killed and started again at the same place."""

    def __init__(self, directory: Path, *, ng: int, rtp: range, digits: int) -> None:
        self.node = Node(host=LOOPBACK, port=ng)
        self.rtp = rtp
        self._digits = digits
        self._log = directory / f"rtpengine-{ng}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        command = [
            "rtpengine", "--config-file=none", "--table=-1", f"--interface={LOOPBACK}",
            f"--listen-ng={self.node.name}", "--foreground", "--log-stderr", "--log-level=6",
            "--endpoint-learning=immediate",
            f"--port-min={self.rtp.start}", f"--port-max={self.rtp.stop - 1}",
            f"--dtmf-log-dest={LOOPBACK}:{self._digits}", f"--pidfile={self._log.with_suffix('.pid')}", *more,
        ]  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
