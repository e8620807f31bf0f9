"""What has been seen of one queue, as far as it says how long callers will wait: a few numbers, updated in O(1).

Averages forget: each new observation makes all older ones count a little less. Time alone changes none of them, so
nothing drifts while no calls come.
"""

from __future__ import annotations

# What an observation still counts for when the next has come: about the last 100 calls make the average.
KEPT = 0.99


class Mean:
    """An average that forgets. `value` is None before the first observation."""

    __slots__ = ("_kept", "_total", "_weight")

    def __init__(self, kept: float = KEPT) -> None:
        self._kept = kept
        self._total = 0.0
        self._weight = 0.0

    def add(self, observation: float) -> None:
        """Take one observation."""
        self._total = self._total * self._kept + observation
        self._weight = self._weight * self._kept + 1.0

    @property
    def value(self) -> float | None:
        """The average."""
        return self._total / self._weight if self._weight else None


class Rate:
    """How often something happens per unit of exposure, recent exposure counting most; None before it happened."""

    __slots__ = ("_exposure", "_happened")

    def __init__(self) -> None:
        self._exposure = 0.0
        self._happened = 0.0

    def expose(self, exposure: float) -> None:
        """Say that it could have happened for so long."""
        self._exposure += exposure

    def count(self, happened: bool) -> None:
        """Say that something ended, and whether it ended in what is counted."""
        self._exposure *= KEPT
        self._happened = self._happened * KEPT + happened

    @property
    def value(self) -> float | None:
        """How often, per unit."""
        return self._happened / self._exposure if self._happened and self._exposure else None


class Traffic:
    """The numbers that the estimators share, at one instant. Times in seconds.

    `agents` are those who take calls of the queue, free or not; `waiting` the callers for whom there was no agent when
    they came. `last_wait` is the wait of the last of them to be answered, times the agents there were then.
    """

    __slots__ = ("_answers", "_cycle", "_departures", "_ring", "agents", "last_wait", "now", "waiting")

    def __init__(self, now: float) -> None:
        self.now = now
        self.agents = 0
        self.waiting = 0
        self.last_wait: float | None = None
        self._cycle = Mean()
        self._ring = Mean()
        self._answers = Rate()
        self._departures = Rate()

    def advance(self, now: float) -> None:
        """Let the clock run to `now`; only a queue in which somebody waits has anything to note."""
        if self.waiting:
            passed = now - self.now
            self._answers.expose(self.agents * passed)
            self._departures.expose(self.waiting * passed)
        self.now = now

    def joined(self) -> None:
        """A caller found no agent."""
        self.waiting += 1

    def answered(self, waited: float) -> None:
        """One of them was answered."""
        self.waiting -= 1
        if self.agents:
            self.last_wait = waited * self.agents
        self._answers.count(True)
        self._departures.count(False)

    def left(self) -> None:
        """One of them is gone without an answer."""
        self.waiting -= 1
        self._departures.count(True)

    def rang(self, seconds: float) -> None:
        """An agent picked up after so long."""
        self._ring.add(seconds)

    def handled(self, seconds: float) -> None:
        """A call kept an agent for so long, from the offer until he could take the next."""
        self._cycle.add(seconds)

    @property
    def ring(self) -> float:
        """How long a phone rings until it is answered."""
        return self._ring.value or 0.0

    @property
    def cycle(self) -> float | None:
        """How long a call keeps an agent: ringing, talk, wrap-up."""
        return self._cycle.value

    @property
    def pace(self) -> float | None:
        """Agent-seconds from one answer to the next while callers waited; agents of other queues give less time."""
        rate = self._answers.value
        return 1.0 / rate if rate else None

    @property
    def impatience(self) -> float:
        """How many callers leave, per second and waiting caller: Whitt's theta."""
        return self._departures.value or 0.0

    @property
    def gap(self) -> float | None:
        """Seconds from one answer to the next while callers wait, with the agents of now."""
        seconds = self.pace or self.cycle
        return seconds / self.agents if seconds and self.agents else None
