"""How long a talk may take: a reminder at a length, again and again if wanted, and an end (通话时长提醒).

A reminder takes the place of the other side's voice for who hears it, as long as it lasts; the talk goes on.
"""

from __future__ import annotations

import asyncio
from itertools import count, takewhile
from math import inf
from typing import TYPE_CHECKING

from acd import facts
from acd.cdr import EndedBy, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from acd.call import Call
    from acd.config import TalkTime

OVER = "talk time over"


async def talk(call: Call, time: TalkTime) -> None:
    """Let two who were just bridged talk; the end comes by ``Call.end``, be it for ``longest_seconds``."""
    clock = call.context.loop.time
    began = clock()
    for seconds in reminders(time):
        await asyncio.sleep(max(began + seconds - clock(), 0.0))
        _remind(call, time, clock() - began)
    if time.longest_seconds:
        await asyncio.sleep(max(began + time.longest_seconds - clock(), 0.0))
        call.end(EndedBy.SYSTEM, Outcome.TIME_LIMIT, OVER, farewell=time.farewell)
    await call.talk()


def reminders(time: TalkTime) -> Iterator[float]:
    """Yield after how many seconds of talk there is a reminder."""
    if not time.reminder_seconds or not time.reminder:
        return iter(())
    if not time.reminder_repeat_seconds:
        return iter((time.reminder_seconds,))
    last = time.longest_seconds or inf
    return takewhile(lambda seconds: seconds < last, count(time.reminder_seconds, time.reminder_repeat_seconds))


def _remind(call: Call, time: TalkTime, talked: float) -> None:
    if time.reminder_for != "agent":
        call.say(time.reminder)
    if time.reminder_for != "caller" and call.agent is not None:
        call.agent.say(time.reminder)
    call.record.tell(facts.TalkReminded(call.id, round(talked, 3)))
