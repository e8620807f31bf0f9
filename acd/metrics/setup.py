"""How long the set-up of calls takes: histograms that cost each call no more than adding to a few numbers."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ims_core.setup import ROLES, STAGES

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from ims_core.setup import Role, Stage

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 20, 30, 60, 120)
_NAME = "acd_sip_setup_seconds"
_TOLD = (
    "Time from the INVITE to the first 18x (progress), the first 180 (ringing) and the 2xx (answered), by the hop that "
    "measures and its role: callee and caller of calls that end there, proxy of those forwarded."
)
_LABELS = "hop", "role", "stage"

Observe = Callable[["Role", "Stage", float], None]
"""Takes how long a call took to a stage of its set-up."""


class _Times:
    """One histogram: how many in each bucket, those beyond all of them last, and the sum."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0


class SetUpTimes(Collector):
    """The histograms, by hop, role and stage."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str, str], _Times] = {}

    def measure(self, hop: str) -> Observe:
        """Have figures of a hop; return what takes the time of one call there."""
        held = {(role, stage): _Times() for role in ROLES for stage in STAGES}
        self._times |= {(hop, *key): times for key, times in held.items()}

        def observe(role: Role, stage: Stage, seconds: float) -> None:
            times = held[role, stage]
            times.counts[bisect_left(BUCKETS, seconds)] += 1
            times.seconds += seconds

        return observe

    def collect(self) -> Iterator[Metric]:
        """Yield the family, as a scrape asks for it."""
        family = HistogramMetricFamily(_NAME, _TOLD, labels=_LABELS)
        bounds = [floatToGoString(bound) for bound in (*BUCKETS, math.inf)]  # type: ignore[no-untyped-call]
        for key, times in self._times.items():
            buckets = list(zip(bounds, accumulate(times.counts), strict=True))
            family.add_metric(key, buckets, times.seconds)
        yield family
