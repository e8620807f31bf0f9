"""How agents spend their time: each state's seconds, split exactly at the ends of intervals.

Seconds are differences of the log's instants. From 2004 to 2038 a float holds all of those to the same 2**-22 s, so
that differences and sums have no rounding at all: what an agent spent in all states is the time that he was logged in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from acd import facts
from acd.core.agents import AgentState
from acd.kpi.tally import Time, time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from acd.kpi.callers import Place
    from acd.kpi.timeline import Timeline

_AWAY: Final = AgentState.LOGGED_OUT.value
_WRAP_UP: Final = AgentState.WRAP_UP.value


class _Agent:
    """An agent as the facts left him: in `state`, his time up to `since` being counted; `time` is the current tally."""

    __slots__ = ("id", "since", "state", "time")

    def __init__(self, agent_id: str, state: str, since: float, time: Time) -> None:
        self.id = agent_id
        self.state = state
        self.since = since
        self.time = time

    def spend(self, until: float) -> None:
        """Count the state up to now."""
        if until > self.since:
            if self.state != _AWAY:
                seconds = self.time.seconds
                seconds[self.state] = seconds.get(self.state, 0.0) + (until - self.since)
            self.since = until


class Agents:
    """The agents and their time. `worked_for` says whom an agent's wrap-up is for; see `Callers`."""

    def __init__(self, timeline: Timeline, worked_for: dict[str, Place]) -> None:
        self._timeline = timeline
        self._worked_for = worked_for
        self._agents: dict[str, _Agent] = {}
        self._all_known = False  # whoever has not been spoken of is logged out
        self.handlers: dict[type[facts.Fact], Callable[[Any, float], None]] = {
            facts.AgentChanged: self._changed,
            facts.FloorStood: self._floor_stood,
        }

    def advance(self, at: float) -> None:
        """Make the interval of `at` the current one, counting the states that last in each interval on the way."""
        timeline = self._timeline
        while at >= (end := timeline.current.end):
            present = [agent for agent in self._agents.values() if agent.state != _AWAY]
            timeline.current = timeline.at(end if present else at)
            for agent in present:
                agent.spend(end)
                agent.time = time_of(timeline.current, agent.id)

    def spend(self, until: float) -> None:
        """Count the states that last up to now."""
        for agent in self._agents.values():
            agent.spend(until)

    def log_out(self, at: float) -> None:
        """Everybody is logged out, and nobody is unknown."""
        for agent in self._agents.values():
            agent.spend(at)
            agent.state = _AWAY
        self._worked_for.clear()
        self._all_known = True

    def wrapping_up(self) -> Iterator[Place]:
        """The places of the callers for whom an agent is still wrapping up."""
        for agent in self._agents.values():
            if agent.state == _WRAP_UP and agent.id in self._worked_for:
                yield self._worked_for[agent.id]

    def _changed(self, fact: facts.AgentChanged, at: float) -> None:
        agent = self._agents.get(fact.agent)
        if agent is None:
            agent = self._meet(fact.agent, fact.old, at, fact.lasted)
        state = agent.state
        if state == _AWAY:
            agent.time = time_of(self._timeline.current, agent.id)
            agent.since = max(at, agent.since)
        elif at > agent.since:
            seconds = agent.time.seconds
            seconds[state] = seconds.get(state, 0.0) + (at - agent.since)
            agent.since = at
        if state == _WRAP_UP:
            place = self._worked_for.pop(fact.agent, None)
            if place is not None:
                interval, queue, number, _ = place
                lasted = fact.lasted
                queue.wrap_up_seconds += lasted
                number.wrap_up_seconds += lasted
                time_of(interval, fact.agent).wrap_up_seconds += lasted
        agent.state = fact.new

    def _floor_stood(self, fact: facts.FloorStood, at: float) -> None:
        for agent_id, state, seconds, *_ in fact.agents:
            if agent_id not in self._agents:
                self._meet(agent_id, state, at, seconds)
        self._all_known = True

    def _meet(self, agent_id: str, state: str, at: float, lasted: float) -> _Agent:
        """Know an agent from now on, and count the time for which he is said to have been in `state`."""
        if self._all_known:
            state, lasted = _AWAY, 0.0
        interval = self._timeline.at(at - lasted)
        agent = self._agents[agent_id] = _Agent(agent_id, state, at - lasted, time_of(interval, agent_id))
        while interval is not self._timeline.current and interval.end <= at:
            agent.spend(interval.end)
            interval = self._timeline.at(interval.end)
            agent.time = time_of(interval, agent_id)
        return agent
