"""One pass over the facts of the log, each at a constant price, into tallies per interval, queue, number and agent."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from acd import facts
from acd.kpi.agents import Agents
from acd.kpi.callers import Callers
from acd.kpi.grid import Grid
from acd.kpi.policy import NO_POLICY, Policy, read_policy
from acd.kpi.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from acd.kpi.tally import Interval

THRESHOLDS: Final = (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0)


class Fold:
    """Counts the calls offered and the agents' time from `start` up to and without `end`, in unix seconds.

    Give it facts from before `start` as well, from a `ServerStarted` or `FloorStood` on, so that it knows how the
    agents stand, and those after `end` until it is complete, so that it knows what became of the calls; neither are
    counted. `thresholds` are the waits in seconds by which callers are told apart, besides the threshold of their
    queue. At most `keep` intervals are kept, the latest. `policy` holds until a `PolicyInstalled`.
    """

    def __init__(
        self,
        grid: Grid = Grid(),  # noqa: B008 - a value
        *,
        start: float = -math.inf,
        end: float = math.inf,
        thresholds: Iterable[float] = THRESHOLDS,
        keep: int | None = None,
        policy: Policy = NO_POLICY,
    ) -> None:
        self.grid = grid
        self.thresholds = tuple(sorted(set(thresholds)))
        self._timeline = Timeline(grid, start, end, keep=keep, policy=policy)
        self._callers = Callers(self._timeline, self.thresholds)
        self._agents = Agents(self._timeline, self._callers.worked_for)
        self._now = -math.inf
        self._handlers: dict[type[facts.Fact], Callable[[Any, float], None]] = {
            **self._callers.handlers,
            **self._agents.handlers,
            facts.ServerStarted: self._server_started,
            facts.ServerStopped: self._server_stopped,
            facts.PolicyInstalled: self._policy_installed,
        }

    def append(self, fact: facts.Fact, at: float) -> None:
        """Take the next fact. The clock may stand still or step back: no time is counted twice."""
        handle = self._handlers.get(type(fact))
        if handle is not None:
            if at >= self._timeline.current.end:
                if type(fact) is facts.ServerStarted:
                    self._agents.log_out(self._now)
                self._agents.advance(at)
            handle(fact, at)
        if at > self._now:  # noqa: PLR1730 - hot
            self._now = at

    def intervals(self, now: float | None = None) -> list[Interval]:
        """The intervals that facts fell into, in order; states that last are counted up to `now`."""
        if now is not None:
            if now >= self._timeline.current.end:
                self._agents.advance(now)
            self._agents.spend(now)
        return self._timeline.intervals()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of facts that count; it may be spared the others."""
        return tuple(fact.KIND for fact in self._handlers)

    @property
    def ignored(self) -> int:
        """Facts about calls that are not known, as those offered before the first fact."""
        return self._callers.ignored

    def complete(self) -> bool:
        """Whether nothing more can be counted: `end` has passed, and no call offered before it goes on."""
        timeline = self._timeline
        outside = (timeline.before, timeline.after)
        return timeline.current is timeline.after and all(
            place[0] in outside
            for places in (self._callers.under_way(), self._agents.wrapping_up())
            for place in places
        )

    def imbalances(self) -> list[str]:
        """Where callers are missing: offered is not the sum of all ends and of who waits. A law: the list is empty."""
        waiting: dict[int, int] = {}
        for _, queue, number, _ in self._callers.waiting():
            for calls in (queue, number):
                waiting[id(calls)] = waiting.get(id(calls), 0) + 1
        return [
            f"{kind} {name!r} from {interval.start:.0f}: of {calls.offered} offered {calls.waiting} have no end, "
            f"and {waiting.get(id(calls), 0)} wait"
            for interval in self._timeline.intervals()
            for kind, tallies in (("queue", interval.queues), ("number", interval.numbers))
            for name, calls in tallies.items()
            if calls.waiting != waiting.get(id(calls), 0)
        ]

    def _server_started(self, _fact: facts.ServerStarted, _at: float) -> None:
        """Log everybody out as of the last fact: what they did between that and a crash nobody knows."""
        self._agents.log_out(self._now)

    def _server_stopped(self, _fact: facts.ServerStopped, at: float) -> None:
        self._agents.log_out(at)

    def _policy_installed(self, fact: facts.PolicyInstalled, _at: float) -> None:
        with suppress(ValueError):  # as another version may have written it: the one before holds on
            self._timeline.install(read_policy(fact.document))
