"""The floor at one instant, for people: HTTP, metrics, the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from acd.core.agents import AgentState
from acd.core.events import LeftCause
from acd.core.foretold import Accuracy, Estimate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from acd.core.agents import Agent
    from acd.core.queues import Queue


class QueueSnapshot(msgspec.Struct, frozen=True):
    """One queue. `waiting` includes callers for whom a phone rings; `agents` has every state, zeros too.

    `service_level` is answered within `service_level_seconds` / offered, None before the first caller.
    offered = waiting + answered + abandoned + overflowed + released.
    `expected_wait` is that of one more caller behind all others, None for a queue with an agent ready and while nobody
    knows. `estimators` has how good each way to tell is, and what callers were "told".
    """

    id: str
    name: str
    waiting: int
    longest_wait_seconds: float
    agents: dict[AgentState, int]
    offered: int
    answered: int
    abandoned: int
    overflowed: int
    released: int
    service_level: float | None
    service_level_seconds: float
    expected_wait: Estimate | None = None
    estimators: dict[str, Accuracy] = {}


class AgentSnapshot(msgspec.Struct, frozen=True):
    """One agent. `since` is the start of the state on the clock of `now`, `call_id` the call offered or talked to."""

    id: str
    name: str
    state: AgentState
    reason: str
    since: float
    queues: tuple[str, ...]
    calls_taken: int
    call_id: str | None


class FloorSnapshot(msgspec.Struct, frozen=True):
    """All queues and agents, in the order of the configuration."""

    queues: tuple[QueueSnapshot, ...]
    agents: tuple[AgentSnapshot, ...]


def snapshot(queues: Iterable[Queue], agents: Iterable[Agent], now: float) -> FloorSnapshot:
    """Copy out the state of the floor at `now`; costs a pass over all callers and agents."""
    by_state = {queue: dict.fromkeys(AgentState, 0) for queue in queues}
    agent_snapshots = []
    for agent in agents:
        for queue in agent.members:
            by_state[queue][agent.state] += 1
        agent_snapshots.append(_agent_snapshot(agent))
    return FloorSnapshot(
        tuple(_queue_snapshot(queue, states, now) for queue, states in by_state.items()),
        tuple(agent_snapshots),
    )


def _queue_snapshot(queue: Queue, states: dict[AgentState, int], now: float) -> QueueSnapshot:
    return QueueSnapshot(
        id=queue.profile.id,
        name=queue.profile.name,
        waiting=len(queue.callers),
        longest_wait_seconds=max((now - caller.since for caller in queue.callers), default=0.0),
        agents=states,
        offered=queue.offered,
        answered=queue.answered,
        abandoned=queue.left[LeftCause.ABANDONED],
        overflowed=queue.left[LeftCause.OVERFLOWED],
        released=queue.left[LeftCause.RELEASED],
        service_level=queue.service_level,
        service_level_seconds=queue.profile.service_level_seconds,
        expected_wait=None if states[AgentState.READY] else queue.waits.estimate(queue.last_place(now), now),
        estimators=queue.waits.accuracy,
    )


def _agent_snapshot(agent: Agent) -> AgentSnapshot:
    return AgentSnapshot(
        id=agent.id,
        name=agent.profile.name,
        state=agent.state,
        reason=agent.reason,
        since=agent.since,
        queues=tuple(queue.id for queue in agent.members),
        calls_taken=agent.calls_taken,
        call_id=agent.caller.id if agent.caller is not None else None,
    )
