"""Voice quality from loss and delay by the E-model (ITU-T G.107, narrowband)."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

DEFAULT_R: Final = 93.2
_DELAY_THRESHOLD_MS: Final = 100.0
_BEST_R: Final = 100.0


class Impairment(NamedTuple):
    """Planning values of a codec (ITU-T G.113 Appendix I): equipment impairment and robustness to loss."""

    ie: float
    bpl: float


class Rating(NamedTuple):
    """R, the mean opinion score for it, and what they rest on; None where unknown."""

    r: float | None
    mos: float | None
    basis: str


NOTHING_RECEIVED: Final = Rating(None, None, "nothing received")
WITHOUT_CONCEALMENT: Final = {"PCMU": Impairment(0.0, 4.3), "PCMA": Impairment(0.0, 4.3)}


def delay_impairment(delay_ms: float) -> float:
    """Return Id for the absolute one-way delay Ta in milliseconds."""
    if delay_ms <= _DELAY_THRESHOLD_MS:
        return 0.0
    x = math.log2(delay_ms / 100)
    return 25 * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)


def loss_impairment(codec: Impairment, loss_percent: float, burst_ratio: float = 1.0) -> float:
    """Return Ie,eff for a packet loss in percent; `burst_ratio` is 1 for random loss."""
    if loss_percent <= 0:
        return codec.ie
    return codec.ie + (95 - codec.ie) * loss_percent / (loss_percent / burst_ratio + codec.bpl)


def r_factor(codec: str | None, loss_percent: float, delay_ms: float = 0.0) -> float | None:
    """Return the transmission rating R, None where no planning value is published for the codec."""
    impairment = WITHOUT_CONCEALMENT.get(codec) if codec else None
    if impairment is None:
        return None
    return DEFAULT_R - delay_impairment(delay_ms) - loss_impairment(impairment, loss_percent)


def mos(r: float) -> float:
    """Return the estimated mean opinion score for R: 1 below 0, 4.5 above 100."""
    if r <= 0:
        return 1.0
    if r >= _BEST_R:
        return 4.5
    return 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r)


def rate(codec: str | None, loss_percent: float, delay_ms: float) -> Rating:
    """Rate what was received; `delay_ms` is the one-way delay as far as it is known."""
    r = r_factor(codec, loss_percent, delay_ms)
    if r is None:
        return Rating(None, None, "no published planning value for the codec")
    basis = "E-model (G.107), G.711 without concealment (G.113), loss and jitter received, round trip unknown"
    return Rating(round(r, 1), round(mos(r), 2), basis)
