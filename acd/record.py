"""What is noted about a call while it lasts: facts, handed to the log, whose fold becomes the CDR."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from acd import facts
from acd.cdr import EndedBy, Outcome
from acd.journal.calls import CallFold
from acd.voice import measured, spoken

if TYPE_CHECKING:
    from acd.journal.port import Journal
    from media.api import LegReport


class CallRecord(CallFold):
    """The facts of one call under way, folded as they come. ``unix`` returns the time in unix seconds.

    ``outcome`` is None until somebody has said how the call ends.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002
        call_id: str,
        dialled: str,
        caller: str,
        trunk: str = "",
        unix: Callable[[], float],
        journal: Journal,
    ) -> None:
        self.outcome: Outcome | None = None
        self.ended_by = EndedBy.SYSTEM
        self.reason = ""
        self._ended_at = 0.0
        self._unix = unix
        self._journal = journal
        arrived = facts.CallArrived(id, call_id, dialled, caller, trunk)
        now = unix()
        super().__init__(arrived, now)
        journal.append(arrived, now)

    def now(self) -> float:
        """Return the time in unix seconds."""
        return self._unix()

    def tell(self, fact: facts.Fact) -> None:
        """Note what has happened now."""
        now = self._unix()
        self.apply(fact, now)
        self._journal.append(fact, now)

    def end(self, ended_by: EndedBy, outcome: Outcome, reason: str = "") -> bool:
        """Note how the call ends; only the first word on that counts. Returns whether this was it."""
        if self.outcome is not None:
            return False
        self.ended_by, self.outcome, self.reason = ended_by, outcome, reason
        self._ended_at = self._unix()
        return True

    def close(self, caller: LegReport | None, agent: LegReport | None) -> None:
        """Note how the voice was and where it was recorded: all is released, and this is the last word."""
        for leg, report in (("caller", caller), ("agent", agent)):
            if report is not None:
                self.tell(measured(self.id, leg, report))
        speech = spoken(self.id, caller)
        if speech is not None:
            self.tell(speech)
        recorded = caller.recorded if caller is not None else None
        if recorded is not None and recorded.files:
            gaps = tuple((round(gap.begin, 3), round(gap.end, 3), gap.reason) for gap in recorded.gaps)
            seconds, lost = round(recorded.seconds, 3), round(recorded.lost_seconds, 3)
            self.tell(facts.CallRecorded(self.id, recorded.files, seconds, gaps, lost))
        recording = caller.recording if caller is not None else None
        if recording is None and recorded is None and self.recorded_to and Path(self.recorded_to).is_file():
            recording = self.recorded_to  # its worker was lost, and what it had written is there
        self.end(EndedBy.SYSTEM, Outcome.FAILED)
        ended = facts.CallEnded(
            self.id,
            str(self.outcome),
            str(self.ended_by),
            self.reason,
            recording,
        )
        self.apply(ended, self._ended_at)
        self._journal.append(ended, self._ended_at)
