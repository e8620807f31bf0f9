"""A day told fact by fact, by the clock of its own: `at("10:00")` is that time on 1 March 2025, UTC."""

from datetime import UTC, datetime

from acd import facts
from acd.facts import Fact
from acd.journal.port import Journal
from acd.kpi.fold import Fold
from acd.kpi.tally import Calls, Interval, Time

MIDNIGHT = datetime(2025, 3, 1, tzinfo=UTC).timestamp()


def at(clock: str) -> float:
    hours, minutes, *seconds = clock.split(":")
    return MIDNIGHT + 3600 * int(hours) + 60 * int(minutes) + float(seconds[0] if seconds else 0)


class Day:
    """Tells a fold, or whoever takes facts, what happens, and keeps what it has told."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal = journal or Fold()
        self.told: list[tuple[Fact, float]] = []
        self.states: dict[str, tuple[str, float]] = {}
        self.epoch = 0

    def tell(self, fact: Fact, when: float) -> None:
        self.told.append((fact, when))
        self.journal.append(fact, when)

    def change(self, agent: str, new: str, when: float) -> None:
        old, since = self.states.get(agent, ("logged_out", when))
        self.states[agent] = (new, when)
        self.tell(facts.AgentChanged(agent, old, new, when - since), when)

    def queue(self, call: str, when: float, queue: str = "sales", number: str = "10000") -> None:
        self.tell(facts.CallQueued(call, queue, number), when)

    def offer(self, call: str, agent: str, when: float, queue: str = "sales") -> None:
        self.epoch += 1
        self.tell(facts.OfferMade(call, agent, self.epoch, queue), when)

    def answer(self, call: str, agent: str, when: float, waited: float, queue: str = "sales") -> None:
        self.offer(call, agent, when, queue)
        self.tell(facts.CallConnected(call, agent, self.epoch, queue, waited), when)
        self.change(agent, "talking", when)

    def part(self, call: str, agent: str, when: float, talked: float, held: float = 0.0) -> None:
        self.tell(facts.TalkEnded(call, agent, "sales", talked, held), when)
        self.change(agent, "wrap_up", when)

    def leave(self, call: str, when: float, waited: float, cause: str = "abandoned", queue: str = "sales") -> None:
        self.tell(facts.CallLeft(call, queue, cause, waited), when)

    @property
    def fold(self) -> Fold:
        assert isinstance(self.journal, Fold)
        return self.journal

    def interval(self, clock: str) -> Interval:
        return next(found for found in self.fold.intervals() if found.start == at(clock))

    def calls(self, clock: str, queue: str = "sales") -> Calls:
        return self.interval(clock).queues[queue]

    def number(self, clock: str, number: str = "10000") -> Calls:
        return self.interval(clock).numbers[number]

    def time(self, clock: str, agent: str = "1001") -> Time:
        return self.interval(clock).agents[agent]
