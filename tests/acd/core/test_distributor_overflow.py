"""Overflow as the distributor does it: on arrival, while waiting, by the clock, when nobody is there any more."""

import pytest

from acd import facts
from acd.core.actions import Action, Divert, Offer, Withdraw
from acd.core.calendar import Calendar, Hours
from acd.core.distributor import Distributor
from acd.core.events import (
    AgentLoggedIn,
    AgentLoggedOut,
    CallArrived,
    CallEnded,
    CallLeft,
    CallMoved,
    Event,
    FailCause,
    OfferAnswered,
    OfferFailed,
)
from acd.core.overflow import OverflowRule, Target, When
from acd.core.profiles import AgentProfile, QueueProfile

NINE_TO_FIVE = Calendar("UTC", ((Hours(9 * 60, 17 * 60),),) * 7)


def rule(when: When, above: float = 0.0, to: Target = Target.RELEASE, where: str = "") -> OverflowRule:
    return OverflowRule(when, to, where, above)


def to_support(when: When, above: float = 0.0) -> OverflowRule:
    return rule(when, above, Target.QUEUE, "support")


class Floor:
    """Sales with the rules of the test and one agent, Ann; support with Bob; the clock begins at 8:59 of a day."""

    def __init__(
        self,
        *rules: OverflowRule,
        support: tuple[OverflowRule, ...] = (),
        hours: Calendar | None = None,
        ring_all: bool = False,
        agents: bool = True,
    ) -> None:
        self.sales = QueueProfile("sales", "Sales", 20.0, 0.0, ring_all=ring_all, overflow=rules, hours=hours)
        self.support = QueueProfile("support", "Support", 20.0, 0.0, overflow=support)
        self.agents = [
            AgentProfile("ann", "Ann", ("sales",), always_ready=True),
            AgentProfile("bob", "Bob", ("support",), always_ready=True),
        ]
        self.now = 1000.0
        self.distributor = Distributor(
            [self.sales, self.support], self.agents if agents else [], self.now, epoch=8 * 3600.0 + 59 * 60 - self.now
        )
        self.distributor.take_facts()

    def tell(self, event: Event) -> list[Action]:
        return self.distributor.handle(event, self.now)

    def arrive(self, call: str = "c1", waited: float = 0.0) -> list[Action]:
        return self.tell(CallArrived(call, "sales", waited_seconds=waited))

    def talk(self, call: str, queue: str = "sales") -> Offer:
        offer = next(a for a in self.tell(CallArrived(call, queue)) if isinstance(a, Offer))
        self.tell(OfferAnswered(call, offer.agent_id, offer.epoch))
        return offer

    def run(self, seconds: float) -> list[Action]:
        end, actions = self.now + seconds, list[Action]()
        while (due := self.distributor.next_deadline()) is not None and due <= end:
            self.now = due
            actions += self.distributor.handle_timer(due)
        self.now = end
        return actions

    def left(self, queue: str = "sales") -> tuple[int, int, int]:
        found = next(q for q in self.distributor.snapshot(self.now).queues if q.id == queue)
        assert found.offered == found.waiting + found.answered + found.abandoned + found.overflowed + found.released
        return found.waiting, found.overflowed, found.released


def diverts(actions: list[Action]) -> list[tuple[str, str, str, str]]:
    return [(a.call_id, a.to, a.where, a.cause) for a in actions if isinstance(a, Divert)]


def offered(actions: list[Action]) -> list[tuple[str, str]]:
    return [(a.call_id, a.agent_id) for a in actions if isinstance(a, Offer)]


def test_too_many_wait() -> None:
    floor = Floor(rule(When.LENGTH, 1, Target.ANNOUNCEMENT, "en/busy"))
    floor.talk("c0")
    assert diverts(floor.arrive("c1")) == []
    assert diverts(floor.arrive("c2")) == [("c2", "announcement", "en/busy", "length")]
    assert floor.left() == (1, 1, 0)
    assert floor.distributor.position("c2") is None


def test_nobody_waits_who_finds_an_agent() -> None:
    floor = Floor(rule(When.LENGTH, 0), rule(When.EXPECTED_WAIT, 0))
    assert offered(floor.arrive()) == [("c1", "ann")]


def test_to_another_queue_with_the_place_kept() -> None:
    floor = Floor(to_support(When.WAITED, 30))
    floor.talk("c0")
    bob = floor.talk("d0", "support")
    floor.tell(CallArrived("d1", "support", waited_seconds=10.0))
    floor.arrive("c1", waited=100.0)
    assert floor.run(29.9) == []
    floor.run(0.1)
    assert floor.left() == (0, 1, 0)
    assert floor.distributor.position("c1") == 1
    assert floor.distributor.position("d1") == 2
    assert facts.CallMoved("c1", "sales", "support", "waited") in floor.distributor.take_facts()
    assert offered(floor.tell(CallEnded(bob.call_id))) == [("c1", "bob")]


def test_no_agent_logged_in_on_arrival_and_later() -> None:
    floor = Floor(rule(When.NO_AGENT, to=Target.VOICEMAIL))
    floor.talk("c0")
    floor.arrive("c1")
    floor.tell(CallEnded("c0"))
    floor.tell(CallLeft("c1"))
    floor.talk("c2")
    floor.arrive("c3")
    assert diverts(floor.tell(AgentLoggedOut("ann"))) == []  # the talk goes on
    assert diverts(floor.tell(CallEnded("c2"))) == [("c3", "voicemail", "", "no_agent")]
    assert diverts(floor.arrive("c4")) == [("c4", "voicemail", "", "no_agent")]
    floor.tell(AgentLoggedIn("ann"))
    assert offered(floor.arrive("c5")) == [("c5", "ann")]


