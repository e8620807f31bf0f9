"""What the distributor is told: calls, offers and agents, as frozen structs.

Every input may arrive late, twice or for something already gone; the distributor counts such inputs
(`Ignored`) and goes on. Ids are opaque strings chosen by the caller of the core.
"""

from enum import StrEnum

import msgspec

from acd.core.needs import ANYBODY, Needs


class LeftCause(StrEnum):
    """Why a caller left a queue without having talked to an agent."""

    ABANDONED = "abandoned"  # the caller hung up
    OVERFLOWED = "overflowed"  # sent elsewhere by us
    RELEASED = "released"  # ended by us: shutdown, lost media, time limit


class FailCause(StrEnum):
    """Why an agent's phone did not take an offer."""

    REFUSED = "refused"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    UNREACHABLE = "unreachable"
    ERROR = "error"


class CallArrived(msgspec.Struct, frozen=True, gc=False):
    """A caller joins a queue. Larger `priority` is served sooner.

    For `patience_seconds` only the agent `prefers` is offered the call, unless he is logged out or paused.
    `waited_seconds` counts as waited already: a place kept from elsewhere. `number` is the number dialled.
    """

    call_id: str
    queue: str
    priority: int = 0
    needs: Needs = ANYBODY
    prefers: str = ""
    patience_seconds: float = 0.0
    waited_seconds: float = 0.0
    number: str = ""


class CallMoved(msgspec.Struct, frozen=True, gc=False):
    """A waiting caller is to wait in another queue, his place kept by original arrival. `cause` says on whose word."""

    call_id: str
    queue: str
    cause: str = "api"


class CallLeft(msgspec.Struct, frozen=True, gc=False):
    """The caller is gone, wherever he was; after an answer it means the same as `CallEnded`."""

    call_id: str
    cause: LeftCause = LeftCause.ABANDONED


class CallEnded(msgspec.Struct, frozen=True, gc=False):
    """The talk is over; before an answer it means the same as `CallLeft` with cause `ABANDONED`."""

    call_id: str


class CallHeld(msgspec.Struct, frozen=True, gc=False):
    """One side put the connected call on hold."""

    call_id: str


class CallConsulting(msgspec.Struct, frozen=True, gc=False):
    """The agent of the connected call talks to a colleague about it while the caller is on hold."""

    call_id: str


class CallRetrieved(msgspec.Struct, frozen=True, gc=False):
    """The connected call was taken off hold, or the consultation is over."""

    call_id: str


class OfferRinging(msgspec.Struct, frozen=True, gc=False):
    """The agent's phone rings (180)."""

    call_id: str
    agent_id: str
    epoch: int


class OfferAnswered(msgspec.Struct, frozen=True, gc=False):
    """The agent picked up (200); ringing may have been skipped."""

    call_id: str
    agent_id: str
    epoch: int


class OfferFailed(msgspec.Struct, frozen=True, gc=False):
    """The agent's phone refused or could not be reached."""

    call_id: str
    agent_id: str
    epoch: int
    cause: FailCause = FailCause.REFUSED


class AgentRegistered(msgspec.Struct, frozen=True, gc=False):
    """The first binding appeared. Sent again for a refresh it has no effect."""

    agent_id: str


class AgentUnregistered(msgspec.Struct, frozen=True, gc=False):
    """The last binding is gone."""

    agent_id: str


class AgentLoggedIn(msgspec.Struct, frozen=True, gc=False):
    """The agent logs in and wants calls (*11)."""

    agent_id: str


class AgentReady(msgspec.Struct, frozen=True, gc=False):
    """The agent wants calls again (*14); ends wrap-up early."""

    agent_id: str


class AgentLoggedOut(msgspec.Struct, frozen=True, gc=False):
    """The agent logs out (*12)."""

    agent_id: str


class AgentPaused(msgspec.Struct, frozen=True, gc=False):
    """The agent wants no calls for now (*13)."""

    agent_id: str
    reason: str = ""


class AgentBusy(msgspec.Struct, frozen=True, gc=False):
    """The agent's phone is in a call outside the queues; `call_id` tells several such calls apart."""

    agent_id: str
    call_id: str = ""


class AgentIdle(msgspec.Struct, frozen=True, gc=False):
    """The call outside the queues announced by `AgentBusy` with the same `call_id` is over."""

    agent_id: str
    call_id: str = ""


class AgentHindered(msgspec.Struct, frozen=True, gc=False):
    """An agent who wants calls cannot be given any now, for this reason: the leg kept open to his phone is down."""

    agent_id: str
    reason: str


class AgentUnhindered(msgspec.Struct, frozen=True, gc=False):
    """Nothing hinders him any more."""

    agent_id: str


class Forced(StrEnum):
    """The states a supervisor may put an agent into."""

    READY = "ready"
    PAUSED = "paused"
    LOGGED_OUT = "logged_out"


class AgentForced(msgspec.Struct, frozen=True, gc=False):
    """A supervisor decides for the agent, as if he had done so himself.

    Unlike his own word, PAUSED also logs in, and READY also forgets calls outside the queues that were never
    reported as over. A talk is finished first, and without a phone he stays logged out.
    """

    agent_id: str
    state: Forced
    reason: str = ""


class Draining(msgspec.Struct, frozen=True, gc=False):
    """Take no new callers; those waiting are still served."""


OfferEvent = OfferRinging | OfferAnswered | OfferFailed
AgentEvent = (
    AgentRegistered
    | AgentUnregistered
    | AgentLoggedIn
    | AgentReady
    | AgentLoggedOut
    | AgentPaused
    | AgentBusy
    | AgentIdle
    | AgentHindered
    | AgentUnhindered
)
TalkEvent = CallHeld | CallConsulting | CallRetrieved
Event = CallArrived | CallMoved | CallLeft | CallEnded | TalkEvent | OfferEvent | AgentEvent | AgentForced | Draining


class Ignored(StrEnum):
    """Inputs that changed nothing, by kind."""

    UNKNOWN_CALL = "unknown_call"
    UNKNOWN_AGENT = "unknown_agent"
    DUPLICATE_CALL = "duplicate_call"
    DRAINING_CALL = "draining_call"
    STALE_RINGING = "stale_ringing"
    STALE_ANSWER = "stale_answer"
    STALE_FAILURE = "stale_failure"
    REPEATED_RINGING = "repeated_ringing"
    REPEATED_ANSWER = "repeated_answer"
    HOLD_WITHOUT_EFFECT = "hold_without_effect"
    MOVE_WITHOUT_EFFECT = "move_without_effect"
    AGENT_WITHOUT_EFFECT = "agent_without_effect"
