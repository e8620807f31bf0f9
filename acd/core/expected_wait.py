"""How long a caller of one queue will wait: every estimator tried on every caller, the best of late believed.

Each caller who must wait is given a guess by each estimator, in silence. When it is known how long he waited, every
guess is scored, and the estimator with the best recent score is the one that speaks (`acd.core.backtest`).

A caller who leaves is a censored observation: he would have waited longer. To leave him out would favour guesses that
are too short. He is followed as an absentee who keeps his place: what he would have waited is known when the first
caller behind him is answered, or when an agent finds nobody waiting. In a line that is served in order this is exact.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from math import sqrt

from mypy_extensions import mypyc_attr

from acd.core.backtest import Judge
from acd.core.estimators import all_estimators
from acd.core.foretold import Accuracy, Estimate, Guess, Place
from acd.core.traffic import Traffic

TOLD = "told"
MOST_ABSENTEES = 1000
LEAST_SPREAD = 0.1  # seconds

Order = tuple[float, ...]


class Waiting:
    """A caller who waits, or waited and left, with the guesses made for him, None where an estimator had none."""

    __slots__ = ("guesses", "joined_at", "order", "place", "told")

    def __init__(
        self, order: Order, place: Place, joined_at: float, guesses: list[Guess | None], told: Guess | None
    ) -> None:
        self.order = order
        self.place = place
        self.joined_at = joined_at
        self.guesses = guesses
        self.told = told


@mypyc_attr(allow_interpreted_subclasses=True)
class ExpectedWait:
    """The expected wait in one queue, told of all that happens there.

    `now` is in seconds and must not run backwards. Every method takes O(log n) comparisons in the callers and
    absentees.
    """

    __slots__ = ("_absentees", "_estimators", "_judges", "_told", "_traffic", "_waiting")

    def __init__(self, now: float = 0.0) -> None:
        self._traffic = Traffic(now)
        self._estimators = all_estimators()
        self._judges = [Judge() for _ in self._estimators]
        self._told = Judge()
        self._waiting: dict[str, Waiting] = {}
        self._absentees: list[Waiting] = []

    # What is observed

    def staffed(self, agents: int, now: float) -> None:
        """So many agents take calls of the queue from now on, each counted as often as he can talk at once."""
        self._traffic.advance(now)
        self._traffic.agents = agents
        if not agents:  # nobody knows how long the absentees would have waited over the night
            self._absentees.clear()

    def joined(self, call_id: str, order: Order, place: Place, now: float) -> Estimate | None:
        """A caller found no agent and waits; `order` is what the line is sorted by. Return what to tell him, if any."""
        self._traffic.advance(now)
        guesses = self._guesses(place)
        best = self._best(guesses)
        self._waiting[call_id] = Waiting(order, place, now, guesses, None if best is None else guesses[best])
        self._traffic.joined()
        return self._estimate(guesses, best)

    def answered(self, call_id: str, rang_seconds: float, now: float) -> None:
        """An agent answered a caller, waiting or not, after his phone had rung for so long."""
        self._traffic.advance(now)
        self._traffic.rang(rang_seconds)
        waiting = self._waiting.pop(call_id, None)
        if waiting is None:
            return
        self._traffic.answered(now - waiting.joined_at)
        self._score(waiting, now)
        self._settle(bisect_left(self._absentees, waiting.order, key=_order), now)

    def left(self, call_id: str, now: float) -> None:
        """A caller is gone without an answer, whatever the reason."""
        waiting = self._waiting.pop(call_id, None)
        if waiting is None:
            return
        self._traffic.advance(now)
        self._traffic.left()
        if self._traffic.agents and len(self._absentees) < MOST_ABSENTEES:
            insort(self._absentees, waiting, key=_order)

    def handled(self, seconds: float) -> None:
        """A call kept an agent for so long, from the offer until he could take the next."""
        self._traffic.handled(seconds)

    def idle(self, now: float) -> None:
        """An agent found nobody waiting."""
        if self._absentees:
            self._settle(len(self._absentees), now + self._traffic.ring)

    # What is asked

    def estimate(self, place: Place, now: float) -> Estimate | None:
        """The wait from now on of who stands at `place`; None rather than a number that nothing bears out."""
        self._traffic.advance(now)
        guesses = self._guesses(place)
        return self._estimate(guesses, self._best(guesses))

    @property
    def accuracy(self) -> dict[str, Accuracy]:
        """How good each estimator is, by name, and `TOLD`: what callers were told."""
        found = {
            estimator.name: judge.accuracy for estimator, judge in zip(self._estimators, self._judges, strict=True)
        }
        return {TOLD: self._told.accuracy, **found}

    def _guesses(self, place: Place) -> list[Guess | None]:
        traffic = self._traffic
        gap = traffic.gap
        guesses: list[Guess | None] = []
        for estimator, judge in zip(self._estimators, self._judges, strict=True):
            expected = estimator.estimate(place, traffic)
            if expected is None:
                guesses.append(None)
                continue
            # The wait for k departures that come at random varies by the root of k; one alone, by as much as it lasts.
            spread = sqrt(gap * (gap + expected)) if gap else expected
            guesses.append(judge.guess(expected, max(spread, LEAST_SPREAD)))
        return guesses

    def _best(self, guesses: list[Guess | None]) -> int | None:
        """Return which guess to believe: of those with a range, the one of the estimator with the least loss."""
        losses = [
            (loss, at)
            for at, guess in enumerate(guesses)
            if guess is not None and guess.ranged and (loss := self._judges[at].loss) is not None
        ]
        return min(losses)[1] if losses else None

    def _estimate(self, guesses: list[Guess | None], best: int | None) -> Estimate | None:
        guess = None if best is None else guesses[best]
        if best is None or guess is None:
            return None
        return Estimate(guess.low, guess.expected, guess.high, self._estimators[best].name)

    def _settle(self, count: int, now: float) -> None:
        """Score the foremost absentees, who would have been answered now."""
        for absentee in self._absentees[:count]:
            self._score(absentee, now)
        del self._absentees[:count]

    def _score(self, waiting: Waiting, now: float) -> None:
        waited = now - waiting.joined_at
        for judge, guess in zip(self._judges, waiting.guesses, strict=True):
            if guess is not None:
                judge.score(guess, waited)
        if waiting.told is not None:
            self._told.score(waiting.told, waited)
        for estimator in self._estimators:
            estimator.learn(waiting.place, waited, self._traffic.agents)


def _order(waiting: Waiting) -> Order:
    return waiting.order
