"""Folds over the whole floor: how agents stand, what they wish, and what is owed to callers who are gone."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from acd import facts
from acd.journal.port import Entry

AWAY = "logged_out"
READY = "ready"


class Standing(msgspec.Struct, frozen=True):
    """An agent's state since an instant, in unix seconds; `call` and `queue` are those of the state."""

    state: str
    since: float
    reason: str = ""
    call: str = ""
    queue: str = ""


class Floor:
    """How all agents stand who are not logged out, and which calls are under way, after the facts applied."""

    def __init__(self) -> None:
        self.agents: dict[str, Standing] = {}
        self.calls: dict[str, None] = {}

    def apply(self, entry: Entry) -> None:
        """Take the next entry of the log."""
        at = entry.at
        match entry.fact:
            case facts.AgentChanged() as changed:
                if changed.new == AWAY:
                    self.agents.pop(changed.agent, None)
                else:
                    standing = Standing(changed.new, at, changed.reason, changed.call, changed.queue)
                    self.agents[changed.agent] = standing
            case facts.CallArrived(call=call):
                self.calls[call] = None
            case facts.CallEnded(call=call):
                self.calls.pop(call, None)
            case facts.FloorStood(agents=agents, calls=calls):
                self.agents = {
                    agent: Standing(state, at - seconds, reason, call, queue)
                    for agent, state, seconds, reason, call, queue in agents
                }
                self.calls = dict.fromkeys(calls)
            case facts.ServerStarted():
                self.agents.clear()
                self.calls.clear()


def wishes(entries: Iterable[Entry]) -> dict[str, facts.AgentWished]:
    """Return the last wish of each agent who does not want to be ready."""
    last: dict[str, facts.AgentWished] = {}
    for entry in entries:
        if isinstance(entry.fact, facts.AgentWished):
            last[entry.fact.agent] = entry.fact
    return {agent: wish for agent, wish in last.items() if wish.wish != READY}


def owed(entries: Iterable[Entry]) -> dict[str, facts.CallbackOwed]:
    """Return the call-backs that are promised and not settled, by the call in which they were promised."""
    open_: dict[str, facts.CallbackOwed] = {}
    for entry in entries:
        match entry.fact:
            case facts.CallbackOwed() as promise:
                open_[promise.call] = promise
            case facts.CallbackSettled(call=call):
                open_.pop(call, None)
    return open_
