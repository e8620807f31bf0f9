"""What a caller who waits has before him: how long it will take, who is there, opening hours; and what rules follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import mypyc_attr

from acd import facts
from acd.core.overflow import OverflowRule, Plight, Target, When, decide, next_look
from acd.core.ties import Ties

if TYPE_CHECKING:
    from acd.core.policies import Random
    from acd.core.queues import Caller, Queue


@mypyc_attr(allow_interpreted_subclasses=True)
class Outlook(Ties):
    """The part of the distributor that knows how a caller's wait looks; `_to_unix` makes unix seconds of its clock."""

    def __init__(self, now: float, random: Random) -> None:
        super().__init__(now, random)
        self._to_unix = 0.0
        self._queues: dict[str, Queue] = {}

    def _foretell(self, caller: Caller) -> None:
        """Have the queue say how long a caller will wait who found no agent."""
        queue = caller.queue
        place = queue.place(caller, self._now)
        told = queue.waits.joined(caller.id, (*caller.order, caller.seq), place, self._now)
        if told is not None:
            self._facts.append(
                facts.WaitEstimated(caller.id, queue.id, told.estimator, told.low, told.expected, told.high)
            )

    # Rules

    def _rule_on_arrival(self, caller: Caller) -> OverflowRule | None:
        """Return the rule by which a caller does not begin to wait; what he would wait is 0 with an agent at hand."""
        queue = caller.queue
        rules = queue.rules
        if not rules or (caller.kind.idle.count and queue.open):
            return None
        length, expected_wait = (
            (0, 0.0) if caller.kind.idle.count else (len(queue.callers), self._expected_wait(caller))
        )
        plight = Plight(self._now, self._now, queue.logged_in > 0, queue.open, length, expected_wait)
        return decide(rules, plight, caller.left)

    def _rule_while_waiting(self, caller: Caller) -> OverflowRule | None:
        """Return the rule by which a caller waits no longer."""
        rules = caller.queue.rules
        return decide(rules, self._plight(caller), caller.left) if rules else None

    def _next_rule(self, caller: Caller) -> float | None:
        """When the rules are to be looked at again if nothing happens."""
        rules = caller.queue.rules
        return next_look(rules, self._plight(caller), caller.left) if rules else None

    def _plight(self, caller: Caller) -> Plight:
        queue = caller.queue
        return Plight(self._now, caller.entered_at, queue.logged_in > 0, queue.open)

    def _expected_wait(self, caller: Caller) -> float | None:
        queue = caller.queue
        if all(rule.when is not When.EXPECTED_WAIT for rule in queue.rules):
            return None
        estimate = queue.waits.estimate(queue.place(caller, self._now), self._now)
        return estimate.expected if estimate is not None else None

    def _adopt_rules(self, queue: Queue) -> None:
        """Let a queue follow its profile: the rules that lead anywhere, the hours from now on."""
        queue.rules = tuple([rule for rule in queue.profile.overflow if self._leads_somewhere(rule)])
        self._keep_hours(queue, self._now + self._to_unix)

    def _leads_somewhere(self, rule: OverflowRule) -> bool:
        if rule.to is not Target.QUEUE:
            return True
        queue = self._queues.get(rule.where)
        return queue is not None and not queue.closing

    # Hours

    def _keep_hours(self, queue: Queue, unix: float) -> None:
        """Open or close the queue, as it is to be at that time, and look again when that changes."""
        hours = queue.profile.hours
        queue.open = hours is None or hours.is_open(unix)
        queue.turns_at = None if hours is None else hours.next_change(unix)
        self._agenda.set(queue, None if queue.turns_at is None else queue.turns_at - self._to_unix)

    def _turn_hours(self, queue: Queue) -> None:
        """Open or close the queue: its time has come, to the second that the calendar says."""
        assert queue.turns_at is not None
        self._keep_hours(queue, queue.turns_at)
        self._unsettled[queue] = None
