"""What a former run left behind: found in its log at the next start, and put in order.

A run whose log ends without `ServerStopped` crashed. Every call then under way ended at the last instant that is
known of the run; every agent's interval is closed there. CDRs are written first, each under the id of its call, and
the facts that close the run in one transaction together with the start of the next one. So whatever is interrupted
is done again, and nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from acd import facts
from acd.cdr import Cdr, EndedBy, Outcome
from acd.journal.calls import fold_call
from acd.journal.port import Entry
from acd.journal.reader import Reader
from acd.journal.state import AWAY, Floor, Standing, owed, wishes

CAUSE = "crashed"
REASON = "the server went away"


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says at the start.

    `crashed_at`, in unix seconds, is None after a run that ended in good order. `calls` are the entries of each call
    under way then, `ended` those of calls that had ended lately and whose CDR may be missing, `agents` how the agents
    stood who were not logged out, `policy` what was in force. `wishes` and `owed` hold whatever the end was.
    """

    crashed_at: float | None = None
    calls: tuple[tuple[Entry, ...], ...] = ()
    ended: tuple[tuple[Entry, ...], ...] = ()
    agents: dict[str, Standing] = {}
    policy: facts.PolicyInstalled | None = None
    wishes: dict[str, facts.AgentWished] = {}
    owed: dict[str, facts.CallbackOwed] = {}


def survey(log: Reader, now: float) -> Left:
    """Read what the former run left; reads the log from the last `FloorStood` or `ServerStarted` on."""
    wished = wishes(log.landmarks("agent.wished"))
    promised = owed(log.landmarks("callback.owed", "callback.settled"))
    started = log.latest("server.started")
    stopped = log.latest("server.stopped")
    if started is None or (stopped is not None and stopped.seq > started.seq):
        return Left(wishes=wished, owed=promised)
    stood = log.latest("floor.stood")
    policy = log.latest("policy.installed")
    floor, seen = Floor(), dict[str, None]()
    begin = max(started.seq, stood.seq if stood is not None else 0)
    for entry in log.entries(after=begin - 1):
        floor.apply(entry)
        seen.update(floor.calls if isinstance(entry.fact, facts.FloorStood) else {})
        if isinstance(entry.fact, facts.CallArrived):
            seen[entry.fact.call] = None
    return Left(
        crashed_at=min(max(log.last()[1], log.alive()), now),
        calls=tuple(tuple(log.call(call)) for call in floor.calls),
        ended=tuple(tuple(log.call(call)) for call in seen if call not in floor.calls),
        agents=floor.agents,
        policy=policy.fact if policy is not None and isinstance(policy.fact, facts.PolicyInstalled) else None,
        wishes=wished,
        owed=promised,
    )


def closing(left: Left, exists: Callable[[str], bool]) -> list[tuple[float, facts.Fact]]:
    """Return the facts that close the run, with their times: none if it did not crash.

    `exists` tells of the file of a recording whether it is there.
    """
    at = left.crashed_at
    if at is None:
        return []
    ends = [fact for entries in left.calls for fact in _ends(entries, at, exists)]
    gone = [
        facts.AgentChanged(agent, standing.state, AWAY, max(at - standing.since, 0.0))
        for agent, standing in left.agents.items()
    ]
    return [(at, fact) for fact in (*ends, *gone)]


def records(left: Left, closed_by: Iterable[tuple[float, facts.Fact]]) -> list[Cdr]:
    """Return the CDRs of the calls that had ended lately, and of those that the facts `closed_by` end."""
    folds = {fold.id: fold for entries in (*left.ended, *left.calls) if (fold := fold_call(entries)) is not None}
    for at, fact in closed_by:
        fold = folds.get(getattr(fact, "call", ""))
        if fold is not None:
            fold.apply(fact, at)
    return [fold.cdr() for fold in folds.values() if fold.ended is not None]


def _ends(entries: tuple[Entry, ...], at: float, exists: Callable[[str], bool]) -> list[facts.Fact]:
    """Return the facts that end a call at `at`, where its entries leave it."""
    fold = fold_call(entries)
    if fold is None:
        return []
    place = _Place(entries)
    ends: list[facts.Fact] = [
        facts.OfferWithdrawn(offer.call, offer.agent, offer.epoch, CAUSE) for offer in place.offers.values()
    ]
    if place.talk is not None:
        talk = place.talk.fact
        assert isinstance(talk, facts.CallConnected)
        ends.append(facts.TalkEnded(fold.id, talk.agent, talk.queue, max(at - place.talk.at, 0.0)))
    elif place.queue:
        ends.append(facts.CallLeft(fold.id, place.queue, "released", max(at - place.waits_since, 0.0)))
    recording = fold.recorded_to if fold.recorded_to and exists(fold.recorded_to) else None
    return [*ends, facts.CallEnded(fold.id, Outcome.CRASHED.value, EndedBy.SYSTEM.value, REASON, recording)]


class _Place:
    """Where a call is in the queues: `queue` empty when it is in none, `talk` the answer while it talks."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.queue = ""
        self.waits_since = 0.0
        self.talk: Entry | None = None
        self.offers: dict[int, facts.OfferMade] = {}
        for entry in entries:
            self._apply(entry)

    def _apply(self, entry: Entry) -> None:
        match entry.fact:
            case facts.CallQueued(queue=queue, waited=waited):
                self.queue, self.waits_since = queue, entry.at - waited
            case facts.CallMoved(to=queue):
                self.queue = queue
            case facts.CallLeft() | facts.CallDiverted():
                self.queue = ""
            case facts.OfferMade() as offer:
                self.offers[offer.epoch] = offer
            case facts.OfferFailed(epoch=epoch) | facts.OfferWithdrawn(epoch=epoch):
                self.offers.pop(epoch, None)
            case facts.CallConnected(epoch=epoch):
                self.offers.pop(epoch, None)
                self.talk, self.queue = entry, ""
            case facts.TalkEnded():
                self.talk = None
