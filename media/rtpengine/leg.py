"""A leg that rtpengine serves.

What its owner asks for is put down at once; one task at a time has rtpengine follow, command by command, until it
does what is wanted now. So commands never overtake each other, and what was wanted only for a moment is not sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from media.api import (
    Digit,
    DigitSource,
    LegReport,
    Lost,
    MediaError,
    MediaEvent,
    MediaLeg,
    MediaUnavailable,
    RtpTimeout,
    Unsupported,
    check_digits,
)
from media.rtpengine import report as reports
from media.rtpengine.bencode import Writable
from media.rtpengine.description import LINK, PEER, Place, Told, codec_between, describe, offer_to_peer, place_in
from media.rtpengine.keys import Keys
from media.rtpengine.ng import Answer, Refused, Silent
from media.rtpengine.player import Play, Player, Stage
from media.rtpengine.protection import Secrets, check, informed, read
from media.sdp.local import PLAIN, SECURED, Local
from media.sdp.negotiation import Negotiation
from media.sdp.preconditions import Preconditions
from media.sdp.security import DTLS_PROFILES

PACKETS_A_SECOND: Final = 50
_ALWAYS: Final[dict[str, Writable]] = {
    "ICE": "remove",
    "rtcp-mux": ["accept", "demux"],
    # The peer keeps the port it was given, and nobody else is listened to once it has been heard.
    "flags": ["port latching", "strict source"],
}

_BY_DTLS: Final = _ALWAYS | {"ICE": "force", "ICE-lite": "forward", "rtcp-mux": ["offer", "require"]}


class Server(Stage, Protocol):
    """The rtpengine that serves a leg."""

    async def ask(self, command: str, **arguments: Writable) -> Answer:
        """Ask it. Raises Refused, Silent."""

    def forget(self, leg: RtpengineLeg) -> None:
        """The leg is closed."""


class RtpengineLeg:
    """A `MediaLeg` of an rtpengine."""

    def __init__(  # noqa: PLR0917
        self,
        server: Server,
        leg_id: str,
        call_id: str,
        negotiate: Callable[[Local], Negotiation],
        local: Local,
        on_event: Callable[[MediaEvent], None],
    ) -> None:
        self.leg_id = leg_id
        self.call_id = call_id
        self.negotiation = negotiate(local)
        self._negotiate = negotiate
        self._draft = local
        self._secrets = Secrets()
        self.local_sdp = ""
        self.is_lost = False
        self.tally = reports.Tally()
        self.link: Place | None = None  # where our link receives
        self.other: RtpengineLeg | None = None  # whom we are bridged to, which may be ourselves
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._on_event = on_event
        self._told: Told | None = None
        self._player = Player(leg_id, server, self._ask, self._tell, self.follow)
        self._blocked: set[str] = set()  # whose audio goes no further
        self._keys = Keys()
        self._hides = self._is_hiding = False
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[LegReport] | None = None
        self._settled = reports.Tally()
        self._heard_at = self._loop.time()
        self._told_at = -1.0

    async def begin(self, offer: str | None) -> None:
        """Get a port for the peer, and answer its offer or make ours. Raises MediaError."""
        negotiation = self.negotiation
        if offer is not None:
            negotiation.take_offer(offer)
            await self._describe()
            self._take_again(offer)
            self.local_sdp = negotiation.answer()
            return
        profile = self._draft.profile
        sdp = offer_to_peer(negotiation.address, negotiation.formats)
        more = _BY_DTLS if profile in DTLS_PROFILES else _ALWAYS
        wanted = SECURED if self._draft.offers_keys else profile
        answer = await self._ask("offer", sdp=sdp, from_tag=LINK, transport_protocol=wanted, **more)
        text = str(answer.get("sdp", ""))
        self._secrets = read(text)
        self.negotiation = self._negotiate(informed(self._draft, self._secrets))
        self.negotiation.port = place_in(text).port
        self.local_sdp = self.negotiation.offer()

    @property
    def preconditions(self) -> Preconditions | None:
        """What the peer's latest offer wants reserved first."""
        return self.negotiation.preconditions

    def accept(self, answer: str) -> None:
        """Take the peer's answer to our offer. Raises NotAcceptable."""
        self.negotiation.take_answer(answer)
        self._heard_at = self._loop.time()
        self.follow()

    async def reoffer(self, offer: str | None) -> str:
        """Answer a new offer, or make our current one again. Raises NotAcceptable."""
        if offer is None:
            self.local_sdp = self.negotiation.offer()
        else:
            before = self.negotiation.local
            self.negotiation.local = self._draft
            try:
                stream = self.negotiation.take_offer(offer)
            except MediaError:
                self.negotiation.local = before
                raise
            self._heard_at = self._loop.time()
            self.follow()
            if stream.security is not None or stream.ice is not None:
                await self._followed()
            self._take_again(offer)
            self.local_sdp = self.negotiation.answer()
        return self.local_sdp

    def play(self, prompts: Sequence[str], *, loop: bool = False, interruptible: bool = False, token: int = 0) -> None:
        """Play prompts in place of what plays now."""
        if self.is_over:
            return
        self._player.play(Play(tuple(prompts), token, loop=loop, interruptible=interruptible))

    def stop(self) -> None:
        """End what plays."""
        self._player.stop()

    def bridge(self, other: MediaLeg, *, record: str | None = None) -> None:
        """Have the links of both send to each other. Raises MediaError, Unsupported for a recording."""
        if not isinstance(other, RtpengineLeg) or other is self:
            raise MediaError("Only two different legs of one backend can be bridged.")
        if record is not None:
            raise Unsupported("rtpengine does not record for us.")
        if self.is_over or other.is_over:
            return
        for leg in (self, other):
            leg.part()
        self.other, other.other = other, self
        self.follow()
        other.follow()

    def unbridge(self) -> None:
        """End the bridge or echo."""
        other = self.other
        if other is not None:
            self.other = other.other = None
            for leg in (self, other):
                leg.follow()

    def echo(self) -> None:
        """Have our link send to itself."""
        if not self.is_over:
            self.part()
            self.other = self
            self.follow()

    def adjust(self, *, heard: float = 1.0, spoken: float = 1.0) -> None:
        """Refuse another volume. Raises Unsupported."""
        if (heard, spoken) != (1.0, 1.0):
            raise Unsupported("rtpengine does not change volume.")

    def pause_recording(self) -> None:
        """Refuse. Raises Unsupported."""
        raise Unsupported("rtpengine does not record for us.")

    def resume_recording(self) -> None:
        """Refuse. Raises Unsupported."""
        raise Unsupported("rtpengine does not record for us.")

    def send_digits(self, digits: str, *, ms: int = 100) -> None:
        """Refuse. Raises Unsupported."""
        raise Unsupported("rtpengine presses keys only where every packet is decoded.")

    def receive_digit(self, digit: str, *, ms: int = 100) -> None:
        """Take a key that came by other means than RTP; the other leg does not hear of it. Raises MediaError."""
        self.pressed(check_digits(digit, ms), "info")

    def hide_digits(self, hidden: bool) -> None:
        """Keep the peer's digits from the other leg, or do so no more."""
        self._hides = hidden
        self.follow()

    def measure(self) -> asyncio.Task[LegReport]:
        """Report since the last time, and begin anew."""
        return self._closing or self._loop.create_task(self._measure(), name=f"measure {self.leg_id}")

    def close(self) -> asyncio.Task[LegReport]:
        """Free the port and report."""
        if self._closing is None:
            self._on_event = _forget  # the owner is to be freed as soon as it lets go of this leg
            self.part()
            self._closing = self._loop.create_task(self._close(), name=f"close {self.leg_id}")
        return self._closing

    # What the rtpengine, and the other leg, tell ------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether the leg is closed or lost."""
        return self.is_lost or self._closing is not None

    def released(self, digit: str, ms: int) -> None:
        """The peer let a key go after so long."""
        if self._keys.is_release(digit, ms, self._loop.time()):
            self.pressed(digit)

    def pressed(self, digit: str, source: DigitSource = "rfc4733") -> None:
        """The peer pressed a key."""
        if self.is_over or not self._keys.is_new(digit, source, self._loop.time()):
            return
        self._on_event(Digit(digit, source))
        self._player.interrupt()

    def lose(self, reason: str) -> None:
        """The leg is no more."""
        if not self.is_over:
            self.is_lost = True
            self.unbridge()
            self._player.drop()
            self._on_event(Lost(reason))

    async def look(self, limit: float) -> bool:
        """See whether the leg is still there; tell whether nothing was received for `limit` seconds, once."""
        try:
            tally = reports.tally(await self._ask("query"))
        except Refused:
            self.lose("rtpengine knows the leg no more")
            return False
        except Silent:
            return False
        stream, now = self.negotiation.stream, self._loop.time()
        if tally.received != self.tally.received or stream.held or not stream.port:
            self._heard_at = now
        self.tally = tally
        if not limit or self.is_over or now - self._heard_at <= limit or self._told_at >= self._heard_at:
            return False
        self._told_at = now
        self._on_event(RtpTimeout())
        return True

    # Inside -------------------------------------------------------------------------------------------------------

    def part(self) -> None:
        """Leave the bridge and end what plays."""
        self.unbridge()
        self._player.stop()

    def follow(self) -> None:
        """Have rtpengine do what is wanted now."""
        if self._task is None and not self.is_over:
            self._task = self._loop.create_task(self._settle(), name=f"settle {self.leg_id}")

    async def _followed(self) -> None:
        """Wait until rtpengine does what is wanted now. Raises MediaUnavailable."""
        while self._task is not None:
            await asyncio.wait((self._task,))
        if self.is_over:
            raise MediaUnavailable("The leg is gone.")

    def _take_again(self, offer: str) -> None:
        """Take the offer with the secrets that rtpengine has told since, and a single codec. Raises MediaError.

        What a peer says in a codec that it was not asked to speak is handed on unread by rtpengine.
        """
        local = informed(self._draft, self._secrets)
        self.negotiation.local = msgspec.structs.replace(local, codecs=(self.negotiation.stream.codec,))
        check(self.negotiation.take_offer(offer), self._secrets)

    async def _settle(self) -> None:
        try:
            while not self.is_over and await self._step():
                pass
        except MediaError as error:
            self.lose(str(error))
        finally:
            self._task = None

    async def _step(self) -> bool:
        """Change one thing that is not as wanted; tell whether there may be more."""
        stream = self.negotiation.stream
        if not stream.port:  # our offer is not answered
            return False
        if self._wanted() != self._told:
            await self._describe()
            return True
        # rtpengine forwards what comes, whatever the descriptions say of who may speak.
        for side, blocks in (
            (LINK, self.other is None or self._player.plays or not stream.sends),
            (PEER, self.other is None or not stream.receives),
        ):
            if blocks != (side in self._blocked):
                self._blocked ^= {side}
                await self._ask("block media" if blocks else "unblock media", from_tag=side)
                return True
        if self._hides != self._is_hiding:
            self._is_hiding = self._hides
            await self._ask("block DTMF" if self._hides else "unblock DTMF", from_tag=PEER)
            return True
        return await self._player.step(heard=stream.sends)

    def _wanted(self) -> Told:
        stream, other = self.negotiation.stream, self.other
        speaking = None if other is None or other is self else codec_between(stream, other.negotiation.stream)
        here, tags = self.negotiation.address, self._secrets.tags
        return describe(stream, here, other.link if other is not None else None, speaking, tags)

    async def _describe(self) -> None:
        """Tell rtpengine of both sides, as if the peer offered and the link answered."""
        wanted = self._wanted()
        more: dict[str, Writable] = {"transport-protocol": PLAIN}
        if wanted.transcode:
            more["codec"] = {"transcode": wanted.transcode}
        if wanted.ice:
            more["ICE-lite"] = "backward"
        offered = await self._ask("offer", sdp=wanted.peer, from_tag=PEER, to_tag=LINK, **_ALWAYS, **more)
        answer = _ALWAYS | {"ICE": "force"} if wanted.ice else _ALWAYS
        answered = await self._ask("answer", sdp=wanted.link, from_tag=PEER, to_tag=LINK, **answer)
        self._secrets = read(str(answered.get("sdp", "")))
        self._told = wanted
        if self.link is None:
            self.link = place_in(str(offered.get("sdp", "")))
            self.negotiation.port = self.negotiation.port or place_in(str(answered.get("sdp", ""))).port
            if self.other is not None and self.other is not self:
                self.other.follow()

    async def _close(self) -> LegReport:
        if (
            self._task is not None
        ):  # it ends with the command that is under way, which is not to come after the last one
            await asyncio.wait((self._task,))
        lost = LegReport(codec=self.negotiation.stream.codec, basis=reports.LOST)
        try:
            # One that is lost may be there none the less: its command was refused, or not answered in time.
            answer = await self._ask("delete", from_tag=PEER, delete_delay=0)
            if self.is_lost:
                return lost
            self.tally = reports.tally(answer)
            return self._report()
        except MediaError:
            return lost
        finally:
            self._server.forget(self)

    async def _measure(self) -> LegReport:
        if self._task is not None:
            await asyncio.wait((self._task,))
        if self.is_lost:
            return LegReport(basis=reports.LOST)
        try:
            self.tally = reports.tally(await self._ask("query"))
        except MediaError:
            return LegReport(basis=reports.LOST)
        report = self._report()
        self._settled = self.tally
        return report

    def _report(self) -> LegReport:
        played = round(self._player.take_seconds() * PACKETS_A_SECOND)
        return reports.report(self.negotiation.stream, self._settled, self.tally, played)

    def _tell(self, event: MediaEvent) -> None:
        self._on_event(event)

    def _ask(self, command: str, **arguments: Writable) -> Awaitable[Answer]:
        return self._server.ask(command, call_id=self.call_id, **arguments)


def _forget(_: MediaEvent) -> None:
    """Take an event that nobody wants."""
