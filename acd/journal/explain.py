"""Why a call was offered to whom: each offer with its candidates, and for all others of the queue what kept them out.

An offer is logged with its score and the next best only. How everybody else stood is folded from the log up to that
offer, and what the queue asked for is read from the policy that was in force, so that deciding costs nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from acd import facts
from acd.core.needs import Needs
from acd.core.profiles import Membership, Ring
from acd.core.queues import PREFERRED, Reach, reaches
from acd.journal.calls import fold_call
from acd.journal.port import Entry
from acd.journal.reader import Reader
from acd.journal.state import Floor, Standing


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An agent who could have taken the call, best first; `score` by policy of the strategy, smaller is better."""

    agent: str
    name: str
    chosen: bool
    score: dict[str, float]


class Rival(msgspec.Struct, frozen=True, kw_only=True):
    """A caller whom the agent could have taken: of the highest priority the one with the longest weighted wait."""

    call: str
    chosen: bool
    priority: float
    weighted_wait_seconds: float


class Excluded(msgspec.Struct, frozen=True, kw_only=True):
    """An agent of the queue who was not offered the call, and why; `seconds` is how long that had lasted, if known."""

    agent: str
    name: str
    why: str
    seconds: float | None = None
    call: str | None = None


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One offer. `ring` -1 is the wait for the preferred agent; `result` is what became of it, None if nothing yet.

    `could` is how many agents could have been offered, those not named among the `candidates` too. `sought` is
    "agent" when the caller sought an agent. It is "caller" when the agent had become free: then he is the only
    candidate, and `callers` are those who were first in their lines, the chosen one first.
    """

    at: datetime
    agent: str
    queue: str
    policy: int
    strategy: tuple[str, ...]
    ring: int
    required: dict[str, int]
    preferred: dict[str, int]
    waited_seconds: float
    waiting: int
    sought: str
    could: int
    candidates: tuple[Candidate, ...]
    callers: tuple[Rival, ...]
    excluded: tuple[Excluded, ...]
    result: str | None = None
    result_seconds: float | None = None


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """The offers of one call; `outcome` None: it is under way. Instants in UTC."""

    id: str
    dialled: str
    caller: str
    arrived: datetime
    queue: str | None
    agent: str | None
    outcome: str | None
    offers: tuple[Explained, ...]


class _Queue(msgspec.Struct, frozen=True):
    """Of a queue's profile what an explanation needs; what else there is may change."""

    id: str
    strategy: tuple[str, ...] = ("longest_idle",)
    rings: tuple[Ring, ...] = ()


class _Agent(msgspec.Struct, frozen=True):
    id: str
    name: str = ""
    queues: tuple[Membership | str, ...] = ()
    skills: dict[str, int] = {}
    refuse_delay_seconds: float = 0.0
    refuse_delays: dict[str, float] = {}

    def place(self, queue: str) -> Membership | None:
        """Return his place in a queue, None if he does not serve it."""
        places = (Membership(place) if isinstance(place, str) else place for place in self.queues)
        return next((place for place in places if place.queue == queue), None)


class _Policy(msgspec.Struct, frozen=True):
    queues: tuple[_Queue, ...] = ()
    agents: tuple[_Agent, ...] = ()


def explain(log: Reader, call_id: str) -> Routing | None:
    """Explain every offer of a call, under way or ended; None when there is no such call. Waits for the disk."""
    entries = log.call(call_id)
    call = fold_call(entries)
    if call is None:
        return None
    results = _results(entries)
    return Routing(
        id=call.id,
        dialled=call.dialled,
        caller=call.caller,
        arrived=call.arrived,
        queue=call.queue,
        agent=call.agent,
        outcome=call.ended.outcome if call.ended is not None else None,
        offers=tuple(
            _explained(offer, place, moment, results.get(offer.fact.epoch))  # type: ignore[attr-defined]
            for offer, place, moment in _moments(log, entries)
        ),
    )


