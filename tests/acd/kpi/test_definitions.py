"""Each formula against an example worked out by hand."""

import inspect
from typing import Any

import pytest

from acd.core.agents import AgentState
from acd.kpi import definitions
from acd.kpi.definitions import KPIS, SERVICE_LEVELS, Figures, Kpi, Within
from acd.kpi.tally import Calls, Work


def calls() -> Calls:
    """Of 100 offered 80 were answered, 10 abandoned (4 of them soon), 5 overflowed, 2 released, 1 is called back."""
    tally = Calls()
    tally.offered, tally.answered, tally.abandoned = 100, 80, 10
    tally.overflowed, tally.released, tally.called_back = 5, 2, 1
    tally.turned_away = 25
    tally.answer_seconds, tally.abandon_seconds, tally.other_seconds = 1600.0, 250.0, 110.0
    tally.longest_wait = 95.0
    tally.callbacks_kept, tally.callbacks_dropped = 3, 1
    tally.handled, tally.talk_seconds, tally.hold_seconds, tally.wrap_up_seconds = 75, 13_500.0, 750.0, 2250.0
    tally.offers, tally.refused, tally.unanswered, tally.unreachable = 120, 18, 12, 6
    return tally


SECONDS = {
    "ready": 5400.0,
    "reserved": 100.0,
    "ringing": 500.0,
    "talking": 13_000.0,
    "hold": 750.0,
    "consulting": 500.0,
    "wrap_up": 2250.0,
    "paused": 4500.0,
    "busy": 1800.0,
}
FIGURES = Figures(calls(), calls(), SECONDS, short=4)


EXPECTED = {
    "answer_rate": 0.80,
    "abandonment_rate": 0.10,
    "abandonment_rate_without_short": 6 / 96,
    "overflow_rate": 0.05,
    "turned_away_rate": 0.20,
    "average_speed_of_answer_seconds": 20.0,
    "average_wait_seconds": 20.0,
    "longest_wait_seconds": 95.0,
    "average_time_to_abandon_seconds": 25.0,
    "callbacks_kept_rate": 0.75,
    "average_handling_seconds": 220.0,
    "average_talk_seconds": 180.0,
    "average_hold_seconds": 10.0,
    "average_wrap_up_seconds": 30.0,
    "refusal_rate": 0.15,
    "no_answer_rate": 0.10,
    "occupancy": 16_500 / 21_900,
    "utilisation": 16_500 / 28_800,
    "calls_per_agent_hour": 10.0,
}


@pytest.mark.parametrize("name", KPIS)
def test_a_kpi_is_its_formula(name: str) -> None:
    assert KPIS[name].compute(FIGURES) == pytest.approx(EXPECTED[name])


LEVELS = {
    "of_offered": 60 / 100,
    "of_offered_without_short": 60 / 96,
    "of_decided": 64 / 90,
    "of_answered": 60 / 80,
}


@pytest.mark.parametrize("name", SERVICE_LEVELS)
def test_a_service_level_is_its_formula(name: str) -> None:
    assert SERVICE_LEVELS[name].compute(Within(calls(), answered=60, abandoned=4)) == pytest.approx(LEVELS[name])


@pytest.mark.parametrize("name", KPIS)
def test_without_a_denominator_there_is_no_figure(name: str) -> None:
    assert KPIS[name].compute(Figures(Calls(), Work())) is None


@pytest.mark.parametrize("name", SERVICE_LEVELS)
def test_without_a_denominator_there_is_no_service_level(name: str) -> None:
    assert SERVICE_LEVELS[name].compute(Within(Calls(), 0, 0)) is None


def test_every_kpi_says_its_formula() -> None:
    kpis: list[Kpi[Any]] = [*KPIS.values(), *SERVICE_LEVELS.values()]
    for kpi in kpis:
        assert kpi.formula.endswith(".")
        assert kpi.title
        assert (kpi.unit == "seconds") == kpi.name.endswith("_seconds")
        assert inspect.getdoc(getattr(definitions, kpi.name)) is not None


def test_the_work_of_agents_is_made_of_their_states() -> None:
    assert set(SECONDS) == set(AgentState) - {AgentState.LOGGED_OUT}
