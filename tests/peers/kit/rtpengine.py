"""rtpengine in user space, as an operator starts it."""

from __future__ import annotations

from pathlib import Path

from tests.peers.kit.process import LOOPBACK, Program


def command(directory: Path, *, ng: int, rtp: range, digits: int) -> list[str]:
    """Return the command line: commands are taken at the port ``ng``, digits are told to the port ``digits``."""
    return [
        "rtpengine", "--config-file=none", "--table=-1", f"--interface={LOOPBACK}",
        f"--listen-ng={LOOPBACK}:{ng}", "--foreground", "--log-stderr", "--log-level=6",
        "--endpoint-learning=immediate", f"--dtmf-log-dest={LOOPBACK}:{digits}",
        f"--port-min={rtp.start}", f"--port-max={rtp.stop - 1}", f"--pidfile={directory / f'rtpengine-{ng}.pid'}",
    ]  # fmt: skip


class Rtpengine(Program):
    """An rtpengine that has the RTP ports ``rtp``."""

    def __init__(self, directory: Path, *, ng: int, rtp: range, digits: int) -> None:
        self.address = f"{LOOPBACK}:{ng}"
        self.rtp = rtp
        super().__init__(command(directory, ng=ng, rtp=rtp, digits=digits), directory / f"rtpengine-{ng}.log")
