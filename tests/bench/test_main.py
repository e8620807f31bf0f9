"""What `make bench` prints last, and how it ends."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks.report import Single
from benchmarks.sampling import Figure, Sample, Sampler, Scale
from ims_core import build

SHORT = "--quick", "--only", "calls", "--only", "simulate"
Run = Callable[[float, float | None], int]


def costs(cpu_seconds: float) -> Sampler:
    return lambda _directory, _scale: Sample(cpu_seconds, 1000, 1.0)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run it on what was measured: our CPU seconds against 0.1 of the peer, and what is to be 10 without a peer."""

    def run(ours: float, simulated: float | None) -> int:
        calls = Figure("calls", "calls", "peer", "µs", 1.5, costs(ours), costs(0.1), lambda sample: sample.cost)

        def own(names: list[str], _: Scale) -> list[Single]:
            return [Single(name, name, "a second", simulated, mark=10, higher_is_better=True) for name in names[1:]]

        monkeypatch.setattr(program, "comparisons", lambda _: [calls])
        monkeypatch.setattr(program, "own_figures", own)
        monkeypatch.setattr(program, "STOPPING", ())
        monkeypatch.setattr(sys, "argv", ["benchmarks", *SHORT, "--output", str(tmp_path)])
        return program.main()

    return run


@pytest.mark.parametrize(
    ("ours", "simulated", "code", "last"),
    [
        (0.1, 10.0, 0, "Marks: 2 reached"),
        (0.2, 9.0, 0, "Marks: 0 reached, 2 missed (calls, simulate)"),
        (0.1, None, 1, "Marks: 1 reached, 1 not measured (simulate)"),
    ],
    ids=["reached", "missed", "not measured"],
)
def test_a_mark_missed_is_told_and_is_no_failure(  # noqa: PLR0917
    run: Run, ours: float, simulated: float | None, code: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(ours, simulated) == code
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_the_file_says_which_marks_were_reached(run: Run, tmp_path: Path) -> None:
    run(0.2, 10.0)
    (file,) = tmp_path.iterdir()
    saved = json.loads(file.read_text())
    assert [each["reached"] for part in ("comparisons", "singles") for each in saved[part]] == [False, True]


def test_servers_find_the_packages_in_whatever_directory_they_run(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "compiled:/elsewhere")
    run(0.1, 10.0)
    assert os.environ["PYTHONPATH"] == f"{tmp_path}/compiled:/elsewhere"


def test_it_says_whether_the_core_is_compiled(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for is_compiled, said in ((True, "The core is compiled."), (False, "not compiled")):
        monkeypatch.setattr(build, "IS_COMPILED", is_compiled)
        run(0.1, 10.0)
        assert said in capsys.readouterr().out
