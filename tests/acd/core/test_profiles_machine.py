"""Random lives of floors with random profiles, every decision checked against `NaiveFloor`, which looks at all."""

from random import Random
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from acd import facts
from acd.core.actions import Action, AgentChanged, Connected, Offer, Withdraw, WithdrawCause
from acd.core.agents import IN_CALL, OFFERED, AgentState
from acd.core.distributor import Distributor
from acd.core.events import (
    AgentBusy,
    AgentForced,
    AgentIdle,
    AgentLoggedOut,
    AgentPaused,
    AgentReady,
    AgentRegistered,
    AgentUnregistered,
    CallArrived,
    CallConsulting,
    CallHeld,
    CallLeft,
    CallMoved,
    CallRetrieved,
    Event,
    FailCause,
    Forced,
    LeftCause,
    OfferAnswered,
    OfferFailed,
    OfferRinging,
)
from acd.core.needs import Needs, needs
from acd.core.policies import POLICIES
from acd.core.profiles import AgentProfile, Membership, QueueProfile, Ring, UnderLoad
from tests.acd.core.naive_floor import BookedAgent, NaiveFloor

SKILLS = ["en", "zh", "sales"]
AGENTS = ["ann", "bob", "cem", "dot", "eve"]

any_index = st.integers(0, 1 << 16)
levels = st.dictionaries(st.sampled_from(SKILLS), st.integers(1, 3), max_size=2)
strategies = st.lists(st.sampled_from(sorted(POLICIES)), min_size=1, max_size=3, unique=True).map(tuple)
some_needs = st.one_of(
    st.just(needs()),
    st.builds(needs, levels),
    st.builds(needs, levels, levels, st.lists(st.sampled_from(SKILLS), max_size=1)),
)
patience = st.sampled_from([0.0, 6.0, 6.0])


@st.composite
def queues(draw: st.DrawFn, queue_id: str) -> QueueProfile:
    widenings = st.builds(
        Ring,
        st.sampled_from([0.0, 3.0, 10.0, 30.0]),
        st.lists(st.sampled_from(SKILLS), max_size=1).map(tuple),
        st.integers(0, 1),
        st.sampled_from([0, 0, 1, 2, 3]),
    )
    rings = tuple(sorted(draw(st.lists(widenings, max_size=2)), key=lambda ring: ring.after_seconds))
    from_waiting = draw(st.integers(1, 4))
    load = st.builds(
        UnderLoad,
        st.just(from_waiting),
        st.integers(0, from_waiting - 1),
        st.one_of(st.just(()), strategies),
        st.integers(0, len(rings)),
    )
    return QueueProfile(
        queue_id,
        queue_id.title(),
        ring_seconds=draw(st.sampled_from([7.0, 20.0])),
        wrap_up_seconds=draw(st.sampled_from([0.0, 4.0])),
        strategy=draw(strategies),
        ring_all=draw(st.sampled_from([False, False, True])),
        ageing_seconds=draw(st.sampled_from([0.0, 0.0, 5.0])),
        weight=draw(st.sampled_from([1.0, 1.0, 3.0])),
        rings=rings,
        under_load=draw(st.one_of(st.none(), load)),
    )


@st.composite
def floors(draw: st.DrawFn) -> tuple[list[QueueProfile], list[AgentProfile]]:
    queue_ids = draw(st.permutations(["red", "green", "blue"]))[: draw(st.sampled_from([1, 1, 2, 2, 3]))]
    agent_ids = draw(st.permutations(AGENTS))[: draw(st.integers(2, 5))]
    members = st.builds(Membership, st.sampled_from(queue_ids), st.integers(1, 3), st.sampled_from([0.5, 1.0, 4.0]))
    profiles = st.builds(
        AgentProfile,
        st.just(""),
        st.just(""),
        st.lists(members, min_size=1, max_size=2, unique_by=lambda member: member.queue).map(tuple),
        refuse_delay_seconds=st.sampled_from([0.0, 5.0]),
        refuse_delays=st.one_of(st.just({}), st.just({FailCause.BUSY: 3.0, FailCause.NO_ANSWER: 0.0})),
        skills=levels,
        pause_after_missed=st.sampled_from([0, 0, 2]),
        capacity=st.sampled_from([1, 1, 2]),
    )
    found = []
    for agent_id in agent_ids:
        drawn = draw(profiles)
        found.append(AgentProfile(agent_id, **{field: getattr(drawn, field) for field in FIELDS}))
    return [draw(queues(queue_id)) for queue_id in queue_ids], found


