"""A leg of ours to somebody whom a caller is to talk to, from the INVITE to its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Protocol

import structlog

from acd import facts
from acd.cdr import EndedBy, Outcome
from acd.digits import take_info
from acd.secrecy import family_towards, protection_towards
from acd.voice import note_trouble
from acd.within import send_message
from ims_core.errors import SipError
from ims_core.messages.headers import quote_string
from ims_core.roles.privacy import wishes
from ims_core.trunks.exchange import LEADS_ON
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.retargeting import passed_on, told_before
from ims_core.ua.session_events import (
    Acknowledged,
    Answered,
    Ended,
    InfoReceived,
    MessageReceived,
    MethodRefused,
    Reanswered,
    Rejected,
    Reoffered,
    Ringing,
    SessionEvent,
)
from media.api import Digit, Lost, MediaError, MediaEvent, MediaLeg, Recovered, RtpTimeout, Troubled

if TYPE_CHECKING:
    from acd.context import Context
    from acd.record import CallRecord
    from acd.siprec import Side
    from acd.way import Way
    from ims_core.ua.incoming import IncomingCall
    from ims_core.ua.session import Session
    from media.api import LegReport, Protection

Headers = tuple[tuple[str, str], ...]
WITHHELD = frozenset(("id", "user"))  # of Privacy: who calls (RFC 3325 section 9.3, RFC 3323 section 4.2)

log = structlog.get_logger()


class Caller(Protocol):
    """The call that somebody is wanted for; ``agent`` is the leg that it talks to."""

    id: str
    record: CallRecord
    incoming: IncomingCall
    media: MediaLeg | None
    agent: Talker | None

    def end(self, ended_by: EndedBy, outcome: Outcome, reason: str = "") -> None:
        """End the call for this cause."""

    def take_reoffer(self, session: Session, leg: MediaLeg | None, sdp: bytes) -> None:
        """Answer a re-INVITE of either side."""

    def take_answer(self, leg: MediaLeg | None, sdp: bytes) -> None:
        """Take the answer in the ACK of a re-INVITE."""

    def note_hold(self, side: Side, *, held: bool) -> None:
        """One side holds the talk, or does so no more."""

    def pressed_by_agent(self, digit: str) -> None:
        """The agent pressed a key during the talk."""

    def read(self, content_type: str, body: bytes) -> None:
        """Send the caller a MESSAGE of the other side's."""


class Talker(Protocol):
    """Somebody whom a call talks to, as far as the call minds."""

    media: MediaLeg | None

    def say(self, prompts: Sequence[str]) -> None:
        """Play to whoever answered."""

    def write(self, content_type: str, body: bytes) -> None:
        """Send a MESSAGE to whoever answered."""

    def hang_up(self, headers: Headers = ()) -> None:
        """The call is over."""

    def close(self) -> Awaitable[LegReport] | None:
        """Let go, and tell how the voice was."""


class Offered(Talker, Protocol):
    """An offer to an agent, numbered ``epoch``; once it is answered the agent's side of the talk."""

    agent_id: str
    epoch: int

    def start(self) -> None:
        """Let the agent know."""

    async def release(self) -> None:
        """End the offer."""


