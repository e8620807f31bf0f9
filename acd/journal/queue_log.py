"""The log in the form of Asterisk's `queue_log`, for the reporting tools that read it.

    epoch|callid|queue|agent|event|data1|data2|...

One line for each thing that happened in a queue: epoch in whole seconds, NONE where there is no call, queue or agent.
What each event carries: ENTERQUEUE url|caller|position; CONNECT holdtime|id of the agent's leg|ringtime;
COMPLETECALLER and COMPLETEAGENT holdtime|calltime|original position; ABANDON, EXITWITHTIMEOUT and EXITEMPTY
position|original position|waittime; RINGNOANSWER and RINGCANCELED ringtime in ms; PAUSE and UNPAUSE the reason; all
other times in s. Agents are members of their queues while they are logged in: ADDMEMBER, REMOVEMEMBER.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from acd import facts
from acd.journal.port import Entry
from acd.journal.state import AWAY, Standing

NONE = "NONE"
PAUSED = "paused"


class _Waiting:
    """A caller from his first place in a queue to the end of the call."""

    __slots__ = ("agent", "connected", "entered", "held", "number", "offers", "order", "position", "queue", "talked")

    def __init__(self, number: str) -> None:
        self.number = number
        self.queue = ""
        self.order = (0.0, 0.0)
        self.entered = 0.0
        self.position = 0
        self.offers: dict[int, tuple[str, float]] = {}
        self.agent = ""
        self.connected = self.held = 0.0
        self.talked: float | None = None


class _Agent(msgspec.Struct):
    queues: tuple[Any, ...] = ()
    id: str = ""


class _Document(msgspec.Struct):
    agents: tuple[_Agent, ...] = ()


class QueueLog:
    """The fold: `lines` tells what an entry adds. It must be given all entries since the start of a run."""

    def __init__(self) -> None:
        self._calls: dict[str, _Waiting] = {}
        self._queues: dict[str, dict[str, _Waiting]] = {}
        self._states: dict[str, str] = {}
        self._members: dict[str, tuple[str, ...]] = {}
        self._changes: dict[type[facts.Fact], Callable[[Any, float], Iterator[str]]] = {
            facts.ServerStarted: self._started,
            facts.PolicyInstalled: self._installed,
            facts.CallArrived: self._arrived,
            facts.CallQueued: self._queued,
            facts.CallMoved: self._moved,
            facts.CallLeft: self._left,
            facts.CallDiverted: self._diverted,
            facts.OfferMade: self._offered,
            facts.OfferFailed: self._failed,
            facts.OfferWithdrawn: self._withdrawn,
            facts.CallConnected: self._connected,
            facts.TalkEnded: self._talked,
            facts.CallEnded: self._ended,
            facts.AgentChanged: self._changed,
        }

    def lines(self, fact: facts.Fact, at: float) -> list[str]:
        """Return the lines for a fact that happened at `at`, in unix seconds."""
        change = self._changes.get(type(fact))
        return [] if change is None else [f"{int(at)}|{line}" for line in change(fact, at)]

    def stand(self, agents: dict[str, Standing]) -> None:
        """Take agents to stand so."""
        self._states = {agent: standing.state for agent, standing in agents.items()}

    # The server

    def _started(self, _: facts.ServerStarted, __: float) -> Iterator[str]:
        self._calls.clear()
        self._queues.clear()
        self._states.clear()
        yield f"{NONE}|{NONE}|{NONE}|QUEUESTART|"

    def _installed(self, fact: facts.PolicyInstalled, _: float) -> Iterator[str]:
        before = self._members
        document = msgspec.json.decode(fact.document, type=_Document)
        self._members = {agent.id: tuple(map(_queue_of, agent.queues)) for agent in document.agents}
        if fact.cause == "start":
            return
        yield f"{NONE}|{NONE}|{NONE}|CONFIGRELOAD|"
        for agent in self._states:
            old, new = before.get(agent, ()), self._members.get(agent, ())
            yield from (_line(NONE, queue, agent, "REMOVEMEMBER", "") for queue in old if queue not in new)
            yield from (_line(NONE, queue, agent, "ADDMEMBER", "") for queue in new if queue not in old)

    # Callers

    def _arrived(self, fact: facts.CallArrived, _: float) -> Iterator[str]:
        self._calls[fact.call] = _Waiting(fact.caller)
        yield from ()

    def _queued(self, fact: facts.CallQueued, at: float) -> Iterator[str]:
        call = self._calls.get(fact.call)
        if call is not None:
            call.order = (-fact.priority, at - fact.waited)
            yield self._enter(fact.call, call, fact.queue, at)

    def _moved(self, fact: facts.CallMoved, at: float) -> Iterator[str]:
        yield from self._leave(fact.call, at, "EXITEMPTY" if fact.cause == "no_agent" else "EXITWITHTIMEOUT")
        call = self._calls.get(fact.call)
        if call is not None:
            yield self._enter(fact.call, call, fact.to, at)

    def _enter(self, call_id: str, call: _Waiting, queue: str, at: float) -> str:
        waiting = self._queues.setdefault(queue, {})
        call.queue, call.entered = queue, at
        waiting[call_id] = call
        call.position = _position(call, waiting)
        return _line(call_id, queue, "", "ENTERQUEUE", "", call.number, call.position)

    def _left(self, fact: facts.CallLeft, at: float) -> Iterator[str]:
        event = {"abandoned": "ABANDON"}.get(fact.cause, "EXITWITHTIMEOUT")
        yield from self._leave(fact.call, at, event)

    def _diverted(self, fact: facts.CallDiverted, at: float) -> Iterator[str]:
        yield from self._leave(fact.call, at, "EXITEMPTY" if fact.cause == "no_agent" else "EXITWITHTIMEOUT")

    def _leave(self, call_id: str, at: float, event: str) -> Iterator[str]:
        """Take the caller out of the line, unless he is not in it any more."""
        call = self._calls.get(call_id)
        waiting = self._queues.get(call.queue, {}) if call is not None else {}
        if call is None or call_id not in waiting:
            return
        position = _position(call, waiting)
        del waiting[call_id]
        yield _line(call_id, call.queue, "", event, position, call.position, _whole(at - call.entered))

    # Offers and talks

    def _offered(self, fact: facts.OfferMade, at: float) -> Iterator[str]:
        call = self._calls.get(fact.call)
        if call is not None:
            call.offers[fact.epoch] = (fact.agent, at)
        yield from ()

    def _failed(self, fact: facts.OfferFailed, at: float) -> Iterator[str]:
        yield from self._end_offer(fact.call, fact.epoch, at, "RINGNOANSWER")

    def _withdrawn(self, fact: facts.OfferWithdrawn, at: float) -> Iterator[str]:
        yield from self._end_offer(fact.call, fact.epoch, at, "RINGCANCELED")

    def _end_offer(self, call_id: str, epoch: int, at: float, event: str) -> Iterator[str]:
        call = self._calls.get(call_id)
        offer = call.offers.pop(epoch, None) if call is not None else None
        if call is not None and offer is not None:
            yield _line(call_id, call.queue, offer[0], event, max(round((at - offer[1]) * 1000), 0))

    def _connected(self, fact: facts.CallConnected, at: float) -> Iterator[str]:
        call = self._calls.get(fact.call)
        if call is None:
            return
        self._queues.get(call.queue, {}).pop(fact.call, None)
        _, offered = call.offers.pop(fact.epoch, ("", at))
        call.agent, call.connected, call.held = fact.agent, at, at - call.entered
        leg, rang = f"{fact.call}-{fact.epoch}", _whole(at - offered)
        yield _line(fact.call, fact.queue, fact.agent, "CONNECT", _whole(call.held), leg, rang)

    def _talked(self, fact: facts.TalkEnded, _: float) -> Iterator[str]:
        call = self._calls.get(fact.call)
        if call is not None:
            call.talked = fact.talked
        yield from ()

    def _ended(self, fact: facts.CallEnded, _: float) -> Iterator[str]:
        call = self._calls.pop(fact.call, None)
        if call is None or call.talked is None:
            return
        event = "COMPLETECALLER" if fact.ended_by == "caller" else "COMPLETEAGENT"
        times = _whole(call.held), _whole(call.talked)
        yield _line(fact.call, call.queue, call.agent, event, *times, call.position)

    # Agents

    def _changed(self, fact: facts.AgentChanged, _: float) -> Iterator[str]:
        agent = fact.agent
        old = self._states.get(agent, AWAY)
        new = self._states[agent] = fact.new
        queues = self._members.get(agent, ())
        if old == AWAY != new:
            yield from (_line(NONE, queue, agent, "ADDMEMBER", "") for queue in queues)
        if old != PAUSED == new:
            yield from (_line(NONE, queue, agent, "PAUSE", fact.reason) for queue in queues)
            yield _line(NONE, NONE, agent, "PAUSEALL", "")
        if old == PAUSED != new:
            yield from (_line(NONE, queue, agent, "UNPAUSE", "") for queue in queues)
            yield _line(NONE, NONE, agent, "UNPAUSEALL", "")
        if new == AWAY:
            del self._states[agent]
            yield from (_line(NONE, queue, agent, "REMOVEMEMBER", "") for queue in queues)


def told(entries: Iterable[Entry], since: float = 0.0) -> Iterator[str]:
    """Yield the lines of a log, without those from before `since`; the entries must begin with a run."""
    log = QueueLog()
    for entry in entries:
        lines = log.lines(entry.fact, entry.at)
        if entry.at >= since:
            yield from lines


def _position(call: _Waiting, waiting: dict[str, _Waiting]) -> int:
    return 1 + sum(other.order < call.order for other in waiting.values())


def _whole(seconds: float) -> int:
    return max(int(seconds), 0)


def _line(call: str, queue: str, agent: str, event: str, *data: object) -> str:
    member = f"SIP/{agent}" if agent else NONE
    return "|".join(_field(value) for value in (call, queue, member, event, *data))


def _field(value: object) -> str:
    """Keep fields and lines apart whatever a caller's name is."""
    return str(value).replace("|", "_").replace("\n", " ").replace("\r", " ")


def _queue_of(place: Any) -> str:
    return str(place if isinstance(place, str) else place["queue"])