class _Moment:
    """The floor at an instant: how agents stand, what they let pass lately, and the policy in force."""

    def __init__(self, policy: _Policy) -> None:
        self.floor = Floor()
        self.refused: dict[str, tuple[float, str]] = {}
        self.policy = policy

    def apply(self, entry: Entry) -> None:
        self.floor.apply(entry)
        match entry.fact:
            case facts.PolicyInstalled(document=document):
                self.policy = _read(document)
            case facts.OfferFailed(agent=agent, cause=cause):
                self.refused[agent] = (entry.at, cause)
            case facts.CallConnected(agent=agent):
                self.refused.pop(agent, None)


def _moments(log: Reader, entries: list[Entry]) -> Iterator[tuple[Entry, Entry | None, _Moment]]:
    """Yield each offer of the call with the caller's place in the queue and the floor at that instant."""
    offers = [entry for entry in entries if isinstance(entry.fact, facts.OfferMade)]
    if not offers:
        return
    own = {entry.seq: entry for entry in entries}
    begins = (log.latest(kind, before=offers[0].seq) for kind in ("server.started", "floor.stood"))
    begin = max((entry.seq for entry in begins if entry is not None), default=1)
    policy = log.latest("policy.installed", before=begin)
    moment = _Moment(
        _read(policy.fact.document) if policy and isinstance(policy.fact, facts.PolicyInstalled) else _Policy()
    )
    place: Entry | None = next((entry for entry in entries if isinstance(entry.fact, facts.CallQueued)), None)
    for entry in log.entries(after=begin - 1):
        moment.apply(entry)
        if entry.seq in own and isinstance(entry.fact, facts.OfferMade):
            yield entry, place, moment
            if entry.seq == offers[-1].seq:
                return


def _read(document: str) -> _Policy:
    try:
        return msgspec.json.decode(document, type=_Policy)
    except msgspec.MsgspecError:
        return _Policy()


def _results(entries: list[Entry]) -> dict[int, tuple[str, float]]:
    """Return what became of each offer, by epoch, and when."""
    found: dict[int, tuple[str, float]] = {}
    for entry in entries:
        match entry.fact:
            case facts.CallConnected(epoch=epoch):
                found[epoch] = ("answered", entry.at)
            case facts.OfferFailed(epoch=epoch, cause=cause, detail=detail):
                found[epoch] = (f"{cause} ({detail})" if detail else cause, entry.at)
            case facts.OfferWithdrawn(epoch=epoch, cause=cause):
                found[epoch] = (f"withdrawn: {cause}", entry.at)
    return found


def _explained(entry: Entry, place: Entry | None, moment: _Moment, result: tuple[str, float] | None) -> Explained:
    offer = entry.fact
    assert isinstance(offer, facts.OfferMade)
    queued = place.fact if place is not None and isinstance(place.fact, facts.CallQueued) else facts.CallQueued("", "")
    queue = next((queue for queue in moment.policy.queues if queue.id == offer.queue), _Queue(offer.queue))
    agents = {agent.id: agent for agent in moment.policy.agents}

    def candidate(agent: str, score: tuple[float, ...]) -> Candidate:
        names = [*queue.strategy, *(f"score_{number}" for number in range(len(queue.strategy), len(score)))]
        name = agents[agent].name if agent in agents else agent
        return Candidate(
            agent=agent, name=name, chosen=agent == offer.agent, score=dict(zip(names, score, strict=False))
        )

    by_agent = offer.sought == "agent"
    ranked = ((offer.agent, offer.score), *offer.runners_up) if by_agent else ((offer.agent, ()),)
    callers = () if by_agent else ((offer.call, offer.score), *offer.runners_up)
    named = {agent for agent, _ in ranked}
    others = [
        _excluded(agent, member, queue, offer, queued, moment, entry.at)
        for agent in moment.policy.agents
        if agent.id not in named and (member := agent.place(offer.queue)) is not None
    ]
    return Explained(
        at=datetime.fromtimestamp(entry.at, UTC),
        agent=offer.agent,
        queue=offer.queue,
        policy=offer.policy,
        strategy=queue.strategy,
        ring=offer.ring,
        required=queued.required,
        preferred=queued.preferred,
        waited_seconds=_seconds(entry.at - place.at + queued.waited) if place is not None else 0.0,
        waiting=offer.waiting,
        sought=offer.sought,
        could=max(offer.idle, len(ranked)),
        candidates=tuple(candidate(agent, score) for agent, score in ranked),
        callers=tuple(
            Rival(
                call=call, chosen=call == offer.call, priority=0.0 - score[0], weighted_wait_seconds=_seconds(-score[1])
            )
            for call, score in callers
            if len(score) > 1
        ),
        excluded=tuple(others),
        result=result[0] if result is not None else None,
        result_seconds=_seconds(result[1] - entry.at) if result is not None else None,
    )


