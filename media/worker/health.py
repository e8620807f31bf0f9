"""How a leg fares: its account, who speaks, and what troubles it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from media.analysis.conversation import SLOTS, Conversation, Voice
from media.analysis.loudness import Meter
from media.codecs import CodecError
from media.codecs.amr_payload import AMR_WB, unpack
from media.codecs.names import AMR_WB as AMR_WB_NAME
from media.rtp.account import Account
from media.rtp.quality import Hearing
from media.rtp.troubles import Sight, Thresholds, Watch

if TYPE_CHECKING:
    from media.api import LegReport
    from media.rtp.reporting import Reporter
    from media.rtp.stream import Format
    from media.rtp.xr import VoipMetrics
    from media.worker.room import Room
    from media.worker.session import Session

_EACH: Final = 2  # slots from one packet that is listened to until the next
_RECENT_SECONDS: Final = 1.0


class Health:
    """Watches one session, about once a second, and tells how it was at the end.

    Of what the peer says one packet in each fifth of a second is listened to.
    """

    __slots__ = (
        "_account",
        "_buffer_ms",
        "_conversation",
        "_meter",
        "_mode",
        "_reporter",
        "_session",
        "_voice",
        "_watch",
    )

    def __init__(self, session: Session, reporter: Reporter, thresholds: Thresholds) -> None:
        self._session = session
        self._reporter = reporter
        self._account = Account(reporter)
        self._watch = Watch(thresholds)
        self._conversation: Conversation | None = None
        self._voice = Voice()
        self._meter = Meter()
        self._mode: int | None = None
        self._buffer_ms: float | None = None

    def follow(self, room: Room | None, now: float) -> float:
        """Take part in the conversation of a room; returns when the next packet is to be listened to."""
        conversation = room.conversation if room is not None else None
        if conversation is not self._conversation:
            if self._conversation is not None:
                self._conversation.leave(self._voice, now)
            if conversation is not None:
                conversation.join(self._voice, now)
            self._conversation = conversation
        return math.inf if conversation is None else 0.0

    def listen(self, coding: Format, payload: bytes, now: float) -> float:
        """Listen to a packet; returns when the next one is to be listened to."""
        loud = self._meter.is_loud(coding, payload)
        self._voice.known = loud is not None
        if loud:
            self._voice.speak(now)
        if coding.name == AMR_WB_NAME:
            self._mode = _mode_of(coding, payload, self._mode)
        return (int(now * SLOTS) + _EACH) / SLOTS

    def look(self, now: float) -> None:
        """Tell the session's owner what troubles it from now on, and what does no more."""
        session, reporter, voice = self._session, self._reporter, self._voice
        stream, reception = session.stream, session.reception
        voice.engaged = stream.receives and session.listens and not stream.held
        if not voice.engaged:
            voice.loud_at = now
        if self._conversation is not None:
            self._conversation.fold(now)
        if session.decoding is not None:
            self._buffer_ms = session.decoding.playout.delay_ms
        sight = Sight(
            expects=stream.receives and not stream.held and stream.port > 0,
            heard_at=session.incoming.heard_at,
            rests=session.incoming.rested_at >= session.incoming.heard_at,
            expected=reception.expected,
            received=reception.received,
            lost=reception.lost,
            jitter_ms=reception.jitter_ms,
            wrong=session.incoming.wrong,
            wrong_payload=session.incoming.wrong_payload,
            loud_at=voice.loud_at if self._conversation is not None and voice.known else None,
            sent=reporter.sender.packets,
            reports=reporter.reports,
            far_expected=reporter.far_expected,
            far_at=reporter.far_at,
            opposed=now - session.incoming.heard_at > _RECENT_SECONDS and self._is_opposed(now),
        )
        for event in self._watch.look(sight, now):
            session.tell(event)

    def _is_opposed(self, now: float) -> bool:
        """Tell whether somebody who hears this peer is received."""
        session = self._session
        hearers = session.room.hearers_of(session) if session.room is not None else ()
        return any(now - each.incoming.heard_at < _RECENT_SECONDS for each in hearers if each is not session)

    def report(self, recording: str | None = None) -> LegReport:
        """Tell how the leg fared since it was measured last, or opened."""
        report = self._account.report(self._hearing(), self._session.stream.codec)
        return msgspec.structs.replace(
            report,
            recording=recording,
            talk=self._voice.talk(),
            troubles=tuple(self._watch.told),
            security=self._session.protection,
        )

    def measure(self, now: float) -> LegReport:
        """Return the report up to now, and begin a new one."""
        if self._conversation is not None:
            self._conversation.fold(now)
        report = self.report()
        self._account.settle(self._session.incoming.discarded)
        self._watch.settle()
        self._voice.reset()
        return report

    def metrics(self) -> VoipMetrics | None:
        """Tell how what is received is heard, for the peer."""
        return self._account.metrics(self._hearing())

    def _hearing(self) -> Hearing:
        session = self._session
        return Hearing(
            session.spoken.name,
            session.stream.packet_ms,
            buffer_ms=self._buffer_ms,
            conceals=self._buffer_ms is not None,
            mode=self._mode,
            discarded=session.incoming.discarded,
        )


def _mode_of(coding: Format, payload: bytes, before: int | None) -> int | None:
    """Return the mode of the speech in a payload of AMR-WB, the one before where there is none."""
    try:
        frames = unpack(payload, AMR_WB, octet_align="octet-align=1" in coding.parameters.replace(" ", "")).frames
    except CodecError:
        return before
    modes = [frame.type for frame in frames if frame.type < AMR_WB.modes]
    return modes[0] if modes else before
