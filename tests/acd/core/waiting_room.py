"""A queue served in order on a virtual clock, which tells an `ExpectedWait` all that happens in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random

from acd.core.expected_wait import TOLD, ExpectedWait, Waiting
from acd.core.foretold import Guess, Place


class Watched(ExpectedWait):
    """One that remembers every guess, by estimator, with the wait that followed."""

    def __init__(self) -> None:
        super().__init__()
        self.guesses: dict[str, list[tuple[Guess, float]]] = {name: [] for name in self.accuracy}

    def _score(self, waiting: Waiting, now: float) -> None:
        super()._score(waiting, now)
        names = (estimator.name for estimator in self._estimators)
        for name, guess in ((TOLD, waiting.told), *zip(names, waiting.guesses, strict=True)):
            if guess is not None and guess.ranged:
                self.guesses[name].append((guess, now - waiting.joined_at))


class WaitingRoom:
    """Poisson arrivals at `arrival_rate(now)` per second, exponential service and patience, `agents` who all work."""

    def __init__(
        self,
        seed: int,
        *,
        arrival_rate: Callable[[float], float],
        peak_rate: float,
        service_seconds: float,
        patience_seconds: float,
        agents: int,
    ) -> None:
        self.random = Random(seed)
        self.waits = Watched()
        self.now = 0.0
        self.free = self.agents = agents
        self.line: deque[tuple[int, float]] = deque()
        self.left = 0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._count = count()
        self._arrival_rate, self._peak_rate = arrival_rate, peak_rate
        self._service_seconds, self._patience_seconds = service_seconds, patience_seconds
        self.waits.staffed(agents, 0.0)
        self._plan(self.random.expovariate(peak_rate), self._arrive)

    def run_until(self, end: float) -> None:
        while self._agenda and self._agenda[0][0] <= end:
            self.now, _, happen = heappop(self._agenda)
            happen()
        self.now = end

    def place(self) -> Place:
        """Where the next caller would stand."""
        waiting = len(self.line) + 1
        return Place(waiting, waiting, self.now - self.line[0][1] if self.line else 0.0)

    def _plan(self, seconds: float, happen: Callable[[], None]) -> None:
        heappush(self._agenda, (self.now + seconds, next(self._count), happen))

    def _arrive(self) -> None:
        self._plan(self.random.expovariate(self._peak_rate), self._arrive)
        if self.random.random() * self._peak_rate > self._arrival_rate(self.now):
            return
        caller = next(self._count)
        if self.free:
            self.free -= 1
            self._serve(caller)
            return
        self.waits.joined(str(caller), (0.0, caller), self.place(), self.now)
        self.line.append((caller, self.now))
        place = caller, self.now
        self._plan(self.random.expovariate(1 / self._patience_seconds), lambda: self._lose_patience(place))

    def _serve(self, caller: int) -> None:
        self.waits.answered(str(caller), 0.0, self.now)
        seconds = self.random.expovariate(1 / self._service_seconds)
        self._plan(seconds, lambda: self._free(seconds))

    def _free(self, seconds: float) -> None:
        self.waits.handled(seconds)
        if not self.line:
            self.free += 1
            self.waits.idle(self.now)
            return
        self._serve(self.line.popleft()[0])

    def _lose_patience(self, place: tuple[int, float]) -> None:
        if place in self.line:
            self.line.remove(place)
            self.left += 1
            self.waits.left(str(place[0]), self.now)
