"""A distributor on a virtual clock, for tests that tell small stories."""

from collections.abc import Callable, Sequence

from acd.core.actions import Action, Offer, Withdraw, WithdrawCause
from acd.core.agents import AgentState
from acd.core.distributor import Distributor, Ignored
from acd.core.events import (
    AgentRegistered,
    CallArrived,
    Event,
    FailCause,
    OfferAnswered,
    OfferFailed,
)
from acd.core.profiles import AgentProfile, QueueProfile

SALES = QueueProfile("sales", "Sales", ring_seconds=20, wrap_up_seconds=10)
SUPPORT = QueueProfile("support", "Support", ring_seconds=15, wrap_up_seconds=0)


def agent(agent_id: str, *queues: str, wrap_up: float | None = None, delay: float = 5.0) -> AgentProfile:
    return AgentProfile(agent_id, agent_id.title(), queues or ("sales",), wrap_up, delay)


class Floor:
    """A distributor on a virtual clock; its agents' phones do only what the test says."""

    def __init__(
        self,
        *agents: AgentProfile,
        registered: bool = True,
        queues: Sequence[QueueProfile] = (SALES, SUPPORT),
        random: Callable[[], float] | None = None,
    ) -> None:
        self.distributor = Distributor(queues, agents, random=random)
        self.now = 0.0
        if registered:
            for profile in agents:
                self.tell(AgentRegistered(profile.id))

    def tell(self, event: Event) -> list[Action]:
        return self.distributor.handle(event, self.now)

    def arrive(self, call_id: str, queue: str = "sales", priority: int = 0) -> list[Action]:
        return self.tell(CallArrived(call_id, queue, priority))

    def answer(self, offer: Offer) -> list[Action]:
        return self.tell(OfferAnswered(offer.call_id, offer.agent_id, offer.epoch))

    def fail(self, offer: Offer) -> list[Action]:
        return self.tell(OfferFailed(offer.call_id, offer.agent_id, offer.epoch, FailCause.BUSY))

    def talk(self, call_id: str, queue: str = "sales") -> Offer:
        offer = offer_in(self.arrive(call_id, queue))
        self.answer(offer)
        return offer

    def run_until(self, time: float) -> list[Action]:
        actions: list[Action] = []
        while (deadline := self.distributor.next_deadline()) is not None and deadline <= time:
            self.now = deadline
            actions += self.distributor.handle_timer(self.now)
        self.now = time
        return actions

    def state(self, agent_id: str) -> AgentState:
        return self.distributor.agent(agent_id).state

    def ignored(self) -> dict[Ignored, int]:
        return {kind: count for kind, count in self.distributor.counters.items() if count}


def offers(actions: Sequence[Action]) -> list[Offer]:
    return [action for action in actions if isinstance(action, Offer)]


def offer_in(actions: Sequence[Action]) -> Offer:
    (offer,) = offers(actions)
    return offer


def pairs(actions: Sequence[Action]) -> list[tuple[str, str]]:
    return [(offer.call_id, offer.agent_id) for offer in offers(actions)]


def withdrawn(actions: Sequence[Action]) -> list[tuple[str, str, WithdrawCause]]:
    return [(a.call_id, a.agent_id, a.cause) for a in actions if isinstance(a, Withdraw)]
