"""The loads of what has no peer, with a few of what they have thousands of: all are there, and a table comes of it."""

import re
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import bindings, connections, machine, ours, overload
from benchmarks.__main__ import own_figures
from benchmarks.processes import LOOPBACK
from benchmarks.report import Single, table
from benchmarks.sampling import Scale

BRIEF = Scale(rounds=1, share=0.01)
FEW = 7


def told(figures: list[Single]) -> list[str]:
    """Return the rows of the table, each without its value."""
    assert not [figure.error for figure in figures if figure.error]
    return [row.partition(":")[0] for row in table([], figures).splitlines()]


def stored(file: Path) -> int:
    """Return how many bindings are in it."""
    database = sqlite3.connect(file)
    try:
        (count,) = database.execute("SELECT COUNT(*) FROM bindings").fetchone()
    finally:
        database.close()
    return int(count)


def test_all_bindings_are_stored_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "BINDINGS", FEW)
    bindings.costs(tmp_path)
    assert stored(tmp_path / "bindings.sqlite") == bindings.BATCH + FEW
    assert told(own_figures(["bindings"], BRIEF)) == [
        "memory per binding, 7 of them",
        "contacts of a user looked up among them",
        "binding looked up by its contact",
    ]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Connections and phones' bindings of the server, each time that its memory is measured: a KiB for each phone."""
    found: list[tuple[int, int]] = []
    servers: list[ours.EngineTarget] = []
    engine = ours.engine

    @contextmanager
    def remembered(*given: Any, **named: Any) -> Iterator[ours.EngineTarget]:
        with engine(*given, **named) as target:
            servers.append(target)
            yield target

    def memory(_: int) -> int:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{servers[-1].http_port}/metrics", timeout=10) as answer:
            page = answer.read().decode()
        (bound,) = re.findall(r"^acd_sip_bindings (.*)$", page, re.MULTILINE)
        connected = re.findall(r"^acd_sip_connections\{.*\} (.*)$", page, re.MULTILINE)
        found.append((int(sum(map(float, connected))), int(float(bound)) - ours.AGENTS))
        return found[-1][1] * 1024

    monkeypatch.setattr(ours, "engine", remembered)
    monkeypatch.setattr(machine, "proportional_memory", memory)
    return found


@pytest.mark.peer("openssl")
def test_each_phone_registers_over_its_connection(seen: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS", FEW)
    figures = own_figures(["connections"], BRIEF)
    registered = [f"REGISTER over 7 {transport} connections" for transport in ("TCP", "TCP", "TLS", "TLS")]
    each = "memory of each, with its binding"
    assert told(figures) == [*registered[:2], each, *registered[2:], each]
    assert seen == [(0, 0), (FEW, FEW)] * 2
    assert [figure.value for figure in figures if figure.title == each] == [1.0, 1.0]


@pytest.mark.peer("sipp")
def test_what_is_served_under_each_load_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overload, "sustainable_rate", lambda _: 10.0)
    monkeypatch.setattr(overload, "TIMES", (2,))
    assert told(own_figures(["overload"], BRIEF)) == [
        "calls served at 2 × the sustainable rate, 20/s",
        "goodput at 2 × the sustainable rate",
    ]


@pytest.mark.parametrize("bears", [20.0, 100.0, 150.0, 400.0])
def test_the_sustainable_rate_is_looked_for_up_and_down(bears: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overload, "_goodput", lambda rate, _warm, _seconds: min(rate, bears))
    found = overload.sustainable_rate(BRIEF)
    assert overload.SERVED * found <= bears < overload.SERVED * overload.STEP * (found + overload.CLIENTS)


def test_a_try_that_was_disturbed_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    served = iter([0.0, 150.0, 0.0, 0.0])
    monkeypatch.setattr(overload, "_goodput", lambda *_: next(served))
    assert overload.sustainable_rate(BRIEF) == overload.FIRST_RATE


def test_goodput_at_the_highest_load_is_compared_with_the_best() -> None:
    found = [overload.Goodput(times, 0.0, (served,)) for times, served in ((1, 90.0), (2, 100.0), (3, 80.0))]
    assert overload.share_of_best(found) == pytest.approx(0.8)


def test_a_machine_that_is_slow_for_a_while_is_so_for_every_load(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = iter([1.0, 1.0, 0.9, 0.5, 0.5, 0.45, 1.2, 1.2, 0.9])
    monkeypatch.setattr(overload, "sustainable_rate", lambda _: 100.0)
    monkeypatch.setattr(overload, "_goodput", lambda *_: 100.0 * next(pace))
    found = overload.goodputs(Scale())
    assert [(each.times, each.offered, each.runs) for each in found] == [
        (1, 100.0, (100.0, 50.0, 120.0)),
        (2, 200.0, (100.0, 50.0, 120.0)),
        (3, 300.0, (90.0, 45.0, 90.0)),
    ]
    assert [each.served for each in found] == [100.0, 100.0, 90.0]
    assert overload.share_of_best(found) == pytest.approx(0.9)
