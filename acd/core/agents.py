"""The agent's state machine.

An agent has a *standing* and an *occupation*.

The standing is what he would be with no call at hand. It follows from four facts that change independently
of the queues' calls: whether his phone has a binding, his last wish (ready, paused, logged out), the calls he
is in outside the queues, and what else hinders him (a leg to his phone that is to be open and is not). No binding
means logged out whatever the wish, and the wish outlives the binding: who paused or logged out and registers anew is
paused or logged out still.

The occupation is what his ties with callers make of him: an offer is reserved, then rings; a talk goes on, is on
hold, or waits while he consults a colleague; after it comes wrap-up. While there is one it is the state. When it ends,
the state is the standing:

    standing     LOGGED_OUT  READY  BUSY  PAUSED
                               |                ^
                               v                |
    occupation               RESERVED -> RINGING -> TALKING <-> HOLD, CONSULTING -> WRAP_UP

A change of the standing shows at once in an agent without an occupation. One that makes him unavailable ends an
offer and wrap-up, and leaves a talk alone: it shows when the talk is over. An agent with a capacity above one may be
in several talks and is offered another call meanwhile; his state is that of the busiest tie.

Every state that does not last by the agent's own choice has an end: ring time for an offer, a deadline for wrap-up and
for the delay after an offer that came to nothing, the caller for a talk.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from acd.core.lines import StandsBy

if TYPE_CHECKING:
    from acd.core.matching import CallerClass
    from acd.core.profiles import AgentProfile, Membership
    from acd.core.queues import Caller, Queue


class AgentState(StrEnum):
    """What an agent is doing, as seen from outside. BUSY is a call outside the queues, or what hinders him."""

    LOGGED_OUT = "logged_out"
    READY = "ready"
    BUSY = "busy"
    PAUSED = "paused"
    RESERVED = "reserved"
    RINGING = "ringing"
    TALKING = "talking"
    HOLD = "hold"
    CONSULTING = "consulting"
    WRAP_UP = "wrap_up"

    __hash__ = str.__hash__  # that of Enum is a Python function


class Trigger(StrEnum):
    """What changes an agent's standing."""

    BOUND = "bound"
    UNBOUND = "unbound"
    MAKE_READY = "make_ready"
    LOG_OUT = "log_out"
    PAUSE = "pause"
    OCCUPIED = "occupied"
    VACATED = "vacated"
    HINDERED = "hindered"
    UNHINDERED = "unhindered"

    __hash__ = str.__hash__


_S = AgentState
# A member is looked up faster in the module than in its class.
_READY, _PAUSED, _LOGGED_OUT, _WRAP_UP = _S.READY, _S.PAUSED, _S.LOGGED_OUT, _S.WRAP_UP
_BUSY = _S.BUSY
_RESERVED, _RINGING, _TALKING = _S.RESERVED, _S.RINGING, _S.TALKING
OFFERED: Final = frozenset({_S.RESERVED, _S.RINGING})
IN_CALL: Final = frozenset({_S.TALKING, _S.HOLD, _S.CONSULTING})
WORKING: Final = IN_CALL | {_S.WRAP_UP}
AWAY: Final = frozenset({_S.LOGGED_OUT, _S.PAUSED})
_FREE: Final = frozenset({_S.READY, _S.BUSY})  # of the queues' work
_BUSIEST: Final = (_S.TALKING, _S.CONSULTING, _S.HOLD)

MISSED: Final = "missed calls"


class Tie:
    """One caller tied to one agent under an epoch: an offer, and after the answer a talk.

    `state` is RESERVED, RINGING, TALKING, HOLD or CONSULTING. `due` is the end of the ring time.
    """

    __slots__ = (
        "agent",
        "caller",
        "connected_at",
        "due",
        "entry",
        "epoch",
        "held_at",
        "held_seconds",
        "offered_at",
        "state",
    )

    def __init__(self, caller: Caller, agent: Agent, epoch: int, now: float) -> None:
        self.caller = caller
        self.agent = agent
        self.epoch = epoch
        self.offered_at = now
        self.state = _RESERVED
        self.due: float | None = None
        self.entry = 0
        self.connected_at = 0.0
        self.held_at = 0.0
        self.held_seconds = 0.0

    def turn(self, state: AgentState, now: float) -> None:
        """Let the talk go on, hold or wait for a consultation, and keep account of the time the caller was on hold."""
        if self.state is _TALKING:
            self.held_at = now
        elif state is _TALKING:
            self.held_seconds += now - self.held_at
        self.state = state

    def end(self, now: float) -> tuple[float, float]:
        """Return for how long the two were connected, and how much of it on hold."""
        if self.state is not _TALKING:
            self.turn(_TALKING, now)
        return now - self.connected_at, self.held_seconds


