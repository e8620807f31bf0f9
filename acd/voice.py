"""The voice of a call: how it was in the end, and what troubles it meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from acd import facts
from media.api import Recovered, Troubled
from media.rtp.troubles import HINTS

if TYPE_CHECKING:
    from acd.metrics.observed import Metrics
    from acd.record import CallRecord
    from media.api import LegReport

log = structlog.get_logger()


def note_trouble(event: Troubled | Recovered, leg: str, metrics: Metrics, record: CallRecord | None, who: str) -> None:
    """Note that the voice from one side is in trouble, or no more; without a call ``record`` is None."""
    call = record.id if record is not None else None
    match event:
        case Troubled(trouble, detail):
            hint = HINTS[trouble]
            metrics.voice_troubled(leg, trouble)
            log.warning(
                "voice.troubled",
                call=call,
                leg=leg,
                peer=who,
                trouble=trouble,
                detail=detail,
                meaning=hint.meaning,
                check=hint.check,
            )
            if record is not None:
                record.tell(facts.VoiceTroubled(record.id, leg, trouble, detail))
        case Recovered(trouble, seconds):
            log.info("voice.recovered", call=call, leg=leg, peer=who, trouble=trouble, seconds=seconds)
            if record is not None:
                record.tell(facts.VoiceRecovered(record.id, leg, trouble, seconds))


def measured(call: str, leg: str, report: LegReport) -> facts.VoiceMeasured:
    """Return what a leg's report says of the voice."""
    far = report.far_end
    return facts.VoiceMeasured(
        call,
        leg,
        report.codec,
        report.packets_received,
        report.lost,
        report.loss_percent,
        report.jitter_ms,
        report.mos,
        report.basis,
        r_factor=report.r_factor,
        scale=report.scale,
        burst_ratio=report.burst_ratio,
        round_trip_ms=report.round_trip_ms,
        far_loss_percent=far.loss_percent if far is not None else None,
        far_jitter_ms=far.jitter_ms if far is not None else None,
        far_mos=far.mos if far is not None else None,
        troubles=report.troubles,
        security=report.security,
        discarded=report.discarded,
    )


def spoken(call: str, report: LegReport | None) -> facts.SpeechMeasured | None:
    """Return who spoke while the caller was connected, as the caller's leg tells it; None where it cannot be told."""
    talk = report.talk if report is not None else None
    if talk is None:
        return None
    return facts.SpeechMeasured(
        call,
        connected=talk.connected,
        caller=talk.spoken,
        other=talk.heard,
        both=talk.both,
        dead=talk.dead,
        longest_dead=talk.longest_dead,
    )
