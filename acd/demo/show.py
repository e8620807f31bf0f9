"""The show: agents log in, callers dial, talk and hang up, each by a phone of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from acd.cdr import Cdr, EndedBy
from acd.demo.processes import DemoError
from acd.demo.story import AGENTS, CALLERS, LOG_IN, RING_SECONDS, SHOW_SECONDS, THINK_SECONDS, Caller, plan

if TYPE_CHECKING:
    from acd.demo.phones import Phone
    from acd.demo.screen import Screen
    from acd.demo.server import EngineProcess

FLOOR_SECONDS = 0.5
LOG_IN_SECONDS = 15.0
RECORDS_SECONDS = 5.0


class Show:
    """Plays the story on registered ``phones``, by user."""

    def __init__(self, engine: EngineProcess, phones: Mapping[str, Phone], screen: Screen) -> None:
        self._engine = engine
        self._phones = phones
        self._screen = screen
        self._callers = {caller.user: caller for caller in CALLERS}
        self._over: set[str] = set()
        self._talks: set[asyncio.Task[None]] = set()

    async def log_in(self) -> None:
        """Let every agent dial the feature code. Raises ``DemoError``."""
        await _first_failure_or_all([self._log_in(self._phones[agent.user]) for agent in AGENTS])

    async def play(self) -> None:
        """Play the calls to their end. Raises ``DemoError``, also when they do not end in time."""
        callers = [self._caller(caller) for caller in CALLERS]
        agents = [self._agent(self._phones[agent.user]) for agent in AGENTS]
        try:
            async with asyncio.timeout(SHOW_SECONDS):
                await _first_failure_or_all(callers, [*agents, self._watch()])
        except TimeoutError:
            missing = ", ".join(caller.user for caller in CALLERS if caller.user not in self._over)
            raise DemoError(
                f"after {SHOW_SECONDS:.0f} s the calls of {missing} were not over", self._engine.log
            ) from None
        finally:
            for talk in self._talks:
                talk.cancel()

    async def records(self, since: datetime) -> dict[str, Cdr]:
        """Return the records of the callers' calls that arrived after ``since``, by caller. Raises ``DemoError``."""
        found: dict[str, Cdr] = {}
        deadline = asyncio.get_running_loop().time() + RECORDS_SECONDS
        while True:
            for cdr in await self._engine.cdrs():
                if cdr.arrived >= since and cdr.caller in self._callers:
                    found[cdr.caller] = cdr
            if len(found) == len(self._callers) or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(0.1)

    async def _log_in(self, phone: Phone) -> None:
        try:
            async with asyncio.timeout(LOG_IN_SECONDS):
                phone.dial(LOG_IN)
                answered = await phone.next_of("CALL_ESTABLISHED", "CALL_CLOSED")
                if answered.type == "CALL_CLOSED":
                    raise DemoError(f"agent {phone.user} cannot log in: {answered.param}", self._engine.log)
                await phone.next_of("CALL_CLOSED")
        except TimeoutError:
            raise DemoError(f"agent {phone.user} could not log in", self._engine.log) from None

    async def _caller(self, caller: Caller) -> None:
        phone = self._phones[caller.user]
        await asyncio.sleep(caller.at)
        phone.dial(caller.dials)
        self._screen.say(f"{caller.user} {plan(caller)}")
        event = await phone.next_of("CALL_ESTABLISHED", "CALL_CLOSED")
        if event.type == "CALL_ESTABLISHED":
            if caller.key:
                await asyncio.sleep(THINK_SECONDS)
                phone.press(caller.key)
                self._screen.say(f"{caller.user} presses {caller.key}")
            event = await phone.next_of("CALL_CLOSED")
        self._over.add(caller.user)

    async def _agent(self, phone: Phone) -> None:
        while True:
            event = await phone.next_of("CALL_INCOMING", "CALL_ESTABLISHED")
            if event.type == "CALL_INCOMING":
                self._screen.say(f"{phone.user}'s phone rings for {event.peer}")
                await asyncio.sleep(RING_SECONDS)
                phone.accept()
            elif event.peer in self._callers:
                self._screen.say(f"{phone.user} answers {event.peer}")
                talk = asyncio.create_task(self._talk(self._callers[event.peer], phone))
                self._talks.add(talk)
                talk.add_done_callback(self._talks.discard)

    async def _talk(self, caller: Caller, agent: Phone) -> None:
        await asyncio.sleep(caller.talks)
        if caller.hangs_up is EndedBy.AGENT:
            self._screen.say(f"{agent.user} hangs up on {caller.user}")
            agent.hang_up()
        else:
            self._screen.say(f"{caller.user} hangs up")
            self._phones[caller.user].hang_up()

    async def _watch(self) -> None:
        while True:
            self._screen.floor(await self._engine.floor())
            await asyncio.sleep(FLOOR_SECONDS)


async def _first_failure_or_all(
    main: Sequence[Coroutine[None, None, None]], aside: Sequence[Coroutine[None, None, None]] = ()
) -> None:
    """Run all until those of ``main`` are done; the first failure of any is raised and ends the others."""
    wanted = {asyncio.ensure_future(coroutine) for coroutine in main}
    tasks = wanted | {asyncio.ensure_future(coroutine) for coroutine in aside}
    try:
        while not all(task.done() for task in wanted):
            done, _ = await asyncio.wait(
                {task for task in tasks if not task.done()}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
