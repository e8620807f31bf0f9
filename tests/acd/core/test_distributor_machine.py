"""Random lives of a floor against what must hold whatever happens.

The model below knows nothing of the distributor's insides: it believes the actions, keeps book of them, and complains
when an action contradicts the book.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from acd.core.actions import Action, AgentChanged, Connected, Offer, Refused, Withdraw, WithdrawCause
from acd.core.agents import AgentState
from acd.core.distributor import Distributor, Ignored
from acd.core.events import (
    AgentBusy,
    AgentHindered,
    AgentIdle,
    AgentLoggedIn,
    AgentLoggedOut,
    AgentPaused,
    AgentReady,
    AgentRegistered,
    AgentUnhindered,
    AgentUnregistered,
    CallArrived,
    CallEnded,
    CallHeld,
    CallLeft,
    CallRetrieved,
    Draining,
    Event,
    FailCause,
    LeftCause,
    OfferAnswered,
    OfferFailed,
    OfferRinging,
)
from acd.core.profiles import AgentProfile, QueueProfile

QUEUES = [
    QueueProfile("sales", "Sales", ring_seconds=20, wrap_up_seconds=10),
    QueueProfile("support", "Support", ring_seconds=7, wrap_up_seconds=0),
]
AGENTS = [
    AgentProfile("ann", "Ann", ("sales",)),
    AgentProfile("bob", "Bob", ("sales", "support"), refuse_delay_seconds=0),
    AgentProfile("cem", "Cem", ("support",), wrap_up_seconds=4),
    AgentProfile("dot", "Dot", ("support", "sales"), always_ready=True),
]
SERVES = {profile.id: tuple(profile.memberships) for profile in AGENTS}
OFFERED = {AgentState.RESERVED, AgentState.RINGING}
IN_CALL = {AgentState.TALKING, AgentState.HOLD}

queue_ids = st.sampled_from([profile.id for profile in QUEUES])
agent_ids = st.sampled_from(list(SERVES))
any_index = st.integers(0, 1 << 16)


@dataclass
class ModelCall:
    queue: str
    rank: tuple[int, int]
    arrived_at: float
    offer: Offer | None = None
    rings_until: float = 0.0
    agent: str | None = None


@dataclass
class ModelAgent:
    bound: bool
    state: AgentState
    wish: AgentState = AgentState.READY
    reason: str = ""
    shown_reason: str = ""
    outside: set[str] = field(default_factory=set)

    @property
    def standing(self) -> AgentState:
        if not self.bound:
            return AgentState.LOGGED_OUT
        if self.wish is AgentState.READY and self.outside:
            return AgentState.BUSY
        return self.wish


class FloorMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.distributor = Distributor(QUEUES, AGENTS)
        self.calls: dict[str, ModelCall] = {}
        self.agents = {
            profile.id: ModelAgent(
                profile.always_ready, AgentState.READY if profile.always_ready else AgentState.LOGGED_OUT
            )
            for profile in AGENTS
        }
        self.offers: list[Offer] = []
        self.arrivals = 0
        self.draining = False
        self.totals = {profile.id: dict.fromkeys((*LeftCause, "offered", "answered"), 0) for profile in QUEUES}

    # The book

    def tell(self, event: Event) -> list[Action]:
        actions = self.distributor.handle(event, self.now)
        self.book(actions)
        return actions

    def book(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Offer():
                    self.book_offer(action)
                case Withdraw(cause=WithdrawCause.STALE):
                    assert action.epoch not in {call.offer.epoch for call in self.calls.values() if call.offer}
                case Withdraw():
                    call = self.calls.get(action.call_id)
                    if action.cause is WithdrawCause.CALLER_LEFT:
                        assert call is None
                    else:
                        assert call is not None
                        assert call.offer is not None
                        assert (call.offer.agent_id, call.offer.epoch) == (action.agent_id, action.epoch)
                        call.offer = None
                case Connected():
                    call = self.calls[action.call_id]
                    assert call.offer is not None
                    assert (call.offer.agent_id, call.offer.epoch) == (action.agent_id, action.epoch)
                    assert (action.queue, action.waited_seconds) == (call.queue, self.now - call.arrived_at)
                    call.offer, call.agent = None, action.agent_id
                    self.totals[call.queue]["answered"] += 1
                case AgentChanged():
                    agent = self.agents[action.agent_id]
                    assert action.old is agent.state
                    assert (action.old, agent.shown_reason) != (action.new, action.reason)
                    hindrance = "no leg" if "no leg" in agent.outside else ""
                    reasons = {AgentState.PAUSED: agent.reason, AgentState.BUSY: hindrance}
                    assert action.reason == reasons.get(action.new, "")
                    agent.state, agent.shown_reason = action.new, action.reason
                case Refused():
                    assert self.draining

    def book_offer(self, offer: Offer) -> None:
        call, agent = self.calls[offer.call_id], self.agents[offer.agent_id]
        assert call.queue in SERVES[offer.agent_id]
        assert call.agent is None, "an offer of a caller who talks"
        assert call.offer is None, "two offers of one caller"
        live = [other.offer.agent_id for other in self.calls.values() if other.offer]
        talking = [other.agent for other in self.calls.values() if other.agent]
        assert offer.agent_id not in live, "two offers to one agent"
        assert offer.agent_id not in talking, "an offer to an agent who talks"
        assert agent.standing is AgentState.READY, "an offer to an agent who wants none"
        assert agent.state is AgentState.RESERVED
        assert all(offer.epoch > earlier.epoch for earlier in self.offers), "an epoch used twice"
        ahead = [
            other
            for other in self.calls.values()
            if other.queue in SERVES[offer.agent_id] and self.unoffered(other) and other.rank < call.rank
        ]
        assert not ahead, "a caller was overtaken"
        call.offer, call.rings_until = offer, self.now + offer.ring_seconds
        self.offers.append(offer)

    @staticmethod
    def unoffered(call: ModelCall) -> bool:
        return call.offer is None and call.agent is None

    def waiting(self, queue: str) -> list[ModelCall]:
        return [call for call in self.calls.values() if call.queue == queue and call.agent is None]

    # Calls

    @rule(queue=queue_ids, priority=st.sampled_from([0, 0, 0, 1]))
    def arrive(self, queue: str, priority: int) -> None:
        self.arrivals += 1
        call_id = f"c{self.arrivals}"
        if not self.draining:
            self.calls[call_id] = ModelCall(queue, (-priority, self.arrivals), self.now)
            self.totals[queue]["offered"] += 1
        actions = self.tell(CallArrived(call_id, queue, priority))
        assert (Refused(call_id, queue) in actions) is self.draining

    @precondition(lambda self: self.calls)
    @rule(index=any_index, queue=queue_ids)
    def arrive_again(self, index: int, queue: str) -> None:
        assert self.tell(CallArrived(self.pick(index), queue)) == []

    @precondition(lambda self: self.calls)
    @rule(index=any_index, cause=st.sampled_from(LeftCause), by_end=st.booleans())
    def go(self, index: int, cause: LeftCause, by_end: bool) -> None:
        call_id = self.pick(index)
        call = self.calls.pop(call_id)
        if call.agent is None:
            self.totals[call.queue][LeftCause.ABANDONED if by_end else cause] += 1
        self.tell(CallEnded(call_id) if by_end else CallLeft(call_id, cause))
        assert self.tell(CallEnded(call_id)) == []

    @precondition(lambda self: self.calls)
    @rule(index=any_index, event=st.sampled_from([CallHeld, CallRetrieved]))
    def hold(self, index: int, event: type[CallHeld] | type[CallRetrieved]) -> None:
        self.tell(event(self.pick(index)))

    def pick(self, index: int) -> str:
        return list(self.calls)[index % len(self.calls)]

    # Phones, which may be late with any offer there ever was

    @precondition(lambda self: self.offers)
    @rule(late=any_index)
    def ring(self, late: int) -> None:
        offer = self.pick_offer(late)
        self.tell(OfferRinging(offer.call_id, offer.agent_id, offer.epoch))

    @precondition(lambda self: self.offers)
    @rule(late=any_index)
    def answer(self, late: int) -> None:
        offer = self.pick_offer(late)
        live, stale_before = self.is_live(offer), self.distributor.counters[Ignored.STALE_ANSWER]
        actions = self.tell(OfferAnswered(offer.call_id, offer.agent_id, offer.epoch))
        assert any(isinstance(action, Connected) for action in actions) is live
        stale = Withdraw(offer.call_id, offer.agent_id, offer.epoch, WithdrawCause.STALE) in actions
        assert stale is (self.distributor.counters[Ignored.STALE_ANSWER] > stale_before)

    @precondition(lambda self: self.offers)
    @rule(late=any_index, cause=st.sampled_from(FailCause))
    def fail(self, late: int, cause: FailCause) -> None:
        offer = self.pick_offer(late)
        live = self.is_live(offer)
        if live:
            self.calls[offer.call_id].offer = None
        actions = self.tell(OfferFailed(offer.call_id, offer.agent_id, offer.epoch, cause))
        assert live or actions == []

    def pick_offer(self, late: int) -> Offer:
        live = [call.offer for call in self.calls.values() if call.offer]
        superseded = [offer for offer in self.offers if any(o.call_id == offer.call_id and o != offer for o in live)]
        kinds = [offers for offers in (live, live, superseded, self.offers) if offers]
        offers = kinds[late % len(kinds)]
        return offers[late // len(kinds) % len(offers)]

    def rings_until(self, offer: Offer) -> float | None:
        tie = self.distributor.agent(offer.agent_id).offer
        assert tie is not None
        return tie.due

    def is_live(self, offer: Offer) -> bool:
        return any(call.offer == offer for call in self.calls.values())

    # Agents

    @rule(agent_id=agent_ids, present=st.booleans())
    def bind(self, agent_id: str, present: bool) -> None:
        if agent_id != "dot":
            self.agents[agent_id].bound = present
        self.tell(AgentRegistered(agent_id) if present else AgentUnregistered(agent_id))

    @rule(agent_id=agent_ids, event=st.sampled_from([AgentLoggedIn, AgentReady]))
    def make_ready(self, agent_id: str, event: type[AgentLoggedIn] | type[AgentReady]) -> None:
        self.agents[agent_id].wish = AgentState.READY
        self.tell(event(agent_id))

    @rule(agent_id=agent_ids)
    def log_out(self, agent_id: str) -> None:
        self.agents[agent_id].wish = AgentState.LOGGED_OUT
        self.tell(AgentLoggedOut(agent_id))

    @rule(agent_id=agent_ids, reason=st.sampled_from(["lunch", "training"]))
    def pause(self, agent_id: str, reason: str) -> None:
        agent = self.agents[agent_id]
        if agent.wish is not AgentState.LOGGED_OUT:
            agent.wish, agent.reason = AgentState.PAUSED, reason
        self.tell(AgentPaused(agent_id, reason))

    @rule(agent_id=agent_ids, call_id=st.sampled_from(["x", "y"]), present=st.booleans())
    def dial_out(self, agent_id: str, call_id: str, present: bool) -> None:
        if present:
            self.agents[agent_id].outside.add(call_id)
            self.tell(AgentBusy(agent_id, call_id))
        else:
            self.agents[agent_id].outside.discard(call_id)
            self.tell(AgentIdle(agent_id, call_id))

    @rule(agent_id=agent_ids, hindered=st.booleans())
    def hinder(self, agent_id: str, hindered: bool) -> None:
        self.agents[agent_id].outside.discard("no leg")
        if hindered:
            self.agents[agent_id].outside.add("no leg")
        self.tell(AgentHindered(agent_id, "no leg") if hindered else AgentUnhindered(agent_id))

    # Time

    @rule(seconds=st.sampled_from([0.5, 3.0, 5.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.run_until(self.now + seconds)

    @rule(seconds=st.sampled_from([5.0, 25.0]))
    def oversleep(self, seconds: float) -> None:
        self.now += seconds
        self.book(self.distributor.handle_timer(self.now))

    def run_until(self, time: float) -> None:
        while (deadline := self.distributor.next_deadline()) is not None and deadline <= time:
            assert deadline >= self.now
            self.now = deadline
            self.book(self.distributor.handle_timer(deadline))
        self.now = time

    @precondition(lambda self: self.arrivals > 12)
    @rule()
    def drain(self) -> None:
        self.draining = True
        self.tell(Draining())

    # What must hold

    @invariant()
    def no_deadline_is_overdue(self) -> None:
        deadline = self.distributor.next_deadline()
        assert deadline is None or deadline > self.now

    @invariant()
    def agents_do_what_the_book_says(self) -> None:
        offered = [call.offer.agent_id for call in self.calls.values() if call.offer]
        talking = [call.agent for call in self.calls.values() if call.agent]
        for call in self.calls.values():
            if call.offer:
                assert self.rings_until(call.offer) == call.rings_until
        for agent_id, agent in self.agents.items():
            assert self.distributor.agent(agent_id).state is agent.state
            assert offered.count(agent_id) == (agent.state in OFFERED)
            assert talking.count(agent_id) == (agent.state in IN_CALL)
            if agent.state is AgentState.WRAP_UP:
                assert agent.standing in {AgentState.READY, AgentState.BUSY}
            elif agent.state not in OFFERED | IN_CALL:
                assert agent.state is agent.standing

    @invariant()
    def nobody_waits_for_an_agent_who_could_take_him(self) -> None:
        for agent_id, agent in self.agents.items():
            if agent.state is AgentState.READY and self.distributor.agent(agent_id).due is None:
                for queue in SERVES[agent_id]:
                    assert not any(self.unoffered(call) for call in self.waiting(queue))

    @invariant()
    def positions_follow_rank(self) -> None:
        for queue in self.totals:
            line = sorted(self.waiting(queue), key=lambda call: call.rank)
            for call_id, call in self.calls.items():
                if call.queue == queue:
                    expected = None if call.agent else line.index(call) + 1
                    assert self.distributor.position(call_id) == expected

    @invariant()
    def counters_conserve(self) -> None:
        for queue in self.distributor.snapshot(self.now).queues:
            totals, waiting = self.totals[queue.id], self.waiting(queue.id)
            left = {LeftCause.ABANDONED: queue.abandoned, LeftCause.OVERFLOWED: queue.overflowed}
            left[LeftCause.RELEASED] = queue.released
            assert queue.waiting == len(waiting) == self.distributor.waiting(queue.id)
            assert queue.offered == queue.answered + sum(left.values()) + queue.waiting
            assert (queue.offered, queue.answered) == (totals["offered"], totals["answered"])
            assert all(totals[cause] == count for cause, count in left.items())
            assert queue.longest_wait_seconds == max((self.now - call.arrived_at for call in waiting), default=0)
            serving = [agent.state for agent_id, agent in self.agents.items() if queue.id in SERVES[agent_id]]
            assert queue.agents == {state: serving.count(state) for state in AgentState}
            logged_in = serving.count(AgentState.LOGGED_OUT) < len(serving)
            assert self.distributor.has_agent_logged_in(queue.id) is logged_in

    def teardown(self) -> None:
        """Let everything end; then nothing may be left over."""
        for call_id in list(self.calls):
            del self.calls[call_id]
            self.tell(CallLeft(call_id, LeftCause.RELEASED))
        self.run_until(self.now + 20.0)
        assert self.distributor.next_deadline() is None
        for agent_id, agent in self.agents.items():
            assert agent.state is agent.standing
            assert self.distributor.agent(agent_id).caller is None
        self.see_who_is_idle()

    def see_who_is_idle(self) -> None:
        if self.draining:
            return
        idle = {agent_id for agent_id, agent in self.agents.items() if agent.standing is AgentState.READY}
        for _ in idle:
            for queue in self.totals:
                self.arrive(queue, 0)
        offered = {call.offer.agent_id for call in self.calls.values() if call.offer}
        assert offered == idle


@pytest.mark.parametrize("length", [15, 60], ids=["short", "long"])
def test_floor_keeps_its_promises(length: int) -> None:
    run_state_machine_as_test(
        FloorMachine,
        settings=settings(
            max_examples=6000 // length, stateful_step_count=length, deadline=None, derandomize=True, database=None
        ),
    )
