"""A media backend without I/O, for tests of what is built on `media.api`; it works on a virtual-time loop."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from media.api import (
    Capability,
    Digit,
    DigitSource,
    LegReport,
    Lost,
    MediaCounters,
    MediaError,
    MediaEvent,
    MediaLeg,
    MediaUnavailable,
    Member,
    PlayFinished,
    Protection,
    Recovered,
    RtpTimeout,
    Trouble,
    Troubled,
    check_digits,
    check_gain,
)
from media.conference import Gains
from media.sdp.negotiation import Negotiation
from media.sdp.preconditions import Preconditions

FIRST_PORT = 40_000


@dataclass(frozen=True)
class Call:
    """One call made to a fake leg: the method's name and its arguments in order."""

    method: str
    arguments: tuple[object, ...] = ()


@dataclass
class _Playing:
    token: int
    interruptible: bool
    began: float
    seconds: float
    timer: asyncio.TimerHandle | None


class FakeLeg:
    """A `MediaLeg` that negotiates like a real one and remembers what was asked of it.

    `calls` lists every call, `playing` the prompt names that play now, `bridged_to` the other leg of the bridge,
    `hears` whom it hears by `connect` and at which gain, `protection` how its offer was to be protected.
    `dialled` are the keys that its peer has heard. A test plays the peer with `press`, `time_out` and `lose`.
    """

    def __init__(
        self, media: FakeMedia, leg_id: str, negotiation: Negotiation, on_event: Callable[[MediaEvent], None]
    ) -> None:
        self.leg_id = leg_id
        self.negotiation = negotiation
        self.local_sdp = ""
        self.calls: list[Call] = []
        self.playing: tuple[str, ...] = ()
        self.bridged_to: FakeLeg | None = None
        self.hears: dict[FakeLeg, float] = {}
        self.heard = self.spoken = 1.0
        self.dialled = ""
        self.hides_digits = False
        self.echoing = False
        self.protection = Protection.NONE
        self.family = ""
        self.recording: str | None = None
        self.closed = False
        self.lost = False
        self.report = LegReport(codec=negotiation.stream.codec)
        self._media = media
        self._on_event = on_event
        self._play: _Playing | None = None

    @property
    def preconditions(self) -> Preconditions | None:
        """What the peer's latest offer wants reserved first."""
        return self.negotiation.preconditions

    def accept(self, answer: str) -> None:
        """Take the peer's answer. Raises NotAcceptable."""
        self.calls.append(Call("accept", (answer,)))
        self.negotiation.take_answer(answer)

    async def reoffer(self, offer: str | None) -> str:
        """Answer an offer or make ours. Raises NotAcceptable."""
        self.calls.append(Call("reoffer", (offer,)))
        await asyncio.sleep(0)
        if offer is None:
            self.local_sdp = self.negotiation.offer()
        else:
            self.negotiation.take_offer(offer)
            self.local_sdp = self.negotiation.answer()
        return self.local_sdp

    def play(self, prompts: Sequence[str], *, loop: bool = False, interruptible: bool = False, token: int = 0) -> None:
        """Pretend to play; ends by itself after the declared lengths unless it loops."""
        self.calls.append(Call("play", (tuple(prompts), loop, interruptible, token)))
        if self.inactive:
            return
        self._end_play(interrupted=True)
        event_loop = asyncio.get_running_loop()
        seconds = sum(self._media.prompt_seconds(name) for name in prompts)
        self.playing = tuple(prompts)
        timer = None if loop and seconds else event_loop.call_later(seconds, self._play_ran_out)
        self._play = _Playing(token, interruptible, event_loop.time(), seconds, timer)

    def stop(self) -> None:
        """End what plays."""
        self.calls.append(Call("stop"))
        self._end_play(interrupted=True)

    def bridge(self, other: MediaLeg, *, record: str | None = None) -> None:
        """Remember the bridge at both legs."""
        self.calls.append(Call("bridge", (other, record)))
        if not isinstance(other, FakeLeg) or other is self:
            raise MediaError("Only two different legs of one backend can be bridged.")
        if self.inactive or other.inactive:
            return
        for leg in (self, other):
            leg.part()
        self.bridged_to, other.bridged_to = other, self
        self.recording = record

    def unbridge(self) -> None:
        """Forget the bridge or echo."""
        self.calls.append(Call("unbridge"))
        self._unbridge()

    def echo(self) -> None:
        """Remember the echo."""
        self.calls.append(Call("echo"))
        if not self.inactive:
            self.part()
            self.echoing = True

    def adjust(self, *, heard: float = 1.0, spoken: float = 1.0) -> None:
        """Remember the gains. Raises MediaError."""
        self.calls.append(Call("adjust", (heard, spoken)))
        self.heard, self.spoken = check_gain(heard), check_gain(spoken)

    def pause_recording(self) -> None:
        """Remember the gap."""
        self.calls.append(Call("pause_recording"))

    def resume_recording(self) -> None:
        """Remember its end."""
        self.calls.append(Call("resume_recording"))

    def send_digits(self, digits: str, *, ms: int = 100) -> None:
        """Let the peer hear keys. Raises MediaError."""
        self.calls.append(Call("send_digits", (digits, ms)))
        if not self.inactive:
            self.dialled += check_digits(digits, ms)

    def receive_digit(self, digit: str, *, ms: int = 100) -> None:
        """Take a key that the peer pressed. Raises MediaError."""
        self.calls.append(Call("receive_digit", (digit, ms)))
        self.press(check_digits(digit, ms), "info")

    def hide_digits(self, hidden: bool) -> None:
        """Pass no keys on, or do so again."""
        self.calls.append(Call("hide_digits", (hidden,)))
        self.hides_digits = hidden

    def measure(self) -> asyncio.Future[LegReport]:
        """Report what a test put there."""
        self.calls.append(Call("measure"))
        future: asyncio.Future[LegReport] = asyncio.get_running_loop().create_future()
        future.set_result(self.report)
        return future

    async def close(self) -> LegReport:
        """Report; `report` is what a test put there, with the recording added."""
        self.calls.append(Call("close"))
        if not self.closed:
            self.closed = True
            self._on_event = _forget
            self._unbridge()
            self._drop_play()
            self._media.forget(self)
        await asyncio.sleep(0)
        return self.report if self.recording is None or self.lost else _with_recording(self.report, self.recording)

    def press(self, digits: str, source: DigitSource = "rfc4733") -> None:
        """The peer presses keys one after the other."""
        for digit in digits:
            self._tell(Digit(digit, source))
            if self.bridged_to is not None and not self.hides_digits:
                self.bridged_to.dialled += digit
            if self._play is not None and self._play.interruptible:
                self._end_play(interrupted=True)

    def time_out(self) -> None:
        """The peer's RTP has stopped."""
        self._tell(RtpTimeout())

    def worsen(self, trouble: Trouble, detail: str = "") -> None:
        """The voice of the leg passes a threshold."""
        self._tell(Troubled(trouble, detail))

    def better(self, trouble: Trouble, seconds: float = 0.0) -> None:
        """A trouble is over."""
        self._tell(Recovered(trouble, seconds))

    def lose(self, reason: str = "the media worker was lost") -> None:
        """The worker dies."""
        self._unbridge()
        self._drop_play()
        self.lost = True
        self._tell(Lost(reason))

    @property
    def inactive(self) -> bool:
        """Tell whether the leg is closed or lost."""
        return self.closed or self.lost

    def part(self) -> None:
        """Leave the bridge and end what plays."""
        self._unbridge()
        self._end_play(interrupted=True)

    def disconnect(self) -> None:
        """Hear and be heard no more."""
        self._unbridge()

    def _play_ran_out(self) -> None:
        self._end_play(interrupted=False)

    def _end_play(self, *, interrupted: bool) -> None:
        play = self._play
        if play is not None:
            self._drop_play()
            elapsed = asyncio.get_running_loop().time() - play.began
            heard = elapsed if interrupted else play.seconds
            self._tell(PlayFinished(play.token, round(heard * 1000), interrupted))

    def _drop_play(self) -> None:
        play, self._play, self.playing = self._play, None, ()
        if play is not None and play.timer is not None:
            play.timer.cancel()

    def _unbridge(self) -> None:
        self.echoing = False
        for leg in list(self._media.legs.values()):
            leg.hears.pop(self, None)
        self.hears.clear()
        other, self.bridged_to = self.bridged_to, None
        if other is not None:
            other.bridged_to = None

    def _tell(self, event: MediaEvent) -> None:
        if not self.closed:
            self._on_event(event)


