"""What becomes of callers: counted in the interval in which they were offered, however late it happens.

So the callers of an interval and what became of them belong together. A caller who is moved to another queue has
overflowed out of the first one and is offered to the second one, then. For the number that he dialled he was offered
once, in the interval in which he took his first place.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from acd import facts
from acd.core.events import FailCause, LeftCause
from acd.kpi.tally import Calls, Interval, time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from acd.kpi.timeline import Timeline

_FAILURES: Final = {
    FailCause.REFUSED.value: "refused",
    FailCause.BUSY.value: "refused",
    FailCause.NO_ANSWER.value: "unanswered",
}

Place = tuple[Interval, Calls, Calls, float]
"""Where a caller is counted: in which interval, as a caller of the queue, of the number; and the queue's threshold."""


class Callers:
    """The calls under way, and the tallies that they are counted in.

    `worked_for` maps an agent to the place of the caller talked to last, whom his wrap-up is for; whoever counts that
    takes it away. `ignored` counts facts about calls that are not known, as those offered before the first fact.
    """

    def __init__(self, timeline: Timeline, thresholds: tuple[float, ...]) -> None:
        self.worked_for: dict[str, Place] = {}
        self.ignored = 0
        self._timeline = timeline
        self._thresholds = thresholds
        self._numbers: dict[str, str] = {}
        self._waiting: dict[str, Place] = {}
        self._talking: dict[str, Place] = {}
        self._overflowed: dict[str, Place] = {}
        self._owed: dict[str, Place] = {}
        self.handlers: dict[type[facts.Fact], Callable[[Any, float], None]] = {
            facts.CallArrived: self._arrived,
            facts.CallTurnedAway: self._turned_away,
            facts.CallQueued: self._queued,
            facts.CallMoved: self._moved,
            facts.OfferMade: self._offer_made,
            facts.OfferFailed: self._offer_failed,
            facts.CallConnected: self._connected,
            facts.TalkEnded: self._talk_ended,
            facts.CallLeft: self._left,
            facts.CallEnded: self._ended,
            facts.CallbackOwed: self._callback_owed,
            facts.CallbackSettled: self._callback_settled,
        }

    def under_way(self) -> Iterator[Place]:
        """The places of all who wait or talk."""
        yield from self._waiting.values()
        yield from self._talking.values()

    def waiting(self) -> Iterator[Place]:
        """The places of all who wait."""
        yield from self._waiting.values()

    # Up to the end of the wait

    def _arrived(self, fact: facts.CallArrived, _at: float) -> None:
        self._numbers[fact.call] = fact.number

    def _turned_away(self, fact: facts.CallTurnedAway, _at: float) -> None:
        interval = self._timeline.current
        self._calls(interval.queues, fact.queue).turned_away += 1
        self._calls(interval.numbers, self._numbers.get(fact.call, "")).turned_away += 1

    def _queued(self, fact: facts.CallQueued, _at: float) -> None:
        timeline = self._timeline
        interval = timeline.current
        queue = interval.queues.get(fact.queue) or self._calls(interval.queues, fact.queue)
        dialled = fact.number or self._numbers.get(fact.call, "")
        number = interval.numbers.get(dialled) or self._calls(interval.numbers, dialled)
        queue.offered += 1
        number.offered += 1
        self._waiting[fact.call] = (interval, queue, number, timeline.policy.threshold(fact.queue))

    def _moved(self, fact: facts.CallMoved, _at: float) -> None:
        place = self._waiting.get(fact.call)
        if place is None:
            self.ignored += 1
            return
        _, first, number, _ = place
        first.overflowed += 1
        interval = self._timeline.current
        queue = self._calls(interval.queues, fact.to)
        queue.offered += 1
        self._waiting[fact.call] = (interval, queue, number, self._timeline.policy.threshold(fact.to))

    def _left(self, fact: facts.CallLeft, _at: float) -> None:
        place = self._waiting.pop(fact.call, None)
        if place is None:
            self.ignored += 1
            return
        _, queue, number, threshold = place
        waited = fact.waited
        for calls in (queue, number):
            calls.longest_wait = max(calls.longest_wait, waited)
            if fact.cause == LeftCause.ABANDONED:
                calls.abandoned += 1
                calls.abandon_seconds += waited
                calls.abandoned_by[bisect_left(self._thresholds, waited)] += 1
                if waited <= threshold:
                    calls.abandoned_in_time += 1
            elif fact.cause == LeftCause.OVERFLOWED:
                calls.overflowed += 1
                calls.other_seconds += waited
                self._overflowed[fact.call] = place
            else:
                calls.released += 1
                calls.other_seconds += waited

    def _ended(self, fact: facts.CallEnded, _at: float) -> None:
        """Forget the call. Who waits still was released; who talks had no end of it: so the start after a crash."""
        place = self._waiting.pop(fact.call, None)
        if place is not None:
            place[1].released += 1
            place[2].released += 1
        self._talking.pop(fact.call, None)
        self._overflowed.pop(fact.call, None)
        self._numbers.pop(fact.call, None)

    # Offers and talks

    def _offer_made(self, fact: facts.OfferMade, _at: float) -> None:
        place = self._waiting.get(fact.call)
        if place is None:
            self.ignored += 1
            return
        interval, queue, number, _ = place
        agent = interval.agents.get(fact.agent) or time_of(interval, fact.agent)
        queue.offers += 1
        number.offers += 1
        agent.offers += 1

    def _offer_failed(self, fact: facts.OfferFailed, _at: float) -> None:
        place = self._waiting.get(fact.call)
        if place is None:
            self.ignored += 1
            return
        name = _FAILURES.get(fact.cause, "unreachable")
        for work in (place[1], place[2], time_of(place[0], fact.agent)):
            setattr(work, name, getattr(work, name) + 1)

    def _connected(self, fact: facts.CallConnected, _at: float) -> None:
        place = self._waiting.pop(fact.call, None)
        if place is None:
            self.ignored += 1
            return
        self._talking[fact.call] = place
        interval, queue, number, threshold = place
        agent = interval.agents.get(fact.agent) or time_of(interval, fact.agent)
        agent.answered += 1
        waited = fact.waited
        index = bisect_left(self._thresholds, waited)
        for calls in (queue, number):
            calls.answered += 1
            calls.answer_seconds += waited
            calls.answered_by[index] += 1
            if waited <= threshold:
                calls.answered_in_time += 1
            if waited > calls.longest_wait:  # noqa: PLR1730 - a call of max() costs as much as all of this
                calls.longest_wait = waited

    def _talk_ended(self, fact: facts.TalkEnded, _at: float) -> None:
        place = self._talking.pop(fact.call, None)
        if place is None:
            self.ignored += 1
            return
        interval, queue, number, _ = place
        held = fact.held
        talked = fact.talked - held
        for work in (queue, number, interval.agents.get(fact.agent) or time_of(interval, fact.agent)):
            work.handled += 1
            work.talk_seconds += talked
            work.hold_seconds += held
        self.worked_for[fact.agent] = place

    # Promises

    def _callback_owed(self, fact: facts.CallbackOwed, _at: float) -> None:
        place = self._waiting.pop(fact.call, None)
        if place is None:
            place = self._overflowed.pop(fact.call, None)
            if place is None:
                self.ignored += 1
                return
            place[1].overflowed -= 1  # this is where he went
            place[2].overflowed -= 1
        self._owed[fact.call] = place
        place[1].called_back += 1
        place[2].called_back += 1

    def _callback_settled(self, fact: facts.CallbackSettled, _at: float) -> None:
        place = self._owed.pop(fact.call, None)
        if place is None:
            self.ignored += 1
        elif fact.outcome == "kept":
            place[1].callbacks_kept += 1
            place[2].callbacks_kept += 1
        else:
            place[1].callbacks_dropped += 1
            place[2].callbacks_dropped += 1

    def _calls(self, tallies: dict[str, Calls], name: str) -> Calls:
        calls = tallies.get(name)
        if calls is None:
            calls = tallies[name] = Calls(len(self._thresholds))
        return calls
