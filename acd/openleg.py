"""A leg to an agent's phone that outlives calls, and the turns that calls take on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from acd.cdr import EndedBy, Outcome
from acd.core.events import CallHeld, CallRetrieved, FailCause, OfferAnswered, OfferFailed
from acd.leg import Headers, Leg
from acd.secrecy import family_towards
from acd.voice import note_trouble
from acd.within import answer_reoffer, take_answer
from ims_core.messages.headers import quote_string
from media.api import LegReport, MediaEvent, MediaLeg, PlayFinished, Recovered, Troubled

if TYPE_CHECKING:
    from acd.context import Context
    from acd.leg import Caller
    from acd.way import Way
    from ims_core.ua.session import Session

CALL_TONE = "tones/call"
SILENCE = "tones/silence"
SHOWN_NAME, SHOWN_USER = "Call queues", "acd"


class Owner(Protocol):
    """Who keeps the leg, and is told what becomes of it."""

    def opened(self, leg: OpenLeg) -> None:
        """The agent answered."""

    def closed(self, leg: OpenLeg, reason: str, *, by_agent: bool) -> None:
        """The leg was not answered or is gone; it is to be released."""

    def held(self, leg: OpenLeg) -> None:
        """The agent's phone holds the leg, or does so no more."""

    def vacant(self, leg: OpenLeg) -> None:
        """A turn is over."""


class OpenLeg(Leg):
    """A leg to `agent_id` on which calls take turns; between them he hears silence, which keeps his phone content.

    `is_up` while it can be used, `on_hold` while his phone holds it, `turn` is who has it.
    """

    def __init__(self, context: Context, agent_id: str, number: int, owner: Owner) -> None:
        super().__init__(context, f"open-{agent_id}-{number}")
        self.agent_id = agent_id
        self.is_up = self.is_over = self.on_hold = False
        self.turn: Turn | None = None
        self._owner = owner
        self._reoffers: set[asyncio.Task[None]] = set()

    # Turns --------------------------------------------------------------------------------------------------

    def take(self, turn: Turn) -> bool:
        """Announce a call by a tone, after which the turn is told; false if the leg cannot be used."""
        if not self.is_up or self.media is None:
            return False
        if self.turn is not None:  # a call that says farewell
            self.turn.hang_up()
        self.turn = turn
        self.media.play([CALL_TONE], token=turn.epoch)
        return True

    def leave(self, turn: Turn) -> Awaitable[LegReport] | None:
        """End a turn; returns how the voice was, None if the turn has ended before."""
        if self.turn is not turn or self.media is None:
            return None
        self.turn = None
        report = self.media.measure()
        self.media.unbridge()
        self.media.play([SILENCE], loop=True)
        self._owner.vacant(self)
        return report

    # What the leg says --------------------------------------------------------------------------------------

    def ways(self) -> Sequence[Way]:
        """Return where the agent's phone registered, or is said to be."""
        return self._context.ways_to_user(self.agent_id, name=SHOWN_NAME)

    def shown(self) -> str:
        """Show that it is the queue system that calls."""
        return f"{quote_string(SHOWN_NAME)} <sip:{SHOWN_USER}@{self._context.config.server.domain}>"

    def called(self) -> str:
        """Name the agent as a user of the domain, wherever the phone is."""
        return f"<sip:{self.agent_id}@{self._context.config.server.domain}>"

    async def open_media(self) -> MediaLeg:
        """Offer what we speak: the callers to come are not known."""
        return await self._context.media.open(
            self.name, self._on_media, protection=self.protection, family=family_towards(self._ways[0])
        )

    def answered(self) -> None:
        """Be quiet until a call comes."""
        assert self.media is not None
        self.is_up = True
        self.media.play([SILENCE], loop=True)
        self._owner.opened(self)

    def failed(self, status: int, reason: str) -> None:
        """Tell why there is no leg."""
        self._over(EndedBy.SYSTEM, Outcome.PEER_LOST, reason)

    def pressed(self, digit: str) -> None:
        """Tell the call that has the turn, once they talk."""
        if self.turn is not None and self.turn.is_talk:
            self.turn.call.pressed_by_agent(digit)

    def gone(self, reason: str) -> None:
        """The agent hung up: the end of the talk, and of the leg."""
        self._over(EndedBy.AGENT, Outcome.ANSWERED, reason)

    def lost(self, outcome: Outcome, reason: str) -> None:
        """The leg is of no more use to the talk, nor to those to come."""
        self._over(EndedBy.SYSTEM, outcome, reason)

    def troubled(self, event: Troubled | Recovered) -> None:
        """Note it with the call that has the turn."""
        record = self.turn.call.record if self.turn is not None and self.turn.is_talk else None
        note_trouble(event, "agent", self._context.metrics, record, self.agent_id)

    def reoffered(self, session: Session, sdp: bytes) -> None:
        """Answer, whoever has the turn."""
        task = self._context.loop.create_task(self._answer(session, sdp))
        self._reoffers.add(task)
        task.add_done_callback(self._reoffers.discard)

    def acknowledged(self, sdp: bytes) -> None:
        """Take the answer to a re-INVITE."""
        take_answer(self.media, sdp, agent=self.agent_id)

    def messaged(self, content_type: str, body: bytes) -> None:
        """Let the caller read it who has the turn, once they talk."""
        if self.turn is not None and self.turn.is_talk:
            self.turn.call.read(content_type, body)

    # Inside -------------------------------------------------------------------------------------------------

    def _over(self, ended_by: EndedBy, outcome: Outcome, reason: str) -> None:
        if self.is_over:
            return
        self.is_up, self.is_over = False, True
        turn, self.turn = self.turn, None
        self._owner.closed(self, reason, by_agent=ended_by is EndedBy.AGENT)
        if turn is not None:
            turn.lost(ended_by, outcome, reason)

    async def _answer(self, session: Session, sdp: bytes) -> None:
        held = await answer_reoffer(session, self.media, sdp)
        if held is not None and held is not self.on_hold and not self.is_over:
            self.on_hold = held
            if self.turn is not None and self.turn.is_talk:
                call_id = self.turn.call.id
                self._context.dispatcher.tell(CallHeld(call_id) if held else CallRetrieved(call_id))
                self.turn.call.note_hold("agent", held=held)
            self._owner.held(self)
        self._context.flush()

    def _on_media(self, event: MediaEvent) -> None:
        if not isinstance(event, PlayFinished):
            super()._on_media(event)
        elif self.media is not None and self.turn is not None and event.token == self.turn.epoch:
            self.media.measure()  # what was before is not the call's
            self.media.play([SILENCE], loop=True)
            self.turn.announced()


