"""How callers wait: rings that widen, load that widens them at once, and the way from queue to queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acd import facts
from acd.core.actions import WithdrawCause
from acd.core.events import LeftCause
from acd.core.queues import PREFERRED, Caller, Queue
from acd.core.ties import Ties

if TYPE_CHECKING:
    from acd.core.agents import Agent
    from acd.core.matching import CallerClass


class Waiting(Ties):
    """The part of the distributor that knows where each caller waits and for whom."""

    def _enter(self, caller: Caller, queue: Queue) -> None:
        """Give a caller his place in a queue and seek an agent."""
        caller.queue = queue
        caller.left.add(queue.id)
        caller.order = queue.order(caller.priority, caller.since)
        caller.entered_at = self._now
        queue.offered += 1
        self._stand(caller)
        caller.ring = PREFERRED if caller.prefers else 0
        kind = self._class_of(caller)
        self._join(caller, kind)
        if kind.ring > 0:
            self._tell_ring(caller)
        self._seek_agent(caller)
        if not caller.offers:
            self._foretell(caller)

    def _foretell(self, caller: Caller) -> None:
        """Have the queue say how long a caller will wait who found no agent."""
        queue = caller.queue
        place = queue.place(caller, self._now)
        told = queue.waits.joined(caller.id, (*caller.order, caller.seq), place, self._now)
        if told is not None:
            self._facts.append(
                facts.WaitEstimated(caller.id, queue.id, told.estimator, told.low, told.expected, told.high)
            )

    def _seek_another(self, caller: Caller) -> None:
        """Let a caller whose offer ended seek the next agent, if no phone rings for him."""
        if not caller.seeking and not caller.offers:
            self._seek_agent(caller)

    def _stand(self, caller: Caller) -> None:
        queue = caller.queue
        queue.callers.add(caller.order, caller.seq, caller)
        if queue.profile.under_load is not None:
            self._unsettled[queue] = None

    def _leave(self, caller: Caller) -> None:
        """Take a caller out of his queue; his offers are left alone."""
        queue = caller.queue
        queue.callers.remove(caller.order, caller.seq)
        self._stop_seeking(caller)
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

    # Classes and rings

    def _join(self, caller: Caller, kind: CallerClass) -> None:
        caller.kind = kind
        caller.ring = kind.ring
        kind.size += 1
        profile = caller.queue.profile
        if profile.rings or kind.ring == PREFERRED:
            self._agenda.set(caller, self._next_look(caller))

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
        ring = max(ring, queue.least_ring)
        for number, next_ring in enumerate(queue.profile.rings, 1):
            if number > ring and caller.since + next_ring.after_seconds <= self._now:
                ring = number
        last = len(queue.reaches) - 1
        kind = self._matcher.find(queue, caller.needs, ring)
        while not kind.present and ring < last:
            ring += 1
            kind = self._matcher.find(queue, caller.needs, ring)
        return kind

    def _next_look(self, caller: Caller) -> float | None:
        """When the caller's ring may widen for the time he has waited."""
        if caller.ring == PREFERRED:
            return caller.patience_until
        rings = caller.queue.profile.rings[caller.ring :]
        return caller.since + rings[0].after_seconds if rings else None

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
            self._seek_agent(caller)

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
                self._weigh(queue)

    def _weigh(self, queue: Queue) -> None:
        if queue.weigh():
            self._matcher.rearrange(queue)
            for caller in tuple(queue.callers):
                if 0 <= caller.ring < queue.least_ring:
                    self._widen(caller)
