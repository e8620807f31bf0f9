"""The E-model (ITU-T G.107)."""

import pytest

from media.rtp.quality import Impairment, delay_impairment, loss_impairment, mos, r_factor, rate


def test_the_default_rating_maps_to_4_41() -> None:
    assert r_factor("PCMU", 0) == 93.2
    assert mos(93.2) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(
    ("r", "expected"), [(-5, 1.0), (0, 1.0), (50, 2.575), (60, 3.1), (80, 4.024), (100, 4.5), (120, 4.5)]
)
def test_mos_follows_the_curve(r: float, expected: float) -> None:
    assert mos(r) == pytest.approx(expected)


@pytest.mark.parametrize(("delay", "expected"), [(0, 0), (100, 0), (200, 3.0444), (400, 24.070), (800, 40.832)])
def test_delay_counts_from_100_ms(delay: float, expected: float) -> None:
    assert delay_impairment(delay) == pytest.approx(expected, abs=0.001)


def test_loss_counts_by_the_codec_and_its_concealment() -> None:
    assert loss_impairment(Impairment(0, 4.3), 0) == 0
    assert loss_impairment(Impairment(0, 4.3), 1) == pytest.approx(95 / 5.3)
    assert loss_impairment(Impairment(0, 25.1), 1) == pytest.approx(95 / 26.1)
    assert loss_impairment(Impairment(0, 4.3), 2, burst_ratio=2) == pytest.approx(95 * 2 / 5.3)


@pytest.mark.parametrize("codec", [None, "G722", "opus"])
def test_no_published_value_means_unknown(codec: str | None) -> None:
    assert r_factor(codec, 0) is None
    assert rate(codec, 0, 0)[:2] == (None, None)
