"""Kamailio with a configuration of ours."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from tests.peers.kit.process import LOOPBACK, Program, wait_until

OPTIONS = (
    "OPTIONS sip:{host}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{back};branch=z9hG4bKready;rport\r\n"
    "Max-Forwards: 0\r\nFrom: <sip:test@{host}>;tag=1\r\nTo: <sip:test@{host}>\r\nCall-ID: ready\r\n"
    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


class Kamailio(Program):
    """Kamailio at ``address``; ``changes`` are made to the text of ``config``, in which LISTEN stands for it."""

    def __init__(self, config: Path, directory: Path, port: int, changes: Mapping[str, str] | None = None) -> None:
        self.address = (LOOPBACK, port)
        text = config.read_text()
        for old, new in {**(changes or {}), "LISTEN": f"{LOOPBACK}:{port}"}.items():
            assert old in text, old
            text = text.replace(old, new)
        place = directory / f"kamailio-{port}"
        place.mkdir()
        file = place / "kamailio.cfg"
        file.write_text(text)
        command = [
            shutil.which("kamailio") or "kamailio", "-DD", "-f", str(file), "-m", "32", "-M", "8",
            "-Y", str(place), "-P", str(place / "pid"),
        ]  # fmt: skip
        super().__init__(command, place / "log")
        self.name = place.name

    def wait_until_ready(self) -> Kamailio:
        """Return when it answers."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((LOOPBACK, 0))
            probe.settimeout(0.2)
            asked = OPTIONS.format(host=LOOPBACK, port=self.address[1], back=probe.getsockname()[1]).encode()

            def answers() -> bool:
                assert self.running, self.report()
                probe.sendto(asked, self.address)
                try:
                    return probe.recv(4096).startswith(b"SIP/2.0 ")
                except OSError:
                    return False

            wait_until(answers, 15, "Kamailio answers")
        return self
