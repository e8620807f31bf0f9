"""What becomes of a caller who does not wait, or not any longer: an overflow rule or the queue's limits say so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from acd import facts
from acd.bridging import address_of, bridge
from acd.cdr import EndedBy, Outcome
from acd.config import TalkTime
from acd.externalleg import ExternalLeg
from acd.siprec import Party
from acd.talktime import talk
from ims_core.ua import retargeting

if TYPE_CHECKING:
    from acd.call import Call
    from acd.core.actions import Divert
    from ims_core.errors import SipError

Farewell = tuple[str, Outcome, str]
"""The prompt that tells the caller, the outcome of the call, and the reason in words."""

CLOSED: Farewell = ("closed", Outcome.CLOSED, "outside the queue's hours")
NOBODY: Farewell = ("nobody", Outcome.NO_AGENT, "nobody logged in")
FULL: Farewell = ("busy", Outcome.REJECTED, "queue full")
_RELEASES: dict[str, Farewell] = {
    "closed": CLOSED,
    "no_agent": NOBODY,
    "length": FULL,
    "expected_wait": ("busy", Outcome.REJECTED, "too long to wait"),
    "waited": ("busy", Outcome.WAITED_TOO_LONG, "waited too long"),
}

_REASONS = {
    "closed": retargeting.TIME_OF_DAY,
    "no_agent": retargeting.UNAVAILABLE,
    "length": retargeting.BUSY,
    "expected_wait": retargeting.BUSY,
    "waited": retargeting.NO_ANSWER,
}


async def divert(call: Call, to: Divert, *, priority: int, waited: float) -> None:
    """Do what the rule says with a caller who is out of the queues."""
    call.stage = "announcement"
    match to.to:
        case "announcement":
            call.outcome_if_left = Outcome.OVERFLOWED
            await call.play([to.where])
            call.record.end(EndedBy.SYSTEM, Outcome.OVERFLOWED, to.cause)
        case "callback" if call.record.caller:
            owed = facts.CallbackOwed(call.id, to.queue, call.record.caller, priority, waited)
            call.record.tell(owed)
            await tell_and_release(call, "call-back", Outcome.CALLBACK, to.cause)
        case "external":
            await _call_outside(call, to)
        case _:
            await tell_and_release(call, *_RELEASES.get(to.cause, FULL))


async def _call_outside(call: Call, to: Divert) -> None:
    """Call somebody outside for the caller, who hears music until there is an answer."""
    context = call.context
    queue = context.config.queues.get(to.queue)
    call.music(queue.music if queue is not None else None)
    leg = ExternalLeg(context, call, to.where, _REASONS.get(to.cause, retargeting.UNKNOWN))
    time = queue.talk if queue is not None else TalkTime()
    await _talk_outside(call, leg, to.where, time, record=queue is None or queue.record)


async def to_outside(call: Call, number: str) -> None:
    """Call a number outside for a user who may; he hears it ring.

    Where no trunk serves, his handset is to call by the circuit-switched network. Raises what it is told.
    """
    if call.context.trunks.is_down(number):
        raise _fallback(call, number, "no trunk is up")
    await call.open_media()
    target = f"tel:{number}"
    leg = ExternalLeg(call.context, call, target, "")
    account = call.context.config.accounts.get(call.incoming.identity)
    time = account.talk if account is not None else TalkTime()
    await _talk_outside(call, leg, target, time, record=False, falls_back=True)


async def _talk_outside(
    call: Call, leg: ExternalLeg, target: str, time: TalkTime, *, record: bool, falls_back: bool = False
) -> None:
    context = call.context
    call.stage, call.agent = "waiting", leg
    leg.start()
    await asyncio.wait((leg.outcome_known,), timeout=context.config.sip.ring_seconds)
    failure = leg.outcome_known.result() if leg.outcome_known.done() else "no answer"
    if failure is not None:
        call.agent = None
        await leg.release()
        if falls_back and leg.is_unserved:
            raise _fallback(call, target, failure)
        await tell_and_release(call, "busy", Outcome.REJECTED, f"{target}: {failure}")
        return
    call.stage, call.outcome_if_left = "talking", Outcome.EXTERNAL
    await call.answer()
    bridge(call, leg, Party(address_of(target, context.config.server.domain)), record=record)
    await talk(call, time)


def _fallback(call: Call, target: str, reason: str) -> SipError:
    """Take note of a caller for whom there is no way, and say what he is told."""
    fallbacks = call.context.trunks.fallbacks
    fallbacks.note(call.record.call_id, target, reason)
    return fallbacks.refusal()


async def tell_and_release(call: Call, prompt: str, outcome: Outcome, reason: str) -> None:
    """Tell the caller why nobody will answer: in early media if the call is not answered, a 480 or BYE following."""
    call.outcome_if_left = outcome
    if call.record.has("call.answered") or await call.early_media():
        await call.play([f"{call.context.config.server.language}/{prompt}"])
    call.record.end(EndedBy.SYSTEM, outcome, reason)
