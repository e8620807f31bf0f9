"""What the figures need to know of the policy in force: who serves which queue, and how fast is fast enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

DEFAULT_SERVICE_LEVEL_SECONDS: Final = 15.0


class Policy(msgspec.Struct, frozen=True):
    """The threshold of each queue's service level in seconds, and the agents who serve it, by queue id."""

    thresholds: Mapping[str, float] = {}
    members: Mapping[str, tuple[str, ...]] = {}

    def threshold(self, queue: str) -> float:
        """Return the threshold of a queue, `DEFAULT_SERVICE_LEVEL_SECONDS` where none is known."""
        return self.thresholds.get(queue, DEFAULT_SERVICE_LEVEL_SECONDS)


NO_POLICY: Final = Policy()


class _Queue(msgspec.Struct):
    id: str
    service_level_seconds: float = DEFAULT_SERVICE_LEVEL_SECONDS


class _Membership(msgspec.Struct):
    queue: str


class _Agent(msgspec.Struct):
    id: str
    queues: tuple[str | _Membership, ...] = ()


class _Document(msgspec.Struct):
    queues: tuple[_Queue, ...] = ()
    agents: tuple[_Agent, ...] = ()


def read_policy(document: str) -> Policy:
    """Read the document of a `PolicyInstalled`. Raises ValueError for one that is none."""
    read = msgspec.json.decode(document, type=_Document)
    members: dict[str, list[str]] = {queue.id: [] for queue in read.queues}
    for agent in read.agents:
        for place in agent.queues:
            members.setdefault(place if isinstance(place, str) else place.queue, []).append(agent.id)
    return Policy(
        {queue.id: queue.service_level_seconds for queue in read.queues},
        {queue: tuple(dict.fromkeys(agents)) for queue, agents in members.items()},
    )