class Leg:
    """A leg of ours; each kind says whom it calls, and what an answer or a failure leads to.

    On every way out ``release`` must be called, or ``hang_up`` and then ``close``.
    """

    who = "the agent"

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self.name = name
        self.media: MediaLeg | None = None
        self._agreed = b""
        self._session: OutgoingCall | None = None
        self._task: asyncio.Task[None] | None = None
        self._ways: deque[Way] = deque()
        self._way: Way | None = None
        self._has_rung = False

    def start(self) -> None:
        """Begin to ring."""
        self._task = self._context.loop.create_task(self._ring(), name=self.name)

    def say(self, prompts: Sequence[str]) -> None:
        """Play to whoever answered."""
        if self.media is not None:
            self.media.play(prompts)

    def write(self, content_type: str, body: bytes) -> None:
        """Send a MESSAGE to whoever answered."""
        if self._session is not None:
            send_message(self._session, content_type, body)

    def hang_up(self, headers: Headers = ()) -> None:
        """Stop ringing or hang up; ``close`` is still to be called."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        if self._session is not None:
            self._session.hang_up(headers)

    def close(self) -> Awaitable[LegReport] | None:
        """Free the port, and tell how the voice was."""
        return self.media.close() if self.media is not None else None

    async def release(self) -> None:
        """Stop ringing or hang up, and free the port."""
        self.hang_up()
        self._context.flush()
        if self.media is not None:
            await self.media.close()

    @property
    def protection(self) -> Protection:
        """How what the INVITE offers is protected, by the first way that it takes."""
        return protection_towards(self._ways[0])

    # What each kind of leg says -----------------------------------------------------------------------------

    def ways(self) -> Sequence[Way]:
        """Return whom to call and by which ways, best first. Raises ``SipError`` when there is none."""
        raise NotImplementedError

    def shown(self) -> str:
        """Return who calls, a name-addr."""
        raise NotImplementedError

    def called(self) -> str:
        """Return whom the INVITE is for, a name-addr."""
        raise NotImplementedError

    async def open_media(self) -> MediaLeg:
        """Open the media leg that the INVITE offers. Raises ``MediaError``."""
        raise NotImplementedError

    def told(self, target: str) -> Headers:
        """Return what else the INVITE to ``target`` says."""
        return ()

    def invited(self, sip_call_id: str, way: Way) -> None:
        """An INVITE is about to leave by this way."""

    def ringing(self) -> None:
        """The phone rings."""

    def answered(self) -> None:
        """Somebody answered, and the media are agreed."""
        raise NotImplementedError

    def failed(self, status: int, reason: str) -> None:
        """Nobody answered; ``status`` is that of the response, 0 without one."""
        raise NotImplementedError

    def reoffered(self, session: Session, sdp: bytes) -> None:
        """A re-INVITE came, to be answered."""
        raise NotImplementedError

    def acknowledged(self, sdp: bytes) -> None:
        """An answer came to our offer in a re-INVITE: in the ACK, or in the 200 to a refresh of ours."""
        raise NotImplementedError

    def messaged(self, content_type: str, body: bytes) -> None:
        """A MESSAGE came."""
        raise NotImplementedError

    def pressed(self, digit: str) -> None:
        """A key was pressed."""

    def gone(self, reason: str) -> None:
        """The other side hung up."""
        raise NotImplementedError

    def lost(self, outcome: Outcome, reason: str) -> None:
        """The leg is of no more use: no RTP, no media worker."""
        raise NotImplementedError

    def troubled(self, event: Troubled | Recovered) -> None:
        """The voice of the leg is in trouble, or no more."""
        raise NotImplementedError

    # Inside -------------------------------------------------------------------------------------------------

    async def _ring(self) -> None:
        try:
            self._ways.extend(self.ways())
            self.media = await self.open_media()
        except (MediaError, SipError) as error:
            self.failed(0, str(error))
            return
        self._try_next(self.media.local_sdp.encode())
        self._context.flush()

    def _try_next(self, sdp: bytes) -> None:
        """Call by the best way that is left."""
        context, way = self._context, self._ways.popleft()
        self._way = way
        try:
            session = context.node.call(way.hop, self._on_sip, credentials=way.credentials)
            self._session = session
            session.start(
                way.target,
                caller=way.caller or self.shown(),
                callee=f"<{way.target}>" if way.trunk else self.called(),
                sdp=sdp,
                headers=(*(("Route", value) for value in way.route), *self.told(way.target)),
            )
        except SipError as error:
            self.failed(0, str(error))
            return
        if way.trunk:
            context.trunks.left(session, way.trunk)
        self.invited(session.dialog_id[0], way)

    def _rejected(self, status: int, reason: str) -> None:
        """Call by the next way where this one does not serve, else give up."""
        if self._ways and self._way is not None and not self._has_rung and status in LEADS_ON:
            assert self.media is not None
            self._context.trunks.failed_over(self._way.trunk, reason)
            self._try_next(self.media.local_sdp.encode())
        else:
            self.failed(status, reason)

    def _on_sip(self, event: SessionEvent) -> None:
        match event:
            case Ringing():
                self._progress(event)
            case Answered(sdp):
                if self._agree(sdp):
                    self.answered()
            case Rejected(status, reason):
                self._rejected(status, f"{status} {reason}")
            case Reoffered(sdp):
                if self._session is not None:
                    self._agreed = sdp
                    self.reoffered(self._session, sdp)
            case Acknowledged(sdp) | Reanswered(sdp):
                self.acknowledged(sdp)
            case Ended(by_peer, reason):
                if by_peer:
                    self.gone(reason)
                else:
                    self.lost(Outcome.PEER_LOST, reason)
            case _:
                self._told(event)

    def _told(self, event: SessionEvent) -> None:
        """The peer said something within the call."""
        match event:
            case MessageReceived(content_type, body):
                self.messaged(content_type, body)
            case InfoReceived(content_type, body):
                take_info(self.media, content_type, body)
            case MethodRefused(method, status):
                log.info("request.refused", peer=self.called(), method=method, status=status)

    def _progress(self, event: Ringing) -> None:
        self._has_rung = True
        self.ringing()
        if event.sdp and event.reliable:
            self._agree(event.sdp)

    def _agree(self, sdp: bytes) -> bool:
        """Take the peer's answer, which may come early and again with the 200; False when it cannot be taken."""
        assert self.media is not None
        if sdp and sdp == self._agreed:
            return True
        try:
            self.media.accept(sdp.decode(errors="replace"))
        except MediaError as error:
            self.failed(0, str(error))
            return False
        self._agreed = sdp
        return True

    def _on_media(self, event: MediaEvent) -> None:
        match event:
            case RtpTimeout():
                self.lost(Outcome.PEER_LOST, f"no RTP from {self.who}")
            case Lost(reason):
                self.lost(Outcome.MEDIA_LOST, reason)
            case Digit(digit):
                self.pressed(digit)
            case Troubled() | Recovered():
                self.troubled(event)


