"""The virtual clock: one heap of what is to come, the engine's distributor, and nothing else.

The loop does what `acd.dispatcher` and `acd.services` do in the server: it tells the distributor what happens and
performs its actions, only that a phone that rings and a caller who talks are numbers here. What it keeps by itself
(who waits, who rings, how long) is written down independently of the distributor, so that `acd.simulation.laws` can
hold one against the other.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from acd import facts
from acd.cdr import EndedBy, Outcome
from acd.core.actions import Action, Connected, Divert, Offer, Refused, Withdraw
from acd.core.agents import AgentState
from acd.core.events import CallEnded, CallLeft, Event, FailCause, LeftCause, OfferAnswered, OfferFailed
from acd.gate import Gate, outcome_of
from acd.simulation.laws import LawBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from acd.core.distributor import Distributor
    from acd.simulation.scenario import Caller, Phones


OPEN = Gate()
MONDAY = 1767571200.0  # 2026-01-05 00:00 UTC


class Observer(Protocol):
    """Who is told of facts of some kinds, as `acd.kpi` is."""

    @property
    def kinds(self) -> Collection[str]:
        """The kinds meant, by `Fact.KIND`."""

    def append(self, fact: facts.Fact, at: float) -> None:
        """Take a fact that happened at `at`."""


class World:
    """A floor on a virtual clock, in unix seconds from `start` on.

    `callers` are in the order of arrival; `agenda` is what agents do, by the clock, in any order. `gates` stand before
    the queues; where there is none, a caller is let in if an agent is logged in. `observers` are told the facts with
    their time, as the event log is.

    A clock of today (2004 to 2038) counts in steps of 2**-22 s, so that differences of instants, and sums of them up
    to 2**31 s, are exact numbers: the laws of conservation need no tolerance.
    """

    def __init__(
        self,
        distributor: Distributor,
        callers: Iterable[Caller],
        phones: Phones,
        agenda: Iterable[tuple[float, Event]] = (),
        *,
        start: float = MONDAY,
        gates: Mapping[str, Gate] | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.distributor = distributor
        self.start = self.now = start
        self.callers: list[Caller] = []
        self.waiting = 0
        self.waiting_seconds = 0.0
        self.talking_seconds = 0.0
        self.talks: dict[str, Caller] = {}
        self.ringing: dict[tuple[str, str], Offer] = {}
        self.hands: dict[str, int] = {}
        self._coming = iter(callers)
        self._phones = phones
        self._gates = gates or {}
        self._listeners: dict[type[facts.Fact], list[Callable[[facts.Fact, float], object]]] = {}
        for observer in observers:
            for kind in observer.kinds:
                self._listeners.setdefault(facts.KINDS[kind], []).append(observer.append)
        self.inside: dict[str, Caller] = {}
        self._numbers = count()
        self._heap: list[tuple[float, int, Callable[[Any, float], None], Any]] = []
        self._performers: dict[type[Action], Callable[[Any, float], None]] = {
            Offer: self._ring,
            Withdraw: self._silence,
            Connected: self._talk,
            Refused: self._refused,
            Divert: self._divert,
        }
        self._note(_standing(distributor, start), start)
        for at, event in agenda:
            self._at(at, self._tell, event)
        self._at(inf, self._tell, None)
        self._expect_caller()

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits or talks and nobody will come."""
        return not (self.inside or self.talks or self._more)

    def run(self, until: float) -> None:
        """Let everything happen that happens by `until`, and set the clock there."""
        self._run(until, to_the_end=False)
        self._pass(until)

    def finish(self, limit: float = inf) -> None:
        """Let everything happen until nobody is left, or by `limit`: a run that starts and ends empty."""
        self._run(limit, to_the_end=True)
        if not self.is_empty and limit < inf:
            self._pass(limit)

    def _run(self, until: float, *, to_the_end: bool) -> None:
        heap, distributor = self._heap, self.distributor
        next_deadline = distributor.next_deadline
        while not (to_the_end and self.is_empty):
            at = heap[0][0]
            due = next_deadline()
            if due is not None and due <= at:
                if due > until:
                    return
                self._pass(due)
                self._act(distributor.handle_timer(due), due)
            elif at > until or at == inf:
                return
            else:
                _, _, happen, what = heappop(heap)
                self._pass(at)
                happen(what, at)

    def _pass(self, now: float) -> None:
        seconds = now - self.now
        self.waiting_seconds += self.waiting * seconds
        self.talking_seconds += len(self.talks) * seconds
        self.now = now

    def _at(self, at: float, happen: Callable[[Any, float], None], what: Any) -> None:
        heappush(self._heap, (at, next(self._numbers), happen, what))

    def _tell(self, event: Event, now: float) -> None:
        self._act(self.distributor.handle(event, now), now)

    def _act(self, actions: list[Action], now: float) -> None:
        for fact in self.distributor.take_facts():
            for observe in self._listeners.get(type(fact), ()):
                observe(fact, now)
        for action in actions:
            perform = self._performers.get(type(action))
            if perform is not None:
                perform(action, now)

    # Callers

    def _expect_caller(self) -> None:
        caller = next(self._coming, None)
        self._more = caller is not None
        if caller is not None:
            if caller.at < self.now:
                raise ValueError(f"{caller.arrival.call_id} comes before the one before him")
            self._at(caller.at, self._arrive, caller)

    def _arrive(self, caller: Caller, now: float) -> None:
        self._expect_caller()
        self.callers.append(caller)
        call_id, queue = caller.arrival.call_id, caller.arrival.queue
        self._note(facts.CallArrived(call_id, "", caller.number, ""), now)
        refused = self._gates.get(queue, OPEN).refuses(self.distributor, queue, now)
        if refused is not None:
            self._turn_away(caller, refused, now)
            return
        self.inside[call_id] = caller
        self.waiting += 1
        self._act(self.distributor.handle(caller.arrival, now), now)
        if caller.outcome is None and caller.patience < inf:
            self._at(now + caller.patience, self._hang_up, caller)

    def _turn_away(self, caller: Caller, outcome: Outcome, now: float) -> None:
        caller.outcome = outcome
        self._note(facts.CallTurnedAway(caller.arrival.call_id, caller.arrival.queue, outcome), now)
        self._note(facts.CallEnded(caller.arrival.call_id, outcome, EndedBy.SYSTEM), now)

    def _refused(self, refused: Refused, now: float) -> None:
        self._leave(self.inside[refused.call_id], Outcome.DRAINED, now)

    def _divert(self, divert: Divert, now: float) -> None:
        caller = self.inside[divert.call_id]
        outcome = outcome_of(divert)
        if outcome is Outcome.CALLBACK:
            waited = caller.arrival.waited_seconds + now - caller.at
            self._note(facts.CallbackOwed(divert.call_id, divert.queue, "", caller.arrival.priority, waited), now)
        self._leave(caller, outcome, now)

    def _hang_up(self, caller: Caller, now: float) -> None:
        if caller.outcome is None:
            self._leave(caller, Outcome.ABANDONED, now, CallLeft(caller.arrival.call_id, LeftCause.ABANDONED))

    def _leave(self, caller: Caller, outcome: Outcome, now: float, news: CallLeft | None = None) -> None:
        """Let a caller go without an answer; `news` is for a distributor that does not know."""
        del self.inside[caller.arrival.call_id]
        self.waiting -= 1
        caller.outcome, caller.waited = outcome, now - caller.at
        if news is not None:
            self._tell(news, now)
        ended_by = EndedBy.SYSTEM if news is None else EndedBy.CALLER
        self._note(facts.CallEnded(caller.arrival.call_id, outcome, ended_by), now)

    # Phones

    def _ring(self, offer: Offer, now: float) -> None:
        if offer.call_id not in self.inside:
            raise LawBroken(f"at {now:.3f} s {offer.call_id}, who does not wait, is offered to {offer.agent_id}")
        self._take_hand(offer.agent_id, now)
        self.ringing[offer.call_id, offer.agent_id] = offer
        delay, failure = self._phones.ring(offer.agent_id, now)
        if delay < inf:
            self._at(now + delay, self._fail if failure else self._pick_up, (offer, failure))

    def _take_hand(self, agent_id: str, now: float) -> None:
        taken = self.hands[agent_id] = self.hands.get(agent_id, 0) + 1
        if taken > 1 and taken > self.distributor.agent(agent_id).profile.capacity:
            raise LawBroken(f"at {now:.3f} s {agent_id} is offered a caller and has {taken - 1} already")

    def _silence(self, withdraw: Withdraw, _: float) -> None:
        if self.ringing.pop((withdraw.call_id, withdraw.agent_id), None) is not None:
            self.hands[withdraw.agent_id] -= 1

    def _pick_up(self, said: tuple[Offer, None], now: float) -> None:
        offer = said[0]
        if self.ringing.get((offer.call_id, offer.agent_id)) is offer:
            self._tell(OfferAnswered(offer.call_id, offer.agent_id, offer.epoch), now)

    def _fail(self, said: tuple[Offer, FailCause], now: float) -> None:
        offer, cause = said
        if self.ringing.get((offer.call_id, offer.agent_id)) is offer:
            del self.ringing[offer.call_id, offer.agent_id]
            self.hands[offer.agent_id] -= 1
            self._tell(OfferFailed(offer.call_id, offer.agent_id, offer.epoch, cause), now)

    # Talks

    def _talk(self, connected: Connected, now: float) -> None:
        if self.ringing.pop((connected.call_id, connected.agent_id), None) is None:
            raise LawBroken(
                f"at {now:.3f} s {connected.call_id} talks to {connected.agent_id}, whose phone did not ring"
            )
        caller = self.inside.pop(connected.call_id)
        self.waiting -= 1
        caller.outcome, caller.waited, caller.answered_by = Outcome.ANSWERED, now - caller.at, connected.agent_id
        self.talks[connected.call_id] = caller
        self._at(now + caller.service, self._end, caller)

    def _end(self, caller: Caller, now: float) -> None:
        call_id = caller.arrival.call_id
        del self.talks[call_id]
        self.hands[caller.answered_by] -= 1
        self._tell(CallEnded(call_id), now)
        self._note(facts.CallEnded(call_id, Outcome.ANSWERED, EndedBy.CALLER), now)

    def _note(self, fact: facts.Fact, now: float) -> None:
        for observe in self._listeners.get(type(fact), ()):
            observe(fact, now)


def _standing(distributor: Distributor, now: float) -> facts.FloorStood:
    """How everybody stands before anything happens."""
    agents = distributor.snapshot(now).agents
    return facts.FloorStood(
        tuple(
            (agent.id, agent.state, 0.0, agent.reason, "", "")
            for agent in agents
            if agent.state is not AgentState.LOGGED_OUT
        )
    )
