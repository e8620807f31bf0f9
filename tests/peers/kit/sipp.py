"""SIPp with a scenario of ours from ``tests/sipp``."""

from __future__ import annotations

import csv
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.kit.process import LOOPBACK, TAIL, Program
from tests.peers.kit.ways import Way

SCENARIOS = Path(__file__).parents[2] / "sipp"
SHORTEST_PAUSE = 1  # ms; one of 0 that begins in SIPp's first millisecond never ends


@dataclass(frozen=True)
class Counts:
    """What SIPp counted."""

    successful: int = 0
    failed: int = 0
    retransmissions: int = 0
    unexpected: int = 0


class Sipp(Program):
    """One SIPp process on a port of its own; without ``remote`` it waits for calls.

    ``keys`` fill in the ``[name]`` of the scenario. ``pause`` is the length in seconds of pauses that name none.
    ``way`` stands for ``host`` and ``tcp``. ``changes`` are made to the text of the scenario, where SIPp takes no key.
    """

    def __init__(
        self,
        scenario: str,
        directory: Path,
        *,
        port: int,
        media_port: int,
        remote: tuple[str, int] | None = None,
        number: str = "10001",
        calls: int | None = 1,
        rate: float | None = None,
        pause: float = 0.0,
        keys: Mapping[str, object] | None = None,
        users: Sequence[str] | None = None,
        options: Sequence[str] = (),
        tcp: bool = False,
        host: str = LOOPBACK,
        way: Way | None = None,
        changes: Mapping[str, str] | None = None,
        seconds: float = 60.0,
    ) -> None:
        if way is not None:
            host, tcp = way
        self.port = port
        self.media_port = media_port
        stem = directory / f"sipp-{scenario}-{port}"
        count = 0
        while stem.with_suffix(".log").exists():
            count += 1
            stem = directory / f"sipp-{scenario}-{port}-{count}"
        self._stem = stem
        command = [
            "sipp", "-sf", str(_changed(SCENARIOS / f"{scenario}.xml", changes or {}, stem)),
            "-i", host, "-mi", LOOPBACK, "-p", str(port), "-mp", str(media_port), "-t", "t1" if tcp else "u1",
            "-s", number, "-d", str(max(SHORTEST_PAUSE, round(pause * 1000))), "-cid_str", f"%u-%p-{stem.name}@%s",
            "-nostdin", "-timeout", f"{seconds:.0f}s", "-timeout_error", "-recv_timeout", str(round(seconds * 1000)),
            "-buff_size", "4000000", "-trace_stat", "-stf", str(stem) + ".csv", "-fd", "1",
            "-trace_err", "-error_file", str(stem) + ".errors", "-trace_logs", "-log_file", str(stem) + ".said",
            "-trace_shortmsg", "-shortmessage_file", str(stem) + ".messages",
        ]  # fmt: skip
        usual = {"caller": "caller1", "domain": "ims.example", "expires": 60, "q": 1}
        for name, written in {**usual, **(keys or {})}.items():
            command += ["-key", name, str(written)]
        if calls is not None:
            command += ["-m", str(calls)]
        if rate is not None:
            command += ["-r", f"{rate:g}", "-l", "2000"]
        if users is not None:
            lines = Path(f"{stem}.users")
            lines.write_text("SEQUENTIAL\n" + "".join(f"{user}\n" for user in users))
            command += ["-inf", str(lines)]
        command += options
        if remote is not None:
            command.append("[{}]:{}".format(*remote) if ":" in remote[0] else "{}:{}".format(*remote))
        super().__init__(command, stem.with_suffix(".log"), cwd=directory)

    def succeed(self, seconds: float = 60.0) -> Counts:
        """Wait until all its calls are over and see that each went as the scenario says."""
        status = self.wait(seconds)
        counts = self.counts()
        assert status == 0, f"{self.name}: {counts}\n{self.report()}"
        return counts

    def counts(self) -> Counts:
        """What it has counted; written once a second and at the end."""
        rows = _rows(Path(f"{self._stem}.csv"))
        if not rows:
            return Counts()
        last = rows[-1]
        return Counts(
            int(last["SuccessfulCall(C)"]),
            int(last["FailedCall(C)"]),
            int(last["Retransmissions(C)"]),
            int(last["FailedUnexpectedMessage(C)"]),
        )

    def finish(self) -> Counts:
        """Let a server end once its calls are over."""
        self.signal(signal.SIGUSR1)
        self.wait(15.0)
        return self.counts()

    def said(self, word: str) -> list[str]:
        """What the scenario logged in lines that begin with this word, in order."""
        lines = _read(Path(f"{self._stem}.said")).splitlines()
        return [line[len(word) :].strip() for line in lines if line.startswith(f"{word} ")]

    @property
    def messages(self) -> list[str]:
        """One line for each message: time, Call-ID, direction, CSeq and start line."""
        return _read(Path(f"{self._stem}.messages")).splitlines()

    def received(self, start: str) -> int:
        """How many received messages have a start line with ``start`` in it."""
        messages = (line.split("\t") for line in self.messages)
        return sum(fields[-4] == "R" and start in fields[-1] for fields in messages if len(fields) > 4)

    def heard(self, start: str) -> list[str]:
        """The received messages, in full, whose start line begins so; the option ``-trace_msg`` must be given."""
        return self._traced("received", start)

    def sent(self, start: str) -> list[str]:
        """The sent messages, likewise."""
        return self._traced("sent", start)

    def _traced(self, direction: str, start: str) -> list[str]:
        (log,) = self.log.parent.glob(f"*_{self.pid}_messages.log")
        found = []
        for part in log.read_text(errors="replace").split("-" * 20):
            _, fits, message = part.partition(f"message {direction}")
            text = message.partition("\n\n")[2]
            if fits and text.startswith(start):
                found.append(text)
        return found

    def report(self) -> str:
        """What to show with a failure."""
        state = "running" if self.running else f"exit status {self.process.returncode}"
        errors = _read(Path(f"{self._stem}.errors")).splitlines()[:TAIL]
        return "\n".join([f"[{state}] {self.counts()}", *errors, *self.messages[-TAIL:]])


def _changed(scenario: Path, changes: Mapping[str, str], stem: Path) -> Path:
    """Write the scenario with changes beside the logs; without any it stays where it is."""
    if not changes:
        return scenario
    text = scenario.read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    changed = Path(f"{stem}.xml")
    changed.write_text(text)
    return changed


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))
