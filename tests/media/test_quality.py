"""The E-model (ITU-T G.107 and G.107.1), and the account of a leg."""

import pytest

from media.rtp.quality import (
    NARROWBAND,
    WIDEBAND,
    Hearing,
    Impairment,
    delay_impairment,
    loss_impairment,
    mos,
    one_way_delay,
    rate,
)

PCMU = Hearing("PCMU")


def test_the_default_rating_maps_to_4_41() -> None:
    rating = rate(PCMU, 0)
    assert (rating.r, rating.mos, rating.scale) == (93.2, 4.41, "narrowband")
    assert mos(93.2) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(
    ("r", "expected"), [(-5, 1.0), (0, 1.0), (50, 2.575), (60, 3.1), (80, 4.024), (100, 4.5), (120, 4.5)]
)
def test_mos_follows_the_curve(r: float, expected: float) -> None:
    # With 7e-7 in place of 7e-6, as a well-known system once had it, R 93.2 would map to 4.28 and R 50 to 2.7325.
    assert mos(r) == pytest.approx(expected)


@pytest.mark.parametrize(("delay", "expected"), [(0, 0), (100, 0), (200, 3.0444), (400, 24.070), (800, 40.832)])
def test_delay_counts_from_100_ms(delay: float, expected: float) -> None:
    assert delay_impairment(delay) == pytest.approx(expected, abs=0.001)


def test_loss_counts_by_the_codec_and_its_concealment() -> None:
    assert loss_impairment(Impairment(0, 4.3), 0) == 0
    assert loss_impairment(Impairment(0, 4.3), 1) == pytest.approx(95 / 5.3)
    assert loss_impairment(Impairment(0, 25.1), 1) == pytest.approx(95 / 26.1)
    assert loss_impairment(Impairment(0, 4.3), 2, burst_ratio=2) == pytest.approx(95 * 2 / 5.3)
    assert loss_impairment(Impairment(0, 4.3), 1, burst_ratio=0.9) == pytest.approx(95 / 5.3)


def test_concealment_and_bursts_show_in_the_rating() -> None:
    plain, concealed = rate(PCMU, 2), rate(PCMU._replace(conceals=True), 2)
    assert plain.r == pytest.approx(93.2 - 190 / 6.3, abs=0.05)
    assert concealed.r == pytest.approx(93.2 - 190 / 27.1, abs=0.05)
    bursts = rate(PCMU, 2, 2.0)
    assert bursts.r == pytest.approx(93.2 - 190 / 5.3, abs=0.05)


def test_the_delay_is_half_the_round_trip_a_packet_and_the_jitter_buffer() -> None:
    assert one_way_delay(Hearing("PCMU", packet_ms=30, buffer_ms=60), 5, 200) == 100 + 30 + 60
    assert one_way_delay(Hearing("PCMU", packet_ms=20), 5, None) == 20 + 10
    assert rate(PCMU, 0, round_trip_ms=400).r == pytest.approx(93.2 - delay_impairment(220), abs=0.05)
    assert "round trip by RTCP" in rate(PCMU, 0, round_trip_ms=400).basis
    assert "round trip unknown" in rate(PCMU, 0).basis
    assert "taken for twice the jitter" in rate(PCMU, 0).basis


@pytest.mark.parametrize(
    ("mode", "ie"), list(enumerate([41, 26, 13, 10, 7, 5, 3, 1, 8]))
)  # fmt: skip
def test_amr_wb_is_rated_on_the_wideband_scale(mode: int, ie: int) -> None:
    rating = rate(Hearing("AMR-WB", mode=mode), 0)
    assert (rating.r, rating.scale) == (129 - ie, "wideband")
    assert rating.mos == pytest.approx(mos((129 - ie) / 1.29), abs=0.005)
    assert rating.basis.startswith("E-model (G.107.1), AMR-WB ")


def test_the_best_of_either_scale() -> None:
    assert (NARROWBAND.best, WIDEBAND.best) == (93.2, 129.0)
    assert mos(WIDEBAND.best / WIDEBAND.divisor) == 4.5


def test_amr_wb_with_loss_is_unknown() -> None:
    rating = rate(Hearing("AMR-WB", mode=2), 0.5)
    assert rating[:2] == (None, None)
    assert rating.basis == "no published robustness to loss: AMR-WB 12.65 (G.113)"


@pytest.mark.parametrize(
    "hearing", [Hearing(None), Hearing("G722"), Hearing("opus"), Hearing("AMR"), Hearing("AMR-WB")]
)
def test_no_published_value_means_unknown(hearing: Hearing) -> None:
    rating = rate(hearing, 0)
    assert rating == (None, None, "no published planning value for the codec", None)
