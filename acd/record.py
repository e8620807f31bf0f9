"""What is noted about a call while it lasts, to become its CDR and its line in the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from acd.cdr import Cdr, EndedBy, Outcome, Quality, Step
from media.api import LegReport


class CallRecord:
    """Collects the steps of one call. ``utc`` returns the time of day, with its zone."""

    def __init__(self, *, id: str, call_id: str, dialled: str, caller: str, utc: Callable[[], datetime]) -> None:  # noqa: A002
        self.id = id
        self.call_id = call_id
        self.dialled = dialled
        self.caller = caller
        self.queue: str | None = None
        self.agent: str | None = None
        self.recording: str | None = None
        self.quality_caller: Quality | None = None
        self.quality_agent: Quality | None = None
        self.ended_by = EndedBy.SYSTEM
        self.outcome: Outcome | None = None
        self.reason = ""
        self._utc = utc
        self._instants: dict[str, datetime] = {}
        self._steps: list[Step] = []
        self.arrived = self.step("call.arrived", dialled)

    def step(self, event: str, detail: str = "") -> datetime:
        """Note that something happened now."""
        now = self._utc()
        self._instants.setdefault(event, now)
        self._steps.append(Step(now, event, detail))
        return now

    def end(self, ended_by: EndedBy, outcome: Outcome, reason: str = "") -> bool:
        """Note how the call ended; only the first word on that counts. Returns whether this was it."""
        if self.outcome is not None:
            return False
        self.ended_by, self.outcome, self.reason = ended_by, outcome, reason
        self.step("call.ended", outcome)
        return True

    def take_reports(self, caller: LegReport | None, agent: LegReport | None) -> None:
        """Note how the voice was and where it was recorded."""
        if caller is not None:
            self.quality_caller = Quality.of(caller)
            self.recording = caller.recording
        if agent is not None:
            self.quality_agent = Quality.of(agent)

    def at(self, event: str) -> datetime | None:
        """When this step was first taken, None if it was not."""
        return self._instants.get(event)

    def has(self, event: str) -> bool:
        """Whether this step was taken."""
        return event in self._instants

    @property
    def state(self) -> str:
        """The latest step: where the call is now."""
        return self._steps[-1].event

    def cdr(self) -> Cdr:
        """Return the finished record."""
        at = self.at
        return Cdr(
            id=self.id,
            call_id=self.call_id,
            dialled=self.dialled,
            caller=self.caller,
            arrived=self.arrived,
            ended=at("call.ended") or self._utc(),
            ended_by=self.ended_by,
            outcome=self.outcome or Outcome.FAILED,
            reason=self.reason,
            queue=self.queue,
            agent=self.agent,
            answered_by_system=at("call.answered"),
            queued=at("call.queued"),
            offered=at("agent.offered"),
            connected=at("agent.connected"),
            quality_caller=self.quality_caller,
            quality_agent=self.quality_agent,
            recording=self.recording,
            timeline=tuple(self._steps),
        )
