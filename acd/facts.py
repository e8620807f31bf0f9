"""The vocabulary of the event log: every change is one typed, versioned fact.

A fact says what has happened, never what is to be done, and does not change its meaning when policies do. It carries
no time: the log stamps it (`acd.journal`). The state of the engine, CDRs, `queue_log`, KPIs and the explanation of an
offer are folds over facts, so each says by itself whatever such a fold needs and cannot derive.

`KIND` is the name in the log, `VERSION` counts changes of the fields; the log upgrades what older versions wrote.
Ids of calls are those of the CDRs. Durations are in seconds.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Fact(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What all facts share."""

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 1


# The server


class ServerStarted(Fact, frozen=True, gc=False):
    """A run of the engine begins: all agents are logged out until a fact says otherwise, no call is under way."""

    KIND: ClassVar[str] = "server.started"
    node: str
    software: str


class ServerStopped(Fact, frozen=True, gc=False):
    """The run ended in good order; without this fact the next start speaks of a crash."""

    KIND: ClassVar[str] = "server.stopped"
    node: str


class PolicyInstalled(Fact, frozen=True, gc=False):
    """From here on offers are made under policy number `policy`: `document` is the JSON of its queues and agents.

    `cause` is "start", "reload" or "api".
    """

    KIND: ClassVar[str] = "policy.installed"
    policy: int
    document: str
    cause: str = "start"


class FloorStood(Fact, frozen=True, gc=False):
    """Where everybody stood, told now and then so that no fold has to begin at the start of a run.

    `agents` are those not logged out: (agent, state, seconds in it, reason, call, queue); `calls` those under way.
    """

    KIND: ClassVar[str] = "floor.stood"
    agents: tuple[tuple[str, str, float, str, str, str], ...] = ()
    calls: tuple[str, ...] = ()


# A call, from the INVITE to the record


class CallArrived(Fact, frozen=True, gc=False):
    """An INVITE for a service number, by `trunk` or, if that is empty, from a phone of ours.

    `sip_call_id` is the Call-ID of the caller's dialog.
    """

    KIND: ClassVar[str] = "call.arrived"
    call: str
    sip_call_id: str
    number: str
    caller: str
    trunk: str = ""


class CallWentOut(Fact, frozen=True, gc=False):
    """Somebody outside, or an agent who is there, is called at `number` for the caller, by `trunk`."""

    KIND: ClassVar[str] = "call.went_out"
    call: str
    trunk: str
    number: str


class CallerKnown(Fact, frozen=True, gc=False):
    """What the look-up of the caller's profile found; `source` is "table", "http", or "fallback" when it failed."""

    KIND: ClassVar[str] = "caller.known"
    call: str
    source: str
    vip: bool = False
    segment: str = ""
    language: str = ""
    age_group: str = ""
    agent: str = ""


class ChargingKnown(Fact, frozen=True, gc=False):
    """What the caller's INVITE said for charging (RFC 7315); the fields are those of `acd.cdr.Cdr`, empty without."""

    KIND: ClassVar[str] = "charging.known"
    call: str
    icid: str = ""
    orig_ioi: str = ""
    term_ioi: str = ""
    asserted_identity: str = ""
    served_user: str = ""
    access_network: str = ""
    called_party: str = ""


class CallerReserved(Fact, frozen=True, gc=False):
    """The caller has what he made a precondition of the call; we waited `seconds` for it."""

    KIND: ClassVar[str] = "caller.reserved"
    call: str
    seconds: float


class CallAnswered(Fact, frozen=True, gc=False):
    """The system answered the caller (200)."""

    KIND: ClassVar[str] = "call.answered"
    call: str


class CallerPressed(Fact, frozen=True, gc=False):
    """A key, empty where it is nobody's business; `source` is how it came: "rfc4733", "inband" or "info"."""

    KIND: ClassVar[str] = "caller.pressed"
    call: str
    digit: str
    source: str = ""


class MenuChose(Fact, frozen=True, gc=False):
    """The menu led to a queue."""

    KIND: ClassVar[str] = "menu.chose"
    call: str
    queue: str


class CallTurnedAway(Fact, frozen=True, gc=False):
    """The caller was led to a queue and got no place in it; `cause` says why."""

    KIND: ClassVar[str] = "call.turned_away"
    call: str
    queue: str
    cause: str


