"""One call as its facts tell it: the fold that live calls and the log have in common, up to the CDR."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from acd import facts
from acd.cdr import Cdr, EndedBy, Gap, Outcome, Quality, Recorded, Speech, Step
from acd.journal.port import Entry


class CallFold:
    """What is known of one call after the facts it was told with `apply`, the first being its `CallArrived`.

    `queue` is the one the caller waits or waited in, `agent` the one who answered, or the last one tried.
    """

    def __init__(self, arrived: facts.CallArrived, at: float) -> None:
        self.id = arrived.call
        self.call_id = arrived.sip_call_id
        self.dialled = arrived.number
        self.caller = arrived.caller
        self.trunk = arrived.trunk
        self.trunk_out: str | None = None
        self.queue: str | None = None
        self.agent: str | None = None
        self.recorded_to = ""
        self.ended: facts.CallEnded | None = None
        self.charging: facts.ChargingKnown | None = None
        self._quality: dict[str, Quality] = {}
        self._speech: Speech | None = None
        self._troubles: dict[tuple[str, str], tuple[facts.VoiceTroubled, float]] = {}
        self._recorded: Recorded | None = None
        self._instants: dict[str, float] = {}
        self._steps: list[tuple[float, str, str]] = []
        self._step(at, "call.arrived", self.dialled)

    def apply(self, fact: facts.Fact, at: float) -> None:
        """Take a fact about this call that happened at `at`, in unix seconds."""
        change = _CHANGES.get(type(fact))
        if change is not None:
            change(self, fact, at)

    def has(self, event: str) -> bool:
        """Whether this step was taken."""
        return event in self._instants

    def at(self, event: str) -> datetime | None:
        """When this step was first taken, None if it was not."""
        at = self._instants.get(event)
        return None if at is None else _instant(at)

    @property
    def arrived(self) -> datetime:
        """When the INVITE came."""
        return _instant(self._steps[0][0])

    @property
    def state(self) -> str:
        """The latest step: where the call is now, however its voice is."""
        return next(event for _, event, _ in reversed(self._steps) if not event.startswith("voice."))

    def troubles(self) -> list[tuple[facts.VoiceTroubled, datetime]]:
        """What troubles the voice at present, and since when."""
        return [(fact, _instant(at)) for fact, at in self._troubles.values()]

    def cdr(self) -> Cdr:
        """Return the record of the call, which must have ended."""
        ended = self.ended
        assert ended is not None
        at = self.at
        charging = self.charging or facts.ChargingKnown(self.id)
        return Cdr(
            id=self.id,
            call_id=self.call_id,
            dialled=self.dialled,
            caller=self.caller,
            arrived=self.arrived,
            ended=at("call.ended") or self.arrived,
            ended_by=EndedBy(ended.ended_by),
            outcome=Outcome(ended.outcome),
            reason=ended.reason,
            queue=self.queue,
            agent=self.agent,
            answered_by_system=at("call.answered"),
            queued=at("call.queued"),
            offered=at("agent.offered"),
            connected=at("agent.connected"),
            quality_caller=self._quality.get("caller"),
            quality_agent=self._quality.get("agent"),
            recording=ended.recording,
            trunk=self.trunk or None,
            trunk_out=self.trunk_out,
            icid=charging.icid or None,
            orig_ioi=charging.orig_ioi or None,
            term_ioi=charging.term_ioi or None,
            asserted_identity=charging.asserted_identity or None,
            served_user=charging.served_user or None,
            access_network=charging.access_network or None,
            called_party=charging.called_party or None,
            speech=self._speech,
            recorded=self._recorded,
            timeline=tuple(Step(_instant(when), event, detail) for when, event, detail in sorted(self._steps, key=_at)),
        )

    def _step(self, at: float, event: str, detail: str = "") -> None:
        self._instants.setdefault(event, at)
        self._steps.append((at, event, detail))

    # What each fact changes ---------------------------------------------------------------------------------

    def _charged(self, fact: facts.ChargingKnown, _: float) -> None:
        self.charging = fact

    def _reserved(self, fact: facts.CallerReserved, at: float) -> None:
        self._step(at, "caller.reserved", f"{fact.seconds:.3f}")

    def _answered(self, _: facts.CallAnswered, at: float) -> None:
        self._step(at, "call.answered")

    def _pressed(self, fact: facts.CallerPressed, at: float) -> None:
        self._step(at, "caller.pressed", fact.digit or "hidden")

    def _chose(self, fact: facts.MenuChose, at: float) -> None:
        self.queue = fact.queue
        self._step(at, "menu.chose", fact.queue)

    def _turned_away(self, fact: facts.CallTurnedAway, _: float) -> None:
        self.queue = fact.queue

    def _queued(self, fact: facts.CallQueued, at: float) -> None:
        self.queue = fact.queue
        self._step(at, "call.queued", fact.queue)

    def _widened(self, fact: facts.RingWidened, at: float) -> None:
        self._step(at, "ring.widened", str(fact.ring))

    def _moved(self, fact: facts.CallMoved, at: float) -> None:
        self.queue = fact.to
        self._step(at, "call.moved", f"{fact.to} {fact.cause}")

    def _diverted(self, fact: facts.CallDiverted, at: float) -> None:
        self._step(at, "call.diverted", " ".join(filter(None, (fact.target, fact.where, fact.cause))))

    def _offered(self, fact: facts.OfferMade, at: float) -> None:
        self.agent = fact.agent
        self._step(at, "agent.offered", fact.agent)

    def _failed(self, fact: facts.OfferFailed, at: float) -> None:
        if fact.cause == "no_answer" and not fact.detail:
            self._step(at, "agent.withdrawn", f"{fact.agent} ring_timeout")
        else:
            self._step(at, "agent.failed", f"{fact.agent} {fact.detail or fact.cause}")

    def _withdrawn(self, fact: facts.OfferWithdrawn, at: float) -> None:
        self._step(at, "agent.withdrawn", f"{fact.agent} {fact.cause}")

    def _connected(self, fact: facts.CallConnected, at: float) -> None:
        self.agent = fact.agent
        self._step(at, "agent.connected", fact.agent)

    def _went_out(self, fact: facts.CallWentOut, at: float) -> None:
        self.trunk_out = fact.trunk
        self._step(at, "call.went_out", f"{fact.trunk} {fact.number}")

    def _bridged(self, fact: facts.CallBridged, at: float) -> None:
        self.recorded_to = fact.recording
        self._step(at, "call.bridged")

    def _reminded(self, fact: facts.TalkReminded, at: float) -> None:
        self._step(at, "talk.reminded", f"{fact.talked:.0f} s")

    def _measured(self, fact: facts.VoiceMeasured, _: float) -> None:
        self._quality[fact.leg] = Quality(
            codec=fact.codec,
            packets=fact.packets,
            lost=fact.lost,
            loss_percent=fact.loss_percent,
            jitter_ms=fact.jitter_ms,
            mos=fact.mos,
            basis=fact.basis,
            r_factor=fact.r_factor,
            scale=fact.scale,
            burst_ratio=fact.burst_ratio,
            round_trip_ms=fact.round_trip_ms,
            far_loss_percent=fact.far_loss_percent,
            far_jitter_ms=fact.far_jitter_ms,
            far_mos=fact.far_mos,
            troubles=fact.troubles,
            security=fact.security,
            discarded=fact.discarded,
        )

    def _troubled(self, fact: facts.VoiceTroubled, at: float) -> None:
        self._troubles[fact.leg, fact.trouble] = fact, at
        self._step(at, "voice.troubled", f"{fact.leg} {fact.trouble}: {fact.detail}")

    def _recovered(self, fact: facts.VoiceRecovered, at: float) -> None:
        self._troubles.pop((fact.leg, fact.trouble), None)
        self._step(at, "voice.recovered", f"{fact.leg} {fact.trouble}: {fact.seconds:.0f} s")

    def _spoken(self, fact: facts.SpeechMeasured, _: float) -> None:
        words = fact.caller + fact.other
        self._speech = Speech(
            connected_seconds=fact.connected,
            caller_seconds=fact.caller,
            agent_seconds=fact.other,
            talk_over_seconds=fact.both,
            dead_air_seconds=fact.dead,
            longest_dead_air_seconds=fact.longest_dead,
            agent_share=round(fact.other / words, 3) if words else None,
        )

    def _paused(self, fact: facts.RecordingPaused, at: float) -> None:
        self._step(at, "recording.paused", fact.by)

    def _resumed(self, fact: facts.RecordingResumed, at: float) -> None:
        self._step(at, "recording.resumed", fact.by)

    def _was_recorded(self, fact: facts.CallRecorded, _: float) -> None:
        gaps = tuple(Gap(*gap) for gap in fact.gaps)
        self._recorded = Recorded(files=fact.files, seconds=fact.seconds, gaps=gaps, lost_seconds=fact.lost)

    def _ended(self, fact: facts.CallEnded, at: float) -> None:
        self.ended = fact
        self._step(at, "call.ended", fact.outcome)


_CHANGES: dict[type[facts.Fact], Callable[[CallFold, Any, float], None]] = {
    facts.ChargingKnown: CallFold._charged,  # noqa: SLF001 - the table of the class above
    facts.CallerReserved: CallFold._reserved,  # noqa: SLF001
    facts.CallAnswered: CallFold._answered,  # noqa: SLF001
    facts.CallerPressed: CallFold._pressed,  # noqa: SLF001
    facts.MenuChose: CallFold._chose,  # noqa: SLF001
    facts.CallTurnedAway: CallFold._turned_away,  # noqa: SLF001
    facts.CallQueued: CallFold._queued,  # noqa: SLF001
    facts.RingWidened: CallFold._widened,  # noqa: SLF001
    facts.CallMoved: CallFold._moved,  # noqa: SLF001
    facts.CallDiverted: CallFold._diverted,  # noqa: SLF001
    facts.OfferMade: CallFold._offered,  # noqa: SLF001
    facts.OfferFailed: CallFold._failed,  # noqa: SLF001
    facts.OfferWithdrawn: CallFold._withdrawn,  # noqa: SLF001
    facts.CallConnected: CallFold._connected,  # noqa: SLF001
    facts.CallWentOut: CallFold._went_out,  # noqa: SLF001
    facts.CallBridged: CallFold._bridged,  # noqa: SLF001
    facts.TalkReminded: CallFold._reminded,  # noqa: SLF001
    facts.VoiceMeasured: CallFold._measured,  # noqa: SLF001
    facts.VoiceTroubled: CallFold._troubled,  # noqa: SLF001
    facts.VoiceRecovered: CallFold._recovered,  # noqa: SLF001
    facts.SpeechMeasured: CallFold._spoken,  # noqa: SLF001
    facts.RecordingPaused: CallFold._paused,  # noqa: SLF001
    facts.RecordingResumed: CallFold._resumed,  # noqa: SLF001
    facts.CallRecorded: CallFold._was_recorded,  # noqa: SLF001
    facts.CallEnded: CallFold._ended,  # noqa: SLF001
}


def fold_call(entries: Iterable[Entry]) -> CallFold | None:
    """Fold the entries of one call; None when its beginning is not among them."""
    fold: CallFold | None = None
    for entry in entries:
        if fold is not None:
            fold.apply(entry.fact, entry.at)
        elif isinstance(entry.fact, facts.CallArrived):
            fold = CallFold(entry.fact, entry.at)
    return fold


def _instant(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _at(step: tuple[float, str, str]) -> float:
    return step[0]
