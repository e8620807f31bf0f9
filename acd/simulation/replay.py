"""A day from the event log, to be lived through again under another policy (`ims-acd simulate --replay`).

What happened to the engine is taken from the log; what the engine decided is decided anew:

- Callers come to the queues when they came, by the numbers they dialled, with the profiles that were found. Queue,
  priority and needs follow from the configuration of now; what was chosen in a menu stays chosen.
- Who was answered talks as long as he talked. Who was not is given one of the talks of his queue.
- Who hung up has exactly the patience that he showed. Who was answered, diverted or turned away had more than he
  showed: how much is drawn from what all callers of the day showed (`acd.simulation.patience`).
- Agents are logged in, paused and busy elsewhere when they were, as their states tell; a pause after missed calls is
  taken for one of these. Their phones ring as long, are refused and ring out as often as they did, each agent's own
  offers being drawn from. What the present policy gives him for wrap-up, he takes.

So under the very policy that was in force, and with phones that always ring equally long, the same day comes out.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import msgspec

from acd import facts
from acd.config import CallerProfile, ToFlow, ToQueue
from acd.core.agents import AgentState
from acd.core.events import (
    AgentBusy,
    AgentIdle,
    AgentLoggedIn,
    AgentLoggedOut,
    AgentPaused,
    AgentRegistered,
    CallArrived,
    Event,
    FailCause,
    LeftCause,
)
from acd.policy import Route, route_for, route_of
from acd.simulation.patience import Patience
from acd.simulation.scenario import Caller, Phones

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from acd.config import Config
    from acd.journal.port import Entry
    from acd.simulation.chance import Random

Reaction = tuple[float, FailCause | None]


class PastCall(msgspec.Struct):
    """A caller as the log knows him; `at` is when he came to the queue, `talked` None unless he was answered."""

    id: str
    number: str
    at: float = inf
    queue: str = ""
    profile: CallerProfile = CallerProfile()
    left_at: float | None = None
    gave_up: bool = False
    talked: float | None = None

    @property
    def waited(self) -> float:
        """How long he is known to have waited."""
        return max(0.0, self.left_at - self.at) if self.left_at is not None else 0.0


class Past:
    """What the log says of the time from `start` up to `end` (unix seconds), told fact by fact with `append`.

    Facts from before `start` are needed for how the agents stood.
    """

    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.end = end
        self.calls: dict[str, PastCall] = {}
        self.reactions: dict[str, list[Reaction]] = {}
        self._at_first: dict[str, tuple[str, str]] = {}
        self._moves: list[tuple[float, str, str, str]] = []
        self._standing: dict[str, tuple[str, str]] = {}
        self._offers: dict[tuple[str, int], float] = {}

    def read(self, entries: Iterable[Entry]) -> None:
        """Take the entries of a log, in order."""
        for entry in entries:
            self.append(entry.fact, entry.at)

    def append(self, fact: facts.Fact, at: float) -> None:
        """Take a fact."""
        match fact:
            case facts.AgentChanged(agent=agent, new=new, reason=reason):
                self._stands(agent, new, reason, at)
            case facts.FloorStood(agents=agents):
                for agent, state, _, reason, *_ in agents:
                    self._stands(agent, state, reason, at)
            case facts.ServerStarted() | facts.ServerStopped():
                for agent in list(self._standing):
                    self._stands(agent, AgentState.LOGGED_OUT, "", at)
            case _ if at >= self.start:
                self._call(fact, at)

    def _stands(self, agent: str, state: str, reason: str, at: float) -> None:
        standing = (str(state) if state in _ELSEWHERE else "in", reason if state == AgentState.PAUSED else "")
        if at < self.end and self._standing.get(agent) != standing:
            self._standing[agent] = standing
            if at < self.start:
                self._at_first[agent] = standing
            else:
                self._moves.append((at, agent, *standing))

    def _call(self, fact: facts.Fact, at: float) -> None:
        match fact:
            case facts.CallArrived(call=call, number=number) if at < self.end:
                self.calls[call] = PastCall(call, number)
            case facts.OfferMade(agent=agent, epoch=epoch):
                self._offers[agent, epoch] = at
            case facts.OfferFailed(agent=agent, epoch=epoch, cause=cause):
                self._reacts(agent, epoch, at, FailCause(cause))
            case facts.OfferWithdrawn(agent=agent, epoch=epoch):
                self._offers.pop((agent, epoch), None)
            case _:
                past = self.calls.get(getattr(fact, "call", ""))
                if past is not None:
                    self._tell(past, fact, at)

    def _tell(self, past: PastCall, fact: facts.Fact, at: float) -> None:
        match fact:
            case facts.CallerKnown():
                past.profile = CallerProfile(
                    vip=fact.vip,
                    segment=fact.segment or None,
                    language=fact.language or None,
                    age_group=fact.age_group or None,
                    agent=fact.agent or None,
                )
            case facts.CallTurnedAway(queue=queue):
                past.at, past.queue, past.left_at = at, queue, at
            case facts.CallQueued(queue=queue, number=number) if past.at == inf:
                past.at, past.queue, past.number = at, queue, number or past.number
            case facts.CallConnected(agent=agent, epoch=epoch):
                past.left_at = at
                self._reacts(agent, epoch, at, None)
            case facts.CallLeft(cause=cause):
                past.left_at, past.gave_up = at, cause == LeftCause.ABANDONED
            case facts.CallDiverted():
                past.left_at = at
            case facts.TalkEnded(talked=talked):
                past.talked = talked

    def _reacts(self, agent: str, epoch: int, at: float, cause: FailCause | None) -> None:
        offered_at = self._offers.pop((agent, epoch), None)
        if offered_at is not None:
            reaction = (inf, None) if cause is FailCause.NO_ANSWER else (at - offered_at, cause)
            self.reactions.setdefault(agent, []).append(reaction)

    # What it makes the engine live through

    @property
    def queued(self) -> list[PastCall]:
        """The callers who came to a queue, in order."""
        return sorted((past for past in self.calls.values() if past.at < self.end), key=lambda past: past.at)

    def waits(self) -> dict[str, list[float]]:
        """The waits of those who were answered, by queue."""
        found: dict[str, list[float]] = {}
        for past in self.queued:
            if past.talked is not None:
                found.setdefault(past.queue, []).append(past.waited)
        return found

    def callers(self, config: Config, random: Random) -> Iterator[Caller]:
        """The callers under a configuration; `random` fills in what the log cannot know."""
        queued = self.queued
        patience = Patience(
            (past.waited for past in queued if past.gave_up), (past.waited for past in queued if not past.gave_up)
        )
        talks: dict[str, list[float]] = {}
        for past in queued:
            if past.talked is not None:
                talks.setdefault(past.queue, []).append(past.talked)
        everybody = [talked for some in talks.values() for talked in some] or [0.0]
        for past in queued:
            arrival = _arrival(past, config)
            if arrival is not None:
                # Both are drawn for everybody, so that one caller's draws do not depend on another's day.
                talked = random.choice(talks.get(past.queue) or everybody)
                more = patience.beyond(past.waited, random.random(), random.random())
                yield Caller(
                    arrival,
                    past.at,
                    talked if past.talked is None else past.talked,
                    past.waited if past.gave_up else more,
                    past.number,
                )

    def agenda(self, config: Config) -> Iterator[tuple[float, Event]]:
        """What the agents of a configuration do; of whom the log knows nothing is not there."""
        for agent in config.agents.values():
            if agent.always_ready:
                yield self.start, AgentLoggedOut(agent.id)
        bound: set[str] = set()
        at_first = [(self.start, agent, *standing) for agent, standing in self._at_first.items()]
        for at, who, where, reason in [*at_first, *self._moves]:
            if who not in config.agents:
                continue
            if where != AgentState.LOGGED_OUT and who not in bound:
                bound.add(who)
                yield at, AgentRegistered(who)
            for event in _moves(who, where, reason):
                yield at, event


_ELSEWHERE = frozenset((AgentState.LOGGED_OUT, AgentState.PAUSED, AgentState.BUSY))


def _moves(agent: str, where: str, reason: str) -> Iterator[Event]:
    yield AgentIdle(agent, "elsewhere")
    match where:
        case AgentState.LOGGED_OUT:
            yield AgentLoggedOut(agent)
        case AgentState.PAUSED:
            yield AgentLoggedIn(agent)
            yield AgentPaused(agent, reason)
        case AgentState.BUSY:
            yield AgentLoggedIn(agent)
            yield AgentBusy(agent, "elsewhere")
        case _:
            yield AgentLoggedIn(agent)


def _arrival(past: PastCall, config: Config) -> CallArrived | None:
    """Return how the caller comes to a queue now, None if no queue is left for him."""
    target = config.numbers.get(past.number)
    number = route_of(target) if isinstance(target, ToQueue | ToFlow) else Route()
    route = route_for(past.profile, number, config)
    queue = route.queue or (target.queue if isinstance(target, ToQueue) else past.queue)
    if queue not in config.queues:
        return None
    seconds = config.queues[queue].prefer_agent_seconds
    manager = route.manager if route.manager and seconds and queue in config.agents[route.manager].queues else ""
    return CallArrived(
        past.id,
        queue,
        route.priority,
        route.needs,
        prefers=manager,
        patience_seconds=seconds if manager else 0.0,
        number=past.number,
    )


class PastPhones(Phones):
    """Phones that ring as they did: of his own reactions to offers, or else of everybody's, one is drawn."""

    def __init__(self, past: Past, random: Random) -> None:
        super().__init__()
        self._own = past.reactions
        self._all = [reaction for some in past.reactions.values() for reaction in some] or [(0.0, None)]
        self._choose = random.choice

    def ring(self, agent_id: str, now: float) -> tuple[float, FailCause | None]:
        """Let a phone ring as it, or another, has rung."""
        return self._choose(self._own.get(agent_id) or self._all)
