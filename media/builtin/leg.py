"""The legs that workers serve, and who of them hears whom, whichever workers they are of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from media.api import (
    LegReport,
    MediaError,
    MediaEvent,
    MediaLeg,
    check_digits,
    check_gain,
)
from media.builtin.cords import Cord
from media.builtin.credentials import draw_keys
from media.conference import Gains
from media.rtp.stream import Sdes, Stream
from media.sdp.negotiation import Negotiation
from media.sdp.preconditions import Preconditions
from media.worker import control

if TYPE_CHECKING:
    from media.builtin.client import WorkerClient


class WorkerLeg:
    """A `MediaLeg` in a worker."""

    def __init__(
        self,
        worker: WorkerClient,
        number: int,
        leg_id: str,
        negotiation: Negotiation,
        on_event: Callable[[MediaEvent], None],
    ) -> None:
        self.number = number
        self.leg_id = leg_id
        self.worker = worker
        self.negotiation = negotiation
        self.local_sdp = ""
        self.cords: dict[WorkerLeg, Cord] = {}  # by the leg of another worker that they lead to
        self._on_event = on_event
        self._closing: asyncio.Future[LegReport] | None = None

    @property
    def preconditions(self) -> Preconditions | None:
        """What the peer's latest offer wants reserved first."""
        return self.negotiation.preconditions

    def accept(self, answer: str) -> None:
        """Take the peer's answer to our offer. Raises NotAcceptable."""
        self._configure(self.negotiation.take_answer(answer), soon=False)

    async def reoffer(self, offer: str | None) -> str:
        """Answer a new offer, or make our current one again. Raises NotAcceptable."""
        if offer is None:
            self.local_sdp = self.negotiation.offer()
        else:
            self._configure(self._take_offer(offer))
            self.local_sdp = self.negotiation.answer()
        return self.local_sdp

    def _take_offer(self, offer: str) -> Stream:
        """Agree on another stream; what leaves SDES, or has RTCP go another way, comes back under other keys.

        Under the same ones packets would be numbered from zero again, and encrypted as others were (RFC 3711 9.1).
        """
        negotiation = self.negotiation
        before, stream = negotiation.stream, negotiation.take_offer(offer)
        if isinstance(before.security, Sdes) and (
            not isinstance(stream.security, Sdes) or stream.mux is not before.mux
        ):
            negotiation.local = msgspec.structs.replace(negotiation.local, keys=draw_keys())
            stream = negotiation.take_offer(offer)
        return stream

    def play(self, prompts: Sequence[str], *, loop: bool = False, interruptible: bool = False, token: int = 0) -> None:
        """Play prompts in place of what plays now."""
        self.worker.send(control.Play(self.number, tuple(prompts), loop, interruptible, token))

    def stop(self) -> None:
        """End what plays."""
        self.worker.send(control.Stop(self.number))

    def bridge(self, other: MediaLeg, *, record: str | None = None) -> None:
        """Connect both ways. Raises MediaError, MediaUnavailable."""
        if not isinstance(other, WorkerLeg) or other is self:
            raise MediaError("Only two different legs of one backend can be bridged.")
        self.drop_cords()
        other.drop_cords()
        if self.worker.gone or other.worker.gone:
            return  # one of them is told so
        self._speak_alike(other)
        if other.worker is self.worker:
            self.worker.send(control.Bridge(self.number, other.number, record))
        else:
            cord = Cord(self, other)
            self.worker.send(control.Bridge(self.number, cord.number(self), record))
            other.worker.send(control.Bridge(other.number, cord.number(other), None))

    def _speak_alike(self, other: WorkerLeg) -> None:
        """Have one peer hear what the other speaks, if it takes that too: nothing is transcoded towards it then."""
        if self.negotiation.stream.codec == other.negotiation.stream.codec:
            return
        for leg, speaker in ((self, other), (other, self)):
            if leg.negotiation.follow(speaker.negotiation):
                leg.worker.send(control.Configure(leg.number, leg.negotiation.stream))
                return

    def unbridge(self) -> None:
        """End the bridge or echo."""
        for leg in {self, *self.drop_cords()}:
            leg.worker.send(control.Unbridge(leg.number))

    def echo(self) -> None:
        """Send the peer's own audio back."""
        self.drop_cords()
        self.worker.send(control.Echo(self.number))

    def drop_cords(self) -> set[WorkerLeg]:
        """Leave the legs of other workers; returns them."""
        left = set(self.cords)
        for cord in list(self.cords.values()):
            cord.close()
        return left

    def _configure(self, stream: Stream, *, soon: bool = True) -> None:
        self.worker.send(control.Configure(self.number, stream), soon=soon)
        for cord in self.cords.values():
            cord.configure()

    def pause_recording(self) -> None:
        """Keep nothing that is said from here on."""
        self.worker.send(control.PauseRecording(self.number, paused=True))

    def resume_recording(self) -> None:
        """Go on recording."""
        self.worker.send(control.PauseRecording(self.number, paused=False))

    def adjust(self, *, heard: float = 1.0, spoken: float = 1.0) -> None:
        """Set how loud the peer hears, and is heard. Raises MediaError."""
        self.worker.send(control.Adjust(self.number, check_gain(heard), check_gain(spoken)))

    def send_digits(self, digits: str, *, ms: int = 100) -> None:
        """Press keys for the peer. Raises MediaError."""
        self.worker.send(control.SendDigits(self.number, check_digits(digits, ms), ms))

    def receive_digit(self, digit: str, *, ms: int = 100) -> None:
        """Take a key that the peer pressed. Raises MediaError."""
        self.worker.send(control.ReceiveDigit(self.number, check_digits(digit, ms), ms))

    def hide_digits(self, hidden: bool) -> None:
        """Keep the peer's keys from whom it is connected to, or do so no more."""
        self.worker.send(control.HideDigits(self.number, hidden))

    def measure(self) -> asyncio.Future[LegReport]:
        """Report since the last time, and begin anew."""
        return self._closing or self.worker.measure(self)

    def close(self) -> asyncio.Future[LegReport]:
        """Free the port and report."""
        if self._closing is None:
            self.drop_cords()
            self._closing = self.worker.begin_close(self)
            self._on_event = _forget  # the owner is to be freed as soon as it lets go of this leg
        return self._closing

    def tell(self, event: MediaEvent) -> None:
        """Hand an event to the owner, unless it has closed the leg."""
        if self._closing is None:
            self._on_event(event)


