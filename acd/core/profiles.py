"""Queues and agents as configured: what the distributor is built of and what may be installed while it runs.

Times are in seconds. Profiles are values: two equal ones are the same policy.
"""

from __future__ import annotations

import msgspec

from acd.core.calendar import Calendar
from acd.core.events import FailCause
from acd.core.overflow import OverflowRule
from acd.core.policies import POLICIES


class Ring(msgspec.Struct, frozen=True):
    """A widening of the circle of agents for who has waited `after_seconds`.

    Rings add up: each drops the required skills in `drop` for good, lowers the required levels by `relax` more and
    reaches agents up to level `levels` of the queue, 0 leaving that as it was.
    """

    after_seconds: float
    drop: tuple[str, ...] = ()
    relax: int = 0
    levels: int = 0


class UnderLoad(msgspec.Struct, frozen=True):
    """What changes while many wait: from `from_waiting` callers on until no more than `to_waiting` are left.

    `strategy`, where it is not empty, replaces the queue's, and callers are in ring `ring` at least.
    Raises ValueError unless `to_waiting` is below `from_waiting`: the two would alternate with every caller.
    """

    from_waiting: int
    to_waiting: int
    strategy: tuple[str, ...] = ()
    ring: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.to_waiting < self.from_waiting:
            raise ValueError("to_waiting must be at least 0 and below from_waiting")


class QueueProfile(msgspec.Struct, frozen=True):
    """A queue.

    `wrap_up_seconds` may be 0. `service_level_seconds` is the threshold T of the service level. `strategy` names
    policies (`acd.core.policies`) that are compared in this order; with `ring_all` all agents ring at once.
    `ageing_seconds` is how much waiting one level of priority is worth, 0 for strict priority. `weight` multiplies
    the time waited when an agent chooses between queues. `rings` widen the circle of agents; the first, from the
    start, is implicit: everything required, and agents of level 1 only if any ring speaks of levels. `overflow` says
    who goes elsewhere instead, `hours` when the queue is open: always without.

    Raises ValueError unless a phone may ring for some time (an offer that ends as it is made would be made again for
    ever), and for figures that make no order.
    """

    id: str
    name: str
    ring_seconds: float = 20.0
    wrap_up_seconds: float = 10.0
    service_level_seconds: float = 15.0
    strategy: tuple[str, ...] = ("longest_idle",)
    ring_all: bool = False
    ageing_seconds: float = 0.0
    weight: float = 1.0
    rings: tuple[Ring, ...] = ()
    under_load: UnderLoad | None = None
    overflow: tuple[OverflowRule, ...] = ()
    hours: Calendar | None = None

    def __post_init__(self) -> None:
        if not self.ring_seconds > 0:
            raise ValueError(f"queue {self.id!r}: ring_seconds must be above 0")
        if not self.weight > 0:
            raise ValueError(f"queue {self.id!r}: weight must be above 0")
        if self.ageing_seconds < 0:
            raise ValueError(f"queue {self.id!r}: ageing_seconds must not be negative")
        if not self.strategy:
            raise ValueError(f"queue {self.id!r}: a strategy needs at least one policy")
        unknown = {*self.strategy, *(self.under_load.strategy if self.under_load else ())} - POLICIES
        if unknown:
            raise ValueError(f"queue {self.id!r}: no policy {', '.join(sorted(unknown))}")
        starts = [ring.after_seconds for ring in self.rings]
        if starts != sorted(starts) or any(ring.relax < 0 or ring.levels < 0 for ring in self.rings):
            raise ValueError(f"queue {self.id!r}: each ring must begin later and reach further than the one before")
        if self.under_load is not None and self.under_load.ring > len(self.rings):
            raise ValueError(f"queue {self.id!r}: there is no ring {self.under_load.ring} to widen to under load")


class Membership(msgspec.Struct, frozen=True):
    """An agent's place in a queue: `level` 1 is the first tier, `weight` his share where chance decides."""

    queue: str
    level: int = 1
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.level < 1 or not self.weight > 0:
            raise ValueError(f"queue {self.queue!r}: level must be at least 1 and weight above 0")


class AgentProfile(msgspec.Struct, frozen=True):
    """An agent.

    `queues` may name a queue alone. `wrap_up_seconds` overrides the queue's where it is given. After an offer that
    came to nothing `refuse_delays[cause]`, or else `refuse_delay_seconds`, passes before the next. So many
    unanswered offers in a row as `pause_after_missed` says pause the agent, 0 never. He may be in `capacity` calls
    at once. `always_ready` is for phones with a fixed contact that never register.
    """

    id: str
    name: str
    queues: tuple[Membership | str, ...]
    wrap_up_seconds: float | None = None
    refuse_delay_seconds: float = 5.0
    always_ready: bool = False
    skills: dict[str, int] = {}
    refuse_delays: dict[FailCause, float] = {}
    pause_after_missed: int = 0
    capacity: int = 1

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError(f"agent {self.id!r}: capacity must be at least 1")

    @property
    def memberships(self) -> dict[str, Membership]:
        """His place in each queue, by queue id; the first counts where one is named twice."""
        found: dict[str, Membership] = {}
        for queue in self.queues:
            member = Membership(queue) if isinstance(queue, str) else queue
            found.setdefault(member.queue, member)
        return found

    def delay_after(self, cause: FailCause) -> float:
        """The seconds before he is offered another call after one that failed so."""
        return self.refuse_delays.get(cause, self.refuse_delay_seconds)
