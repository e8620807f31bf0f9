"""What happens to the engine in a simulation: callers, how agents take their phones, when agents come and go.

All of it is drawn before the policy has a say: the n-th caller of a stream comes at the same time and brings the same
patience and the same matter to talk about whatever the policy decides (common random numbers), so that two policies
are compared on the same day.
"""

from __future__ import annotations

from heapq import merge
from itertools import count
from math import inf
from typing import TYPE_CHECKING

import msgspec

from acd.cdr import Outcome
from acd.core.events import CallArrived, FailCause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from acd.simulation.draws import Sampler


class Caller:
    """One caller: what he brings along, and what became of him.

    `at` is when he arrives, `service` how long he will talk, `patience` how long he waits before he hangs up. `outcome`
    is None while he waits; `waited` runs from his arrival to his answer or to his leaving.
    """

    __slots__ = ("answered_by", "arrival", "at", "number", "outcome", "patience", "service", "waited")

    def __init__(
        self, arrival: CallArrived, at: float, service: float, patience: float = inf, number: str = ""
    ) -> None:
        self.arrival = arrival
        self.at = at
        self.service = service
        self.patience = patience
        self.number = number
        self.outcome: Outcome | None = None
        self.waited = 0.0
        self.answered_by = ""


class Stream(msgspec.Struct, frozen=True):
    """Callers of one kind: when they come, what they bring, and which event tells the engine of the n-th.

    `arrive` is given the call's id.
    """

    name: str
    times: Iterator[float]
    service: Sampler
    patience: Sampler
    arrive: Callable[[str], CallArrived]
    number: str = ""

    def callers(self, start: float, until: float) -> Iterator[Caller]:
        """The callers who arrive before `until`, in order; the times of the stream count from `start`."""
        service, patience, arrive, number = self.service, self.patience, self.arrive, self.number
        numbers = count(1)
        for seconds in self.times:
            at = start + seconds
            if at >= until:
                return
            yield Caller(arrive(f"{self.name}{next(numbers)}"), at, service(), patience(), number)


def together(streams: Iterable[Stream], start: float, until: float) -> Iterator[Caller]:
    """The callers of all streams in the order of their arrival."""
    every = [stream.callers(start, until) for stream in streams]
    return every[0] if len(every) == 1 else merge(*every, key=lambda caller: caller.at)


class Phones:
    """How agents treat a ringing phone: `answer` draws the seconds until it is taken.

    A phone is refused, after the same time, with the probability `refuse`, and let ring with `ignore`. `chance` draws
    from [0, 1); it is drawn from only if it matters.
    """

    def __init__(
        self,
        answer: Sampler = lambda: 0.0,
        *,
        refuse: float = 0.0,
        ignore: float = 0.0,
        chance: Sampler = lambda: 1.0,
    ) -> None:
        self._answer = answer
        self._refuse = refuse
        self._miss = refuse + ignore
        self._chance = chance

    def ring(self, agent_id: str, now: float) -> tuple[float, FailCause | None]:
        """Let a phone ring: return after how many seconds it is taken (None) or refused; infinity: it rings out."""
        if self._miss:
            chance = self._chance()
            if chance < self._refuse:
                return self._answer(), FailCause.REFUSED
            if chance < self._miss:
                return inf, None
        return self._answer(), None
