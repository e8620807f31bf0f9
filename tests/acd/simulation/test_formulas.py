"""The oracles themselves, against published figures and an independent implementation."""

import pytest
from pyworkforce.queuing import ErlangC

from tests.acd.simulation.formulas import (
    answered_within,
    binomial_tail,
    cobham,
    erlang_a,
    erlang_b,
    erlang_c,
    mean_wait,
    steady_state,
)

SERVICE = 180.0
PUBLISHED = [
    # load, agents, P(wait), mean wait in seconds, answered within 20 s, P(blocked)
    (10, 11, 0.682118, 122.781, 0.389614, 0.163232),
    (10, 12, 0.449388, 40.445, 0.640158, 0.119739),
    (10, 13, 0.285270, 17.116, 0.795595, 0.084339),
    (10, 14, 0.174132, 7.836, 0.888350, 0.056819),
    (20, 24, 0.298072, 13.413, 0.808882, 0.066097),
]


@pytest.mark.parametrize("row", PUBLISHED)
def test_erlang_b_and_c(row: tuple[int, int, float, float, float, float]) -> None:
    load, agents, waits, wait, in_time, blocked = row
    assert erlang_b(load, agents) == pytest.approx(blocked, abs=1e-6)
    assert erlang_c(load, agents) == pytest.approx(waits, abs=1e-6)
    assert mean_wait(load, agents) * SERVICE == pytest.approx(wait, abs=1e-3)
    assert answered_within(load, agents, 20 / SERVICE) == pytest.approx(in_time, abs=1e-6)


@pytest.mark.parametrize(("load", "agents"), [row[:2] for row in PUBLISHED])
def test_erlang_c_as_pyworkforce_has_it(load: float, agents: int) -> None:
    other = ErlangC(transactions=load * 10, aht=SERVICE / 60, asa=20 / 60, interval=30)
    assert erlang_c(load, agents) == pytest.approx(other.waiting_probability(agents), rel=1e-9)
    assert answered_within(load, agents, 20 / SERVICE) == pytest.approx(other.service_level(agents), rel=1e-9)


def test_erlang_a() -> None:
    got = erlang_a(load=10, agents=14, patience=5 / 3, within=20 / SERVICE)
    assert got.waits == pytest.approx(0.145260, abs=1e-6)
    assert got.abandons == pytest.approx(0.013984, abs=1e-6)
    assert got.occupancy == pytest.approx(0.704297, abs=1e-6)
    assert got.mean_wait * 3 == pytest.approx(0.069919, abs=1e-6)
    assert got.answered_within == pytest.approx(0.916792, abs=1e-6)


def test_erlang_a_of_the_patient_is_erlang_c_and_of_the_impatient_erlang_b() -> None:
    patient = erlang_a(10, 14, patience=1e9, within=20 / SERVICE)
    assert patient.waits == pytest.approx(erlang_c(10, 14), rel=1e-6)
    assert patient.answered_within == pytest.approx(answered_within(10, 14, 20 / SERVICE), rel=1e-6)
    assert erlang_a(10, 14, patience=1e-9, within=0).abandons == pytest.approx(erlang_b(10, 14), rel=1e-6)


def test_steady_state_is_one() -> None:
    shares = steady_state(10, 12)
    assert sum(shares) == pytest.approx(1)
    assert sum(shares[12:]) == pytest.approx(erlang_c(10, 12))


def test_cobham_keeps_the_mean_of_all_callers() -> None:
    urgent, other = cobham((3.0, 7.0), 12)
    assert urgent < mean_wait(10, 12) < other
    assert 0.3 * urgent + 0.7 * other == pytest.approx(mean_wait(10, 12))


def test_binomial_tail() -> None:
    assert binomial_tail(99, 100, 0.99) == pytest.approx(1)
    assert binomial_tail(93, 100, 0.99) < 0.001 < binomial_tail(95, 100, 0.99)
