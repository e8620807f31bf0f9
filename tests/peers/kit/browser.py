"""JsSIP, the SIP stack of many web pages, under Node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.peers.kit.process import Program, wait_until

JS = Path(__file__).parents[2] / "js"
INSTALLED = (JS / "node_modules" / "jssip").is_dir()


class BrowserPhone(Program):
    """A phone of ``user`` that is connected to ``url``; see ``tests/js/phone.js`` for its commands."""

    def __init__(
        self, user: str, directory: Path, *, url: str, ca: Path, origin: str = "https://phone.example"
    ) -> None:
        log = directory / f"browser-{user}.log"
        command = ["node", str(JS / "phone.js"), url, user, "demo", origin]
        super().__init__(command, log, cwd=JS, environment={"CA_FILE": str(ca)}, stdin=subprocess.PIPE)

    def do(self, *command: str) -> None:
        """Have the phone do something."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()

    def told(self, event: str) -> list[dict[str, Any]]:
        """What it has told of one kind so far."""
        lines = [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def wait_for(self, event: str, seconds: float = 15.0) -> dict[str, Any]:
        """Return the first thing told of this kind."""

        def find() -> dict[str, Any] | None:
            assert self.running, self.report()
            return next(iter(self.told(event)), None)

        return wait_until(find, seconds, f"{self.name}: {event}")
