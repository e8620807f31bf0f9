"""What a dialled number does: each service is a coroutine that drives one call (ENT-1, ENT-2, WAIT-1)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from acd import facts
from acd.bridging import bridge
from acd.cdr import Outcome
from acd.config import Flow, Number, Queue, TalkTime, ToAnnouncement, ToEcho, ToFlow, ToQueue
from acd.core.actions import Divert
from acd.core.events import (
    AgentEvent,
    AgentLoggedIn,
    AgentLoggedOut,
    AgentPaused,
    AgentReady,
    CallArrived,
)
from acd.overflowing import CLOSED, FULL, NOBODY, Farewell, divert, tell_and_release
from acd.policy import Route, route_for, route_of
from acd.profiles import Found, Source
from acd.siprec import Party
from acd.talktime import talk
from ims_core.errors import Forbidden, SipError
from media.playing.numbers import say_agent, say_position, say_wait

if TYPE_CHECKING:
    from acd.call import Call, Service
    from acd.config import Config
    from acd.context import Context
    from acd.leg import Offered

MUSIC_AFTER_SECONDS = 0.1  # who is connected sooner hears no snatch of music
_FAREWELLS = {farewell[1]: farewell for farewell in (CLOSED, NOBODY, FULL)}


def service_for(number: Number, config: Config) -> Service:
    """Return the service that a configured number stands for."""
    match number:
        case ToQueue(queue=queue):
            return partial(to_queue, number=route_of(number), queue=queue)
        case ToFlow(flow=flow):
            return partial(menu, number=route_of(number), flow=config.flows[flow])
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


async def menu(call: Call, number: Route, flow: Flow) -> None:
    """Greet, let a digit choose a queue, and wait in it; without a choice, wait in the default queue."""
    context = call.context
    found = context.profiles.find(call.record.caller)
    call.stage = "menu"
    await call.answer()
    away = [_turned_away(context, queue) for queue in (flow.default, *flow.choices.values())]
    if None not in away and away[0] is not None:
        await tell_and_release(call, *away[0])
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
            await call.play([f"{context.config.server.language}/invalid"], interruptible=True)
    call.record.tell(facts.MenuChose(call.id, choice or flow.default))
    await wait_for_agent(call, choice or flow.default, _route(call, number, await found))


async def to_queue(call: Call, number: Route, queue: str) -> None:
    """Wait in the queue that the number stands for, or that the caller's profile leads to."""
    found = await call.context.profiles.find(call.record.caller)
    await wait_for_agent(call, queue, _route(call, number, found))


def _route(call: Call, number: Route, found: Found) -> Route:
    """Note what is known of the caller, and say what follows from it."""
    if found.source is not Source.NOWHERE:
        known = found.profile
        call.record.tell(
            facts.CallerKnown(
                call.id,
                found.source.for_log,
                known.vip,
                known.segment or "",
                known.language or "",
                known.age_group or "",
                known.agent or "",
            )
        )
    return route_for(found.profile, number, call.context.config)


async def wait_for_agent(call: Call, queue_id: str, route: Route) -> None:
    """Wait in the queue until an agent answers, then talk."""
    context = call.context
    queue_id = route.queue or queue_id
    away = _turned_away(context, queue_id)
    if away is not None:
        call.record.tell(facts.CallTurnedAway(call.id, queue_id, away[2]))
        await tell_and_release(call, *away)
        return
    await call.answer()
    queue = context.config.queues.get(queue_id)
    if queue is None:  # it went while the caller was being answered
        await tell_and_release(call, *NOBODY)
        return
    call.stage = "waiting"
    call.connected = context.loop.create_future()
    call.queued = True
    since = context.loop.time()
    context.dispatcher.tell(_arrival(call, queue, route))
    found = await _entertain(call, queue)
    if isinstance(found, Divert):
        await divert(call, found, priority=route.priority, waited=context.loop.time() - since)
    else:
        await _connect(call, found)


def _arrival(call: Call, queue: Queue, route: Route) -> CallArrived:
    """Say whom the caller waits for; the account manager comes before the agent he talked to last."""
    context = call.context
    wishes = (
        (route.manager, queue.prefer_agent_seconds),
        (context.last_agents.of(call.record.caller), queue.prefer_last_agent_seconds),
    )
    for agent_id, seconds in wishes:
        agent = context.config.agents.get(agent_id)
        if seconds and agent is not None and queue.id in agent.queues:
            break
    else:
        agent_id, seconds = "", 0.0
    return CallArrived(
        call.id,
        queue.id,
        route.priority,
        route.needs,
        prefers=agent_id,
        patience_seconds=seconds,
        number=call.record.dialled,
    )


def _turned_away(context: Context, queue_id: str) -> Farewell | None:
    """Say why a caller is not let into the queue; None: he is."""
    outcome = context.refuses(queue_id)
    return None if outcome is None else _FAREWELLS[outcome]


async def _entertain(call: Call, queue: Queue) -> Offered | Divert:
    """Play welcome, music and positions until an agent has answered, or a rule sends the caller elsewhere."""
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
            await call.play([*say_position(position, context.config.server.language), *_wait(call, queue)])


def _wait(call: Call, queue: Queue) -> list[str]:
    """Return what tells the caller how long it will take: nothing while nobody knows."""
    context = call.context
    if not queue.announce_wait:
        return []
    wait = context.dispatcher.distributor.expected_wait(call.id, context.loop.time())
    return say_wait(wait.low, wait.high, context.config.server.language) if wait is not None else []


async def _connect(call: Call, leg: Offered) -> None:
    """Say who answers (工号播报), then let the two talk."""
    context = call.context
    call.stage = "talking"
    context.last_agents.note(call.record.caller, leg.agent_id)
    queue = context.config.queues.get(call.record.queue or "")
    if queue is None or queue.announce_agent:
        await call.play(say_agent(leg.agent_id, context.config.server.language))
    if queue is not None and queue.hide_digits:
        call.hide_digits(hidden=True)
    agent = context.config.agents.get(leg.agent_id)
    party = Party(f"sip:{leg.agent_id}@{context.config.server.domain}", agent.name if agent is not None else "")
    bridge(call, leg, party, record=queue is None or queue.record)
    await talk(call, queue.talk if queue is not None else TalkTime())


async def refuse(_: Call, error: SipError) -> None:
    """Turn the caller away."""
    raise error


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
