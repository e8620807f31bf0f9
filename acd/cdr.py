"""The call detail record: what became of one call, written once, when it is over."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class EndedBy(StrEnum):
    """Who ended the call."""

    CALLER = "caller"
    AGENT = "agent"
    EXTERNAL = "external"  # who was called outside for the caller
    SYSTEM = "system"


class Outcome(StrEnum):
    """How a call ended, each call having exactly one. That an agent answered shows in `connected` as well."""

    ANSWERED = "answered"  # talked to an agent, and one of the two hung up
    SERVED = "served"  # echo or announcement, to its end or until the caller hung up
    ABANDONED = "abandoned"  # the caller hung up in the menu, in the queue or while a phone rang
    CANCELLED = "cancelled"  # the caller gave up before we answered
    NO_AGENT = "no_agent"  # nobody was logged in to the queue
    CLOSED = "closed"  # outside the queue's hours
    OVERFLOWED = "overflowed"  # an announcement told the caller where else to turn
    EXTERNAL = "external"  # went on to somebody outside, and one of the two hung up
    CALLBACK = "callback"  # was promised a call
    WAITED_TOO_LONG = "waited_too_long"  # longer than the queue's max_wait_seconds
    REJECTED = "rejected"  # refused before it began: unknown number, no common codec, limits
    TIME_LIMIT = "time_limit"  # longer than limits.call_seconds, or the talk longer than longest_seconds
    PEER_LOST = "peer_lost"  # no RTP, no ACK or no response any more
    MEDIA_LOST = "media_lost"  # the media worker went away
    DRAINED = "drained"  # ended by the shutdown
    CRASHED = "crashed"  # the server went away under it; written by the next start
    FAILED = "failed"  # by a defect or a fault not named above


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """The voice received from one side; `mos` None: not known, `basis` says why or what it rests on.

    `discarded` packets came too late for our jitter buffer; `mos` counts them as loss. `r_factor` and `mos` are on the
    scale ("narrowband" or "wideband") of the E-model. `burst_ratio` is 1 for random loss. `far_…` is what that side
    reported of the voice that it received, None where it reported nothing. `troubles` are the thresholds that were
    passed (`media.quality` in the configuration), in that order. `security` says where the keys of its SRTP are from,
    and how it is encrypted: "DTLS AEAD_AES_128_GCM"; None: it was plain RTP.
    """

    codec: str | None = None
    packets: int = 0
    lost: int = 0
    loss_percent: float = 0.0
    jitter_ms: float = 0.0
    mos: float | None = None
    basis: str = "nothing received"
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


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """Who spoke while the caller was connected to somebody, in seconds; `agent` is whoever that was.

    `talk_over` is when both spoke, `dead_air` when nobody did for longer than a pause of talking. `agent_share` is the
    agent's part of all that was spoken, from 0 to 1; None: nobody spoke.
    """

    connected_seconds: float = 0.0
    caller_seconds: float = 0.0
    agent_seconds: float = 0.0
    talk_over_seconds: float = 0.0
    dead_air_seconds: float = 0.0
    longest_dead_air_seconds: float = 0.0
    agent_share: float | None = None


class Gap(msgspec.Struct, frozen=True):
    """A stretch of a recording in which nobody is heard: "paused" on request, or "apart", between two talks."""

    begin: float
    end: float
    reason: str


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A recording: the paths of its files, its length and its gaps in seconds, and how much could not be written."""

    files: tuple[str, ...] = ()
    seconds: float = 0.0
    gaps: tuple[Gap, ...] = ()
    lost_seconds: float = 0.0


class Step(msgspec.Struct, frozen=True):
    """One thing that happened to a call; `event` is named like a log line, as "agent.offered"."""

    at: datetime
    event: str
    detail: str = ""


class Cdr(msgspec.Struct, frozen=True, kw_only=True):
    """One call. All instants are in UTC; one that was not reached is None.

    `id` is ours and unique, `call_id` the Call-ID of the caller's dialog. `offered` is the first offer to an agent,
    `agent` the one who answered, or the last one tried. `waited_seconds` counts from `queued` to `connected`, or to
    `ended`; `talked_seconds` from `connected` to `ended`; both are derived. `reason` is the SIP status or cause in
    words. `trunk` is the one that the call came by, `trunk_out` the one by which it was last sent on to a number
    outside; None: no trunk. `quality_caller` is what we received from the caller, `quality_agent` from the agent;
    `speech` is None where it could not be told who spoke. `recording` is the first file of what was `recorded`.

    What the caller's INVITE said for charging (RFC 7315), None where it did not: `icid`, `orig_ioi` and `term_ioi` of
    P-Charging-Vector, the URIs of P-Asserted-Identity, P-Served-User and P-Called-Party-ID (or, with any of these, the
    request URI), and P-Access-Network-Info as it is written.
    """

    id: str
    call_id: str
    dialled: str
    caller: str
    arrived: datetime
    ended: datetime
    ended_by: EndedBy
    outcome: Outcome
    reason: str = ""
    queue: str | None = None
    agent: str | None = None
    answered_by_system: datetime | None = None
    queued: datetime | None = None
    offered: datetime | None = None
    connected: datetime | None = None
    waited_seconds: float = 0.0
    talked_seconds: float = 0.0
    quality_caller: Quality | None = None
    quality_agent: Quality | None = None
    recording: str | None = None
    timeline: tuple[Step, ...] = ()
    trunk: str | None = None
    trunk_out: str | None = None
    icid: str | None = None
    orig_ioi: str | None = None
    term_ioi: str | None = None
    asserted_identity: str | None = None
    served_user: str | None = None
    access_network: str | None = None
    called_party: str | None = None
    speech: Speech | None = None
    recorded: Recorded | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "waited_seconds", _seconds(self.queued, self.connected or self.ended))
        msgspec.structs.force_setattr(self, "talked_seconds", _seconds(self.connected, self.ended))


def _seconds(start: datetime | None, end: datetime) -> float:
    return 0.0 if start is None else round((end - start).total_seconds(), 3)
