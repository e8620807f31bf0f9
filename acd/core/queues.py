"""Queues and the callers in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acd.core.agents import AWAY
from acd.core.events import LeftCause
from acd.core.expected_wait import ExpectedWait
from acd.core.foretold import Place
from acd.core.lines import Line

if TYPE_CHECKING:
    from acd.core.agents import Agent, Tie
    from acd.core.events import CallArrived
    from acd.core.matching import CallerClass, ClassKey
    from acd.core.overflow import OverflowRule
    from acd.core.profiles import Membership, QueueProfile, Ring

Order = tuple[float, float]
NOWHERE = frozenset[str]()
PREFERRED = -1  # the ring before the first: the preferred agent alone


class Reach:
    """Whom a ring reaches: agents up to level `levels` who have the skills that are still asked for."""

    __slots__ = ("drop", "levels", "relax")

    def __init__(self, drop: frozenset[str], relax: int, levels: float) -> None:
        self.drop = drop
        self.relax = relax
        self.levels = levels


def reaches(rings: tuple[Ring, ...]) -> tuple[Reach, ...]:
    """Add the rings up: what each of them reaches, the implicit first one too."""
    levels: float = 1 if any(ring.levels for ring in rings) else float("inf")
    drop, relax = frozenset[str](), 0
    found = [Reach(drop, relax, levels)]
    for ring in rings:
        drop, relax, levels = drop | set(ring.drop), relax + ring.relax, max(levels, ring.levels)
        found.append(Reach(drop, relax, levels))
    return tuple(found)


class Caller:
    """One call from its arrival in a queue to its end.

    `since` is the beginning of the wait that counts, `entered_at` that of the wait in this queue; `order` and `seq`
    are his place among those who wait. He stands in the class `kind` as of ring `ring`, and in its line while he is
    `seeking` an agent. `offers` are the ties with the agents who are rung for him, `talk` the one with who answered.
    `due` is when his case is looked at again. `left` are the queues he was in, the present one too.
    """

    __slots__ = (
        "due",
        "entered_at",
        "entry",
        "id",
        "kind",
        "left",
        "needs",
        "number",
        "offers",
        "order",
        "patience_until",
        "prefers",
        "priority",
        "queue",
        "ring",
        "seeking",
        "seq",
        "since",
        "talk",
    )

    kind: CallerClass

    def __init__(self, event: CallArrived, queue: Queue, seq: int, now: float) -> None:
        self.id = event.call_id
        self.queue = queue
        self.needs = event.needs
        self.number = event.number
        self.prefers = event.prefers
        self.patience_until = now + event.patience_seconds
        self.priority = event.priority
        self.since = now - event.waited_seconds
        self.entered_at = now
        self.order: Order = (0.0, 0.0)
        self.seq = seq
        self.ring = 0
        self.seeking = False
        self.offers: list[Tie] = []
        self.talk: Tie | None = None
        self.due: float | None = None
        self.entry = 0
        self.left = NOWHERE


class Queue:
    """One queue: its line of callers, its agents, its classes, its counters.

    `callers` are all who wait for an answer, `seeking` how many of them seek an agent. `serving` counts the calls that
    agents could take who are there. `rules` are those of its overflow rules that lead somewhere; it is `open`, or not,
    until `turns_at`, in unix seconds. `closing` is a queue that is no longer configured: it serves who is in it. The
    counters obey offered = answered + len(callers) + the sum of `left`.
    """

    __slots__ = (
        "answered",
        "answered_in_time",
        "callers",
        "classes",
        "closing",
        "due",
        "entry",
        "id",
        "itself",
        "left",
        "loaded",
        "logged_in",
        "members",
        "offered",
        "open",
        "profile",
        "reaches",
        "rules",
        "seeking",
        "serving",
        "strategy",
        "turns_at",
        "waits",
    )

    def __init__(self, profile: QueueProfile) -> None:
        self.id = profile.id
        self.itself = frozenset((profile.id,))
        self.callers: Line[Order, Caller] = Line()
        self.classes: dict[ClassKey, CallerClass] = {}
        self.members: dict[Agent, Membership] = {}
        self.loaded = False
        self.closing = False
        self.logged_in = 0
        self.serving = 0
        self.seeking = 0
        self.waits = ExpectedWait()
        self.rules: tuple[OverflowRule, ...] = ()
        self.open = True
        self.turns_at: float | None = None
        self.due: float | None = None
        self.entry = 0
        self.offered = 0
        self.answered = 0
        self.answered_in_time = 0
        self.left = dict.fromkeys(LeftCause, 0)
        self.adopt(profile)

    def adopt(self, profile: QueueProfile) -> None:
        """Follow another profile; what stands in lines is the matcher's to arrange anew."""
        self.profile = profile
        self.reaches = reaches(profile.rings)
        self.strategy = self._strategy()

    def weigh(self) -> bool:
        """Note whether many wait by now; true if that is news."""
        load = self.profile.under_load
        if load is None or len(self.callers) > load.to_waiting:
            loaded = load is not None and (self.loaded or len(self.callers) >= load.from_waiting)
        else:
            loaded = False
        if loaded is self.loaded:
            return False
        self.loaded = loaded
        self.strategy = self._strategy()
        return True

    @property
    def least_ring(self) -> int:
        """The ring that every caller is in at least."""
        load = self.profile.under_load
        return load.ring if load is not None and self.loaded else 0

    def order(self, priority: int, since: float) -> Order:
        """The place in line: strictly by priority, or with each level worth so much waiting; smaller is sooner."""
        ageing = self.profile.ageing_seconds
        return (0.0, since - priority * ageing) if ageing else (-priority, since)

    def count_serving(self, now: float) -> None:
        """Count anew the calls that its agents could take at once."""
        self.serving = sum(agent.profile.capacity for agent in self.members if agent.state not in AWAY)
        self.waits.staffed(self.serving, now)

    def place(self, caller: Caller, now: float) -> Place:
        """Where a waiting caller stands among those who have no agent yet."""
        arriving = not caller.seeking and not caller.offers
        offered = len(self.callers) - self.seeking - arriving
        ahead = max(self.callers.ahead(caller.order, caller.seq) - offered, 0)
        return Place(ahead + 1, max(self.seeking + arriving, ahead + 1), self._head_waited(now))

    def last_place(self, now: float) -> Place:
        """Where one more caller would stand behind all others."""
        return Place(self.seeking + 1, self.seeking + 1, self._head_waited(now))

    def count_answer(self, waited_seconds: float) -> None:
        """Count a caller answered after `waited_seconds`."""
        self.answered += 1
        if waited_seconds <= self.profile.service_level_seconds:
            self.answered_in_time += 1

    @property
    def service_level(self) -> float | None:
        """Callers answered within T / callers offered; None before the first caller."""
        return self.answered_in_time / self.offered if self.offered else None

    def _head_waited(self, now: float) -> float:
        head = self.callers.first()
        return now - head[2].entered_at if head is not None else 0.0

    def _strategy(self) -> tuple[str, ...]:
        load = self.profile.under_load
        return load.strategy if load is not None and self.loaded and load.strategy else self.profile.strategy
