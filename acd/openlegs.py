"""Keeps a leg open to each agent who is to have one: opens it when he comes, again when it is lost, closes it at last.

While there is none he is hindered, so that no call is offered to him; the reason says why. An agent who hangs his leg
up is paused until he, or a supervisor, says that he is ready: only he knows why he did it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from acd.core.agents import AgentState
from acd.core.events import AgentHindered, AgentPaused, AgentUnhindered
from acd.openleg import OpenLeg, Turn

if TYPE_CHECKING:
    from acd.config import Config
    from acd.context import Context
    from acd.core.agents import Agent
    from acd.leg import Caller

RING_SECONDS = 30.0
RETRY_SECONDS = (2.0, 5.0, 15.0, 30.0, 60.0)  # after the first, second, ... attempt in a row that came to nothing
NOT_OPEN, ON_HOLD, CLOSED = "leg not open", "leg on hold", "leg closed"
_AWAY = (AgentState.LOGGED_OUT, AgentState.PAUSED)

log = structlog.get_logger()


class Keeper:
    """Keeps a leg open to one agent, from `begin` to `dispose`."""

    def __init__(self, context: Context, agent_id: str, release: Callable[[OpenLeg], None]) -> None:
        self.agent_id = agent_id
        self.leg: OpenLeg | None = None
        self._context = context
        self._release = release
        self._attempts = self._failures = 0
        self._disposed = False
        self._retry: asyncio.TimerHandle | None = None
        self._limit: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it will try again to open the leg."""
        return self._retry is not None

    def begin(self) -> None:
        """Have no call offered until there is a leg."""
        self._hinder(NOT_OPEN)
        self._look()

    def turn(self, call: Caller, epoch: int, on_failed: Callable[[Turn, str], None]) -> Turn:
        """Return a turn on the leg for a call that is offered."""
        return Turn(self._context, self.leg, call, self.agent_id, epoch, on_failed)

    def noticed(self, old: AgentState) -> None:
        """The agent's state is another than `old`."""
        if old in _AWAY and self._retry is not None:  # there is reason to try again
            self._retry.cancel()
            self._retry = None
        self._look()

    def dispose(self) -> None:
        """Close the leg as soon as no call has it, and open no more."""
        self._disposed = True
        self._stop_timers()
        self._look()
        self._context.dispatcher.tell(AgentUnhindered(self.agent_id))

    # What the leg tells -------------------------------------------------------------------------------------

    def opened(self, leg: OpenLeg) -> None:
        """Have calls offered."""
        if leg is not self.leg:
            return
        self._stop_timers()
        self._failures = 0
        log.info("open_leg.opened", agent=self.agent_id)
        self._context.dispatcher.tell(AgentUnhindered(self.agent_id))

    def closed(self, leg: OpenLeg, reason: str, *, by_agent: bool) -> None:
        """Open another one: after a while, or when an agent who hung up is ready again."""
        if leg is not self.leg:
            return
        self._stop_timers()
        self._drop(leg)
        log.info("open_leg.closed", agent=self.agent_id, reason=reason, by_agent=by_agent)
        if self._disposed:
            return
        agent = self._agent()
        if by_agent:
            if agent is not None and agent.wish[0] is AgentState.READY:
                self._context.dispatcher.tell(AgentPaused(self.agent_id, CLOSED))
            self._hinder(NOT_OPEN)
            return
        seconds = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
        self._failures += 1
        self._retry = self._context.loop.call_later(seconds, self._try_again)
        self._hinder(f"{NOT_OPEN}: {reason}")

    def held(self, leg: OpenLeg) -> None:
        """Offer no calls to a phone that does not listen."""
        if leg is self.leg and not self._disposed:
            if leg.on_hold:
                self._hinder(ON_HOLD)
            else:
                self._context.dispatcher.tell(AgentUnhindered(self.agent_id))

    def vacant(self, leg: OpenLeg) -> None:
        """Close the leg of an agent who went during the talk."""
        if leg is self.leg:
            self._look()

    # Inside -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Open the leg if it is wanted and there is none, close it if it is wanted no more."""
        agent = None if self._disposed else self._agent()
        leg = self.leg
        if agent is None or not agent.bound or agent.wish[0] is AgentState.LOGGED_OUT:
            if self._retry is not None:
                self._stop_timers()
            if leg is not None and leg.turn is None:
                self._stop_timers()
                self._drop(leg)
                self._hinder(NOT_OPEN)
        elif leg is None and self._retry is None and agent.wants_calls and not agent.talks:
            self._attempts += 1
            leg = self.leg = OpenLeg(self._context, self.agent_id, self._attempts, self)
            self._limit = self._context.loop.call_later(RING_SECONDS, leg.failed, 408, "no answer")
            leg.start()

    def _try_again(self) -> None:
        self._retry = None
        self._look()

    def _drop(self, leg: OpenLeg) -> None:
        leg.is_up, leg.is_over = False, True
        self.leg = None
        self._release(leg)

    def _hinder(self, reason: str) -> None:
        if not self._disposed:
            self._context.dispatcher.tell(AgentHindered(self.agent_id, reason))

    def _agent(self) -> Agent | None:
        try:
            return self._context.dispatcher.distributor.agent(self.agent_id)
        except KeyError:
            return None

    def _stop_timers(self) -> None:
        for timer in (self._retry, self._limit):
            if timer is not None:
                timer.cancel()
        self._retry = self._limit = None


class OpenLegs:
    """The legs kept open. `keepers` are those who keep them, by agent."""

    def __init__(self, context: Context) -> None:
        self.keepers: dict[str, Keeper] = {}
        self._context = context
        self._releases: set[asyncio.Task[None]] = set()

    def follow(self, config: Config) -> None:
        """Keep a leg open to each agent of whom ``config`` says so, and to nobody else."""
        wanted = {agent.id for agent in config.agents.values() if agent.open_leg}
        for agent_id in self.keepers.keys() - wanted:
            self.keepers.pop(agent_id).dispose()
        for agent_id in sorted(wanted - self.keepers.keys()):
            self.keepers[agent_id] = Keeper(self._context, agent_id, self._release)
            self.keepers[agent_id].begin()

    async def close(self) -> None:
        """Close all legs."""
        while self.keepers:
            keeper = self.keepers.popitem()[1]
            keeper.dispose()
            if keeper.leg is not None:  # a call has it that does not end
                self._release(keeper.leg)
        if self._releases:
            await asyncio.wait(self._releases, timeout=2.0)

    def _release(self, leg: OpenLeg) -> None:
        task = self._context.loop.create_task(leg.release())
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)
