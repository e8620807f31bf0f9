"""One rtpengine: tried before it is used, watched while it is, and used again when it returns."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import secrets
from collections.abc import Callable
from typing import Final

import structlog

from media.api import MediaError, MediaEvent, Member, MemberState
from media.rtpengine.bencode import Writable
from media.rtpengine.description import PEER
from media.rtpengine.leg import RtpengineLeg
from media.rtpengine.ng import Answer, NgClient, Silent
from media.rtpengine.report import Tally
from media.rtpengine.settings import Node, RtpengineSettings
from media.rtpengine.spool import Spool
from media.rtpengine.trial import Trial
from media.sdp.local import Local
from media.sdp.negotiation import Negotiation

WATCH_SECONDS: Final = 1.0
SILENT_TIMES: Final = 3  # in a row, until the legs are given up
LOOK_SECONDS: Final = 10.0  # from one look at a leg to the next

log = structlog.get_logger()


class Restarted(MediaError):
    """It is not the same any more."""


class RtpengineNode:
    """An rtpengine and our legs on it; `start` and `stop` are to be called."""

    def __init__(self, node: Node, settings: RtpengineSettings, spool: Spool, on_joined: Callable[[], None]) -> None:
        self.node = node
        self.spool = spool
        self.address = ""  # where it receives RTP
        self.legs: dict[str, RtpengineLeg] = {}
        self.is_draining = False
        self.missing_prompts = self.timeouts = self.returns = self.digits = 0
        self.closed = Tally()  # the sums of legs that have ended
        self.client = NgClient()
        self._settings = settings
        self._on_joined = on_joined
        self._serves = False
        self._reason = ""
        self._up_seconds = 0.0
        self._silent = self._repeated = 0
        self._trial: Trial | None = None
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._task: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()
        self._turn: list[RtpengineLeg] = []
        self._log = log.bind(rtpengine=node.name)

    def start(self) -> None:
        """Begin to try and to watch it; `first_verdict` is done when it has been tried once."""
        self.first_verdict: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep(), name=f"rtpengine {self.node.name}")

    async def stop(self) -> None:
        """Let go of it; legs that are left are told `Lost`."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._lose_all("the media backend stops")
        self.client.close()

    @property
    def serves(self) -> bool:
        """Whether new legs may be opened here."""
        return self._serves and not self._silent and not self.is_draining

    @property
    def repeated(self) -> int:
        """How many requests were sent again."""
        return self._repeated + self.client.repeated

    def member(self) -> Member:
        """Tell how it is."""
        state: MemberState = "failed" if self._reason else "starting"
        if self.is_draining:
            state = "draining"
        elif self.serves:
            state = "serving"
        return Member(
            backend="rtpengine",
            name=self.node.name,
            state=state,
            legs=len(self.legs),
            weight=self.node.weight,
            restarts=self.returns,
            reason=self._reason,
        )

    async def emptied(self) -> None:
        """Wait until there is no leg for a moment."""
        self._empty.clear()
        if self.legs:
            await self._empty.wait()

    async def open(
        self,
        leg_id: str,
        on_event: Callable[[MediaEvent], None],
        negotiate: Callable[[Local], Negotiation],
        local: Local,
        offer: str | None,
    ) -> RtpengineLeg:
        """Open a leg that can bring what `local` says, with the secrets to come. Raises MediaError."""
        call_id = f"{self._prefix}-{next(self._numbers)}"
        leg = RtpengineLeg(self, leg_id, call_id, negotiate, local, on_event)
        self.legs[call_id] = leg
        try:
            await leg.begin(offer)
        except Silent:
            self._silent = max(self._silent, 1)  # until it is heard again
            leg.close()
            raise
        except BaseException:
            leg.close()
            raise
        return leg

    def pressed(self, call_id: str, side: str, digit: str, ms: int) -> None:
        """Take a digit that was pressed for so long, if it is for a leg here."""
        if self._trial is not None and call_id == self._trial.call_id:
            self._trial.heard.set()
        leg = self.legs.get(call_id)
        if leg is not None and side == PEER:
            self.digits += 1
            leg.released(digit, ms)

    # What a leg asks ----------------------------------------------------------------------------------------------

    async def ask(self, command: str, **arguments: Writable) -> Answer:
        """Ask the rtpengine. Raises Refused, Silent."""
        return await self.client.ask(command, **arguments)

    def forget(self, leg: RtpengineLeg) -> None:
        """Count what the leg counted to the total."""
        if self.legs.pop(leg.call_id, None) is not None:
            self.closed = self.closed.plus(leg.tally)
            if not self.legs:
                self._empty.set()

    def missed(self, reason: str) -> None:
        """Count a prompt that was not to be had."""
        self.missing_prompts += 1

    # Inside -------------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            try:
                if not self._serves:
                    await self._try()
                else:
                    await self._watch()
            except (MediaError, OSError) as error:
                self._failed(error)
            if not self.first_verdict.done():
                self.first_verdict.set_result(None)
            await asyncio.sleep(WATCH_SECONDS)

    async def _try(self) -> None:
        """Find out that it can do what every backend does. Raises MediaError."""
        await self.client.connect((self.node.host, self.node.port))
        self._trial = Trial(self.client, f"{self._prefix}-trial-{next(self._numbers)}", self.spool)
        try:
            self.address = await self._trial.run()
        finally:
            self._trial = None
        self._up_seconds = await self._uptime()
        self._serves, self._silent, self._reason = True, 0, ""
        self._log.info("rtpengine.joined", address=self.address, weight=self.node.weight)
        self._on_joined()

    async def _watch(self) -> None:
        """See that it is there, and still the same. Raises MediaError."""
        up_seconds = await self._uptime()
        if up_seconds < self._up_seconds:
            raise Restarted("rtpengine has been started anew.")
        self._up_seconds, self._silent, self._reason = up_seconds, 0, ""
        await self._look_at_legs()

    async def _look_at_legs(self) -> None:
        """Look at some of the legs, so that each has its turn in time."""
        limit = self._settings.rtp_timeout_seconds
        every = min(LOOK_SECONDS, limit / 3) if limit else LOOK_SECONDS
        if not self._turn:
            self._turn = list(self.legs.values())
        count = math.ceil(max(len(self.legs), len(self._turn)) * WATCH_SECONDS / max(every, WATCH_SECONDS))
        due, self._turn = self._turn[:count], self._turn[count:]
        self.timeouts += sum(await asyncio.gather(*(leg.look(limit) for leg in due if not leg.is_over)))

    async def _uptime(self) -> float:
        answer = await self.client.ask("statistics")
        match answer:
            case {"statistics": {"totalstatistics": {"uptime": (str() | int()) as uptime}}}:
                return float(uptime)
        raise MediaError("rtpengine does not tell its uptime.")

    def _failed(self, error: Exception) -> None:
        self._silent += 1
        if str(error) != self._reason:
            self._reason = str(error)
            self._log.warning("rtpengine.failed", reason=self._reason, legs=len(self.legs))
        # Where nobody listens any more the calls are gone as well; else it may only be slow to answer.
        gone = isinstance(error, Restarted) or self.client.refused or self._silent >= SILENT_TIMES
        if self._serves and gone:
            self._serves = False
            self.returns += 1
            self._lose_all("the rtpengine was lost")
        if not self._serves:
            self.client.close()
            self._repeated += self.client.repeated
            self.client = NgClient()

    def _lose_all(self, reason: str) -> None:
        for leg in list(self.legs.values()):
            leg.lose(reason)