def _excluded(  # noqa: PLR0917
    agent: _Agent,
    member: Membership,
    queue: _Queue,
    offer: facts.OfferMade,
    queued: facts.CallQueued,
    moment: _Moment,
    at: float,
) -> Excluded:
    standing = moment.floor.agents.get(agent.id)
    name = agent.name or agent.id
    if standing is None:
        return Excluded(agent=agent.id, name=name, why="logged out")
    if standing.state != "ready":
        why = _doing(standing)
        return Excluded(
            agent=agent.id, name=name, why=why, seconds=_seconds(at - standing.since), call=standing.call or None
        )
    return Excluded(agent=agent.id, name=name, why=_unsuited(agent, member, queue, offer, queued, moment, at))


def _doing(standing: Standing) -> str:
    words = {
        "reserved": "being rung for another call",
        "ringing": "being rung for another call",
        "talking": "talking",
        "hold": "talking, the caller on hold",
        "consulting": "consulting a colleague",
        "wrap_up": "wrapping up",
        "busy": "in a call outside the queues",
    }
    if standing.state == "paused":
        return f"paused: {standing.reason}" if standing.reason else "paused"
    return words.get(standing.state, standing.state)


def _unsuited(  # noqa: PLR0917
    agent: _Agent,
    member: Membership,
    queue: _Queue,
    offer: facts.OfferMade,
    queued: facts.CallQueued,
    moment: _Moment,
    at: float,
) -> str:
    """Say why an agent who was ready was not offered the call."""
    if offer.ring == PREFERRED:
        return f"the caller waits for {queued.prefers}" if queued.prefers else "the caller waits for another agent"
    rings = reaches(queue.rings)
    reach = rings[min(offer.ring, len(rings) - 1)]
    lacking = _lacking(agent, queued, reach)
    if lacking:
        return lacking
    if member.level > reach.levels:
        return f"level {member.level} is not reached in ring {offer.ring}"
    when, cause = moment.refused.get(agent.id, (0.0, ""))
    left = when + agent.refuse_delays.get(cause, agent.refuse_delay_seconds) - at
    if left > 0:
        return f"left alone for {left:.1f} s more after an offer that failed: {cause}"
    return "ready, and ranked after those named"


def _lacking(agent: _Agent, queued: facts.CallQueued, reach: Reach) -> str:
    """Say which skill is missing or in the way; empty if none is."""
    for skill, level in sorted(queued.required.items()):
        wanted = Needs(((skill, level),))
        if not wanted.admits(agent.skills, reach.drop, reach.relax):
            least = max(1, level - reach.relax)
            return (
                f"has {skill} at level {agent.skills[skill]}, not {least}"
                if skill in agent.skills
                else f"lacks {skill}"
            )
    return next((f"has {skill}, which is excluded" for skill in queued.excluded if skill in agent.skills), "")


def _seconds(value: float) -> float:
    return round(max(value, 0.0), 3)
