"""How a leg fares: its account, and what troubles it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from media.rtp.account import Account
from media.rtp.quality import Hearing
from media.rtp.troubles import Sight, Thresholds, Watch

if TYPE_CHECKING:
    from media.api import LegReport
    from media.rtp.reporting import Reporter
    from media.rtp.xr import VoipMetrics
    from media.worker.session import Session


class Health:
    """Watches one session, about once a second, and tells how it was at the end."""

    __slots__ = ("_account", "_reporter", "_session", "_watch")

    def __init__(self, session: Session, reporter: Reporter, thresholds: Thresholds) -> None:
        self._session = session
        self._reporter = reporter
        self._account = Account(reporter)
        self._watch = Watch(thresholds)

    def look(self, now: float) -> None:
        """Tell the session's owner what troubles it from now on, and what does no more."""
        session, reporter = self._session, self._reporter
        stream, reception = session.stream, session.reception
        sight = Sight(
            expects=stream.receives and not stream.held and stream.port > 0,
            heard_at=session.heard_at,
            rests=session.rests,
            expected=reception.expected,
            received=reception.received,
            lost=reception.lost,
            jitter_ms=reception.jitter_ms,
            wrong=session.wrong,
            wrong_payload=session.wrong_payload,
            loud_at=None,
            sent=reporter.sender.packets,
            reports=reporter.reports,
            far_expected=reporter.far_expected,
            far_at=reporter.far_at,
        )
        for event in self._watch.look(sight, now):
            session.tell(event)

    def report(self, recording: str | None = None) -> LegReport:
        """Tell how the leg fared since it was measured last, or opened."""
        report = self._account.report(self._hearing(), self._session.stream.codec)
        return msgspec.structs.replace(
            report, recording=recording, troubles=tuple(self._watch.told), security=self._session.protection
        )

    def measure(self) -> LegReport:
        """Return the report up to now, and begin a new one."""
        report = self.report()
        self._account.settle()
        self._watch.settle()
        return report

    def metrics(self) -> VoipMetrics | None:
        """Tell how what is received is heard, for the peer."""
        return self._account.metrics(self._hearing())

    def _hearing(self) -> Hearing:
        session = self._session
        return Hearing(session.spoken.name, session.stream.packet_ms)