def test_hours_open_and_close_at_their_second() -> None:
    floor = Floor(rule(When.CLOSED, to=Target.ANNOUNCEMENT, where="en/closed"), hours=NINE_TO_FIVE)
    assert diverts(floor.arrive("c0")) == [("c0", "announcement", "en/closed", "closed")]
    floor.run(60)
    floor.talk("c1")
    floor.run(8 * 3600 - 1)
    floor.arrive("c2")
    assert diverts(floor.run(0.9)) == []
    assert diverts(floor.run(0.1)) == [("c2", "announcement", "en/closed", "closed")]
    assert diverts(floor.arrive("c3")) == [("c3", "announcement", "en/closed", "closed")]


def test_expected_wait() -> None:
    floor = Floor(rule(When.EXPECTED_WAIT, 80, Target.EXTERNAL, "sip:1@192.0.2.1"))
    floor.talk("t0")
    for n in range(20):  # each waits for one talk of 100 s
        gone = diverts(floor.arrive(f"t{n + 1}"))
        if gone:
            break
        floor.run(100)
        floor.tell(CallEnded(f"t{n}"))
        offer = floor.distributor.agent("ann").offer
        assert offer is not None
        floor.tell(OfferAnswered(f"t{n + 1}", "ann", offer.epoch))
    assert gone == [(f"t{n + 1}", "external", "sip:1@192.0.2.1", "expected_wait")]
    assert n >= 9


def test_a_phone_that_rings_is_let_ring() -> None:
    floor = Floor(rule(When.WAITED, 15))
    (offer,) = [a for a in floor.arrive("c1") if isinstance(a, Offer)]
    assert floor.run(16) == []
    assert diverts(floor.tell(OfferFailed("c1", "ann", offer.epoch, FailCause.BUSY))) == [
        ("c1", "release", "", "waited")
    ]
    assert floor.left() == (0, 0, 1)
    (offer,) = [a for a in [*floor.arrive("c2"), *floor.run(10)] if isinstance(a, Offer)]
    assert floor.run(10) == []
    floor.tell(OfferAnswered("c2", "ann", offer.epoch))
    assert floor.run(100) == []


def test_where_all_phones_ring_they_are_stopped() -> None:
    floor = Floor(rule(When.WAITED, 15), ring_all=True)
    floor.arrive("c1")
    actions = floor.run(15)
    assert diverts(actions) == [("c1", "release", "", "waited")]
    assert [a.agent_id for a in actions if isinstance(a, Withdraw)] == ["ann"]
    assert offered(floor.arrive("c2")) == [("c2", "ann")]


@pytest.mark.parametrize("agents", [True, False])
def test_circles_end_with_who_waits_where_he_came_to_last(agents: bool) -> None:
    back = rule(When.NO_AGENT, to=Target.QUEUE, where="sales")
    floor = Floor(to_support(When.NO_AGENT), support=(back,), agents=agents)
    if agents:
        floor.tell(AgentLoggedOut("ann"))
        assert offered(floor.arrive()) == [("c1", "bob")]
    else:
        assert floor.arrive() == []
        assert floor.left("support") == (1, 0, 0)
    assert floor.left("sales") == (0, 1, 0)


def test_a_caller_moved_by_hand_meets_the_rules_of_the_other_queue() -> None:
    floor = Floor(support=(rule(When.LENGTH, 0),))
    floor.talk("c0")
    floor.talk("d0", "support")
    floor.arrive("c1")
    assert diverts(floor.tell(CallMoved("c1", "support"))) == [("c1", "release", "", "length")]


def test_rules_installed_later_count_for_who_waits_already() -> None:
    floor = Floor()
    floor.talk("c0")
    floor.arrive("c1")
    floor.run(100)
    waited = QueueProfile("sales", "Sales", overflow=(to_support(When.WAITED, 120),))
    floor.distributor.install([waited, floor.support], floor.agents, floor.now)
    assert offered(floor.run(20)) == [("c1", "bob")]


def test_a_rule_to_a_queue_that_is_gone_does_not_count() -> None:
    floor = Floor(to_support(When.LENGTH, 0), rule(When.LENGTH, 0))
    floor.distributor.install([floor.sales], floor.agents[:1], floor.now)
    floor.talk("c0")
    assert diverts(floor.arrive("c1")) == [("c1", "release", "", "length")]


def test_a_shorter_limit_installed_later_has_passed_already() -> None:
    floor = Floor()
    floor.talk("c0")
    floor.arrive("c1")
    floor.run(100)
    waited = QueueProfile("sales", "Sales", overflow=(rule(When.WAITED, 60),))
    actions = floor.distributor.install([waited, floor.support], floor.agents, floor.now)
    assert diverts(actions + floor.run(0)) == [("c1", "release", "", "waited")]


def test_what_the_log_is_told() -> None:
    floor = Floor(rule(When.CLOSED, to=Target.CALLBACK), hours=NINE_TO_FIVE)
    floor.arrive()
    kinds = [type(fact) for fact in floor.distributor.take_facts()]
    assert kinds == [facts.CallQueued, facts.CallDiverted, facts.CallLeft]
