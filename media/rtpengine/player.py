"""What a leg is played, and for how long: rtpengine tells how long a file lasts, not when it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from media.api import PlayFinished
from media.rtpengine.bencode import Writable
from media.rtpengine.description import PEER
from media.rtpengine.ng import Answer, Refused
from media.rtpengine.spool import Sound, Spool

EVER: Final = 1_000_000  # times that a loop is played

log = structlog.get_logger()


class Ask(Protocol):
    """Asks the rtpengine about one call."""

    def __call__(self, command: str, **arguments: Writable) -> Awaitable[Answer]:
        """Ask. Raises Refused, Silent."""


class Stage(Protocol):
    """Where prompts come from."""

    spool: Spool

    def missed(self, reason: str) -> None:
        """A prompt could not be played."""


class Play:
    """What is to be heard in place of the other leg."""

    def __init__(self, names: tuple[str, ...], token: int, *, loop: bool, interruptible: bool) -> None:
        self.names = names
        self.token = token
        self.loop = loop
        self.interruptible = interruptible
        self.sound: Sound | None = None
        self.began: float | None = None
        self.timer: asyncio.TimerHandle | None = None


class Player:
    """Has rtpengine play one thing at a time; `tell` hears of each end, `follow` that there is something to do."""

    def __init__(
        self,
        leg_id: str,
        stage: Stage,
        ask: Ask,
        tell: Callable[[PlayFinished], None],
        follow: Callable[[], None],
    ) -> None:
        self._leg_id = leg_id
        self._stage = stage
        self._ask = ask
        self._tell = tell
        self._follow = follow
        self._loop = asyncio.get_running_loop()
        self._play: Play | None = None
        self._known: Play | None = None  # to rtpengine
        self._seconds = 0.0

    @property
    def plays(self) -> bool:
        """Whether there is something to be heard."""
        return self._play is not None

    def play(self, play: Play) -> None:
        """Play this in place of what plays now."""
        self._end(interrupted=True)
        self._play = play
        self._follow()

    def stop(self) -> None:
        """End what plays."""
        self._end(interrupted=True)
        self._follow()

    def interrupt(self) -> None:
        """End what plays if a key may do so."""
        if self._play is not None and self._play.interruptible:
            self.stop()

    def take_seconds(self) -> float:
        """Return for how long something was heard since this was asked last."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def drop(self) -> int:
        """Forget what plays; returns how many milliseconds of it were heard."""
        play, self._play = self._play, None
        if play is None or play.began is None or play.sound is None:
            return 0
        if play.timer is not None:
            play.timer.cancel()
        seconds = self._loop.time() - play.began
        if not play.loop:
            seconds = min(seconds, play.sound.milliseconds / 1000)
        self._seconds += seconds
        return round(seconds * 1000)

    async def step(self, *, heard: bool) -> bool:
        """Have rtpengine do one thing that is wanted, and tell whether there was one; unless `heard`, it plays nothing.

        Raises Refused, Silent.
        """
        if self._play is not None and self._play.sound is None:
            await self._find(self._play)
            return True
        wanted = self._play if heard else None
        if wanted is self._known:
            return False
        self._known = wanted
        if wanted is None or wanted.sound is None:
            await self._ask("stop media", from_tag=PEER)
        else:
            await self._begin(wanted, wanted.sound)
        return True

    # Inside -------------------------------------------------------------------------------------------------------

    async def _find(self, play: Play) -> None:
        spool = self._stage.spool
        sound, mistakes = spool.known(play.names), list[str]()
        if sound is None:
            sound, mistakes = await asyncio.to_thread(spool.sound, play.names)
        for mistake in mistakes:
            self._missed(mistake)
        if self._play is not play:
            return
        play.sound = sound
        if sound is None:
            self._end(interrupted=False)
        else:
            self._time(play, sound)

    async def _begin(self, play: Play, sound: Sound) -> None:
        more: dict[str, Writable] = {"repeat-times": EVER} if play.loop else {}
        try:
            await self._ask("play media", from_tag=PEER, file=sound.path, **more)
        except Refused as error:
            self._missed(str(error))
            if self._play is play:
                self._end(interrupted=False)
        else:
            if self._play is play:
                self._time(play, sound)

    def _missed(self, reason: str) -> None:
        self._stage.missed(reason)
        log.warning("prompt.missed", leg_id=self._leg_id, reason=reason)

    def _time(self, play: Play, sound: Sound) -> None:
        """Count from now what is heard."""
        play.began = self._loop.time()
        if play.timer is not None:
            play.timer.cancel()
        if not play.loop:
            play.timer = self._loop.call_later(sound.milliseconds / 1000, self._ran_out)

    def _ran_out(self) -> None:
        self._known = None  # rtpengine has come to the end as well
        self._end(interrupted=False)
        self._follow()

    def _end(self, *, interrupted: bool) -> None:
        play = self._play
        if play is not None:
            heard = self.drop()
            self._tell(PlayFinished(play.token, heard, interrupted))