class Agent(StandsBy):
    """One agent.

    `standing` is the state he has, or will have, with no occupation. `since` is the start of the state, `idle_since`
    when the queues last had work for him, or he came on duty; `seq` is unique, in the order of the configuration.
    `offer` is what rings or is about to, `talks` the calls he is in. `classes` are the classes of callers that he may
    be offered, in whose lines he stands by while he has a `stint`. `wrapping` is the talk he wraps up. `due` is
    the end of wrap-up or of the delay after an offer that came to nothing.
    """

    __slots__ = (
        "_hindrance",
        "_outside",
        "_pause_reason",
        "_registered",
        "_wish",
        "calls_taken",
        "classes",
        "due",
        "entry",
        "id",
        "idle_since",
        "members",
        "missed",
        "offer",
        "open_seconds",
        "profile",
        "reason",
        "removed",
        "since",
        "standing",
        "state",
        "talked_seconds",
        "talks",
        "turn",
        "worked_seconds",
        "wrapping",
    )

    def __init__(self, profile: AgentProfile, seq: int, now: float) -> None:
        super().__init__(seq)
        self.profile = profile
        self.id = profile.id
        self.members: dict[Queue, Membership] = {}
        self.classes: dict[CallerClass, Membership] = {}
        self.since = self.idle_since = now
        self.due: float | None = None
        self.entry = 0
        self.offer: Tie | None = None
        self.talks: list[Tie] = []
        self.wrapping: Tie | None = None
        self.removed = False
        self.calls_taken = self.missed = self.turn = 0
        self.talked_seconds = self.worked_seconds = self.open_seconds = 0.0
        self._registered = False
        self._wish = AgentState.READY
        self._pause_reason = ""
        self._hindrance = ""
        self._outside: set[str] = set()
        self.standing = self.state = self._stand()
        self.reason = ""

    @property
    def bound(self) -> bool:
        """Whether a phone of his can be reached."""
        return (self._registered or self.profile.always_ready) and not self.removed

    @property
    def wish(self) -> tuple[AgentState, str]:
        """What he last wanted: ready, paused or logged out, and the reason of a pause."""
        return self._wish, self._pause_reason

    @property
    def wants_calls(self) -> bool:
        """Whether he stays in service once the present call is over; if not, there is no wrap-up."""
        return self.bound and self._wish is AgentState.READY

    @property
    def available(self) -> bool:
        """Whether he can be offered a call now."""
        if self.due is not None or self.offer is not None or len(self.talks) >= self.profile.capacity:
            return False
        return self.state is _READY or (bool(self.talks) and self.standing is _READY)

    @property
    def caller(self) -> Caller | None:
        """The one talking with him, or offered to him."""
        tie = self.talks[0] if self.talks else self.offer
        return tie.caller if tie is not None else None

    @property
    def occupancy(self) -> float:
        """The part of his time in service that went into talks and wrap-up, up to the start of the state; 0 before any.

        (talk + hold + wrap-up) / (talk + hold + wrap-up + ready)
        """
        total = self.worked_seconds + self.open_seconds
        return self.worked_seconds / total if total else 0.0

    def restand(self, trigger: Trigger, detail: str = "") -> bool:
        """Record what `trigger` says about the standing, the state aside; false if that was known.

        `detail` is the reason for PAUSE and HINDERED and the call id for OCCUPIED and VACATED. Pausing does not log
        in: after LOG_OUT only MAKE_READY changes the wish.
        """
        before = (self.bound, self._wish, self._pause_reason, len(self._outside), self._hindrance)
        match trigger:
            case Trigger.BOUND:
                self._registered = True
            case Trigger.UNBOUND:
                self._registered = False
            case Trigger.MAKE_READY:
                self._wish, self._pause_reason = AgentState.READY, ""
            case Trigger.LOG_OUT:
                self._wish, self._pause_reason = AgentState.LOGGED_OUT, ""
            case Trigger.PAUSE if self._wish is not AgentState.LOGGED_OUT:
                self._wish, self._pause_reason = AgentState.PAUSED, detail
            case Trigger.OCCUPIED:
                self._outside.add(detail)
            case Trigger.VACATED:
                self._outside.discard(detail)
            case Trigger.HINDERED:
                self._hindrance = detail
            case Trigger.UNHINDERED:
                self._hindrance = ""
        self.standing = self._stand()
        return before != (self.bound, self._wish, self._pause_reason, len(self._outside), self._hindrance)

    def forget_outside(self) -> bool:
        """Take all calls outside the queues for ended; false if there were none."""
        had = bool(self._outside)
        self._outside.clear()
        self.standing = self._stand()
        return had

    def follow(self, profile: AgentProfile | None) -> None:
        """Work by another profile from now on; with None he is to be gone when his talk is over."""
        self.removed = profile is None
        self.profile = profile or self.profile
        self.standing = self._stand()

    def update(self, now: float, *, keep_idle: bool = False) -> bool:
        """Make the state that of the busiest tie, of wrap-up, or the standing; false if nothing visible changed.

        Idle time counts from when he came on duty or was done with a queue's call, whatever calls of his own he makes,
        unless with `keep_idle`: what he came back from was not his.
        """
        if self.talks:
            new = self.talks[0].state if len(self.talks) == 1 else self._busiest()
        elif self.offer is not None:
            new = self.offer.state
        else:
            new = _WRAP_UP if self.wrapping is not None else self.standing
        reason = self._pause_reason if new is _PAUSED else self._hindrance if new is _BUSY else ""
        old = self.state
        if new is old and reason == self.reason:
            return False
        if old is _READY or old is _RESERVED or old is _RINGING:
            self.open_seconds += now - self.since
        elif old in WORKING:
            self.worked_seconds += now - self.since
        if new in _FREE and old not in _FREE and not keep_idle:
            self.idle_since = now
        self.state, self.reason, self.since = new, reason, now
        return True

    def _stand(self) -> AgentState:
        if not self.bound:
            return _LOGGED_OUT
        if (self._outside or self._hindrance) and self._wish is _READY:
            return _BUSY
        return self._wish

    def _busiest(self) -> AgentState:
        states = [tie.state for tie in self.talks]
        return next(state for state in _BUSIEST if state in states)
