"""What is counted: plain numbers that add up, from which every KPI is computed (`acd.kpi.definitions`).

Each tally belongs to one interval and one queue, number or agent; tallies of the same kind can be added together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acd.kpi.policy import Policy


class Work:
    """What agents did with the callers they were offered.

    `answered` callers were answered, `handled` of them are talked with to the end: `talk_seconds` without the
    `hold_seconds`, then `wrap_up_seconds`. Of `offers` made some failed: `refused` (or busy), `unanswered` (rang
    out), `unreachable` (or in error).
    """

    __slots__ = (
        "answered",
        "handled",
        "hold_seconds",
        "offers",
        "refused",
        "talk_seconds",
        "unanswered",
        "unreachable",
        "wrap_up_seconds",
    )

    def __init__(self) -> None:
        self.answered = self.handled = 0
        self.talk_seconds = self.hold_seconds = self.wrap_up_seconds = 0.0
        self.offers = self.refused = self.unanswered = self.unreachable = 0

    def add(self, other: Work) -> None:
        """Add what another tally counted."""
        for name in Work.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Calls(Work):
    """The callers offered to a queue or a number, and what became of them.

    `offered` callers were `answered`, `abandoned`, `overflowed` to elsewhere, `released` by us, or `called_back`
    (promised a call); the others are `waiting`. Those `turned_away` got no place and are not among the offered.
    The `_in_time` are those whose wait was not above the threshold of their queue; `answered_by[i]` and
    `abandoned_by[i]` count the waits above threshold i-1 and not above threshold i. `answer_seconds`,
    `abandon_seconds` and `other_seconds` add up the waits of who was answered, abandoned, and had another end.
    Promises to call are kept, dropped or still owed.
    """

    __slots__ = (
        "abandon_seconds",
        "abandoned",
        "abandoned_by",
        "abandoned_in_time",
        "answer_seconds",
        "answered_by",
        "answered_in_time",
        "callbacks_dropped",
        "callbacks_kept",
        "called_back",
        "longest_wait",
        "offered",
        "other_seconds",
        "overflowed",
        "released",
        "turned_away",
    )

    def __init__(self, thresholds: int = 0) -> None:
        super().__init__()
        self.offered = self.abandoned = self.overflowed = self.released = self.called_back = self.turned_away = 0
        self.answered_in_time = self.abandoned_in_time = 0
        self.answered_by = [0] * (thresholds + 1)
        self.abandoned_by = [0] * (thresholds + 1)
        self.answer_seconds = self.abandon_seconds = self.other_seconds = self.longest_wait = 0.0
        self.callbacks_kept = self.callbacks_dropped = 0

    @property
    def ended(self) -> int:
        """Callers whose wait is over, however."""
        return self.answered + self.abandoned + self.overflowed + self.released + self.called_back

    @property
    def waiting(self) -> int:
        """Callers whose wait goes on."""
        return self.offered - self.ended

    def add(self, other: Work) -> None:
        """Add what another tally of callers, with the same thresholds, counted."""
        super().add(other)
        if isinstance(other, Calls):
            for name in _SUMS:
                setattr(self, name, getattr(self, name) + getattr(other, name))
            self.longest_wait = max(self.longest_wait, other.longest_wait)
            self.answered_by = [a + b for a, b in zip(self.answered_by, other.answered_by, strict=True)]
            self.abandoned_by = [a + b for a, b in zip(self.abandoned_by, other.abandoned_by, strict=True)]


_SUMS = tuple(name for name in Calls.__slots__ if name not in {"longest_wait", "answered_by", "abandoned_by"})


class Time(Work):
    """An agent's work, and how many `seconds` he spent in each `AgentState` while logged in."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}

    def add(self, other: Work) -> None:
        """Add what another tally counted."""
        super().add(other)
        if isinstance(other, Time):
            for state, seconds in other.seconds.items():
                self.seconds[state] = self.seconds.get(state, 0.0) + seconds


class Interval:
    """The tallies of one interval, from `start` up to and without `end` in unix seconds, by id.

    `policy` is the latest that was in force.
    """

    __slots__ = ("agents", "end", "numbers", "policy", "queues", "start")

    def __init__(self, start: float, end: float, policy: Policy) -> None:
        self.start = start
        self.end = end
        self.queues: dict[str, Calls] = {}
        self.numbers: dict[str, Calls] = {}
        self.agents: dict[str, Time] = {}
        self.policy = policy


def time_of(interval: Interval, agent: str) -> Time:
    """Return an agent's tally in an interval."""
    time = interval.agents.get(agent)
    if time is None:
        time = interval.agents[agent] = Time()
    return time
