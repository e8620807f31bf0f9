"""The live engine under faults, by Hypothesis: phones that refuse, vanish, answer late or go; callers who hang up
anywhere; media that die; agents forced and configurations exchanged. After each step every invariant holds.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
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
from acd.core.agents import AgentState
from ims_core.registrar.location import Binding
from ims_core.ua.incoming import IncomingCall
from tests.acd.house import SDP, House, Phone
from tests.acd.test_open_leg import HELD, reoffer

CONFIG = """
[server]
domain = "ims.example"
[queues.sales]
name = "Sales"
ring_seconds = 6
wrap_up_seconds = 1
strategy = {strategy}
ageing_seconds = 10
rings = [{{ after_seconds = 8, drop = "french" }}]
overflow = [{{ when = "waited", above = 25, to = "queue:other" }}, {{ when = "length", above = 6, to = "release" }}]
[queues.other]
name = "Other"
ring_seconds = 5
wrap_up_seconds = 0
ring_all = {ring_all}
max_wait_seconds = 60
overflow = [{{ when = "waited", above = 30, to = "external:sip:a9@ims.example" }}]
[agents."a1..a{agents}"]
queues = "*"
skills = {{ french = 1 }}
pause_after_missed = 3
open_leg = {open_legs}
[agents.b1]
queues = {{ other = 1, sales = 2 }}
refuse_delay_seconds = 0
open_leg = true
[numbers.100]
queue = "sales"
[numbers.101]
queue = "sales"
priority = 3
needs = {{ required = {{ french = 1 }} }}
[numbers.200]
queue = "other"
[numbers.300]
flow = "menu"
[flows.menu]
menu = ["en/menu"]
choices = {{ 1 = "sales", 2 = "other" }}
default = "sales"
timeout_seconds = 1
[callers.known.c1]
agent = "a2"
vip = true
[[callers.rules]]
when = {{ vip = true }}
priority = 2
"""
AGENTS = ("a1", "a2", "a3", "b1")
CALLERS = tuple(f"c{index}" for index in range(8))
agents, callers = st.sampled_from(AGENTS), st.sampled_from(CALLERS)
MOMENT = 0.02  # longer than whatever is under way on the network
REPEATED_SECONDS = 32.0  # for so long is repeated what a phone out of reach has missed, a CANCEL as well (Timer F)


class Faults(RuleBasedStateMachine):
    """A server with four agents and eight callers, to whom everything happens."""

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.file = Path(self.directory.name) / "acd.toml"
        self.write("longest_idle", ring_all=False, agents=3, open_legs=False)
        self.house = House(config=self.file, seed=seed)
        self.house.__enter__()
        self.agents = {name: self.house.agent(name) for name in AGENTS}
        self.house.agent("a9")  # somebody outside, for the overflow
        self.callers = {name: self.house.phone(name) for name in CALLERS}
        self.unsure_until: dict[str, float] = {}
        self.house.run(MOMENT)

    def write(self, strategy: str, *, ring_all: bool, agents: int, open_legs: bool) -> None:
        text = CONFIG.format(
            strategy=f'"{strategy}"',
            ring_all=str(ring_all).lower(),
            agents=agents,
            open_legs=str(open_legs).lower(),
        )
        self.file.write_text(text, encoding="utf-8")

    def now(self, action: Any) -> None:
        self.house.do(action)
        self.house.run(MOMENT)

    # What callers do

    @rule(name=callers, number=st.sampled_from(("100", "101", "200", "300")))
    def dial(self, name: str, number: str) -> None:
        phone = self.callers[name]
        if len(phone.ua) == 0:
            self.now(lambda: phone.dial(number))

    @rule(number=st.sampled_from(("100", "101", "200")), seconds=st.sampled_from((1.0, 12.0, 40.0)))
    def rush(self, number: str, seconds: float) -> None:
        for phone in self.callers.values():
            if len(phone.ua) == 0:
                phone.dial(number)
                self.house.run(MOMENT)
        self.house.run(seconds)

    @rule(name=callers)
    def hang_up(self, name: str) -> None:
        self.now(self.callers[name].hang_up)

    @rule(name=callers, seconds=st.floats(0.0, 3.0))
    def hang_up_soon(self, name: str, seconds: float) -> None:
        self.house.loop.call_later(seconds, self.callers[name].hang_up)

    # What agents and their phones do

    @rule(name=agents, manner=st.sampled_from(("answer", "refuse", "ring_for_ever", "answer_late")))
    def behave(self, name: str, manner: str) -> None:
        phone = self.agents[name]
        phone.on_invite = self.answer_late if manner == "answer_late" else getattr(phone, manner)

    def answer_late(self, call: IncomingCall) -> None:
        phone = next(phone for phone in self.agents.values() if call in phone.incoming)
        call.progress(180)

        def pick_up() -> None:
            if call.state == "invited":
                call.answer(SDP)
                phone.flush()

        self.house.loop.call_later(5.999, pick_up)  # as it is withdrawn

    @rule(name=agents)
    def agent_hangs_up(self, name: str) -> None:
        self.now(self.agents[name].hang_up)

    @rule(name=agents)
    def vanish(self, name: str) -> None:
        self.house.dead.add(self.agents[name].address)

    @rule(name=agents)
    def come_back(self, name: str) -> None:
        if self.agents[name].address in self.house.dead:
            self.house.dead.discard(self.agents[name].address)
            self.unsure_until[name] = self.house.loop.time() + REPEATED_SECONDS

    @rule(name=agents)
    def unregister(self, name: str) -> None:
        self.now(lambda: self.house.unregister_now(name))

    @rule(name=agents)
    def register(self, name: str) -> None:
        def bind() -> None:
            if not self.house.location.bindings(f"sip:{name}@ims.example"):
                port = self.agents[name].address[1]
                self.house.location.add(Binding(f"sip:{name}@ims.example", f"sip:{name}@127.0.0.1:{port}"))
                self.house.server.node.handle_timer()

        self.now(bind)

    @rule(name=agents, state=st.sampled_from(("ready", "paused", "logged_out")))
    def force(self, name: str, state: Any) -> None:
        if name in self.house.engine.config.agents:
            self.now(lambda: self.house.control.force(name, state, "by the test"))

    @rule(name=agents, holds=st.booleans())
    def hold(self, name: str, holds: bool) -> None:
        phone = self.agents[name]
        if phone.incoming and phone.incoming[-1].state == "confirmed":
            self.now(lambda: reoffer(phone, HELD if holds else SDP))

    # What else happens

    @rule()
    def media_die(self) -> None:
        self.now(self.house.lose_media)

    @rule(which=st.integers(0, 50))
    def a_leg_dies(self, which: int) -> None:
        legs = list(self.house.media.legs.values())
        if legs:
            self.now(legs[which % len(legs)].lose)

    @rule(
        strategy=st.sampled_from(("longest_idle", "random", "best_skills", "tiers")),
        ring_all=st.booleans(),
        agents=st.integers(2, 3),
        open_legs=st.booleans(),
    )
    def reload(self, strategy: str, *, ring_all: bool, agents: int, open_legs: bool) -> None:
        self.write(strategy, ring_all=ring_all, agents=agents, open_legs=open_legs)
        self.now(lambda: self.house.engine.install(self.house.source.read(), "reload"))

    @precondition(lambda self: self.house.engine.calls)
    @rule(queue=st.sampled_from(("sales", "other")))
    def move(self, queue: str) -> None:
        distributor = self.house.engine.dispatcher.distributor
        waiting = [call for call in self.house.engine.calls if distributor.position(call) is not None]
        if waiting:
            self.now(lambda: self.house.control.move(waiting[0], queue))

    @rule(seconds=st.sampled_from((0.0, 0.001, 0.3, 1.0, 6.0, 30.0)))
    def wait(self, seconds: float) -> None:
        self.house.run(seconds)

    # What must be so

    @invariant()
    def nobody_is_lost_and_nobody_stuck(self) -> None:
        engine = self.house.engine
        distributor = engine.dispatcher.distributor
        floor = distributor.snapshot(self.house.loop.time())
        waiting = {call for call in engine.calls if distributor.position(call) is not None}
        assert sum(queue.waiting for queue in floor.queues) == len(waiting), "the queues know calls that are not there"
        for call in engine.calls.values():
            if call.stage == "waiting" and call.queued:
                connected = call.connected is not None and call.connected.done()
                assert call.id in waiting or connected, "a caller waits whom the queue does not know"
        offers = Counter(leg.agent_id for leg in engine.dispatcher._legs.values())
        assert all(count == 1 for count in offers.values()), "two offers to one agent"
        for agent in floor.agents:
            if agent.state in (AgentState.RESERVED, AgentState.RINGING):
                assert offers[agent.id] == 1, "reserved for nobody"
            elif agent.state in (AgentState.TALKING, AgentState.HOLD):
                assert agent.call_id in engine.calls, "talks with nobody"
                assert offers[agent.id] == 0, "offered while talking"

    @invariant()
    def no_phone_has_two_calls(self) -> None:
        for name, phone in self.agents.items():
            if phone.address not in self.house.dead and self.house.loop.time() > self.unsure_until.get(name, 0.0):
                ringing = [call for call in phone.incoming if call.state == "invited"]
                assert len(ringing) <= 1, f"{name} rings for two"

    @invariant()
    def a_leg_that_is_to_be_open_is_open_or_on_its_way(self) -> None:
        engine = self.house.engine
        for name, keeper in engine.open_legs.keepers.items():
            agent, leg = engine.dispatcher.distributor.agent(name), keeper.leg
            if agent.state is AgentState.READY:
                assert leg is not None, "ready without a leg"
                assert leg.is_up, "ready before the leg is open"
                assert not leg.on_hold, "ready while the phone holds"
            if leg is None and agent.wants_calls and agent.state is AgentState.BUSY:
                assert keeper.is_waiting, "nobody opens his leg"
            if leg is not None and leg.turn is not None:
                assert leg.turn.call.id in engine.calls, "the turn of a call that is over"

    def teardown(self) -> None:
        house = getattr(self, "house", None)
        if house is None:
            return
        try:
            self.end(house)
        finally:
            house.__exit__()
            self.directory.cleanup()

    def end(self, house: House) -> None:
        house.dead.clear()
        for name in AGENTS:
            if name in house.engine.open_legs.keepers:
                self.unregister(name)
        for _ in range(2):  # a phone that comes back may be in a call of which the other side knows nothing
            for phone in house.parties.values():
                if isinstance(phone, Phone):
                    house.do(phone.hang_up)
            house.settle()
        house.assert_nothing_left()
        rest = {"ready", "logged_out", "paused"}
        assert set(house.agent_states.values()) <= rest
        told = [entry.fact for entry in house.journal.entries]
        arrived = Counter(fact.call for fact in told if isinstance(fact, facts.CallArrived))
        ended = Counter(fact.call for fact in told if isinstance(fact, facts.CallEnded))
        assert arrived == ended
        assert set(arrived.values()) <= {1}
        assert len(house.records.cdrs) == len(arrived)
        made = Counter(fact.epoch for fact in told if isinstance(fact, facts.OfferMade))
        over = Counter(
            fact.epoch
            for fact in told
            if isinstance(fact, facts.OfferFailed | facts.OfferWithdrawn | facts.CallConnected)
        )
        assert made == over, "each offer ends once"


@pytest.mark.parametrize("steps", [15, 60])
def test_no_fault_loses_a_caller_or_leaves_an_agent_stuck(steps: int) -> None:
    run_state_machine_as_test(
        Faults,
        settings=settings(
            max_examples=1800 // steps,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
