"""Student's t against its published table."""

import pytest

from acd.simulation.intervals import interval, t_distribution, t_quantile


@pytest.mark.parametrize(
    ("freedom", "probability", "value"),
    [
        (1, 0.975, 12.706), (2, 0.975, 4.303), (3, 0.995, 5.841), (4, 0.975, 2.776), (9, 0.995, 3.250),
        (10, 0.995, 3.169), (29, 0.975, 2.045), (30, 0.975, 2.042), (120, 0.975, 1.980), (9, 0.9995, 4.781),
    ],
)  # fmt: skip
def test_quantiles_as_published(freedom: int, probability: float, value: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(value, abs=6e-4)
    assert t_distribution(t_quantile(probability, freedom), freedom) == pytest.approx(probability, abs=1e-12)


def test_an_interval_by_hand() -> None:
    found = interval([1, 2, 3], 0.95)  # mean 2, standard deviation 1, t = 4.303
    assert found == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    assert found is not None
    assert 2 in found
    assert 5 not in found
    assert interval([1], 0.95) is None
    assert interval([1, 2, 3], 0.95, 1.5, 2.5) == (1.5, 2.5)  # of what cannot lie beyond
