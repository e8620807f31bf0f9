"""Laws that hold whatever happens: random lives of a real distributor, told to a fold."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from acd import facts
from acd.core.actions import Offer
from acd.core.events import (
    AgentLoggedIn,
    AgentLoggedOut,
    AgentPaused,
    AgentReady,
    AgentRegistered,
    AgentUnregistered,
    CallArrived,
    CallEnded,
    CallHeld,
    CallLeft,
    CallMoved,
    CallRetrieved,
    Event,
    FailCause,
    LeftCause,
    OfferAnswered,
    OfferFailed,
    OfferRinging,
)
from acd.kpi.fold import Fold
from acd.kpi.grid import WHOLE, Grid
from acd.kpi.tally import Interval
from tests.acd.core.virtual_floor import Floor, agent
from tests.acd.kpi.day import MIDNIGHT

CALLS = [f"c{number}" for number in range(8)]
QUEUES = ["sales", "support"]
calls, queues, agents = st.sampled_from(CALLS), st.sampled_from(QUEUES), st.sampled_from(["ann", "bob", "cem"])
EVENTS = st.one_of(
    st.builds(CallArrived, calls, queues, number=st.sampled_from(["10000", "10001"])),
    st.builds(CallMoved, calls, queues),
    st.builds(CallLeft, calls, st.sampled_from(LeftCause)),
    *(st.builds(event, calls) for event in (CallEnded, CallHeld, CallRetrieved)),
    *(
        st.builds(event, agents)
        for event in (AgentRegistered, AgentUnregistered, AgentLoggedIn, AgentLoggedOut, AgentPaused, AgentReady)
    ),
    st.sampled_from(["ring", "answer", *FailCause]),
)
LIVES = st.lists(st.tuples(st.one_of(st.just(0.0), st.floats(0.001, 400.0)), EVENTS), max_size=60)


class Told:
    """A floor with three agents whose facts are told to folds, each stamped as the log does."""

    def __init__(self, *folds: Fold) -> None:
        self.folds = folds
        self.floor = Floor(agent("ann", "sales"), agent("bob", *QUEUES), agent("cem", "support", wrap_up=30))
        self.offers: list[Offer] = []
        self.logged_in: dict[str, list[float]] = {}
        self.seen = set[str]()
        self.take([])

    def live(self, life: list[tuple[float, Any]]) -> None:
        for seconds, event in life:
            self.pass_time(seconds)
            if not isinstance(event, str):
                if isinstance(event, CallArrived):
                    if event.call_id in self.seen:
                        continue
                    self.seen.add(event.call_id)
                self.take(self.floor.tell(event))
            elif self.offers:
                offer = self.offers[-1]
                ids = (offer.call_id, offer.agent_id, offer.epoch)
                kinds: dict[str, Event] = {"ring": OfferRinging(*ids), "answer": OfferAnswered(*ids)}
                self.take(self.floor.tell(kinds.get(event) or OfferFailed(*ids, FailCause(event))))

    def pass_time(self, seconds: float) -> None:
        until = self.floor.now + seconds
        while (due := self.floor.distributor.next_deadline()) is not None and due <= until:
            self.take(self.floor.run_until(max(due, self.floor.now)))
        self.take(self.floor.run_until(until))

    def take(self, actions: list[Any]) -> None:
        self.offers += [action for action in actions if isinstance(action, Offer)]
        for fact in self.floor.distributor.take_facts():
            if isinstance(fact, facts.AgentChanged) and "logged_out" in (fact.old, fact.new):
                self.logged_in.setdefault(fact.agent, []).append(self.now)
            for fold in self.folds:
                fold.append(fact, self.now)

    @property
    def now(self) -> float:
        return MIDNIGHT + self.floor.now

    def shift(self, name: str) -> float:
        """How long an agent was logged in, from the instants at which he came and went."""
        instants = self.logged_in.get(name, [])
        instants = [*instants, self.now] if len(instants) % 2 else instants
        return math.fsum(end - start for start, end in zip(instants[::2], instants[1::2], strict=True))


@settings(deadline=None)
@given(LIVES)
def test_no_caller_is_lost_and_no_second_of_an_agent(life: list[tuple[float, Any]]) -> None:
    told = Told(Fold(Grid(60.0)), Fold(Grid(WHOLE)))
    told.live(life)
    for fold in told.folds:
        assert fold.imbalances() == []
        assert fold.ignored == 0
        intervals = fold.intervals(told.now)
        for name in ("ann", "bob", "cem"):
            spent = sum(sum(i.agents[name].seconds.values()) for i in intervals if name in i.agents)
            assert spent == told.shift(name)  # exactly


@settings(deadline=None)
@given(LIVES)
def test_the_floor_counts_as_the_fold_does(life: list[tuple[float, Any]]) -> None:
    told = Told(Fold(Grid(WHOLE)))
    told.live(life)
    found = told.folds[0].intervals(told.now)
    for queue in told.floor.distributor.snapshot(told.floor.now).queues:
        mine = found[0].queues.get(queue.id) if found else None
        if mine is None:
            assert queue.offered == 0
            continue
        assert (mine.offered, mine.answered, mine.abandoned, mine.overflowed + mine.called_back, mine.released) == (
            queue.offered,
            queue.answered,
            queue.abandoned,
            queue.overflowed,
            queue.released,
        )
        assert mine.waiting == queue.waiting
        assert mine.answered_in_time / mine.offered == queue.service_level


@settings(deadline=None)
@given(LIVES)
def test_a_finer_grid_adds_up_to_a_coarser_one(life: list[tuple[float, Any]]) -> None:
    told = Told(Fold(Grid(60.0)), Fold(Grid(WHOLE)))
    told.live(life)
    fine, whole = (fold.intervals(told.now) for fold in told.folds)

    def total(intervals: list[Interval], name: str) -> Any:
        return sum(getattr(calls, name) for i in intervals for calls in i.queues.values())

    for name in ("offered", "answered", "abandoned", "overflowed", "released", "handled", "offers", "refused"):
        assert total(fine, name) == total(whole, name)
        assert name in {"offered", "abandoned", "overflowed", "released"} or total(whole, name) == sum(
            getattr(work, name) for i in whole for work in i.agents.values()
        )
    for name in ("answer_seconds", "abandon_seconds", "talk_seconds", "hold_seconds", "wrap_up_seconds"):
        assert math.isclose(total(fine, name), total(whole, name), abs_tol=1e-6)


@settings(deadline=None)
@given(LIVES)
def test_numbers_count_each_caller_once(life: list[tuple[float, Any]]) -> None:
    told = Told(Fold(Grid(WHOLE)))
    told.live(life)
    offered = sum(calls.offered for i in told.folds[0].intervals() for calls in i.numbers.values())
    assert offered == len(told.seen)