class CallBridged(Fact, frozen=True, gc=False):
    """Caller and agent (or external number) hear each other; `recording` is the file being written, empty without."""

    KIND: ClassVar[str] = "call.bridged"
    call: str
    recording: str = ""


class TalkReminded(Fact, frozen=True, gc=False):
    """Caller, agent or both were reminded that they have talked for so many seconds."""

    KIND: ClassVar[str] = "talk.reminded"
    call: str
    talked: float


class VoiceMeasured(Fact, frozen=True, gc=False):
    """How the voice from one side (`leg` "caller" or "agent") was received; `mos` None: not known, `basis` says why.

    `far_…` is what that side told of the voice that it received from us, None where it told nothing.
    """

    KIND: ClassVar[str] = "voice.measured"
    call: str
    leg: str
    codec: str | None
    packets: int
    lost: int
    loss_percent: float
    jitter_ms: float
    mos: float | None
    basis: str
    r_factor: float | None = None
    scale: str | None = None
    burst_ratio: float | None = None
    round_trip_ms: float | None = None
    far_loss_percent: float | None = None
    far_jitter_ms: float | None = None
    far_mos: float | None = None
    troubles: tuple[str, ...] = ()
    security: str | None = None
    discarded: int = 0


class VoiceTroubled(Fact, frozen=True, gc=False):
    """The voice of one side (`leg`) passed a threshold; `trouble` is a `media.api.Trouble`, `detail` its figures."""

    KIND: ClassVar[str] = "voice.troubled"
    call: str
    leg: str
    trouble: str
    detail: str = ""


class VoiceRecovered(Fact, frozen=True, gc=False):
    """That trouble is over; it lasted for `seconds` from when it was told."""

    KIND: ClassVar[str] = "voice.recovered"
    call: str
    leg: str
    trouble: str
    seconds: float


class SpeechMeasured(Fact, frozen=True, gc=False):
    """Who spoke while the caller was connected for so many seconds: the caller, whom he heard, both at a time, nobody.

    `dead` counts times of silence longer than a pause of talking, `longest_dead` is the longest of them.
    """

    KIND: ClassVar[str] = "speech.measured"
    call: str
    connected: float
    caller: float
    other: float
    both: float
    dead: float
    longest_dead: float


class RecordingPaused(Fact, frozen=True, gc=False):
    """From here on nothing that is said is kept; `by` is "api" or "agent"."""

    KIND: ClassVar[str] = "recording.paused"
    call: str
    by: str = "api"


class RecordingResumed(Fact, frozen=True, gc=False):
    """The call is recorded again."""

    KIND: ClassVar[str] = "recording.resumed"
    call: str
    by: str = "api"


class CallRecorded(Fact, frozen=True, gc=False):
    """What became of the call's recording: paths of its files, its length, and (begin, end, reason) of its gaps.

    Places and lengths are in seconds; `lost` is sound that could not be written.
    """

    KIND: ClassVar[str] = "call.recorded"
    call: str
    files: tuple[str, ...]
    seconds: float
    gaps: tuple[tuple[float, float, str], ...] = ()
    lost: float = 0.0


class CallEnded(Fact, frozen=True, gc=False):
    """The call is over and everything it held is released: the last fact of a call.

    It is stamped with the instant at which the call ended, which is a little before the release. `outcome` and
    `ended_by` are those of `acd.cdr`.
    """

    KIND: ClassVar[str] = "call.ended"
    call: str
    outcome: str
    ended_by: str
    reason: str = ""
    recording: str | None = None


# A call in the queues: told by the distributor


class CallQueued(Fact, frozen=True, gc=False):
    """The caller took a place in a queue. `waited` is what counts as waited already: a place kept from elsewhere.

    `required` and `preferred` are skills with levels, `excluded` skills, `prefers` the agent to be waited for.
    """

    KIND: ClassVar[str] = "call.queued"
    call: str
    queue: str
    number: str = ""
    priority: int = 0
    waited: float = 0.0
    required: dict[str, int] = {}
    preferred: dict[str, int] = {}
    excluded: tuple[str, ...] = ()
    prefers: str = ""


class RingWidened(Fact, frozen=True, gc=False):
    """The caller may be offered to more agents from now on; `ring` counts from 0."""

    KIND: ClassVar[str] = "ring.widened"
    call: str
    queue: str
    ring: int


class CallMoved(Fact, frozen=True, gc=False):
    """The caller went on to another queue with his place kept by original arrival; `cause` names the rule."""

    KIND: ClassVar[str] = "call.moved"
    call: str
    queue: str
    to: str
    cause: str


