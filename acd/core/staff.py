"""What is said of agents: their phones, their wishes, a supervisor's word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import mypyc_attr

from acd.core import events
from acd.core.actions import WithdrawCause
from acd.core.agents import Agent, AgentState, Tie, Trigger
from acd.core.events import Ignored
from acd.core.waiting import Waiting

if TYPE_CHECKING:
    from acd.core.events import FailCause
    from acd.core.policies import Random


TRIGGERS: dict[type[events.AgentEvent], Trigger] = {
    events.AgentRegistered: Trigger.BOUND,
    events.AgentUnregistered: Trigger.UNBOUND,
    events.AgentLoggedIn: Trigger.MAKE_READY,
    events.AgentReady: Trigger.MAKE_READY,
    events.AgentLoggedOut: Trigger.LOG_OUT,
    events.AgentPaused: Trigger.PAUSE,
    events.AgentBusy: Trigger.OCCUPIED,
    events.AgentIdle: Trigger.VACATED,
    events.AgentHindered: Trigger.HINDERED,
    events.AgentUnhindered: Trigger.UNHINDERED,
}

_FORCED = {
    events.Forced.READY: Trigger.MAKE_READY,
    events.Forced.PAUSED: Trigger.PAUSE,
    events.Forced.LOGGED_OUT: Trigger.LOG_OUT,
}

_WITHDRAW_CAUSES = {
    Trigger.UNBOUND: WithdrawCause.AGENT_UNREGISTERED,
    Trigger.LOG_OUT: WithdrawCause.AGENT_LOGGED_OUT,
    Trigger.PAUSE: WithdrawCause.AGENT_PAUSED,
    Trigger.OCCUPIED: WithdrawCause.AGENT_BUSY,
    Trigger.HINDERED: WithdrawCause.AGENT_BUSY,
}

_SPARES_WRAP_UP = frozenset((Trigger.BOUND, Trigger.OCCUPIED, Trigger.VACATED, Trigger.HINDERED, Trigger.UNHINDERED))


@mypyc_attr(allow_interpreted_subclasses=True)
class Staff(Waiting):
    """The part of the distributor that knows the agents by name. `counters` are inputs that changed nothing."""

    def __init__(self, now: float, random: Random) -> None:
        super().__init__(now, random)
        self.counters: dict[Ignored, int] = dict.fromkeys(Ignored, 0)
        self._agents: dict[str, Agent] = {}

    def _standing_changed(self, event: events.AgentEvent) -> None:
        agent = self._agents.get(event.agent_id)
        if agent is None:
            self.counters[Ignored.UNKNOWN_AGENT] += 1
            return
        detail = ""
        if isinstance(event, events.AgentPaused | events.AgentHindered):
            detail = event.reason
        elif isinstance(event, events.AgentBusy | events.AgentIdle):
            detail = event.call_id
        trigger = TRIGGERS[type(event)]
        self._restand(agent, trigger, news=self._wish(agent, trigger, detail))

    def _agent_forced(self, event: events.AgentForced) -> None:
        agent = self._agents.get(event.agent_id)
        if agent is None:
            self.counters[Ignored.UNKNOWN_AGENT] += 1
            return
        trigger = _FORCED[event.state]
        news = trigger is Trigger.MAKE_READY and agent.forget_outside()
        if trigger is Trigger.PAUSE and agent.wish[0] is AgentState.LOGGED_OUT:
            agent.restand(Trigger.MAKE_READY)
        news |= self._wish(agent, trigger, event.reason, "forced")
        self._restand(agent, trigger, news=news)

    def _restand(self, agent: Agent, trigger: Trigger, *, news: bool) -> None:
        """Follow a change of the standing: end what it ends, and let both sides of an offer seek others."""
        cuts_short = trigger is Trigger.MAKE_READY and agent.due is not None
        if not news and not cuts_short:
            self.counters[Ignored.AGENT_WITHOUT_EFFECT] += 1
            return
        self._matcher.delist(agent)
        offer = agent.offer if trigger in _WITHDRAW_CAUSES else None
        if offer is not None:
            self._withdraw(offer, _WITHDRAW_CAUSES[trigger])
        if agent.wrapping is None or trigger not in _SPARES_WRAP_UP:
            agent.wrapping = None
            self._agenda.set(agent, None)
        self._show(agent, keep_idle=offer is not None)
        if offer is not None:
            self._seek_another(offer.caller)
        self._seek_caller(agent)

    def _try_next(self, tie: Tie, cause: FailCause) -> None:
        """The agent did not take the offer: the caller keeps his place, and both seek others."""
        self._fail(tie, cause)
        self._seek_another(tie.caller)
        self._seek_caller(tie.agent)
