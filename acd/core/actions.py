"""What the distributor wants done, as frozen structs, to be performed in the order given."""

from enum import StrEnum

import msgspec

from acd.core.agents import AgentState


class WithdrawCause(StrEnum):
    """Why an agent's phone is to be released."""

    CALLER_LEFT = "caller_left"
    RING_TIMEOUT = "ring_timeout"
    AGENT_LOGGED_OUT = "agent_logged_out"
    AGENT_PAUSED = "agent_paused"
    AGENT_UNREGISTERED = "agent_unregistered"
    AGENT_BUSY = "agent_busy"
    AGENT_REMOVED = "agent_removed"
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    CALLER_MOVED = "caller_moved"
    STALE = "stale"


class Offer(msgspec.Struct, frozen=True, gc=False):
    """Ring the agent for the caller.

    Report `OfferRinging`, then `OfferAnswered` or `OfferFailed`, with the same three ids. After
    `ring_seconds` the distributor withdraws the offer by itself.
    """

    call_id: str
    agent_id: str
    epoch: int
    ring_seconds: float


class Withdraw(msgspec.Struct, frozen=True, gc=False):
    """Release the agent's phone for this epoch: stop it ringing or, if it has answered, hang it up.

    `STALE` answers an `OfferAnswered` that came too late; the epoch tells that leg from the live one.
    """

    call_id: str
    agent_id: str
    epoch: int
    cause: WithdrawCause


class Connected(msgspec.Struct, frozen=True, gc=False):
    """Bridge the caller with the agent. `waited_seconds` runs from `CallArrived` to the answer."""

    call_id: str
    agent_id: str
    epoch: int
    queue: str
    waited_seconds: float


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The caller was not queued, because the distributor is draining; it keeps no trace of the call."""

    call_id: str
    queue: str


class Divert(msgspec.Struct, frozen=True, gc=False):
    """An overflow rule sends the caller out of the queues; the distributor keeps no trace of the call.

    `to` is "announcement", "external", "callback", "voicemail" or "release", `where` the prompt or number meant,
    `cause` the rule's condition.
    """

    call_id: str
    queue: str
    to: str
    where: str
    cause: str


class AgentChanged(msgspec.Struct, frozen=True, gc=False):
    """The agent's state changed. `reason` says why he is paused or hindered (busy), else it is empty."""

    agent_id: str
    old: AgentState
    new: AgentState
    reason: str = ""


Action = Offer | Withdraw | Connected | Refused | Divert | AgentChanged
