import json
from pathlib import Path

import msgspec
import pytest

from acd.journal.store import SqliteJournal
from acd.kpi.command import main
from acd.kpi.report import Item
from tests.acd.kpi.test_report import log, read, story

__all__ = ["log"]  # a fixture
CONFIG = str(Path(__file__).parents[3] / "configs" / "demo.toml")


def run(log: Path, *arguments: str) -> int:
    day = ["--from", "2025-03-01", "--to", "2025-03-02"]
    return main(["--config", CONFIG, "--set", f"storage.dir={log.parent}", *day, *arguments])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            [],
            """
            queue    offered  answered  answer rate  service level  abandoned  overflowed  waiting   ASA  longest
            ───────  ───────  ────────  ───────────  ─────────────  ─────────  ──────────  ───────  ────  ───────
            sales          6         3        50.0%          33.3%      33.3%       16.7%        0  0:23     1:00
            support        1         0         0.0%           0.0%       0.0%        0.0%        1     -        -
            ───────  ───────  ────────  ───────────  ─────────────  ─────────  ──────────  ───────  ────  ───────
            all            7         3        42.9%          28.6%      28.6%       14.3%        1  0:23     1:00
            """,
        ),
        (
            ["--by", "agent", "--interval", "2h"],
            """
            from   agent  answered  talk  hold  wrap-up  refused  unanswered  logged in  occupied  utilised  calls/h
            ─────  ─────  ────────  ────  ────  ───────  ───────  ──────────  ─────────  ────────  ────────  ───────
            08:00  1001          1  9:00  1:00     0:30    50.0%        0.0%       2:00      8.8%      8.8%      0.5
            08:00  1002          2  4:00  0:00     0:10     0.0%        0.0%       2:00     43.9%      6.9%      1.0
            10:00  1001          0     -     -        -        -           -       2:00      0.0%      0.0%      0.0
            10:00  1002          0     -     -        -        -           -       2:00         -      0.0%      0.0
            ─────  ─────  ────────  ────  ────  ───────  ───────  ──────────  ─────────  ────────  ────────  ───────
            all                  3  5:40  0:20     0:17    25.0%        0.0%       8:00      7.3%      3.9%      0.4
            """,
        ),
        (
            ["--by", "total", "--threshold", "10", "--threshold", "20"],
            """
            total  offered  answered  answer rate  within 10 s  within 20 s  abandoned  overflowed  waiting   ASA
            ─────  ───────  ────────  ───────────  ───────────  ───────────  ─────────  ──────────  ───────  ────
            all          7         3        42.9%        14.3%        28.6%      28.6%       14.3%        1  0:23
            """,
        ),
    ],
    ids=["queues", "agents", "thresholds"],
)
def test_figures_come_as_a_table(
    log: Path, arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(log, *arguments) == 0
    title, empty, *lines = capsys.readouterr().out.splitlines()
    assert (title, empty) == ("2025-03-01 00:00 to 2025-03-02 00:00, UTC", "")
    wanted = [line.strip() for line in expected.strip().splitlines()]
    assert [line[: len(wanted[0])].rstrip() for line in lines[: len(wanted)]] == wanted


def test_json_is_what_the_api_answers(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(log, "--json", "--interval", "hour", "--by", "number") == 0
    answered = json.loads(capsys.readouterr().out)
    assert msgspec.convert(answered["items"], list[Item], strict=False) == read(log, interval="hour", by="number")


def test_a_day_without_anything_says_so(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(log, "--from", "2025-02-01", "--to", "2025-02-02") == 0
    assert capsys.readouterr().out.splitlines()[1] == "No calls, and nobody logged in."


def test_the_states_of_a_server_that_is_gone_end_with_its_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(log, "--json", "--by", "total") == 0
    (total,) = json.loads(capsys.readouterr().out)["items"]
    assert sum(total["agent_seconds"].values()) == 2 * (4 * 3600 - 10)  # from eight to the last fact


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--interval", "3"], 2, "--interval: expected "),
        (["--from", "soon"], 2, "--from: expected "),
        (["--set", "storage.dri=x"], 2, "--set: storage.dri: "),
        (["--set", "storage.dir=/nonexistent"], 1, "/nonexistent/journal.sqlite: "),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    log: Path, arguments: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(log, *arguments) == status
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(told)


def test_the_log_can_be_read_while_a_server_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    journal.open()
    try:
        journal.write([(when, fact) for fact, when in story().told])
        assert run(tmp_path / "journal.sqlite", "--by", "number") == 0
    finally:
        journal.close()
    assert "10001" in capsys.readouterr().out