def connect(gains: Gains) -> None:
    """Have legs hear each other exactly so, by cords where they are of different workers.

    Raises MediaError, MediaUnavailable.
    """
    loud: dict[tuple[WorkerLeg, WorkerLeg], float] = {}
    for (speaker, hearer), gain in gains.items():
        if not isinstance(speaker, WorkerLeg) or not isinstance(hearer, WorkerLeg):
            raise MediaError("Only legs of one media backend can be connected.")
        check_gain(gain)
        if not speaker.worker.gone and not hearer.worker.gone:
            loud[speaker, hearer] = gain
    mixes: dict[WorkerClient, dict[tuple[int, int], float]] = {}
    for leg in dict.fromkeys(leg for pair in loud for leg in pair):
        leg.drop_cords()
        # Each is named in its own worker, whoever hears it.
        mixes.setdefault(leg.worker, {})[leg.number, leg.number] = 0.0
    for (speaker, hearer), gain in loud.items():
        if speaker.worker is hearer.worker:
            mixes[speaker.worker][speaker.number, hearer.number] = gain
        elif gain > 0:
            cord = speaker.cords.get(hearer) or Cord(speaker, hearer)
            mixes[speaker.worker][speaker.number, cord.number(speaker)] = 1.0
            mixes[hearer.worker][cord.number(hearer), hearer.number] = gain
    for worker, mix in mixes.items():
        worker.send(control.Mix(tuple((*pair, gain) for pair, gain in mix.items())))


def _forget(_: MediaEvent) -> None:
    """Take an event that nobody wants."""