class CallLeg(Leg):
    """A leg for ``call``, as long as the call needs it; told apart by ``name``."""

    party = EndedBy.AGENT
    outcome = Outcome.ANSWERED  # of the call, when this side hangs up

    def __init__(self, context: Context, call: Caller, name: str) -> None:
        super().__init__(context, name)
        self.call = call

    @property
    def caller(self) -> str:
        """The caller's number, user or ``user@host``, as who is called may know it; empty: withheld (RFC 3323 4.2)."""
        call = self.call
        return call.record.caller if WITHHELD.isdisjoint(wishes(call.incoming.request)) else ""

    def shown(self) -> str:
        """Show the queue's name and the caller's number."""
        context, record = self._context, self.call.record
        queue = context.config.queues.get(record.queue or "")
        user, _, host = self.caller.partition("@")
        caller = f"<sip:{_user(user)}@{host or context.config.server.domain}>"
        return f"{quote_string(queue.name)} {caller}" if queue is not None else caller

    async def open_media(self) -> MediaLeg:
        """Offer what the caller's leg speaks."""
        return await self._context.media.open(
            f"{self.call.id}/{self.name}",
            self._on_media,
            like=self.call.media,
            protection=self.protection,
            family=family_towards(self._ways[0]),
        )

    def told(self, target: str) -> Headers:
        """Tell where the call was before, if the caller's INVITE does."""
        request = self.call.incoming.request
        return passed_on(request, target) if told_before(request) else ()

    def invited(self, sip_call_id: str, way: Way) -> None:
        """Count the dialog to the call's, and note the trunk that it leaves by."""
        if way.trunk:
            self.call.record.tell(facts.CallWentOut(self.call.id, way.trunk, way.number))
        self._context.follow(self.call.id, sip_call_id)

    def reoffered(self, session: Session, sdp: bytes) -> None:
        """Let the call answer, which minds who holds."""
        self.call.take_reoffer(session, self.media, sdp)

    def acknowledged(self, sdp: bytes) -> None:
        """Let the call take it."""
        self.call.take_answer(self.media, sdp)

    def messaged(self, content_type: str, body: bytes) -> None:
        """Let the caller read it, if they talk."""
        if self.call.agent is self:
            self.call.read(content_type, body)

    def gone(self, reason: str) -> None:
        """This side ends the call, if it was connected."""
        self._ended(self.party, self.outcome, reason)

    def lost(self, outcome: Outcome, reason: str) -> None:
        """There is nobody to talk to any more."""
        self._ended(EndedBy.SYSTEM, outcome, reason)

    def troubled(self, event: Troubled | Recovered) -> None:
        """Note it with the call."""
        note_trouble(event, "agent", self._context.metrics, self.call.record, self.called())

    def _ended(self, ended_by: EndedBy, outcome: Outcome, reason: str) -> None:
        """The leg is gone: the end of the call if it was connected, else nobody answered."""
        if self.call.agent is self:
            self.call.end(ended_by, outcome, reason)
        else:
            self.failed(0, reason)


def _user(caller: str) -> str:
    """Return what may stand as the user of a SIP URI; a caller without usable number is anonymous (RFC 3323 4.1)."""
    allowed = "".join(character for character in caller if character.isalnum() or character in "+-_.*#!~")
    return allowed.replace("#", "%23") or "anonymous"
