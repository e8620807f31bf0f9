"""`ims-acd simulate` from its command line to what it prints."""

import json
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import pytest

from acd import facts
from acd.cdr import Outcome
from acd.cli import main as ims_acd
from acd.config import load
from acd.core.events import AgentLoggedIn, AgentLoggedOut, AgentRegistered, Event
from acd.simulation import laws
from acd.simulation.command import main, options
from acd.simulation.demand import kinds
from acd.simulation.figures import quantile
from acd.simulation.plot import lengths
from acd.simulation.run import live
from acd.simulation.staff import attendance, shift
from acd.simulation.world import MONDAY, World
from tests.acd.simulation.centre import DAY, chance, plan, write_config
from tests.acd.simulation.oracle import floor

HOUR = 3600.0


@pytest.fixture
def config(tmp_path: Path) -> str:
    return write_config(tmp_path)


def json_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, dict[str, object]]]:
    assert main([*arguments, "--json"]) == 0
    document: dict[str, dict[str, dict[str, object]]] = json.loads(capsys.readouterr().out)
    return document


def without_speed(document: dict[str, dict[str, dict[str, object]]]) -> object:
    document["simulation"].pop("cpu_seconds")
    return document


def test_the_table_tells_how_it_was_made_and_the_figures(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ims_acd(["simulate", "--config", config, *DAY, "--replications", "3", "--warm-up", "30min"]) == 0
    out = capsys.readouterr().out
    assert "arrivals: poisson:rate=140/h,number=100; poisson:50/h,number=112\n" in out
    assert "the laws of conservation hold exactly" in out
    headings = [line.split("  ")[0] for line in out.splitlines() if "95 % interval" in line]
    assert headings == ["All queues", "Queue sales (service level: 15 s)", "Queue support (service level: 15 s)"]
    for figure in ("Service level", "Average speed of answer", "Abandonment rate", "Occupancy", "Wait of 90%"):
        assert sum(line.startswith(f"  {figure}") for line in out.splitlines()) >= 3, figure


def test_the_same_seed_gives_the_same_figures(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--config", config, *DAY, "--seed", "5", "--refuse", "0.1", "--answer", "uniform:2,8"]
    one, again = json_of(capsys, *arguments), json_of(capsys, *arguments)
    assert without_speed(one) == without_speed(again)
    assert without_speed(json_of(capsys, *arguments[:-4], "--seed", "6")) != one


def test_the_json_has_every_run_and_its_intervals(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    figure = json_of(capsys, "--config", config, *DAY, "--replications", "4")["queues"]["sales"]["occupancy"]
    assert isinstance(figure, dict)
    assert len(figure["runs"]) == 4
    assert figure["mean"] == pytest.approx(fmean(figure["runs"]))
    assert figure["ci99"][0] < figure["ci95"][0] < figure["mean"] < figure["ci95"][1] < figure["ci99"][1]
    single = json_of(capsys, "--config", config, *DAY)["queues"]["sales"]["occupancy"]
    assert isinstance(single, dict)
    assert (single["ci95"], len(single["runs"])) == (None, 1)


def test_the_nth_caller_is_the_same_whatever_the_policy(config: str, tmp_path: Path) -> None:
    one = live(plan("--config", config, *DAY).day(chance()))
    (tmp_path / "other").mkdir()
    other = write_config(tmp_path / "other", lambda text: text.replace("wrap_up_seconds = 5", "wrap_up_seconds = 60"))
    two = live(plan("--config", other, *DAY, "--staff", "5").day(chance()))
    brought = [[(c.arrival, c.at, c.service, c.patience) for c in run.callers] for run in (one, two)]
    assert brought[0] == brought[1]
    assert [c.waited for c in one.callers] != [c.waited for c in two.callers]


def test_numbers_lead_where_the_configuration_says(config: str) -> None:
    coming = [
        "poisson:9/h,number=112", "poisson:9/h,number=114", "poisson:9/h,number=114,queue=sales,priority=1",
        "poisson:9/h,queue=sales,skills=en:2+vip",
    ]  # fmt: skip
    found = [kind.entrance for kind in kinds(load(config), coming, ["180"], ["never"], lambda _: [])]
    assert [(one.queue, one.number, one.priority) for one in found] == [
        ("support", "112", 2), ("support", "114", 0), ("sales", "114", 1), ("sales", "", 0),
    ]  # fmt: skip
    assert [one.needs.required for one in found] == [(("en", 1),), (), (), (("en", 2), ("vip", 1))]


def test_service_and_patience_may_be_for_some_callers_alone(config: str) -> None:
    services = ["100", "200,queue=support", "300,number=112", "400,queue=sales"]
    coming = ["poisson:60/h,number=100", "poisson:60/h,number=112", "poisson:60/h,number=114"]
    found = kinds(load(config), coming, services, ["never", "5,number=114"], lambda _: [])
    streams = [kind.stream(n, chance(), 0.0) for n, kind in enumerate(found)]
    assert [stream.service() for stream in streams] == [400, 300, 200]
    assert [stream.patience() for stream in streams] == [float("inf"), float("inf"), 5]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--arrivals", "poisson:9/h"], "'poisson:9/h': say number= or queue=, there are several queues"),
        (["--arrivals", "poisson:9/h,number=7"], "no number 7 is configured"),
        (["--arrivals", "poisson:9/h,number=115"], "number 115 leads to no queue"),
        (["--arrivals", "poisson:9/h,queue=x"], "no queue x is configured"),
        (["--arrivals", "poisson:9/h,queue=sales,skills=:2"], "skills are to be like en:2+vip:1, not ':2'"),
        (["--arrivals", "poisson:9/h,queue=sales,colour=red"], "poisson knows no colour="),
        (
            ["--service", "5,queue=support", "--arrivals", "poisson:9/h,queue=sales"],
            "nothing is said about the callers",
        ),
        (["--service", "5,number=7"], "no number 7 is configured"),
        (["--answer", "soon"], "no distribution is called 'soon'"),
        (["--staff", "many"], "a shift is to be like 20, 20@8-16:30 or 5@22-6,queue=sales"),
        (["--staff", "2@8-25"], "times of day are to be like 8 or 16:30, up to 24"),
        (["--staff", "2,queue=x"], "no queue x is configured"),
        (["--staff", "5,queue=support"], "'5,queue=support': only 4 agents are configured and not on another shift"),
        (["--warm-up", "1h", "--hours", "1"], "--warm-up: nothing is left of --hours to be counted"),
        (["--set", "queues.sales.ring_seconds=0"], "queues.sales.ring_seconds"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], said: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--arrivals" not in arguments:
        arguments = [*arguments, "--arrivals", "poisson:9/h,queue=sales"]
    assert main(["--config", config, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--arrivals or --replay is needed"),
        (["--hours", "0"], "a number of hours above 0"),
        (["--refuse", "1.5"], "a share from 0 to 1 is expected, not '1.5'"),
        (["--replications", "none"], "a whole number from 1 to 10000 is expected, not 'none'"),
        (["--start", "monday"], "a date and time like 2026-01-05T08:00 is expected, not 'monday'"),
    ],
)
def test_a_wrong_option_is_said_by_the_parser(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        options(["--config", "x.toml", *arguments])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_a_broken_law_is_a_defect(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def leave(self: World, *_: object) -> None:
        self.waiting -= 1  # counted twice: the callers in the hall and those in the book are not as many

    monkeypatch.setattr(World, "_turn_away", leave)
    nobody = ["--config", config, "--arrivals", "poisson:9/h,queue=sales", "--staff", "1@23-24", "--hours", "1"]
    assert main(nobody) == 1
    assert capsys.readouterr().err.startswith("a law of conservation is broken: arrived = outcomes + waiting: ")


def test_the_book_of_agents_sees_a_gap() -> None:
    book = laws.AgentBook(floor(1), MONDAY)
    book.append(facts.AgentChanged("a0", "ready", "reserved", 5.0), MONDAY + 5)
    with pytest.raises(laws.LawBroken, match="leaves reserved after 3"):
        book.append(facts.AgentChanged("a0", "reserved", "talking", 3.0), MONDAY + 9)


# Shifts


def coming_and_going(config: str, *texts: str, start: float = 0.0, hours: float = 48) -> list[tuple[float, Event]]:
    """Who comes and goes by the hour, seen from midnight."""
    loaded = load(config)
    shifts = [shift(text, loaded) for text in texts]
    found = attendance(shifts, loaded, start * HOUR, (start + hours) * HOUR, start * HOUR % 86400)
    return [(at / HOUR, event) for at, event in sorted(found, key=lambda pair: pair[0])]


def test_without_shifts_everybody_is_there(config: str) -> None:
    events = coming_and_going(config)
    assert len(events) == 10
    assert {(at, type(event)) for at, event in events} == {(0.0, AgentRegistered)}


def test_shifts_come_back_every_day_and_go_over_midnight(config: str) -> None:
    assert coming_and_going(config, "1@22-6,queue=support") == [
        (0, AgentRegistered("b01")), (6, AgentLoggedOut("b01")), (22, AgentLoggedIn("b01")),
        (30, AgentLoggedOut("b01")), (46, AgentLoggedIn("b01")),
    ]  # fmt: skip


def test_shifts_add_up_and_those_that_meet_are_one(config: str) -> None:
    events = coming_and_going(config, "1@8-12", "1@10-14", "1@12-16", hours=24)
    assert events == [
        (8, AgentRegistered("s01")), (10, AgentRegistered("s02")), (14, AgentLoggedOut("s02")),
        (16, AgentLoggedOut("s01")),
    ]  # fmt: skip


def test_a_run_that_starts_within_a_shift_finds_it_there(config: str) -> None:
    assert coming_and_going(config, "1@8-12", start=10, hours=4) == [
        (10, AgentRegistered("s01")), (12, AgentLoggedOut("s01")),
    ]  # fmt: skip


# The picture


def test_the_picture_is_drawn(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, signature in (("day.png", b"\x89PNG"), ("day.svg", b"<?xml")):
        file = tmp_path / name
        assert main(["--config", config, *DAY, "--replications", "2", "--plot", str(file)]) == 0
        assert file.read_bytes().startswith(signature)
    capsys.readouterr()
    for name, said in (("nowhere/day.png", "cannot be written: No such file"), ("day.xyz", "xyz")):
        assert main(["--config", config, *DAY, "--plot", str(tmp_path / name)]) == 2
        assert said in capsys.readouterr().err


def test_the_length_of_the_queue_is_that_of_the_waits(config: str) -> None:
    run = live(plan("--config", config, *DAY, "--staff", "7").day(chance()))
    found = lengths(run, 60.0)
    assert len(found) == 180
    within = sum(min(c.at + c.waited, run.end) - c.at for c in run.callers)
    assert sum(found) * 60 == pytest.approx(within)
    assert min(found) >= -1e-9


def test_quantiles_by_hand() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0.25, 0.5, 0.9, 1)] == [1, 2, 4, 4]
    assert quantile([], 0.5) is None


def test_the_installed_command_explains_itself() -> None:
    command = [str(Path(sys.executable).with_name("ims-acd")), "simulate", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    for word in ("--arrivals", "--replay", "lognormal:mean=180,cv=1.2", "conservation", "--plot"):
        assert word in done.stdout


# What stands before a queue


def test_who_comes_to_a_closed_or_full_queue_is_turned_away(tmp_path: Path) -> None:
    hours = '\n[calendars.day]\nweekly = { mon-sun = ["01:00-02:00"] }\n'
    config = write_config(
        tmp_path,
        lambda text: (
            text.replace('name = "Sales"', 'name = "Sales"\nhours = "day"').replace(
                'name = "Support"', 'name = "Support"\nmax_waiting = 2'
            )
            + hours
        ),
    )
    arrivals = ["--arrivals", "poisson:60/h,queue=sales", "--arrivals", "poisson:200/h,queue=support"]
    run = live(plan("--config", config, *arrivals, "--hours", "3").day(chance()))
    by_hour = {
        n: {c.outcome for c in run.callers if c.arrival.queue == "sales" and hour_of(c.at) == n} for n in range(3)
    }
    assert by_hour[0] == by_hour[2] == {Outcome.CLOSED}
    assert Outcome.CLOSED not in by_hour[1]
    full = sum(c.outcome is Outcome.REJECTED for c in run.callers)
    assert full > 50
    counted = {item.id: item.counts.turned_away for item in run.items}
    assert counted["support"] == full
    assert counted["sales"] == sum(c.outcome is Outcome.CLOSED for c in run.callers)


def test_where_a_rule_speaks_of_it_the_rule_decides(tmp_path: Path) -> None:
    rule = 'overflow = [{ when = "closed", to = "announcement:en/goodbye" }]'
    hours = '\n[calendars.day]\nweekly = { mon-sun = ["01:00-02:00"] }\n'
    config = write_config(
        tmp_path, lambda text: text.replace('name = "Sales"', f'name = "Sales"\nhours = "day"\n{rule}') + hours
    )
    nobody = ["--arrivals", "poisson:60/h,queue=sales", "--staff", "1@2-3", "--hours", "1"]
    run = live(plan("--config", config, *nobody).day(chance()))
    assert {caller.outcome for caller in run.callers} == {Outcome.OVERFLOWED}


def hour_of(at: float) -> float:
    return (at - MONDAY) // HOUR
