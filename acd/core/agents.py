"""The agent's state machine.

An agent has a *standing* and an *occupation*.

The standing is what he would be with no call at hand. It follows from three facts that change independently
of the queues' calls: whether his phone has a binding, his last wish (ready, paused, logged out), and the calls he
is in outside the queues. No binding means logged out whatever the wish, and the wish outlives the binding: who
paused or logged out and registers anew is paused or logged out still.

The occupation is the progress of one offer: reserved, ringing, talking, hold, wrap-up. While it lasts it is
the state. When it ends, the state is the standing, which the table writes as `REST`:

    standing     LOGGED_OUT  READY  BUSY  PAUSED
                               | RESERVE        ^ REST
                               v                |
    occupation               RESERVED -> RINGING -> TALKING <-> HOLD -> WRAP_UP

A change of the standing moves an agent without an occupation at once. One that makes him unavailable ends an
offer (RESERVED, RINGING) and wrap-up, and leaves a talk alone: it shows when the talk is over. Each state has at
most one deadline: ring time in RESERVED and RINGING, the end of WRAP_UP, and in READY the delay after a
refusal.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from acd.core.profiles import AgentProfile as AgentProfile  # noqa: PLC0414

if TYPE_CHECKING:
    from acd.core.queues import Caller, Queue


class AgentState(StrEnum):
    """What an agent is doing, as seen from outside. BUSY is a call outside the queues."""

    LOGGED_OUT = "logged_out"
    READY = "ready"
    BUSY = "busy"
    PAUSED = "paused"
    RESERVED = "reserved"
    RINGING = "ringing"
    TALKING = "talking"
    HOLD = "hold"
    WRAP_UP = "wrap_up"


class Trigger(StrEnum):
    """What moves an agent; the first seven change the standing."""

    BOUND = "bound"
    UNBOUND = "unbound"
    MAKE_READY = "make_ready"
    LOG_OUT = "log_out"
    PAUSE = "pause"
    OCCUPIED = "occupied"
    VACATED = "vacated"

    RESERVE = "reserve"
    RING = "ring"
    ANSWER = "answer"
    RELEASE = "release"  # the offer came to nothing through no fault of his
    REFUSE = "refuse"  # he refused it or let it ring
    HOLD = "hold"
    RETRIEVE = "retrieve"
    END = "end"  # the talk is over, without wrap-up
    WRAP = "wrap"  # the talk is over, wrap-up begins
    WRAPPED = "wrapped"


_S, _T = AgentState, Trigger
REST: Final = None

TRANSITIONS: Final[dict[tuple[AgentState, Trigger], AgentState | None]] = {
    (_S.READY, _T.RESERVE): _S.RESERVED,
    (_S.RESERVED, _T.RING): _S.RINGING,
    (_S.RESERVED, _T.ANSWER): _S.TALKING,
    (_S.RESERVED, _T.RELEASE): REST,
    (_S.RESERVED, _T.REFUSE): REST,
    (_S.RINGING, _T.ANSWER): _S.TALKING,
    (_S.RINGING, _T.RELEASE): REST,
    (_S.RINGING, _T.REFUSE): REST,
    (_S.TALKING, _T.HOLD): _S.HOLD,
    (_S.TALKING, _T.END): REST,
    (_S.TALKING, _T.WRAP): _S.WRAP_UP,
    (_S.HOLD, _T.RETRIEVE): _S.TALKING,
    (_S.HOLD, _T.END): REST,
    (_S.HOLD, _T.WRAP): _S.WRAP_UP,
    (_S.WRAP_UP, _T.WRAPPED): REST,
    (_S.WRAP_UP, _T.MAKE_READY): REST,
} | {
    (state, trigger): REST
    for states, triggers in (
        (
            (_S.LOGGED_OUT, _S.READY, _S.BUSY, _S.PAUSED),
            (_T.BOUND, _T.UNBOUND, _T.MAKE_READY, _T.LOG_OUT, _T.PAUSE, _T.OCCUPIED, _T.VACATED),
        ),
        ((_S.RESERVED, _S.RINGING), (_T.UNBOUND, _T.LOG_OUT, _T.PAUSE, _T.OCCUPIED)),
        ((_S.WRAP_UP,), (_T.UNBOUND, _T.LOG_OUT, _T.PAUSE)),
    )
    for state in states
    for trigger in triggers
}

IN_CALL: Final = frozenset({_S.TALKING, _S.HOLD})


class IllegalTransitionError(Exception):
    """The distributor moved an agent in a way that `TRANSITIONS` does not know: a defect of ours."""


class Agent:
    """One agent.

    `since` is the start of the state. `idle_since` orders those `listed` as available in their queues; `seq` is
    unique and breaks ties. `caller` is the one offered to him or talking with him, and has him as `agent`.
    """

    __slots__ = (
        "_bound",
        "_outside",
        "_pause_reason",
        "_wish",
        "caller",
        "calls_taken",
        "deadline",
        "id",
        "idle_since",
        "listed",
        "profile",
        "queues",
        "seq",
        "since",
        "state",
    )

    def __init__(self, profile: AgentProfile, queues: tuple[Queue, ...], seq: int, now: float) -> None:
        self.profile = profile
        self.id = profile.id
        self.queues = queues
        self.seq = seq
        self.since = self.idle_since = now
        self.caller: Caller | None = None
        self.deadline: float | None = None
        self.listed = False
        self.calls_taken = 0
        self._bound = profile.always_ready
        self._wish = AgentState.READY
        self._pause_reason = ""
        self._outside: set[str] = set()
        self.state = self.standing

    @property
    def standing(self) -> AgentState:
        """The state he has, or will have, with no occupation."""
        if not self._bound:
            return AgentState.LOGGED_OUT
        if self._wish is AgentState.READY and self._outside:
            return AgentState.BUSY
        return self._wish

    @property
    def reason(self) -> str:
        """His reason while he is paused, else empty."""
        return self._pause_reason if self.state is AgentState.PAUSED else ""

    @property
    def wish(self) -> tuple[AgentState, str]:
        """What he last wanted: ready, paused or logged out, and the reason of a pause."""
        return self._wish, self._pause_reason

    @property
    def wants_calls(self) -> bool:
        """Whether he stays in service once the present call is over; if not, there is no wrap-up."""
        return self._bound and self._wish is AgentState.READY

    def restand(self, trigger: Trigger, detail: str = "") -> bool:
        """Record what `trigger` says about the standing, the state aside; false if that was known.

        `detail` is the pause reason for PAUSE and the call id for OCCUPIED and VACATED. Pausing does not log
        in: after LOG_OUT only MAKE_READY changes the wish.
        """
        before = (self._bound, self._wish, self._pause_reason, len(self._outside))
        match trigger:
            case Trigger.BOUND:
                self._bound = True
            case Trigger.UNBOUND:
                self._bound = self.profile.always_ready
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
        return before != (self._bound, self._wish, self._pause_reason, len(self._outside))

    def can(self, trigger: Trigger) -> bool:
        """Whether the present state knows `trigger`."""
        return (self.state, trigger) in TRANSITIONS

    def move(self, trigger: Trigger, now: float) -> bool:
        """Follow the table; false if nothing visible changed.

        Idle time counts from the moment he became ready; an offer withdrawn through no fault of his does not
        interrupt it. Raises IllegalTransitionError.
        """
        old = self.state
        try:
            new = TRANSITIONS[old, trigger]
        except KeyError:
            raise IllegalTransitionError(f"agent {self.id}: {trigger} while {old}") from None
        if new is None:
            new = self.standing
        if new is old and not (new is AgentState.PAUSED and trigger is Trigger.PAUSE):
            return False
        if new is AgentState.READY and trigger is not Trigger.RELEASE:
            self.idle_since = now
        self.state = new
        self.since = now
        return True
