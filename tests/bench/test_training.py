"""The work that the compiler is shown: what is not done is told, and fails."""

import pytest

from benchmarks import training
from benchmarks.processes import BenchmarkError
from benchmarks.sampling import Sample, Sampler


def does(units: int) -> Sampler:
    return lambda _directory, _scale: Sample(units=units)


def fails(_directory: object, _scale: object) -> Sample:
    raise BenchmarkError("no SIPp")


@pytest.mark.parametrize(
    ("work", "code", "told"),
    [
        ({"calls": does(3), "packets": does(1)}, 0, ""),
        ({"calls": fails, "packets": does(1)}, 1, "training: calls: no SIPp\n"),
        ({"calls": does(3), "packets": does(0)}, 1, "training: packets: nothing was done\n"),
    ],
    ids=["all done", "one failed", "one idle"],
)
def test_a_training_is_whole_or_fails(
    work: dict[str, Sampler],
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(training, "work", lambda: work)
    assert training.main() == code
    assert capsys.readouterr().err == told