@dataclass
class FakeMedia:
    """A `Media` whose prompts last as long as `lengths` declares (seconds by name), else `default_seconds`.

    `legs` are the open legs and `opened` all of them, so that a leak shows; set `available` to False to have
    `open` raise MediaUnavailable, and `able` to what it is to claim.
    """

    lengths: Mapping[str, float] = field(default_factory=dict)
    default_seconds: float = 1.0
    available: bool = True
    able: frozenset[Capability] = frozenset(Capability)
    address: str = "127.0.0.1"
    legs: dict[str, FakeLeg] = field(default_factory=dict)
    opened: list[FakeLeg] = field(default_factory=list)
    _ports: itertools.count[int] = field(default_factory=lambda: itertools.count(FIRST_PORT, 2))

    async def open(
        self,
        leg_id: str,
        on_event: Callable[[MediaEvent], None],
        *,
        offer: str | None = None,
        like: MediaLeg | None = None,
        heeds_preconditions: bool = False,
        protection: Protection = Protection.NONE,
        family: str = "",
    ) -> FakeLeg:
        """Open a fake leg. Raises NotAcceptable, MediaUnavailable."""
        negotiation = Negotiation(self.address, len(self.opened) + 1, heeds_preconditions=heeds_preconditions)
        if offer is not None:
            negotiation.take_offer(offer)
        elif isinstance(like, FakeLeg):
            negotiation.prefer(like.negotiation)
        await asyncio.sleep(0)
        if not self.available:
            raise MediaUnavailable("No media worker is healthy.")
        if leg_id in self.legs:
            raise MediaError(f"Leg {leg_id!r} is open already.")
        negotiation.port = next(self._ports)
        leg = FakeLeg(self, leg_id, negotiation, on_event)
        leg.protection, leg.family = protection, family
        leg.local_sdp = negotiation.offer() if offer is None else negotiation.answer()
        self.legs[leg_id] = leg
        self.opened.append(leg)
        return leg

    def connect(self, gains: Gains) -> None:
        """Remember at each leg whom it hears. Raises MediaError."""
        for pair, gain in gains.items():
            check_gain(gain)
            if not all(isinstance(leg, FakeLeg) for leg in pair):
                raise MediaError("Only legs of one media backend can be connected.")
        pairs = {pair: gain for pair, gain in gains.items() if not any(leg.inactive for leg in _fakes(pair))}
        for leg in dict.fromkeys(leg for pair in pairs for leg in _fakes(pair)):
            leg.disconnect()
        for pair, gain in pairs.items():
            speaker, hearer = _fakes(pair)
            if gain > 0:
                hearer.hears[speaker] = gain

    def capabilities(self) -> frozenset[Capability]:
        """Return `able`."""
        return self.able

    def healthy(self) -> bool:
        """Return `available`."""
        return self.available

    def members(self) -> list[Member]:
        """Return the one that there is."""
        return [
            Member(backend="builtin", name="0", state="serving" if self.available else "failed", legs=len(self.legs))
        ]

    def counters(self) -> MediaCounters:
        """Return the gauges that a fake can know."""
        return MediaCounters(legs=len(self.legs), ports_in_use=len(self.legs), workers=1, workers_healthy=1)

    def prompt_seconds(self, name: str) -> float:
        """Return how long a prompt lasts."""
        return self.lengths.get(name, self.default_seconds)

    def forget(self, leg: FakeLeg) -> None:
        """Drop a closed leg."""
        self.legs.pop(leg.leg_id, None)


def _fakes(pair: tuple[MediaLeg, MediaLeg]) -> tuple[FakeLeg, FakeLeg]:
    return cast("tuple[FakeLeg, FakeLeg]", pair)


def _forget(_: MediaEvent) -> None:
    """Take an event that nobody wants."""


def _with_recording(report: LegReport, recording: str) -> LegReport:
    fields = {name: getattr(report, name) for name in LegReport.__struct_fields__}
    return LegReport(**{**fields, "recording": recording})