class WaitEstimated(Fact, frozen=True, gc=False):
    """What the caller's wait from here on was expected to be, and by which estimator."""

    KIND: ClassVar[str] = "wait.estimated"
    call: str
    queue: str
    estimator: str
    low: float
    expected: float
    high: float


class OfferMade(Fact, frozen=True, gc=False):
    """The agent is reserved for the caller and his phone is to ring.

    `sought` is "agent" when the caller sought an agent: then `score` is what the queue's strategy compared, and
    `runners_up` are the next best agents with theirs. It is "caller" when the agent had become free: then they are
    the place of the caller, the priority's first, then the weighted wait's, and the next best callers. Smaller is
    better in either. `idle` counts the agents that could have been offered, `waiting` the callers in the queue.
    """

    KIND: ClassVar[str] = "offer.made"
    call: str
    agent: str
    epoch: int
    queue: str
    policy: int = 0
    ring: int = 0
    sought: str = "agent"
    score: tuple[float, ...] = ()
    runners_up: tuple[tuple[str, tuple[float, ...]], ...] = ()
    idle: int = 0
    waiting: int = 0


class OfferFailed(Fact, frozen=True, gc=False):
    """The agent's phone refused, was busy, rang out or could not be reached; `cause` says which.

    `detail` is the answer in words, as "486 Busy Here".
    """

    KIND: ClassVar[str] = "offer.failed"
    call: str
    agent: str
    epoch: int
    cause: str
    detail: str = ""


class OfferWithdrawn(Fact, frozen=True, gc=False):
    """The offer ended through no fault of the agent's phone; `cause` says how."""

    KIND: ClassVar[str] = "offer.withdrawn"
    call: str
    agent: str
    epoch: int
    cause: str


class CallConnected(Fact, frozen=True, gc=False):
    """The agent answered. `waited` runs from the place in the queue that counts to the answer."""

    KIND: ClassVar[str] = "call.connected"
    call: str
    agent: str
    epoch: int
    queue: str
    waited: float


class TalkEnded(Fact, frozen=True, gc=False):
    """Caller and agent parted after `talked` seconds, `held` of them on hold."""

    KIND: ClassVar[str] = "talk.ended"
    call: str
    agent: str
    queue: str
    talked: float
    held: float = 0.0


class CallLeft(Fact, frozen=True, gc=False):
    """The caller left the queue without having talked to an agent; `cause` is a `LeftCause`."""

    KIND: ClassVar[str] = "call.left"
    call: str
    queue: str
    cause: str
    waited: float
    position: int = 0


class CallDiverted(Fact, frozen=True, gc=False):
    """An overflow rule (`cause`) sent the caller out of the queues: `target` and where, as "external" and a number."""

    KIND: ClassVar[str] = "call.diverted"
    call: str
    queue: str
    cause: str
    target: str
    where: str = ""


# What is owed to callers who are gone


class CallbackOwed(Fact, frozen=True, gc=False):
    """The caller was promised a call to `number` with the place in `queue` kept: `waited` counts as waited."""

    KIND: ClassVar[str] = "callback.owed"
    call: str
    queue: str
    number: str
    priority: int = 0
    waited: float = 0.0


class CallbackSettled(Fact, frozen=True, gc=False):
    """The promise given for `call` was kept or dropped; `outcome` says how."""

    KIND: ClassVar[str] = "callback.settled"
    call: str
    outcome: str


# Agents: told by the distributor


class AgentChanged(Fact, frozen=True, gc=False):
    """An agent's state changed after `lasted` seconds in `old`; `call` and `queue` are those of the new state.

    The intervals between these facts, not counters, are what is known of an agent's day.
    """

    KIND: ClassVar[str] = "agent.changed"
    agent: str
    old: str
    new: str
    lasted: float
    reason: str = ""
    call: str = ""
    queue: str = ""


class AgentWished(Fact, frozen=True, gc=False):
    """An agent wants "ready", "paused" (with a reason) or "logged_out"; the wish outlives talks, phones and runs.

    `cause` says who wished: empty for the agent, else as "forced" or "missed".
    """

    KIND: ClassVar[str] = "agent.wished"
    agent: str
    wish: str
    reason: str = ""
    cause: str = ""


KINDS: dict[str, type[Fact]] = {fact.KIND: fact for fact in Fact.__subclasses__()}