class Turn:
    """One offer of ``call`` on an open leg, and the talk that follows; to dispatcher and call as an `AgentLeg` is.

    With ``leg`` None, or one that cannot be used, it fails.
    """

    def __init__(  # noqa: PLR0917
        self,
        context: Context,
        leg: OpenLeg | None,
        call: Caller,
        agent_id: str,
        epoch: int,
        on_failed: Callable[[Turn, str], None],
    ) -> None:
        self.call = call
        self.agent_id = agent_id
        self.epoch = epoch
        self.media = leg.media if leg is not None else None
        self._context = context
        self._leg = leg
        self._on_failed = on_failed
        self._report: Awaitable[LegReport] | None = None

    @property
    def is_talk(self) -> bool:
        """Whether the call is connected."""
        return self.call.agent is self

    def start(self) -> None:
        """Tell the agent that a call comes."""
        if self._leg is None or not self._leg.take(self):
            self._fail("leg not open")

    def announced(self) -> None:
        """The agent knows: he need not answer."""
        self._context.dispatcher.tell(OfferAnswered(self.call.id, self.agent_id, self.epoch))

    def say(self, prompts: Sequence[str]) -> None:
        """Play to the agent."""
        if self.media is not None and self._leg is not None and self._leg.turn is self:
            self.media.play(prompts)

    def write(self, content_type: str, body: bytes) -> None:
        """Send a MESSAGE to the agent."""
        if self._leg is not None and self._leg.turn is self:
            self._leg.write(content_type, body)

    def hang_up(self, headers: Headers = ()) -> None:
        """End the turn."""
        if self._leg is not None and self._report is None:
            self._report = self._leg.leave(self)

    def close(self) -> Awaitable[LegReport] | None:
        """End the turn, and tell how the voice was during it."""
        self.hang_up()
        return self._report or (self.media.close() if self.media is not None else None)

    async def release(self) -> None:
        """End the turn."""
        self.hang_up()

    def lost(self, ended_by: EndedBy, outcome: Outcome, reason: str) -> None:
        """The leg is gone: the end of the call if it was connected, else of the offer."""
        if self.is_talk:
            self.call.end(ended_by, outcome, reason)
        else:
            self._fail(reason)

    def _fail(self, reason: str) -> None:
        self._on_failed(self, reason)
        self._context.dispatcher.tell(OfferFailed(self.call.id, self.agent_id, self.epoch, FailCause.ERROR))
