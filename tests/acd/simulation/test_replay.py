"""A day of the event log, lived through again."""

import json
from math import inf
from pathlib import Path
from random import Random

import pytest

from acd.cdr import Outcome
from acd.simulation import figures
from acd.simulation.command import main
from acd.simulation.patience import Patience
from acd.simulation.run import Run, live
from acd.simulation.scenario import Caller
from tests.acd.simulation.centre import DAY, chance, plan, record, write_config


def what_became(run: Run) -> dict[str, tuple[float, Outcome | None, float, str]]:
    return {c.arrival.call_id: (c.at, c.outcome, c.waited, c.answered_by) for c in run.callers}


def wait(values: figures.Values) -> float:
    return values["average_wait_seconds"] or 0.0


def test_under_its_own_policy_the_same_day_comes_out(tmp_path: Path) -> None:
    config = ["--config", write_config(tmp_path)]
    lived, log = record(tmp_path, *config, *DAY, "--answer", "4", "--staff", "7@0-1:30", "--staff", "3")
    again = live(plan(*config, "--replay", str(log)).day(chance()))
    assert what_became(again) == what_became(lived)
    outcomes = {caller.outcome for caller in lived.callers}
    assert {Outcome.ANSWERED, Outcome.ABANDONED} <= outcomes


def test_the_command_shows_both_days_and_the_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["--config", write_config(tmp_path)]
    _, log = record(tmp_path, *config, *DAY)
    assert main([*config, "--replay", str(log)]) == 0
    table = capsys.readouterr().out
    assert "recorded" in table
    offered = next(line.split() for line in table.splitlines() if line.startswith("  offered"))
    assert offered[1] == offered[2]
    assert offered[-1] == "+0.0"
    assert main([*config, "--replay", str(log), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    for queue, recorded in told["recorded"].items():
        for name, value in recorded.items():
            assert told["queues"][queue][name]["mean"] == value, (queue, name)


def test_fewer_agents_for_a_queue_make_its_callers_wait_longer(tmp_path: Path) -> None:
    config = ["--config", write_config(tmp_path)]
    _, log = record(tmp_path, *config, *DAY)
    fewer = write_config(tmp_path, lambda text: text.replace('["sales", "support"]', '["support"]'))
    told = plan("--config", fewer, "--replay", str(log))
    runs = [live(told.day(chance(number))) for number in range(5)]
    recorded = told.recorded()
    for run in runs:
        found = figures.values(run)
        assert wait(found["sales"]) > 1.5 * wait(recorded["sales"])
        assert wait(found["support"]) < wait(recorded["support"])


def test_part_of_a_log_begins_with_the_agents_as_they_stood(tmp_path: Path) -> None:
    config = ["--config", write_config(tmp_path)]
    _, log = record(tmp_path, *config, *DAY)
    part = plan(*config, "--replay", str(log), "--start", "2026-01-05T01:00", "--hours", "1")
    run = live(part.day(chance()))
    assert (run.start % 86400, run.end % 86400) == (3600, 7200)
    assert all(run.start <= caller.at < run.end for caller in run.callers)
    assert sum(caller.outcome is Outcome.ANSWERED for caller in run.callers) > 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--replay", "nowhere.sqlite"], "--replay: nowhere.sqlite: there is no log yet"),
        (["--replay", "{log}", "--start", "2031-01-01T00:00"], "nobody came to a queue in that time"),
    ],
)
def test_a_log_that_cannot_be_used_is_told(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ["--config", write_config(tmp_path)]
    _, log = record(tmp_path, *config, "--arrivals", "poisson:9/h,queue=sales", "--hours", "1")
    assert main([*config, *(argument.format(log=log) for argument in arguments)]) == 2
    assert said in capsys.readouterr().err


def test_what_the_log_gives_cannot_be_drawn_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--config", write_config(tmp_path), "--replay", "day.sqlite", "--service", "180"])
    assert "--service is not for --replay" in capsys.readouterr().err


# Patience behind what was seen


def test_patience_is_estimated_as_kaplan_and_meier_do() -> None:
    # Six waits: hung up after 1, 3 and 3, answered after 2, 3 and 5.
    patience = Patience([1, 3, 3], [2, 3, 5])
    assert [patience.survival(time) for time in (0.5, 1, 2.9, 3, 9)] == pytest.approx([1, 5 / 6, 5 / 6, 5 / 12, 5 / 12])


def test_a_censored_caller_gets_more_patience_than_he_needed() -> None:
    patience, random = Patience([1, 3, 3], [2, 3, 5]), Random(1)
    drawn = [patience.beyond(2, random.random(), random.random()) for _ in range(20_000)]
    assert min(drawn) == 3
    assert drawn.count(3) / len(drawn) == pytest.approx(0.5, abs=0.02)
    beyond = [time - 3 for time in drawn if time > 3]
    assert sum(beyond) / len(beyond) == pytest.approx(17 / 3, rel=0.05)


def test_where_nobody_gave_up_nobody_will() -> None:
    assert Patience([], [4, 5]).beyond(0, 0.5, 0.5) == inf


def test_patience_is_found_again_from_censored_waits() -> None:
    random = Random(1)
    gave_up: list[float] = []
    held_out: list[float] = []
    for _ in range(20_000):
        patient, answered = random.expovariate(1 / 100), random.expovariate(1 / 60)
        (gave_up if patient < answered else held_out).append(min(patient, answered))
    patience = Patience(gave_up, held_out)
    drawn = [patience.beyond(0, random.random(), random.random()) for _ in range(5000)]
    assert sum(drawn) / len(drawn) == pytest.approx(100, rel=0.05)


def test_callers_without_a_queue_now_are_left_out(tmp_path: Path) -> None:
    config = ["--config", write_config(tmp_path)]
    _, log = record(
        tmp_path, *config, "--arrivals", "poisson:60/h,queue=sales", "--arrivals", "poisson:60/h,number=112"
    )
    without = write_config(
        tmp_path,
        lambda text: text.replace("[queues.sales]", "[queues.other]").replace('"sales"', '"other"'),
    )
    callers: list[Caller] = live(plan("--config", without, "--replay", str(log)).day(chance())).callers
    assert callers
    assert {caller.number for caller in callers} == {"112"}
