"""Voice quality from loss and delay by the E-model: ITU-T G.107 for narrowband, G.107.1 for wideband codecs.

The planning values of a codec are those of ITU-T G.113. A codec that has none here has none that we could confirm:
its quality is unknown, since a value that was made up would look like any other. Scales are never mixed: R of 93.2 is
the best of one, 129 of the other.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

_DELAY_THRESHOLD_MS: Final = 100.0
_BEST_R: Final = 100.0


class Scale(NamedTuple):
    """A scale of R: its name, R without any impairment, and what R is divided by before it is mapped to a MOS."""

    name: str
    best: float
    divisor: float
    source: str


NARROWBAND: Final = Scale("narrowband", 93.2, 1.0, "G.107")
WIDEBAND: Final = Scale("wideband", 129.0, 1.29, "G.107.1")
DEFAULT_R: Final = NARROWBAND.best


class Impairment(NamedTuple):
    """Planning values of a codec: equipment impairment and robustness to loss, None where none is published."""

    ie: float
    bpl: float | None
    scale: Scale = NARROWBAND
    basis: str = ""


class Rating(NamedTuple):
    """R, the mean opinion score for it, their scale, and what they rest on; None where unknown."""

    r: float | None
    mos: float | None
    basis: str
    scale: str | None = None


class Hearing(NamedTuple):
    """How what is received is heard.

    `mode` is the frame type of AMR-WB, None while unknown. `buffer_ms` is the delay of the jitter buffer, None where
    packets are relayed to a listener whose buffer we do not know. `conceals`: losses are concealed. `discarded` counts
    the packets that came too late for that buffer, since the leg was opened; who listens misses them like lost ones.
    """

    codec: str | None
    packet_ms: float = 20.0
    buffer_ms: float | None = None
    conceals: bool = False
    mode: int | None = None
    discarded: int = 0


NOTHING_RECEIVED: Final = Rating(None, None, "nothing received")
WITHOUT_CONCEALMENT: Final = Impairment(0.0, 4.3, NARROWBAND, "G.711 without concealment (G.113)")
WITH_CONCEALMENT: Final = Impairment(0.0, 25.1, NARROWBAND, "G.711 with concealment (G.113)")
_AMR_WB: Final = tuple(
    Impairment(ie, None, WIDEBAND, f"AMR-WB {rate} (G.113)")
    for rate, ie in (
        *(("6.6", 41.0), ("8.85", 26.0), ("12.65", 13.0), ("14.25", 10.0), ("15.85", 7.0)),
        *(("18.25", 5.0), ("19.85", 3.0), ("23.05", 1.0), ("23.85", 8.0)),
    )
)


def impairment(hearing: Hearing) -> Impairment | None:
    """Return the planning values of what is heard, None where none is published."""
    if hearing.codec in ("PCMU", "PCMA"):
        return WITH_CONCEALMENT if hearing.conceals else WITHOUT_CONCEALMENT
    if hearing.codec == "AMR-WB" and hearing.mode is not None and 0 <= hearing.mode < len(_AMR_WB):
        return _AMR_WB[hearing.mode]
    return None


def delay_impairment(delay_ms: float) -> float:
    """Return Id for the absolute one-way delay Ta in milliseconds."""
    if delay_ms <= _DELAY_THRESHOLD_MS:
        return 0.0
    x = math.log2(delay_ms / 100)
    return 25 * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)


def loss_impairment(codec: Impairment, loss_percent: float, burst_ratio: float = 1.0) -> float | None:
    """Return Ie,eff for a packet loss in percent, None when the codec's robustness to it is not published.

    `burst_ratio` is 1 for random loss, the least that the model knows.
    """
    if loss_percent <= 0:
        return codec.ie
    if codec.bpl is None:
        return None
    return codec.ie + (95 - codec.ie) * loss_percent / (loss_percent / max(burst_ratio, 1.0) + codec.bpl)


def mos(r: float) -> float:
    """Return the estimated mean opinion score for R of 0 to 100: 1 below 0, 4.5 above 100."""
    if r <= 0:
        return 1.0
    if r >= _BEST_R:
        return 4.5
    return 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r)


def one_way_delay(hearing: Hearing, jitter_ms: float, round_trip_ms: float | None) -> float:
    """Return Ta: half the round trip, a packet, and the jitter buffer, taken for twice the jitter if not known."""
    buffer_ms = 2 * jitter_ms if hearing.buffer_ms is None else hearing.buffer_ms
    return (round_trip_ms or 0.0) / 2 + hearing.packet_ms + buffer_ms


def score(values: Impairment, delay_ms: float, loss_percent: float, burst_ratio: float | None) -> float | None:
    """Return R on the scale of the codec, None when its robustness to loss is not published."""
    lossy = loss_impairment(values, loss_percent, burst_ratio or 1.0)
    return None if lossy is None else values.scale.best - delay_impairment(delay_ms) - lossy


def rate(
    hearing: Hearing,
    loss_percent: float,
    burst_ratio: float | None = None,
    *,
    jitter_ms: float = 0.0,
    round_trip_ms: float | None = None,
) -> Rating:
    """Rate what was received, as far as its delay is known."""
    values = impairment(hearing)
    if values is None:
        return Rating(None, None, "no published planning value for the codec")
    scale = values.scale
    r = score(values, one_way_delay(hearing, jitter_ms, round_trip_ms), loss_percent, burst_ratio)
    if r is None:
        return Rating(None, None, f"no published robustness to loss: {values.basis}", scale.name)
    buffered = "jitter buffer taken for twice the jitter" if hearing.buffer_ms is None else "jitter buffer measured"
    trip = "round trip unknown" if round_trip_ms is None else "round trip by RTCP"
    basis = f"E-model ({scale.source}), {values.basis}, loss measured, {buffered}, {trip}"
    return Rating(round(r, 1), round(mos(r / scale.divisor), 2), basis, scale.name)