FIELDS = [field for field in AgentProfile.__struct_fields__ if field != "id"]


class ProfilesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.book = NaiveFloor()
        self.offers: list[Offer] = []
        self.arrivals = 0
        self.now = 0.0

    @initialize(floor=floors(), absent=st.integers(0, 2), seed=any_index)
    def open(self, floor: tuple[list[QueueProfile], list[AgentProfile]], absent: int, seed: int) -> None:
        self.distributor = Distributor(*floor, random=Random(seed).random)
        self.book.install(*floor)
        self.number()
        self.after([])
        for agent in floor[1][absent:]:
            self.now += 1.0
            self.bind(AGENTS.index(agent.id), present=True)

    # What is done

    def tell(self, event: Event) -> list[Action]:
        self.before()
        actions = self.distributor.handle(event, self.now)
        self.after(actions)
        return actions

    def before(self) -> None:
        resting = {a: due for a in self.book.agents if (due := self.distributor.agent(a).due) is not None}
        self.book.now = self.now
        self.book.ending = {agent for agent, due in resting.items() if due <= self.now}
        self.book.delayed = resting.keys() - self.book.ending

    def number(self) -> None:
        self.book.numbered = {agent: self.distributor.agent(agent).seq for agent in self.book.profiles}
        assert sorted(set(self.book.numbered.values())) == list(self.book.numbered.values())

    def after(self, actions: list[Action]) -> None:
        told = self.distributor.take_facts()
        self.book.fold(told)
        self.offers += [action for action in actions if isinstance(action, Offer)]
        self.compare(actions, told)

    @staticmethod
    def compare(actions: list[Action], told: list[facts.Fact]) -> None:
        """Actions and facts tell the same story in the same order."""
        done: list[Any] = []
        for action in actions:
            match action:
                case Offer(call, agent, epoch, _):
                    done.append(("offered", call, agent, epoch))
                case Withdraw(call, agent, epoch, cause) if cause is not WithdrawCause.STALE:
                    done.append(("ended", call, agent, epoch))
                case Connected(call, agent, epoch, queue, waited):
                    done.append(("connected", call, agent, epoch, queue, waited))
        said: list[Any] = []
        for fact in told:
            match fact:
                case facts.OfferMade():
                    said.append(("offered", fact.call, fact.agent, fact.epoch))
                case facts.OfferWithdrawn() | facts.OfferFailed(cause=FailCause.NO_ANSWER):
                    said.append(("ended", fact.call, fact.agent, fact.epoch))
                case facts.CallConnected():
                    said.append(("connected", fact.call, fact.agent, fact.epoch, fact.queue, fact.waited))
        assert all(story[0] == "ended" for story in said if story not in done)  # the phone itself said that it rang out
        assert [story for story in said if story in done] == done
        assert [(a.agent_id, a.old, a.new, a.reason) for a in actions if isinstance(a, AgentChanged)] == [
            (f.agent, f.old, f.new, f.reason) for f in told if isinstance(f, facts.AgentChanged)
        ]

    # Calls

    @rule(
        queue=any_index,
        priority=st.sampled_from([0, 0, 1, 2]),
        wanted=some_needs,
        prefers=st.sampled_from(["", *AGENTS]),
        patience_seconds=patience,
        waited_seconds=st.sampled_from([0.0, 0.0, 8.0]),
    )
    def arrive(self, queue: int, priority: int, wanted: Needs, **kept: Any) -> None:
        self.arrivals += 1
        call_id = f"c{self.arrivals}"
        event = CallArrived(call_id, self.a_queue(queue), priority, wanted, **kept)
        self.book.arriving = event
        self.tell(event)
        assert call_id in self.book.calls

    @rule(queue=any_index, priority=st.integers(0, 1), number=st.integers(1, 4))
    def several_arrive(self, queue: int, priority: int, number: int) -> None:
        for _ in range(number):
            self.arrive(queue, priority, needs())

    @precondition(lambda self: self.book.calls)
    @rule(index=any_index, cause=st.sampled_from(LeftCause))
    def go(self, index: int, cause: LeftCause) -> None:
        call_id = self.a_call(index)
        self.tell(CallLeft(call_id, cause))
        assert call_id not in self.book.calls

    @precondition(lambda self: self.book.calls)
    @rule(index=any_index, event=st.sampled_from([CallHeld, CallConsulting, CallRetrieved]))
    def turn(self, index: int, event: type[CallHeld]) -> None:
        self.tell(event(self.a_call(index)))

    @precondition(lambda self: self.book.calls)
    @rule(index=any_index, queue=any_index)
    def move(self, index: int, queue: int) -> None:
        self.tell(CallMoved(self.a_call(index), self.a_queue(queue)))

    def a_queue(self, index: int) -> str:
        ids = [queue for queue, profile in self.book.queues.items() if queue in self.configured]
        return ids[index % len(ids)]

    @property
    def configured(self) -> set[str]:
        return {queue.id for queue in self.distributor._queues.values() if not queue.closing}

    def a_call(self, index: int) -> str:
        return list(self.book.calls)[index % len(self.book.calls)]

    # Phones, which may be late with any offer there ever was

    @precondition(lambda self: self.offers)
    @rule(late=any_index)
    def ring(self, late: int) -> None:
        offer = self.an_offer(late)
        self.tell(OfferRinging(offer.call_id, offer.agent_id, offer.epoch))

    @precondition(lambda self: self.offers)
    @rule(late=any_index)
    def answer(self, late: int) -> None:
        offer = self.an_offer(late)
        live = self.is_live(offer)
        actions = self.tell(OfferAnswered(offer.call_id, offer.agent_id, offer.epoch))
        assert any(isinstance(action, Connected) for action in actions) is live

    @precondition(lambda self: self.offers)
    @rule(late=any_index, cause=st.sampled_from(FailCause))
    def fail(self, late: int, cause: FailCause) -> None:
        offer = self.an_offer(late)
        live = self.is_live(offer)
        actions = self.tell(OfferFailed(offer.call_id, offer.agent_id, offer.epoch, cause))
        assert live or actions == []

    @rule(late=any_index)
    def all_answer(self, late: int) -> None:
        for offer in reversed(self.offers) if late % 2 else tuple(self.offers):
            if self.is_live(offer):
                self.tell(OfferAnswered(offer.call_id, offer.agent_id, offer.epoch))

    def an_offer(self, late: int) -> Offer:
        live = [offer for offer in self.offers if self.is_live(offer)]
        found = live if live and late % 4 else self.offers
        return found[late // 4 % len(found)]

    def is_live(self, offer: Offer) -> bool:
        call = self.book.calls.get(offer.call_id)
        return call is not None and offer.epoch in call.offers

    # Agents

    @rule(agent=st.integers(0, 4), present=st.booleans())
    def bind(self, agent: int, present: bool) -> None:
        booked = self.booked(AGENTS[agent])
        if booked.bound is not present:
            booked.bound = present
            self.disturb(booked)
            if not present:
                booked.wraps_until = 0.0
        self.tell(AgentRegistered(AGENTS[agent]) if present else AgentUnregistered(AGENTS[agent]))

    def booked(self, agent: str) -> BookedAgent:
        return self.book.agents.get(agent, BookedAgent(agent))

    @staticmethod
    def disturb(booked: BookedAgent) -> None:
        if booked.talks:
            booked.rests_until = 0.0

    @rule(agent=st.sampled_from(AGENTS), event=st.sampled_from([AgentReady, AgentReady, AgentLoggedOut, AgentPaused]))
    def wish(self, agent: str, event: type[AgentReady]) -> None:
        if event is AgentReady:
            self.booked(agent).rests_until = self.booked(agent).wraps_until = 0.0
        self.tell(event(agent))

    @rule(agent=st.sampled_from(AGENTS), state=st.sampled_from(Forced))
    def force(self, agent: str, state: Forced) -> None:
        if state is Forced.READY:
            self.booked(agent).outside.clear()
            self.booked(agent).rests_until = self.booked(agent).wraps_until = 0.0
        self.tell(AgentForced(agent, state, "meeting"))

    @rule(agent=st.sampled_from(AGENTS), present=st.booleans())
    def dial_out(self, agent: str, present: bool) -> None:
        booked = self.booked(agent)
        if present is not bool(booked.outside):
            booked.outside ^= {"x"}
            self.disturb(booked)
        self.tell(AgentBusy(agent, "x") if present else AgentIdle(agent, "x"))

    @rule(floor=floors())
    def install(self, floor: tuple[list[QueueProfile], list[AgentProfile]]) -> None:
        self.before()
        waiting = {call.id for call in self.book.calls.values() if not call.agent}
        policy = self.distributor.policy
        self.book.install(*floor)
        self.book.installing = True
        actions = self.distributor.install(*floor, self.now)
        self.number()
        self.after(actions)
        self.book.installing = False
        assert self.distributor.policy == policy + 1
        assert waiting == {call.id for call in self.book.calls.values() if not call.agent}, "a caller was lost"

    # Time

    @rule(seconds=st.sampled_from([0.5, 3.0, 5.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.run_until(self.now + seconds)

    @rule(seconds=st.sampled_from([5.0, 25.0]))
    def oversleep(self, seconds: float) -> None:
        self.now += seconds
        self.handle_timer()

    def run_until(self, time: float) -> None:
        while (deadline := self.distributor.next_deadline()) is not None and deadline <= time:
            assert deadline >= self.now
            self.now = deadline
            self.handle_timer()
        self.now = time

    def handle_timer(self) -> None:
        self.before()
        self.after(self.distributor.handle_timer(self.now))

    # What must hold

    @invariant()
    def no_deadline_is_overdue(self) -> None:
        deadline = self.distributor.next_deadline()
        assert deadline is None or deadline > self.now

    @invariant()
    def agents_do_what_their_ties_make_of_them(self) -> None:
        for agent_id, booked in self.book.agents.items():
            agent = self.distributor.agent(agent_id)
            assert agent.state is booked.state
            assert booked.state is self.due_state(booked, wrapping=agent.wrapping is not None)
            assert (agent.offer.epoch if agent.offer else 0) == booked.offer
            assert [tie.caller.id for tie in agent.talks] == booked.talks
            if agent.offer is not None:
                assert agent.offer.due is not None, "a phone rings for ever"
            if agent.wrapping is not None:
                assert agent.due is not None, "wrap-up without an end"

    @staticmethod
    def due_state(booked: BookedAgent, *, wrapping: bool) -> AgentState:
        if booked.talks:
            assert booked.state in IN_CALL
            return booked.state
        if booked.offer:
            assert booked.state in OFFERED
            return booked.state
        return AgentState.WRAP_UP if wrapping else booked.standing

    @invariant()
    def nobody_waits_for_an_agent_who_could_take_him(self) -> None:
        self.before()
        for agent_id in self.book.agents:
            if self.book.available(agent_id):
                for call in self.book.calls.values():
                    assert not (self.book.seeks(call) and self.book.eligible(agent_id, call)), "left waiting"

    @invariant()
    def nobody_is_in_a_ring_that_he_has_outgrown(self) -> None:
        for call in self.book.calls.values():
            if self.book.seeks(call):
                self.book.now = self.now
                assert call.ring == self.book.ring_of(call, loaded=self.book.loaded[call.queue])

    @invariant()
    def positions_are_what_counting_gives(self) -> None:
        for queue in self.book.queues:
            for position, call in enumerate(self.book.waiting(queue), 1):
                assert self.distributor.position(call.id) == position

    @invariant()
    def counters_are_the_fold_of_the_facts(self) -> None:
        snapshot = self.distributor.snapshot(self.now)
        for queue in snapshot.queues:
            tally, waiting = self.book.tallies[queue.id], self.book.waiting(queue.id)
            left = {"abandoned": queue.abandoned, "overflowed": queue.overflowed, "released": queue.released}
            assert (queue.offered, queue.answered, left) == (tally.offered, tally.answered, tally.left)
            assert queue.waiting == len(waiting) == queue.offered - queue.answered - sum(left.values())
            states = [a.state for a in self.book.agents.values() if queue.id in self.book.serves(a.id)]
            assert queue.agents == {state: states.count(state) for state in AgentState}
            logged_in = any(state is not AgentState.LOGGED_OUT for state in states)
            assert self.distributor.has_agent_logged_in(queue.id) is logged_in
        assert {agent.id: agent.state for agent in snapshot.agents} == {
            agent.id: agent.state for agent in self.book.agents.values()
        }

    def teardown(self) -> None:
        """Let everything end; then nothing may be left over, and who is ready can be offered a call."""
        for call_id in list(self.book.calls):
            self.tell(CallLeft(call_id, LeftCause.RELEASED))
        self.run_until(self.now + 60.0)
        assert self.distributor.next_deadline() is None
        assert not self.distributor._ties
        for agent in self.book.agents.values():
            assert agent.state is agent.standing


@pytest.mark.parametrize("length", [20, 50], ids=["short", "long"])
def test_floors_of_all_kinds_keep_their_promises(length: int) -> None:
    run_state_machine_as_test(
        ProfilesMachine,
        settings=settings(
            max_examples=4000 // length,
            stateful_step_count=length,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # to shrink a long life takes minutes: add Phase.shrink when one fails
        ),
    )
