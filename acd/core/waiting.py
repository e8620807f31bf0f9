"""How callers wait: rings that widen, load that widens them at once, and the way from queue to queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import mypyc_attr

from acd import facts
from acd.core.actions import Divert, WithdrawCause
from acd.core.events import LeftCause
from acd.core.outlook import Outlook
from acd.core.overflow import OverflowRule, Target, When
from acd.core.queues import PREFERRED, Caller, Queue

if TYPE_CHECKING:
    from acd.core.agents import Agent
    from acd.core.matching import CallerClass
    from acd.core.policies import Random

_NOBODY_SERVES = frozenset((When.NO_AGENT, When.CLOSED))


@mypyc_attr(allow_interpreted_subclasses=True)
class Waiting(Outlook):
    """The part of the distributor that knows where each caller waits and for whom. `_callers` are all, by call id."""

    def __init__(self, now: float, random: Random) -> None:
        super().__init__(now, random)
        self._callers: dict[str, Caller] = {}

    def _enter(self, caller: Caller, queue: Queue) -> None:
        """Give a caller his place in a queue and seek an agent, unless a rule has him go elsewhere at once."""
        caller.queue = queue
        caller.left |= queue.itself
        caller.order = queue.order(caller.priority, caller.since)
        caller.entered_at = self._now
        queue.offered += 1
        self._stand(caller)
        caller.ring = PREFERRED if caller.prefers else 0
        kind = self._class_of(caller)
        self._join(caller, kind)
        if kind.ring > 0:
            self._tell_ring(caller)
        rule = self._rule_on_arrival(caller)
        if rule is not None:
            self._obey(caller, rule)
            return
        self._seek(caller)
        if not caller.offers:
            self._foretell(caller)

    def _seek(self, caller: Caller) -> None:
        """Seek an agent, and as long as there is none look again when the time waited brings something."""
        self._seek_agent(caller)
        if caller.seeking:
            self._agenda.set(caller, self._next_look(caller))

    def _seek_another(self, caller: Caller) -> None:
        """Let a caller whose only offer ended seek the next agent, or do what time has brought meanwhile."""
        if caller.seeking or caller.offers:
            return
        rule = self._rule_while_waiting(caller)
        if rule is not None:
            self._obey(caller, rule)
        else:
            self._widen(caller)
            self._seek(caller)

    def _stand(self, caller: Caller) -> None:
        queue = caller.queue
        queue.callers.add(caller.order, caller.seq, caller)
        if queue.profile.under_load is not None:
            self._unsettled[queue] = None

    def _leave(self, caller: Caller) -> None:
        """Take a caller out of his queue; his offers are left alone."""
        queue = caller.queue
        queue.callers.remove(caller.order, caller.seq)
        if caller.seeking:
            self._stop_seeking(caller)
        if caller.due is not None:
            self._agenda.set(caller, None)
        self._quit(caller)
        if queue.profile.under_load is not None or queue.closing:
            self._unsettled[queue] = None

    def _left(self, caller: Caller, cause: LeftCause) -> list[Agent]:
        """Take a caller out who has not been answered; return the agents who rang for him."""
        queue = caller.queue
        queue.left[cause] += 1
        position = queue.callers.ahead(caller.order, caller.seq) + 1
        self._facts.append(facts.CallLeft(caller.id, queue.id, cause, self._now - caller.since, position))
        self._leave(caller)
        queue.waits.left(caller.id, self._now)
        return self._withdraw_all(caller, WithdrawCause.CALLER_LEFT)

    def _move(self, caller: Caller, queue: Queue, cause: str) -> None:
        """Let a caller go on to wait in another queue, his place kept by original arrival."""
        before = caller.queue
        before.left[LeftCause.OVERFLOWED] += 1
        self._facts.append(facts.CallMoved(caller.id, before.id, queue.id, cause))
        self._leave(caller)
        before.waits.left(caller.id, self._now)
        freed = self._withdraw_all(caller, WithdrawCause.CALLER_MOVED)
        self._enter(caller, queue)
        for agent in freed:
            self._seek_caller(agent)

    # Rules

    def _obey(self, caller: Caller, rule: OverflowRule) -> None:
        """Send a caller on to another queue, or out of the queues."""
        if rule.to is Target.QUEUE:
            self._move(caller, self._queues[rule.where], rule.when)
            return
        queue = caller.queue
        self._facts.append(facts.CallDiverted(caller.id, queue.id, rule.when, rule.to, rule.where))
        freed = self._left(caller, LeftCause.RELEASED if rule.to is Target.RELEASE else LeftCause.OVERFLOWED)
        del self._callers[caller.id]
        self._actions.append(Divert(caller.id, queue.id, rule.to, rule.where, rule.when))
        for agent in freed:
            self._seek_caller(agent)

    def _apply_rules(self, caller: Caller) -> bool:
        """Look whether a caller is to go; true if he went. While a phone rings for him alone, that is put off."""
        rule = self._rule_while_waiting(caller) if caller.seeking else None
        if rule is None:
            return False
        self._obey(caller, rule)
        return True

    def _look(self, caller: Caller) -> None:
        """Do what time brings for a caller who seeks: a rule, a wider ring."""
        if caller.seeking and not self._apply_rules(caller):
            self._widen(caller)
            if caller.seeking:
                self._agenda.set(caller, self._next_look(caller))

    def _look_at_all(self, queue: Queue) -> None:
        """Apply the rules to all who wait in a queue that nobody serves now, or that has closed."""
        if not queue.callers or (queue.open and queue.logged_in):
            return
        if any(rule.when in _NOBODY_SERVES for rule in queue.rules):
            for caller in tuple(queue.callers):
                if caller.queue is queue and caller.id in self._callers:
                    self._apply_rules(caller)

    # Classes and rings

    def _join(self, caller: Caller, kind: CallerClass) -> None:
        caller.kind = kind
        caller.ring = kind.ring
        kind.size += 1

    def _quit(self, caller: Caller) -> None:
        kind = caller.kind
        kind.size -= 1
        if kind.ring == PREFERRED and not kind.size:
            self._matcher.forget(kind)

    def _class_of(self, caller: Caller) -> CallerClass:
        """Return the class for the narrowest ring that the caller has not outgrown and in which somebody is there."""
        queue, ring = caller.queue, caller.ring
        if ring == PREFERRED and self._now < caller.patience_until:
            kind = self._matcher.find(queue, caller.needs, PREFERRED, caller.prefers)
            if kind.present:
                return kind
            if not kind.size:
                self._matcher.forget(kind)
        rings = queue.profile.rings
        if not rings:
            return self._matcher.find(queue, caller.needs, 0)
        ring = max(ring, queue.least_ring)
        for number, next_ring in enumerate(rings, 1):
            if number > ring and caller.since + next_ring.after_seconds <= self._now:
                ring = number
        kind = self._matcher.find(queue, caller.needs, ring)
        while not kind.present and ring < len(rings):
            ring += 1
            kind = self._matcher.find(queue, caller.needs, ring)
        return kind

    def _next_look(self, caller: Caller) -> float | None:
        """When the caller's ring may widen, or a rule may fit, for the time he has waited."""
        instant = self._next_rule(caller)
        if caller.ring == PREFERRED:
            wider = caller.patience_until
        elif rings := caller.queue.profile.rings[caller.ring :]:
            wider = caller.since + rings[0].after_seconds
        else:
            return instant
        return wider if instant is None else min(instant, wider)

    def _widen(self, caller: Caller) -> None:
        """Move a caller on to the ring that he should be in by now; there he seeks anew unless a phone rings."""
        kind = self._class_of(caller)
        if kind is caller.kind:
            return
        seeking = caller.seeking
        self._stop_seeking(caller)
        self._quit(caller)
        self._join(caller, kind)
        self._tell_ring(caller)
        if seeking:
            self._seek(caller)

    def _tell_ring(self, caller: Caller) -> None:
        self._facts.append(facts.RingWidened(caller.id, caller.queue.id, caller.ring))

    # What changes for many at once

    def _settle(self) -> None:
        """Let those wait elsewhere for whom nobody is left, and queues adapt to their load."""
        while self._deserted or self._unsettled:
            deserted, self._deserted = self._deserted, []
            for kind in deserted:
                if not kind.present:
                    for caller in [caller for caller in kind.queue.callers if caller.kind is kind]:
                        self._widen(caller)
            unsettled, self._unsettled = self._unsettled, {}
            for queue in unsettled:
                self._look_at_all(queue)
                self._weigh(queue)

    def _weigh(self, queue: Queue) -> None:
        if queue.weigh():
            self._matcher.rearrange(queue)
            for caller in tuple(queue.callers):
                if 0 <= caller.ring < queue.least_ring:
                    self._widen(caller)
