"""How long will this caller wait? Several answers, each from another part of what is known.

Ibrahim and Whitt compared such estimators ("Real-Time Delay Estimation Based on Delay History", M&SOM 2009, and "…in
Overloaded Multiserver Queues with Abandonments", Management Science 2009): with a model that is right the length of
the queue says most, and what the last callers went through needs no model. Which is better here and now is found out
by trying (`acd.core.expected_wait`).

Each answer is the mean time from now until an agent answers a caller who stays, in seconds; None says nothing, as
long as nothing was observed that it could come from, or while no agent is there.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import log
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from acd.core.foretold import Place
    from acd.core.traffic import Traffic


class Estimator:
    """One way to tell."""

    name: ClassVar[str]

    def learn(self, place: Place, waited: float, agents: int) -> None:
        """Hear how long a caller waited who joined at `place`, with so many agents when he was answered."""

    def estimate(self, place: Place, traffic: Traffic) -> float | None:
        """Return the wait to be expected."""
        raise NotImplementedError


class LastToEnterService(Estimator):
    """LES: as long as the last caller who got an agent, for who stands at the end; in proportion further ahead.

    The wait is scaled by the agents who came or went since, after "Wait-Time Predictors for Customer Service Systems
    with Time-Varying Demand and Capacity" (Ibrahim and Whitt, Operations Research 2011).
    """

    name = "last_to_enter_service"

    def estimate(self, place: Place, traffic: Traffic) -> float | None:
        """Return the last wait."""
        if traffic.last_wait is None or not traffic.agents:
            return None
        return traffic.last_wait / traffic.agents * place.position / place.length


class HeadOfLine(Estimator):
    """HOL: as long as the head of the line has waited, and the one departure that he still waits for."""

    name = "head_of_line"

    def estimate(self, place: Place, traffic: Traffic) -> float | None:
        """Return the wait of the head."""
        if (gap := traffic.gap) is None:
            return None
        return place.head_waited * place.position / place.length + gap + traffic.ring


class QueueLength(Estimator):
    """QL: each place costs the time that a call takes, divided by the agents.

    Whitt, "Predicting Queueing Delays", Management Science 1999.
    """

    name = "queue_length"

    def estimate(self, place: Place, traffic: Traffic) -> float | None:
        """Return the time the line ahead takes if nobody leaves it."""
        if traffic.cycle is None or not traffic.agents:
            return None
        return place.position * traffic.cycle / traffic.agents + traffic.ring


class QueueLengthWithPatience(Estimator):
    """QL_m: the same where callers ahead may leave, each at the rate at which waiting callers do."""

    name = "queue_length_with_patience"

    def estimate(self, place: Place, traffic: Traffic) -> float | None:
        """Return the time the line ahead takes."""
        if not traffic.cycle or not traffic.agents:
            return None
        return drain_seconds(place.position, traffic.agents / traffic.cycle, traffic.impatience) + traffic.ring


class Departures(Estimator):
    """QL_m on the rate of answers seen while callers waited: right also where agents serve other queues as well."""

    name = "departures"

    def estimate(self, place: Place, traffic: Traffic) -> float | None:
        """Return the time the line ahead takes."""
        if not traffic.pace or not traffic.agents:
            return None
        return drain_seconds(place.position, traffic.agents / traffic.pace, traffic.impatience)


class RecentWaits(Estimator):
    """The median of recent waits per place in the line, among those who joined about as far behind."""

    name = "recent_waits"
    KEEP = 49

    def __init__(self) -> None:
        self._samples: dict[int, Window] = {}

    def learn(self, place: Place, waited: float, agents: int) -> None:
        """Keep the wait with those of the same power of two of the position."""
        if agents:
            window = self._samples.setdefault(place.position.bit_length(), Window(self.KEEP))
            window.add(waited * agents / place.position)

    def estimate(self, place: Place, traffic: Traffic) -> float | None:
        """Return the median, scaled to the place and the agents of now."""
        window = self._samples.get(place.position.bit_length())
        if window is None or not traffic.agents:
            return None
        return window.ranked((len(window) + 1) // 2) * place.position / traffic.agents


class Window:
    """The last `size` numbers, also in their order; O(log n) comparisons for each."""

    __slots__ = ("_recent", "_size", "_sorted")

    def __init__(self, size: int) -> None:
        self._size = size
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, number: float) -> None:
        """Take a number, and let go of the oldest beyond the size."""
        if len(self._recent) == self._size:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
        self._recent.append(number)
        insort(self._sorted, number)

    def ranked(self, rank: int) -> float:
        """Return the number of that rank, the smallest being 1; beyond the ends, the one at the end."""
        return self._sorted[min(max(rank, 1), len(self._sorted)) - 1]


def drain_seconds(position: int, served: float, impatience: float) -> float:
    """Return how long until `position` callers are gone from the head of a line, the last by being served.

    The sum of 1 / (served + i * impatience) for i callers ahead who may leave, from 0 to position - 1; the terms
    after the eighth by the midpoint rule.
    """
    if impatience * position < 1e-6 * served:
        return position / served
    exact = min(position, 8)
    seconds = sum(1.0 / (served + ahead * impatience) for ahead in range(exact))
    if position > exact:
        first, last = exact - 0.5, position - 0.5
        seconds += log((served + last * impatience) / (served + first * impatience)) / impatience
    return seconds


def all_estimators() -> tuple[Estimator, ...]:
    """Return one of each, in the order of preference while none has been proved better."""
    return (
        QueueLengthWithPatience(),
        QueueLength(),
        Departures(),
        RecentWaits(),
        HeadOfLine(),
        LastToEnterService(),
    )
