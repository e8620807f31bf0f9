"""One caller's call: a task from the INVITE to the record.

The task runs the service that the dialled number stands for. Whoever ends the call (the caller, the agent, a time
limit, a fault) says so with ``end``, which notes the first cause and cancels the task; everything the call holds is
given back in one place, ``_release``, on every way out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import structlog

from acd import facts
from acd.cdr import EndedBy, Outcome
from acd.core.events import CallEnded, CallHeld, CallLeft, CallRetrieved, LeftCause
from acd.digits import take_info
from acd.refusals import as_refusal
from acd.reservation import give_up, reconsider, until_reserved
from acd.voice import note_trouble
from acd.within import answer_reoffer, send_message, take_answer
from ims_core.errors import ServiceUnavailable, SipError
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.session import Session
from ims_core.ua.session_events import (
    Acknowledged,
    EarlyAnswered,
    Ended,
    InfoReceived,
    MessageReceived,
    MethodRefused,
    Reanswered,
    Reoffered,
    SessionEvent,
)
from media.api import (
    Digit,
    Lost,
    MediaError,
    MediaEvent,
    MediaLeg,
    MediaUnavailable,
    NotAcceptable,
    PlayFinished,
    Recovered,
    ReservationFailed,
    RtpTimeout,
    Troubled,
)
from media.playing.names import read_text

if TYPE_CHECKING:
    from acd.context import Context
    from acd.core.actions import Divert
    from acd.leg import Offered, Talker
    from acd.record import CallRecord
    from acd.siprec import RecordingSession, Side

Service = Callable[["Call"], Awaitable[None]]
Stage = Literal["arrived", "menu", "waiting", "talking", "echo", "announcement", "ending"]

FAREWELL_SECONDS = 10.0  # the longest a closing announcement may hold up the end of a call
DIGITS_KEPT = 32  # that were pressed ahead
ANSWER_TIMEOUT_SECONDS = 40.0  # for the ACK that carries the caller's session description

log = structlog.get_logger()


class Call:
    """A call under way; services drive it with the verbs of the first section."""

    def __init__(
        self,
        context: Context,
        incoming: IncomingCall,
        record: CallRecord,
        service: Service,
        on_finished: Callable[[Call], None],
    ) -> None:
        self.context = context
        self.incoming = incoming
        self.record = record
        self.id = record.id
        self.media: MediaLeg | None = None
        self.agent: Talker | None = None
        self.connected: asyncio.Future[Offered | Divert] | None = None
        self.reserved: asyncio.Future[None] | None = None  # while the caller's resources are awaited
        self.queued = self.digits_are_hidden = False
        self.stage: Stage = "arrived"
        self.outcome_if_left = Outcome.ABANDONED
        self._service = service
        self._on_finished = on_finished
        self._running = False
        self._farewell: Sequence[str] = ()
        self._task: asyncio.Task[None] | None = None
        self._reoffers: set[asyncio.Task[None]] = set()
        self._acknowledged: asyncio.Future[bytes] = context.loop.create_future()
        self._has_answer = False
        self._gone = False
        self._digits: deque[str] = deque()
        self._awaited: asyncio.Future[None] | None = None
        self._token = 0
        self._played: asyncio.Future[PlayFinished] | None = None
        self._playing: dict[int, Sequence[str]] = {}
        self._interruptible = False
        self._is_unrecorded = False
        self.recording_session: RecordingSession | None = None
        incoming.on_event = self._on_sip

    # What services do ---------------------------------------------------------------------------------------

    async def answer(self) -> None:
        """Accept the call; afterwards audio flows. Does nothing when it has been accepted already."""
        if self.record.has("call.answered"):
            return
        await self.open_media()
        assert self.media is not None
        self.incoming.answer(self.media.local_sdp.encode())
        self.context.flush()
        self.record.tell(facts.CallAnswered(self.id))
        await self._take_first_answer()

    async def early_media(self) -> bool:
        """Open the audio path towards a caller who is not answered; false where neither can make an offer yet."""
        if not self.incoming.offer and not self.incoming.takes_reliable:
            return False
        await self.open_media()
        assert self.media is not None
        await self.describe()
        return True

    async def describe(self) -> None:
        """Tell a caller who is not answered how his session is, reliably if he takes that."""
        assert self.media is not None
        if not self.incoming.has_described:
            self.incoming.progress(183, self.media.local_sdp.encode())
            self.context.flush()
        await self._take_first_answer()

    async def _take_first_answer(self) -> None:
        """Wait for the caller's answer where the offer was ours: the ACK brings it, or the PRACK before."""
        if self.incoming.offer or self._has_answer or self.media is None:
            return
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            answer = await self._acknowledged
        self._has_answer = True
        try:
            self.media.accept(answer.decode(errors="replace"))
        except NotAcceptable as error:
            raise as_refusal(error) from None

    async def open_media(self) -> None:
        """Open the caller's RTP session, and wait for what he reserves before anybody may be alerted.

        Raises ``SipError`` with the status the caller gets.
        """
        if self.media is not None:
            return
        offer = self.incoming.offer.decode(errors="replace") or None
        heeds = self.incoming.names_preconditions and (offer is not None or self.incoming.takes_reliable)
        try:
            self.media = await self.context.media.open(
                f"{self.id}/caller", self._on_media, offer=offer, heeds_preconditions=heeds
            )
        except NotAcceptable as error:
            raise as_refusal(error) from None
        except MediaUnavailable:
            self.context.node.door.complained()
            raise ServiceUnavailable(headers=(("Retry-After", "5"),)) from None
        await until_reserved(self)

    async def play(self, prompts: Sequence[str], *, interruptible: bool = False) -> bool:
        """Play to the end, or to the first digit when ``interruptible``; returns whether a digit stopped it."""
        if not prompts or self.media is None:
            return False
        if self.context.speech is not None and any(map(read_text, prompts)):
            await self.context.speech.speak(prompts)
        if interruptible and self._digits:
            return True
        self._interruptible = interruptible
        self._played = self.context.loop.create_future()
        self.media.play(prompts, interruptible=interruptible, token=self._begin(prompts))
        return (await self._played).interrupted

    def say(self, prompts: Sequence[str]) -> None:
        """Begin to play, and do not wait for the end; who is talked to goes on hearing the caller."""
        if self.media is not None:
            self._played = None
            self.media.play(prompts, token=self._begin(prompts))

    def music(self, prompt: str | None) -> None:
        """Play ``prompt`` over and over, or nothing."""
        if self.media is None:
            return
        self._played = None
        if prompt:
            self.media.play([prompt], loop=True, token=self._begin([prompt]))
        else:
            self.media.stop()

    def _begin(self, prompts: Sequence[str]) -> int:
        """Return the number under which the end of these prompts will be told."""
        self._token += 1
        self._playing[self._token] = prompts
        return self._token

    @property
    def recording(self) -> Literal["on", "paused"] | None:
        """Whether the talk is recorded."""
        if not self.record.recorded_to or self.stage != "talking":
            return None
        return "paused" if self._is_unrecorded else "on"

    def pause_recording(self, by: str, *, paused: bool) -> None:
        """Keep nothing of what is said from here on, or do so again. Raises ``MediaError`` where that cannot be had."""
        if self.media is None or paused is self._is_unrecorded:
            return
        if paused:
            self.media.pause_recording()
            self.record.tell(facts.RecordingPaused(self.id, by))
        else:
            self.media.resume_recording()
            self.record.tell(facts.RecordingResumed(self.id, by))
        self._is_unrecorded = paused
        if self.recording_session is not None:
            self.recording_session.pause(paused=paused)

    def hide_digits(self, *, hidden: bool) -> None:
        """Keep what the caller presses from whom he talks to, and from every log, or do so no more."""
        if self.media is not None:
            self.media.hide_digits(hidden)
            self.digits_are_hidden = hidden

    async def digit(self, seconds: float) -> str | None:
        """Wait for a key, at most so many seconds."""
        if not self._digits:
            self._awaited = self.context.loop.create_future()
            await asyncio.wait((self._awaited,), timeout=seconds)
            self._awaited = None
        return self._digits.popleft() if self._digits else None

    async def talk(self) -> None:
        """Wait for the end; it comes by ``end``."""
        await self.context.loop.create_future()

    # Its life -----------------------------------------------------------------------------------------------

    def start(self) -> asyncio.Task[None]:
        """Begin."""
        self._task = self.context.loop.create_task(self.run(), name=f"call {self.id}")
        return self._task

    def end(self, ended_by: EndedBy, outcome: Outcome, reason: str = "", *, farewell: Sequence[str] = ()) -> None:
        """End the call for this cause, unless it is ending already; ``farewell`` is played before."""
        if self.record.end(ended_by, outcome, reason):
            self._farewell = farewell
            if self._task is not None and self._running:
                self._task.cancel()

    async def run(self) -> None:
        """Run the service and clean up after it."""
        refusal: SipError | None = None
        self._running = True
        longest = self.context.config.limits.call_seconds
        limit = self.context.loop.call_later(longest, self.end, EndedBy.SYSTEM, Outcome.TIME_LIMIT)
        try:
            if self.record.outcome is None:  # it may have ended before its first step
                await self._service(self)
            self.record.end(EndedBy.SYSTEM, Outcome.SERVED)
        except SipError as error:
            refusal = error
            self.record.end(EndedBy.SYSTEM, Outcome.REJECTED, str(error))
        except TimeoutError:
            self.record.end(EndedBy.SYSTEM, Outcome.TIME_LIMIT)
        except asyncio.CancelledError:
            self.record.end(EndedBy.SYSTEM, Outcome.DRAINED, "server stopped")
        except Exception as error:
            self.record.end(EndedBy.SYSTEM, Outcome.FAILED, type(error).__name__)
            log.exception("call.failed", call=self.id)
        finally:
            limit.cancel()
            await self._release(refusal)

    async def _release(self, refusal: SipError | None) -> None:
        """Give back everything the call holds. Runs once, whatever happened before."""
        context, record = self.context, self.record
        self.stage = "ending"
        for task in self._reoffers:
            task.cancel()
        if self.recording_session is not None:
            self.recording_session.hang_up()
        if self.queued:
            cause = LeftCause.ABANDONED if record.ended_by is EndedBy.CALLER else LeftCause.RELEASED
            context.dispatcher.tell(CallEnded(self.id) if self.agent is not None else CallLeft(self.id, cause))
        reason = (("Reason", _reason_header(record.outcome, record.reason)),)
        if self._farewell:
            await self._say_farewell()
        if self.agent is not None:
            self.agent.hang_up(reason)
        if refusal is None and record.outcome is Outcome.DRAINED:
            refusal = context.refusal
        if refusal is not None:
            self.incoming.refuse(refusal)
        self.incoming.hang_up(reason)
        context.flush()
        if self.recording_session is not None:
            await self.recording_session.close()
        closing = [side.close() if side else None for side in (self.media, self.agent)]
        record.close(*[await report if report else None for report in closing])
        self._on_finished(self)
        # they know the call: without a cycle it is freed at once
        self.agent = self.connected = self.recording_session = None

    async def _say_farewell(self) -> None:
        """Tell both sides why the call ends, unless the caller leaves meanwhile."""
        if self.media is None or self._gone:
            return
        if self.agent is not None:
            self.media.unbridge()
            self.agent.say(self._farewell)
        playing = self.context.loop.create_task(self.play(self._farewell))
        self._awaited = self.context.loop.create_future()
        try:
            await asyncio.wait((playing, self._awaited), timeout=FAREWELL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            playing.cancel()

    # What it is told ----------------------------------------------------------------------------------------

    def _on_sip(self, event: SessionEvent) -> None:
        match event:
            case Ended(by_peer, reason):
                self._gone = True
                self._awake()
                if by_peer:
                    self.end(EndedBy.CALLER, self._outcome_of_hang_up(), reason)
                else:
                    self.end(EndedBy.SYSTEM, Outcome.PEER_LOST, reason)
            case Acknowledged(sdp) | EarlyAnswered(sdp):
                if not self._acknowledged.done():
                    self._acknowledged.set_result(sdp)
                else:
                    self.take_answer(self.media, sdp)
            case Reoffered(sdp):
                self.take_reoffer(self.incoming, self.media, sdp)
            case Reanswered(sdp):
                self.take_answer(self.media, sdp)
            case MessageReceived(content_type, body):
                if self.agent is not None:
                    self.agent.write(content_type, body)
            case InfoReceived(content_type, body):
                take_info(self.media, content_type, body)
            case MethodRefused(method, status):
                log.info("request.refused", call=self.id, method=method, status=status)

    def _on_media(self, event: MediaEvent) -> None:
        match event:
            case Digit(digit, source):
                self._press(digit, source)
            case PlayFinished(token, heard_ms, interrupted):
                prompts = self._playing.pop(token, ())
                log.debug("prompt.finished", call=self.id, prompts=prompts, heard_ms=heard_ms, interrupted=interrupted)
                if token == self._token and self._played is not None and not self._played.done():
                    self._played.set_result(event)
            case RtpTimeout() | Troubled() if self.reserved is not None:
                pass  # he has no bearer to send by
            case RtpTimeout():
                self.end(EndedBy.SYSTEM, Outcome.PEER_LOST, "no RTP from the caller")
            case Lost(reason):
                self.end(EndedBy.SYSTEM, Outcome.MEDIA_LOST, reason)
            case Troubled() | Recovered():
                note_trouble(event, "caller", self.context.metrics, self.record, self.record.caller)

    def _press(self, digit: str, source: str) -> None:
        log.debug("digit.received", call=self.id, source=source, stage=self.stage)
        self.record.tell(facts.CallerPressed(self.id, "" if self.digits_are_hidden else digit, source))
        if self.stage == "menu" and len(self._digits) < DIGITS_KEPT:
            self._digits.append(digit)
            self._awake()
            if self._interruptible and self.media is not None:
                self.media.stop()

    def _awake(self) -> None:
        """Let the task go on that waits for a digit, or for the end of the farewell."""
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)

    def _outcome_of_hang_up(self) -> Outcome:
        if self.record.has("agent.connected"):
            return Outcome.ANSWERED
        if self.queued:
            return Outcome.ABANDONED
        if not self.record.has("call.answered"):
            return Outcome.CANCELLED
        return self.outcome_if_left

    def take_reoffer(self, session: Session, leg: MediaLeg | None, sdp: bytes) -> None:
        """Answer a re-INVITE of either side: hold, resume, a new address (RFC 3264 section 8)."""
        self._in_background(self._answer_reoffer(session, leg, sdp))

    def take_answer(self, leg: MediaLeg | None, sdp: bytes) -> None:
        """Take the answer in the ACK of a re-INVITE that carried no offer (RFC 3261 section 14.1)."""
        take_answer(leg, sdp, call=self.id)

    def note_hold(self, side: Side, *, held: bool) -> None:
        """Tell a recording server that one side holds the talk, or does so no more."""
        if self.recording_session is not None:
            self.recording_session.hold(side, held=held)

    def pressed_by_agent(self, digit: str) -> None:
        """Pause or resume the recording by the agent's key for that."""
        if digit == self.context.config.recording.pause_key and self.recording is not None:
            with suppress(MediaError):
                self.pause_recording("agent", paused=not self._is_unrecorded)
                log.info("recording.paused" if self._is_unrecorded else "recording.resumed", call=self.id, by="agent")

    def read(self, content_type: str, body: bytes) -> None:
        """Send the caller a MESSAGE of the agent's."""
        send_message(self.incoming, content_type, body)

    def _in_background(self, work: Coroutine[object, object, None]) -> None:
        task = self.context.loop.create_task(work)
        self._reoffers.add(task)
        task.add_done_callback(self._reoffers.discard)

    async def _answer_reoffer(self, session: Session, leg: MediaLeg | None, sdp: bytes) -> None:
        try:
            held = await answer_reoffer(session, leg, sdp)
        except ReservationFailed as error:
            held = None
            give_up(self, error)
        reconsider(self)
        if held is not None:
            self.note_hold("caller" if leg is self.media else "agent", held=held)
        if held is not None and self.agent is not None and self.queued:
            self.context.dispatcher.tell(CallHeld(self.id) if held else CallRetrieved(self.id))
        self.context.flush()


_CAUSES = {
    Outcome.NO_AGENT: 480,
    Outcome.CLOSED: 480,
    Outcome.REJECTED: 480,
    Outcome.WAITED_TOO_LONG: 480,
    Outcome.DRAINED: 503,
    Outcome.MEDIA_LOST: 503,
    Outcome.TIME_LIMIT: 408,
    Outcome.PEER_LOST: 408,
    Outcome.FAILED: 500,
}


def _reason_header(outcome: Outcome | None, reason: str) -> str:
    """Say why in a Reason header: a SIP status where one fits, else normal clearing (RFC 3326)."""
    cause = _CAUSES.get(outcome) if outcome else None
    if cause is None:
        return 'Q.850;cause=16;text="Normal call clearing"'
    text = (reason or str(outcome)).replace('"', "'")
    return f'SIP;cause={cause};text="{text}"'
