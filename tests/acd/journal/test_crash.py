"""A process that is killed while it writes: what it was told to be safe is there, and the log is whole."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from acd import facts
from acd.journal.reader import Reader
from acd.journal.store import SqliteJournal

ROOT = Path(__file__).parents[3]

# Appends without end, a thousand facts at a time, and says how many are safe.
WRITER = """
import sys
from pathlib import Path
from acd import facts
from acd.journal.store import SqliteJournal

journal = SqliteJournal(Path(sys.argv[1]), commit_seconds=0.001, sync=sys.argv[2])
journal.open()
journal.start()
told = 0
while True:
    for _ in range(1000):
        told += 1
        journal.append(facts.CallerPressed(f"c{told}", "1"), float(told))
    if journal.flush():
        print(told, flush=True)
"""


@pytest.mark.parametrize(("sync", "lines"), [("full", 1), ("full", 7), ("normal", 3), ("normal", 19)])
def test_what_was_safe_survives_a_kill_in_the_middle_of_commits(tmp_path: Path, sync: str, lines: int) -> None:
    file = tmp_path / "journal.sqlite"
    command = [sys.executable, "-c", WRITER, str(file), sync]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as writer:
        assert writer.stdout is not None
        safe = [int(writer.stdout.readline()) for _ in range(lines)][-1]
        writer.kill()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with Reader(file) as log:
        entries = list(log.entries())
    assert len(entries) >= safe
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry.at for entry in entries] == [float(number) for number in range(1, len(entries) + 1)]
    again = SqliteJournal(file)
    again.open()
    again.write([(0.0, facts.ServerStarted("n", "1"))])
    assert again.close()
