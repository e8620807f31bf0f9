"""How long the set-up of calls takes: histograms that cost each call no more than adding to a few numbers."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
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


class SetUpTimes(Collector):
    """The histograms, by hop, role and stage."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], list[int]] = {}
        self._seconds: dict[tuple[str, str, str], float] = {}

    def measure(self, hop: str) -> None:
        """Have figures of a hop."""
        for role in ROLES:
            for stage in STAGES:
                self._counts[hop, role, stage] = [0] * (len(BUCKETS) + 1)
                self._seconds[hop, role, stage] = 0.0

    def observe(self, hop: str, role: Role, stage: Stage, seconds: float) -> None:
        """Take the time of one call."""
        key = hop, role, stage
        self._counts[key][bisect_left(BUCKETS, seconds)] += 1
        self._seconds[key] += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the family, as a scrape asks for it."""
        family = HistogramMetricFamily(_NAME, _TOLD, labels=_LABELS)
        bounds = [floatToGoString(bound) for bound in (*BUCKETS, math.inf)]  # type: ignore[no-untyped-call]
        for key, counts in self._counts.items():
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric(key, buckets, self._seconds[key])
        yield family
