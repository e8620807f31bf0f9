"""A call's recording session: what both sides say goes to a recording server as well, which is told whose it is.

We are the session recording client of RFC 7866; the talk goes on whatever becomes of it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import structlog

from acd.secrecy import family_towards, protection_towards
from acd.way import Way
from ims_core.errors import LocalProtocolError, SipError
from ims_core.messages.multipart import Enclosed
from ims_core.ua.session_events import Answered, Ended, OfferRefused, Reanswered, Rejected, Reoffered, SessionEvent
from media.api import Capability, MediaError
from media.conference import together
from media.siprec.fork import Fork, open_fork
from media.siprec.metadata import CONTENT_TYPE, DISPOSITION, Metadata, Participant

if TYPE_CHECKING:
    from acd.call import Call
    from ims_core.ua.outgoing import OutgoingCall
    from media.api import MediaLeg

SRC_FEATURE: Final = ";+sip.src"  # RFC 7866 section 11.2.1: of the Contact
OPTION: Final = "siprec"  # section 11.1.1
USER: Final = "recorder"
Side = Literal["caller", "agent"]

log = structlog.get_logger()


class Party(NamedTuple):
    """Who is heard: the address of record, and a name if there is one."""

    aor: str
    name: str = ""


class RecordingSession:
    """The session with ``server`` for one talk; ``close`` must be called."""

    def __init__(self, call: Call, other: MediaLeg, parties: tuple[Party, Party], server: str) -> None:
        assert call.media is not None
        self._call = call
        self._speakers: tuple[MediaLeg, MediaLeg] = (call.media, other)
        self._server = server
        self._fork: Fork | None = None
        self._session: OutgoingCall | None = None
        self._has_begun = self._is_paused = self._is_asking = self._is_stale = self._is_failed = False
        self._held: set[Side] = set()
        ids, now = call.context.node.endpoint.ids, call.record.now()
        self._metadata = Metadata(("1", "2"), now, lambda _: int(ids.tag() + ids.tag(), 16))
        self._participants: list[Participant] = [
            self._metadata.join(party.aor, party.name, label, now) for party, label in zip(parties, "12", strict=True)
        ]
        self._task = call.context.loop.create_task(self._begin(), name=f"siprec {call.id}")

    def pause(self, *, paused: bool) -> None:
        """Send nothing of what is said from here on, or do so again (RFC 7866 section 7.1.1.1)."""
        self._is_paused = paused
        self._tell()

    def hold(self, side: Side, *, held: bool) -> None:
        """One side holds the talk, or does so no more: nobody is heard meanwhile."""
        if held is not (side in self._held):
            self._held ^= {side}
            self._tell()

    def hang_up(self) -> None:
        """The talk is over; ``close`` is still to be called."""
        session, self._session = self._session, None
        if session is not None:
            session.hang_up()

    async def close(self) -> None:
        """Free what it holds."""
        self.hang_up()
        if not self._is_failed:
            self._task.cancel()
        await asyncio.wait((self._task,))
        await self._release()

    async def _begin(self) -> None:
        context = self._call.context
        if Capability.FORKING not in context.media.capabilities():
            self._failed("failed", "the media backend cannot fork")
            return
        try:
            way = Way(self._server, self._server)
            self._fork = await open_fork(
                context.media,
                f"{self._call.id}/siprec",
                self._speakers,
                protection=protection_towards(way),
                family=family_towards(way),
            )
        except MediaError as error:
            self._failed("failed", str(error))
            return
        session = context.node.call(self._server, self._on_sip)
        session.features = SRC_FEATURE
        session.enclosed = self._enclosed()
        try:
            session.start(
                self._server,
                caller=f"<sip:{USER}@{context.config.server.domain}>",
                callee=f"<{self._server}>",
                sdp=self._fork.offer(paused=self._is_paused).encode(),
                headers=(("Require", OPTION),),
            )
        except SipError as error:
            self._failed("failed", str(error))
            return
        self._session = session
        context.follow(self._call.id, session.dialog_id[0])
        context.flush()

    def _on_sip(self, event: SessionEvent) -> None:
        match event:
            case Answered(sdp):
                self._accept(sdp)
            case Reanswered(sdp):
                self._is_asking = False
                self._accept(sdp)
            case OfferRefused(status, reason):
                self._is_asking = False
                log.info("siprec.change_refused", call=self._call.id, status=status, reason=reason)
                if self._is_stale:
                    self._tell()
            case Rejected(status, reason):
                self._session = None
                self._failed("refused", f"{status} {reason}")
            case Reoffered() if self._session is not None and self._fork is not None:
                self._session.accept_offer(self._fork.offer(paused=self._is_paused).encode())
            case Ended(_, reason):
                self._session = None
                self._failed("lost", reason)

    def _accept(self, sdp: bytes) -> None:
        """Take the server's answer, and let it hear what it took."""
        if self._fork is None or self._session is None:
            return
        try:
            self._fork.accept(sdp.decode(errors="replace"))
            self._connect()
        except MediaError as error:
            self._session.hang_up()
            self._session = None
            self._failed("failed", str(error))
            return
        if not self._has_begun:
            self._has_begun = True
            self._call.context.metrics.recording_session("begun")
            log.info("siprec.begun", call=self._call.id, server=self._server)
        if self._is_stale:
            self._tell()

    def _connect(self) -> None:
        """Have both talk, and the server hear them unless it must not. Raises MediaError."""
        forked = self._fork.gains(self._speakers) if self._fork is not None and not self._is_paused else {}
        self._call.context.media.connect(together(*self._speakers) | forked)

    def _tell(self) -> None:
        """Describe the talk anew, as soon as the last description is answered."""
        now, silent = self._call.record.now(), self._is_paused or bool(self._held)
        for label, participant in zip("12", self._participants, strict=True):
            self._metadata.hear(label, None if silent else participant, now)
        if self._has_begun and self._session is not None:
            with suppress(MediaError):  # of a leg that is lost the call hears by itself
                self._connect()
        session, fork = self._session, self._fork
        self._is_stale = session is None or fork is None or not session.is_established or self._is_asking
        if session is None or fork is None or self._is_stale:
            return
        session.enclosed = self._enclosed()
        try:
            session.reinvite(fork.offer(paused=self._is_paused).encode(), (("Require", OPTION),))
        except (LocalProtocolError, SipError) as error:
            log.info("siprec.change_failed", call=self._call.id, reason=str(error))
            return
        self._is_asking = True
        self._call.context.flush()

    def _enclosed(self) -> tuple[Enclosed, ...]:
        return (Enclosed(CONTENT_TYPE, self._metadata.document().encode(), DISPOSITION),)

    def _failed(self, outcome: Literal["refused", "failed", "lost"], reason: str) -> None:
        """The talk goes on without it."""
        self._call.context.metrics.recording_session(outcome)
        log.warning("siprec.failed", call=self._call.id, server=self._server, outcome=outcome, reason=reason)
        self._is_failed = True
        self._task = self._call.context.loop.create_task(self._release())

    async def _release(self) -> None:
        fork, self._fork = self._fork, None
        if fork is not None:
            await fork.close()
