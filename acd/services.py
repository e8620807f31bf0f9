"""What a dialled number does: each service is a coroutine that drives one call (ENT-1, ENT-2, WAIT-1)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from acd import facts
from acd.cdr import EndedBy, Outcome
from acd.config import Flow, Number, Queue, ToAnnouncement, ToEcho, ToFlow, ToQueue
from acd.core.events import (
    AgentEvent,
    AgentLoggedIn,
    AgentLoggedOut,
    AgentPaused,
    AgentReady,
    CallArrived,
    CallLeft,
    LeftCause,
)
from ims_core.errors import Forbidden
from media.numbers import say_agent, say_position

if TYPE_CHECKING:
    from acd.agentleg import AgentLeg
    from acd.call import Call, Service
    from acd.config import Config

MUSIC_AFTER_SECONDS = 0.1  # who is connected sooner hears no snatch of music


def service_for(number: Number, config: Config) -> Service:
    """Return the service that a configured number stands for."""
    match number:
        case ToQueue(queue=queue, priority=priority):
            return partial(wait_for_agent, queue=config.queues[queue], priority=priority)
        case ToFlow(flow=flow):
            return partial(menu, flow=config.flows[flow])
        case ToEcho():
            return echo
        case ToAnnouncement(announcement=prompts):
            return partial(announcement, prompts=prompts)


async def echo(call: Call) -> None:
    """Send the caller's audio back until the caller hangs up."""
    call.stage, call.outcome_if_left = "echo", Outcome.SERVED
    await call.answer()
    assert call.media is not None
    call.media.echo()
    await call.talk()


async def announcement(call: Call, prompts: Sequence[str]) -> None:
    """Play prompts and hang up."""
    call.stage, call.outcome_if_left = "announcement", Outcome.SERVED
    await call.answer()
    await call.play(prompts)


async def menu(call: Call, flow: Flow) -> None:
    """Greet, let a digit choose a queue, and wait in it; without a choice, wait in the default queue."""
    queues = call.context.config.queues
    distributor = call.context.dispatcher.distributor
    call.stage = "menu"
    await call.answer()
    if not any(distributor.has_agent_logged_in(queue) for queue in {*flow.choices.values(), flow.default}):
        await tell_and_release(call, "nobody", Outcome.NO_AGENT, "nobody logged in")
        return
    await call.play(flow.greeting, interruptible=True)
    choice = None
    for _ in range(1 + flow.repeats):
        await call.play(flow.menu, interruptible=True)
        digit = await call.digit(flow.timeout_seconds)
        choice = flow.choices.get(digit or "")
        if choice is not None:
            break
        if digit is not None:
            await call.play([f"{call.context.config.server.language}/invalid"], interruptible=True)
    call.record.tell(facts.MenuChose(call.id, choice or flow.default))
    await wait_for_agent(call, queues[choice or flow.default])


async def wait_for_agent(call: Call, queue: Queue, priority: int = 0) -> None:
    """Wait in ``queue`` until an agent answers, then talk."""
    context = call.context
    distributor = context.dispatcher.distributor
    if not distributor.has_agent_logged_in(queue.id):
        call.record.tell(facts.CallTurnedAway(call.id, queue.id, "nobody logged in"))
        await tell_and_release(call, "nobody", Outcome.NO_AGENT, "nobody logged in")
        return
    if distributor.waiting(queue.id) >= queue.max_waiting:
        call.record.tell(facts.CallTurnedAway(call.id, queue.id, "queue full"))
        await tell_and_release(call, "busy", Outcome.REJECTED, "queue full")
        return
    await call.answer()
    call.stage = "waiting"
    call.connected = context.loop.create_future()
    call.queued = True
    context.dispatcher.tell(CallArrived(call.id, queue.id, priority, number=call.record.dialled))
    overdue = context.loop.call_later(queue.max_wait_seconds, _give_up, call.connected)
    try:
        leg = await _entertain(call, queue)
    except TimeoutError:
        call.queued = False
        context.dispatcher.tell(CallLeft(call.id, LeftCause.OVERFLOWED))
        await tell_and_release(call, "busy", Outcome.WAITED_TOO_LONG, f"more than {queue.max_wait_seconds:g} s")
        return
    finally:
        overdue.cancel()
    await _connect(call, queue, leg)


def _give_up(connected: asyncio.Future[AgentLeg]) -> None:
    if not connected.done():
        connected.set_exception(TimeoutError())


async def _entertain(call: Call, queue: Queue) -> AgentLeg:
    """Play welcome, music and positions until an agent has answered."""
    assert call.connected is not None
    if not queue.welcome and not queue.announce_position_seconds:
        music = call.context.loop.call_later(MUSIC_AFTER_SECONDS, call.music, queue.music)
        try:
            return await call.connected
        finally:
            music.cancel()
    playing = call.context.loop.create_task(_play_while_waiting(call, queue))
    try:
        return await call.connected
    finally:
        playing.cancel()


async def _play_while_waiting(call: Call, queue: Queue) -> None:
    context = call.context
    await call.play(queue.welcome)
    while True:
        call.music(queue.music)
        await asyncio.sleep(queue.announce_position_seconds or 3600.0)
        position = context.dispatcher.distributor.position(call.id)
        if position is not None and queue.announce_position_seconds:
            await call.play(say_position(position, context.config.server.language))


async def _connect(call: Call, queue: Queue, leg: AgentLeg) -> None:
    """Say who answers (工号播报), then let the two talk."""
    context = call.context
    call.stage = "talking"
    if queue.announce_agent:
        await call.play(say_agent(leg.agent_id, context.config.server.language))
    assert call.media is not None
    assert leg.media is not None
    recording = context.recording_path(call.record) if queue.record else None
    call.media.bridge(leg.media, record=recording)
    call.record.tell(facts.CallBridged(call.id, recording or ""))
    await call.talk()


async def tell_and_release(call: Call, prompt: str, outcome: Outcome, reason: str) -> None:
    """Tell the caller why nobody will answer: in early media if the call is not answered, a 480 or BYE following."""
    call.outcome_if_left = outcome
    if call.record.has("call.answered") or await call.early_media():
        await call.play([f"{call.context.config.server.language}/{prompt}"])
    call.record.end(EndedBy.SYSTEM, outcome, reason)


async def feature_code(call: Call, code: str, agent_id: str) -> None:
    """Change the caller's own state as an agent, and confirm it."""
    context = call.context
    if agent_id not in context.config.agents:
        raise Forbidden("Not an agent")
    call.stage, call.outcome_if_left = "announcement", Outcome.SERVED
    codes = context.config.feature_codes
    changes: dict[str, tuple[AgentEvent, str]] = {
        codes.log_in: (AgentLoggedIn(agent_id), "logged-in"),
        codes.log_out: (AgentLoggedOut(agent_id), "logged-out"),
        codes.pause: (AgentPaused(agent_id, "feature code"), "paused"),
        codes.ready: (AgentReady(agent_id), "ready"),
    }
    event, prompt = changes[code]
    context.dispatcher.tell(event)
    await call.answer()
    await call.play([f"{context.config.server.language}/{prompt}"])
