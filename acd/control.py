"""Changes while the engine runs: the file read anew, a queue or an agent changed, an agent's state, a call moved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import structlog

from acd.config import ConfigError
from acd.core.events import AgentForced, CallMoved, Forced
from media.api import MediaError

if TYPE_CHECKING:
    from acd.config import Config
    from acd.config.live import Installed
    from acd.config.source import Changeable, Source
    from acd.engine import Engine

log = structlog.get_logger()


class NotThere(LookupError):
    """There is no such queue, agent or call; the message says which."""


class NotNow(Exception):
    """What is asked for cannot be done in the present state; the message says why."""


class Control:
    """What supervisors and operators may do to a running engine.

    What takes time for a configuration, ``prepare`` does before it is installed; ``followers`` hear of it afterwards.
    """

    def __init__(
        self,
        engine: Engine,
        source: Source,
        followers: Sequence[Callable[[Config], None]] = (),
        prepare: Callable[[Config], Awaitable[None]] | None = None,
    ) -> None:
        self._engine = engine
        self._followers = followers
        self._prepare = prepare
        self._source = source
        self._one_at_a_time = asyncio.Lock()
        self._reloads: set[asyncio.Task[None]] = set()

    async def reload(self, by: str) -> Installed:
        """Follow the file as it is now. Raises ConfigError, and nothing is changed then."""
        async with self._one_at_a_time:
            try:
                config = await asyncio.to_thread(self._source.read)
            except ConfigError as error:
                self._refused(by, error)
                raise
            return await self._install(config, "reload", by)

    def reload_soon(self) -> None:
        """Follow the file as it is now, for a signal handler: mistakes are in the log."""
        task = asyncio.get_running_loop().create_task(self._reload_quietly(), name="reload")
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload_quietly(self) -> None:
        with suppress(ConfigError):
            await self.reload("signal")

    async def change(self, section: Changeable, name: str, values: Mapping[str, Any]) -> Installed:
        """Change keys of one queue or agent until the file is read anew. Raises NotThere and ConfigError."""
        async with self._one_at_a_time:
            try:
                config = self._source.change(section, name, values)
            except KeyError:
                raise NotThere(f"no {section.removesuffix('s')} {name!r}") from None
            except ConfigError as error:
                self._refused("api", error)
                raise
            return await self._install(config, "api", "api")

    def force(self, agent: str, state: Literal["ready", "paused", "logged_out"], reason: str = "") -> None:
        """Put an agent into a state; a talk is finished first. Raises NotThere."""
        if agent not in self._engine.config.agents:
            raise NotThere(f"no agent {agent!r}")
        self._engine.metrics.agent_forced(state)
        log.info("agent.forced", agent=agent, state=state, reason=reason)
        self._engine.dispatcher.tell(AgentForced(agent, Forced(state), reason))

    def move(self, call: str, queue: str) -> None:
        """Let a waiting caller wait in another queue, his place kept by arrival. Raises NotThere and NotNow."""
        if queue not in self._engine.config.queues:
            raise NotThere(f"no queue {queue!r}")
        if call not in self._engine.calls:
            raise NotThere(f"no call {call!r} is under way")
        if self._engine.dispatcher.distributor.position(call) is None:
            raise NotNow("the caller does not wait in a queue")
        log.info("call.moved", call=call, queue=queue)
        self._engine.dispatcher.tell(CallMoved(call, queue))

    def pause_recording(self, call: str, *, paused: bool) -> None:
        """Have nothing of a talk recorded from here on, or have it recorded again. Raises NotThere and NotNow."""
        if call not in self._engine.calls:
            raise NotThere(f"no call {call!r} is under way")
        recorded = self._engine.calls[call]
        if recorded.recording is None:
            raise NotNow("the call is not recorded")
        try:
            recorded.pause_recording("api", paused=paused)
        except MediaError as error:
            raise NotNow(str(error)) from None
        log.info("recording.paused" if paused else "recording.resumed", call=call)

    def hide_digits(self, call: str, *, hidden: bool) -> None:
        """Keep what a caller presses from now on from the agent and from logs, or do so no more.

        Raises NotThere and NotNow.
        """
        if call not in self._engine.calls:
            raise NotThere(f"no call {call!r} is under way")
        if self._engine.calls[call].media is None:
            raise NotNow("the call has no audio yet")
        try:
            self._engine.calls[call].hide_digits(hidden=hidden)
        except MediaError as error:
            raise NotNow(str(error)) from None
        log.info("digits.hidden" if hidden else "digits.shown", call=call)

    def press(self, call: str, keys: str, towards: Literal["caller", "other"]) -> None:
        """Press keys for a caller, or for whom he talks to. Raises NotThere and NotNow."""
        if call not in self._engine.calls:
            raise NotThere(f"no call {call!r} is under way")
        talk = self._engine.calls[call]
        leg = talk.media if towards == "caller" else talk.agent.media if talk.agent is not None else None
        if leg is None:
            raise NotNow("there is nobody to hear keys")
        try:
            leg.send_digits(keys)
        except MediaError as error:
            raise NotNow(str(error)) from None
        log.info("digits.sent", call=call, towards=towards, count=len(keys))

    async def _install(self, config: Config, cause: Literal["reload", "api"], by: str) -> Installed:
        if self._prepare is not None:
            await self._prepare(config)
        installed = self._engine.install(config, cause)
        for follow in self._followers:
            follow(self._engine.config)
        log.info(
            "config.installed",
            by=by,
            policy=installed.policy,
            changed=installed.changed,
            needs_restart=installed.needs_restart,
        )
        return installed

    def _refused(self, by: str, error: ConfigError) -> None:
        self._engine.metrics.change_refused()
        for mistake in error.mistakes:
            log.error("config.refused", by=by, mistake=mistake)
