"""Offers and talks: what ties a caller to an agent, from the two searches to the end of the talk.

An offer ties one caller to one agent under an epoch, a number never used twice. A caller seeks an agent
(`_seek_agent`), an agent who became available seeks a caller (`_seek_caller`). Whatever takes an offer away ends with
these searches, so no caller waits without one while an agent who may be offered to him is available.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import mypyc_attr

from acd import facts
from acd.core.actions import Action, AgentChanged, Connected, Offer, Withdraw, WithdrawCause
from acd.core.agents import AWAY, MISSED, Agent, AgentState, Tie, Trigger
from acd.core.events import FailCause
from acd.core.lines import Agenda
from acd.core.matching import CallerClass, Matcher
from acd.core.policies import score_of

if TYPE_CHECKING:
    from acd.core.policies import Random, Score
    from acd.core.queues import Caller, Queue

RUNNERS_UP = 5  # how many of those who came next an offer tells
_LOGGED_OUT, _PAUSED = AgentState.LOGGED_OUT, AgentState.PAUSED
_UNANSWERED = frozenset((FailCause.NO_ANSWER, FailCause.UNREACHABLE))


@mypyc_attr(allow_interpreted_subclasses=True)
class Ties:
    """The part of the distributor that makes and ends ties; it decides nothing about callers but who is next.

    `policy` is the number of the profiles that decide now. `_deserted` are classes in which nobody is left to be
    waited for, `_unsettled` queues whose length or staff changed: for the layer above to look at.
    """

    def __init__(self, now: float, random: Random) -> None:
        self.policy = 0
        self._now = now
        self._actions: list[Action] = []
        self._facts: list[facts.Fact] = []
        self._agenda = Agenda()
        self._matcher = Matcher(random)
        self._ties: dict[int, Tie] = {}
        self._epoch = 0
        self._deserted: list[CallerClass] = []
        self._unsettled: dict[Queue, None] = {}

    # The two searches

    def _seek_agent(self, caller: Caller) -> None:
        """Offer the caller to the best available agent, where all ring to all of them; or he waits to be sought."""
        kind = caller.kind
        if caller.queue.profile.ring_all:
            self._begin_seeking(caller)
            available = kind.idle.foremost(kind.idle.count)
            for key, _, _, agent in available:
                self._offer(caller, agent, "agent", score_of(key), (), len(available))
            return
        best = kind.idle.foremost(1 + RUNNERS_UP)
        if best:
            key, _, _, agent = best[0]
            if kind.strategy.by_chance:
                kind.strategy.picked(key)
            runners_up = tuple([(other.id, score_of(theirs)) for theirs, _, _, other in best[1:]])
            self._offer(caller, agent, "agent", score_of(key), runners_up, kind.idle.count)
        else:
            self._begin_seeking(caller)

    def _seek_caller(self, agent: Agent) -> None:
        """Offer the agent the best caller of all his classes, or have him stand by in all of them."""
        if not agent.available:
            return
        heads = self._matcher.heads(agent, self._now)
        if not heads:
            if not agent.stint:
                self._matcher.enlist(agent)
                for queue in agent.members:
                    if not queue.seeking:
                        queue.waits.idle(self._now)
            return
        if len(heads) > 1:
            heads.sort()
        rank, _, caller = heads[0]
        if not caller.queue.profile.ring_all:
            self._stop_seeking(caller)
        runners_up = tuple([(other.id, theirs) for theirs, _, other in heads[1 : 1 + RUNNERS_UP]])
        self._offer(caller, agent, "caller", rank, runners_up, 1)

    @staticmethod
    def _begin_seeking(caller: Caller) -> None:
        caller.seeking = True
        caller.queue.seeking += 1
        caller.kind.seeking.add(caller.order, caller.seq, caller)

    @staticmethod
    def _stop_seeking(caller: Caller) -> None:
        if caller.seeking:
            caller.seeking = False
            caller.queue.seeking -= 1
            caller.kind.seeking.remove(caller.order, caller.seq)

    # Offers

    def _offer(  # noqa: PLR0917
        self,
        caller: Caller,
        agent: Agent,
        sought: str,
        score: Score,
        runners_up: tuple[tuple[str, Score], ...],
        idle: int,
    ) -> None:
        self._matcher.delist(agent)
        epoch = self._epoch = self._epoch + 1
        tie = self._ties[epoch] = Tie(caller, agent, epoch, self._now)
        caller.offers.append(tie)
        agent.offer = tie
        agent.turn = epoch
        queue = caller.queue
        self._facts.append(
            facts.OfferMade(
                caller.id,
                agent.id,
                epoch,
                queue.id,
                self.policy,
                caller.ring,
                sought,
                score,
                runners_up,
                idle,
                len(queue.callers),
            )
        )
        self._show(agent)
        ring_seconds = queue.profile.ring_seconds
        self._agenda.set(tie, self._now + ring_seconds)
        self._actions.append(Offer(caller.id, agent.id, epoch, ring_seconds))

    def _withdraw(self, tie: Tie, cause: WithdrawCause) -> None:
        """End an offer; the two have yet to be told to seek others."""
        self._actions.append(Withdraw(tie.caller.id, tie.agent.id, tie.epoch, cause))
        self._facts.append(facts.OfferWithdrawn(tie.caller.id, tie.agent.id, tie.epoch, cause))
        self._part(tie)

    def _withdraw_all(self, caller: Caller, cause: WithdrawCause) -> list[Agent]:
        """End all offers of a caller; return the agents, ready as if nothing had been, who have yet to seek others."""
        freed = []
        for tie in tuple(caller.offers):
            self._withdraw(tie, cause)
            self._show(tie.agent, keep_idle=True)
            freed.append(tie.agent)
        return freed

    def _fail(self, tie: Tie, cause: FailCause) -> None:
        """End an offer that the agent's phone did not take, and leave the agent alone for a while."""
        agent = tie.agent
        self._facts.append(facts.OfferFailed(tie.caller.id, agent.id, tie.epoch, cause))
        self._part(tie)
        agent.missed += cause in _UNANSWERED
        if 0 < agent.profile.pause_after_missed <= agent.missed:
            agent.missed = 0
            self._wish(agent, Trigger.PAUSE, MISSED, "missed")
            self._matcher.delist(agent)
        self._show(agent)
        delay = agent.profile.delay_after(cause)
        if delay > 0 and agent.available:
            self._agenda.set(agent, self._now + delay)

    def _part(self, tie: Tie) -> None:
        del self._ties[tie.epoch]
        self._agenda.set(tie, None)
        tie.caller.offers.remove(tie)
        tie.agent.offer = None

    # Talks

    def _connect(self, tie: Tie) -> list[Agent]:
        """Make a talk of an offer; return the agents who rang for the caller, too, and have yet to seek others."""
        caller, agent, queue = tie.caller, tie.agent, tie.caller.queue
        waited_seconds = self._now - caller.since
        self._agenda.set(tie, None)
        caller.offers.remove(tie)
        caller.talk = tie
        agent.offer = None
        agent.talks.append(tie)
        agent.calls_taken += 1
        agent.missed = 0
        agent.idle_since = tie.connected_at = self._now
        tie.state = AgentState.TALKING
        queue.count_answer(waited_seconds)
        queue.waits.answered(caller.id, self._now - tie.offered_at, self._now)
        self._facts.append(facts.CallConnected(caller.id, agent.id, tie.epoch, queue.id, waited_seconds))
        self._show(agent)
        self._actions.append(Connected(caller.id, agent.id, tie.epoch, queue.id, waited_seconds))
        return self._withdraw_all(caller, WithdrawCause.ANSWERED_ELSEWHERE) if caller.offers else []

    def _end_talk(self, tie: Tie) -> None:
        """Part caller and agent, who wraps up if he stays in service, else seeks the next caller."""
        caller, agent, queue = tie.caller, tie.agent, tie.caller.queue
        talked_seconds, held_seconds = tie.end(self._now)
        agent.talked_seconds += talked_seconds
        del self._ties[tie.epoch]
        agent.talks.remove(tie)
        self._facts.append(facts.TalkEnded(caller.id, agent.id, queue.id, talked_seconds, held_seconds))
        seconds = agent.profile.wrap_up_seconds
        if seconds is None:
            seconds = queue.profile.wrap_up_seconds
        wraps = seconds > 0 and agent.wants_calls
        queue.waits.handled(self._now - tie.offered_at + (seconds if wraps else 0.0))
        self._matcher.delist(agent)
        if wraps:
            agent.wrapping = tie
            self._agenda.set(agent, self._now + seconds)
        self._show(agent)
        self._seek_caller(agent)

    # Agents

    def _wish(self, agent: Agent, trigger: Trigger, detail: str, cause: str = "") -> bool:
        """Note what is said about an agent's standing; false if that was known."""
        before = agent.wish
        news = agent.restand(trigger, detail)
        if agent.wish != before:
            wish, reason = agent.wish
            self._facts.append(facts.AgentWished(agent.id, wish, reason, cause))
        return news

    def _show(self, agent: Agent, *, keep_idle: bool = False) -> None:
        """Make the agent's state what follows from his ties and his standing, and tell if it is another."""
        old, since = agent.state, agent.since
        if not agent.update(self._now, keep_idle=keep_idle):
            return
        new = agent.state
        self._actions.append(AgentChanged(agent.id, old, new, agent.reason))
        tie = agent.talks[0] if agent.talks else agent.offer or agent.wrapping
        call_id, queue_id = (tie.caller.id, tie.caller.queue.id) if tie is not None else ("", "")
        self._facts.append(facts.AgentChanged(agent.id, old, new, self._now - since, agent.reason, call_id, queue_id))
        if old is _LOGGED_OUT or new is _LOGGED_OUT or old is _PAUSED or new is _PAUSED:
            self._staff_changed(agent, old, new)

    def _staff_changed(self, agent: Agent, old: AgentState, new: AgentState) -> None:
        change = (new is not AgentState.LOGGED_OUT) - (old is not AgentState.LOGGED_OUT)
        if change:
            for queue in agent.members:
                queue.logged_in += change
                self._unsettled[queue] = None
        change = agent.profile.capacity * ((new not in AWAY) - (old not in AWAY))
        if change:
            for queue in agent.members:
                queue.serving += change
                queue.waits.staffed(queue.serving, self._now)
        self._deserted += self._matcher.notice(agent, old, new)
