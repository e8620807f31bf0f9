"""What stands before a queue: who is let in, and how a call ends that a rule sends elsewhere."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

import msgspec

from acd.cdr import Outcome
from acd.policy import calendar_of

if TYPE_CHECKING:
    from acd.config import Config
    from acd.core.actions import Divert
    from acd.core.calendar import Calendar
    from acd.core.distributor import Distributor


class Gate(msgspec.Struct, frozen=True):
    """Who is turned away from a queue: whoever comes outside its `hours`, with no agent there, or when it is full.

    Where the queue `rules_closed`, its own rule decides about whoever comes outside its hours.
    """

    hours: Calendar | None = None
    rules_closed: bool = False
    needs_agent: bool = True
    max_waiting: float = inf

    def refuses(self, distributor: Distributor, queue: str, now: float) -> Outcome | None:
        """Return why a caller is not let in at `now` (unix seconds), None if he is."""
        if self.hours is not None and not self.hours.is_open(now):
            return None if self.rules_closed else Outcome.CLOSED
        if self.needs_agent and not distributor.has_agent_logged_in(queue):
            return Outcome.NO_AGENT
        if self.max_waiting < inf and distributor.waiting(queue) >= self.max_waiting:
            return Outcome.REJECTED
        return None


def gates(config: Config) -> dict[str, Gate]:
    """Return the gate of each queue; where an overflow rule speaks of the same, that decides instead."""
    found = {}
    for queue in config.queues.values():
        ruled = {rule.when for rule in queue.overflow}
        found[queue.id] = Gate(
            calendar_of(config.calendars[queue.hours]) if queue.hours is not None else None,
            "closed" in ruled,
            "no_agent" not in ruled,
            inf if "length" in ruled else queue.max_waiting,
        )
    return found


_TARGETS: Final = {
    "announcement": Outcome.OVERFLOWED,
    "external": Outcome.EXTERNAL,
    "callback": Outcome.CALLBACK,
    "voicemail": Outcome.OVERFLOWED,
}
_CAUSES: Final = {"closed": Outcome.CLOSED, "no_agent": Outcome.NO_AGENT, "waited": Outcome.WAITED_TOO_LONG}


def outcome_of(divert: Divert) -> Outcome:
    """Return how the call of a caller ends whom a rule sends out of the queues."""
    return _TARGETS.get(divert.to) or _CAUSES.get(divert.cause, Outcome.REJECTED)
