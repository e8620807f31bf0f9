"""The keys of one leg: those that its peer presses, in whatever way it tells of them, and those pressed for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from media.api import Digit, DigitSource, MediaEvent
from media.codecs import Samples
from media.dtmf.keypad import TICK_MS, Keypad, Press, Step
from media.dtmf.merging import Merging
from media.dtmf.tones import tone
from media.rtp.events import DIGITS, EventReceiver, EventWriter, lists
from media.worker.ticker import Ticker

if TYPE_CHECKING:
    from media.rtp.stream import Format
    from media.worker.session import Session


_HALF: Final = 0x80000000
_PER_SECOND: Final = 20  # presses; the fastest that Q.24 knows is one in 93 ms
_BURST: Final = 64.0


class Keys:
    """Tells the owner of each press once, and has it pressed for those who are connected to hear the leg.

    A press is not relayed but made anew for each of them, at its clock and under its payload number, or as a tone
    where it takes no such event: whatever was lost, repeated or told twice on the way here, one press goes on. While
    the keys are `hidden` none does. Presses that come faster than anybody dials are `refused`.
    """

    __slots__ = (
        "_allowed",
        "_allowed_at",
        "_began",
        "_flood",
        "_held",
        "_keypad",
        "_listener",
        "_merging",
        "_on_change",
        "_receivers",
        "_session",
        "_ticker",
        "_writer",
        "hidden",
        "sent",
        "told",
    )

    def __init__(
        self, session: Session, ticker: Ticker, listener: Callable[[MediaEvent], None], on_change: Callable[[], None]
    ) -> None:
        self.hidden = False
        self.told: dict[DigitSource, int] = {"rfc4733": 0, "inband": 0, "info": 0}
        self.sent = 0
        self._session = session
        self._ticker = ticker
        self._listener = listener
        self._on_change = on_change
        self._receivers: dict[int, EventReceiver] = {}
        self._merging = Merging()
        self._allowed, self._allowed_at, self._flood = _BURST, 0.0, 0
        self._held: dict[DigitSource, Press] = {}
        self._keypad = Keypad()
        self._writer: EventWriter | None = None
        self._began: tuple[int, float] | None = None

    # What the peer presses ------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """The peer's stream has begun anew."""
        self._receivers.clear()

    def take_event(self, received: Format, payload: bytes, timestamp: int, now: float, *, marker: bool) -> None:
        """Take a packet of a telephone-event."""
        receiver = self._receivers.get(received.clock_rate)
        if receiver is None:
            receiver = self._receivers[received.clock_rate] = EventReceiver()
        progress = receiver.receive(payload, timestamp, marker=marker)
        if progress is None:
            return
        ms = progress.duration * 1000 / received.clock_rate
        if progress.began:
            self._begin(progress.event, "rfc4733", ms, now, ended=progress.ended)
        elif (press := self._held.get("rfc4733")) is not None:
            press.update(ms, ended=progress.ended)

    def take_tone(self, digit: str, ms: float, now: float) -> None:
        """A tone in the audio has begun, and lasted so long by now."""
        self._begin(DIGITS.index(digit), "inband", ms, now, ended=False)

    def hold_tone(self, ms: float, *, ended: bool) -> None:
        """The tone goes on, or has ended, after so long."""
        if (press := self._held.get("inband")) is not None:
            press.update(ms, ended=ended)

    def take_told(self, digit: str, ms: float, now: float) -> None:
        """Whoever owns the leg was told of a press by the way that signalling takes."""
        self._begin(DIGITS.index(digit), "info", ms, now, ended=True)

    @property
    def refused(self) -> int:
        """Presses that were too many: of the peer, or for it."""
        return self._flood + self._keypad.refused

    @property
    def passes_tones_as_events(self) -> bool:
        """Whether tones in the audio are to be kept from those who hear the leg, being told in another way or not."""
        return self.hidden or any(hearer.stream.send_events is not None for hearer in self._hearers())

    def _begin(self, event: int, source: DigitSource, ms: float, now: float, *, ended: bool) -> None:
        self._held.pop(source, None)
        if not self._allows(now):
            return
        if event < len(DIGITS):
            digit = DIGITS[event]
            if not self._merging.is_new(digit, source, now):
                return
            self.told[source] += 1
            self._listener(Digit(digit, source))
            self._session.player.interrupt()
        if self.hidden or (source == "inband" and not self.passes_tones_as_events):
            return
        press = self._held[source] = Press(event, ms, ended=ended)
        for hearer in self._hearers():
            hearer.keys.press(press)

    def _allows(self, now: float) -> bool:
        """Tell whether another press may come: each costs the owner more than it costs who sends it."""
        self._allowed = min(_BURST, self._allowed + (now - self._allowed_at) * _PER_SECOND)
        self._allowed_at = now
        if self._allowed < 1:
            self._flood += 1
            return False
        self._allowed -= 1
        return True

    def _hearers(self) -> list[Session]:
        session = self._session
        if session.room is None:
            return []
        return [hearer for hearer in session.room.hearers_of(session) if hearer is not session]

    # What is pressed for the peer -----------------------------------------------------------------------------------

    def press(self, press: Press) -> None:
        """Press a key when those before are done with."""
        self._keypad.add(press)
        self._ticker.add(self)

    def dial(self, digits: str, ms: int) -> None:
        """Press keys one after the other."""
        for digit in digits:
            self.press(Press(DIGITS.index(digit), ms, ended=True))

    def close(self) -> None:
        """Press nothing more."""
        self._ticker.discard(self)

    def tick(self, now: float) -> None:
        """Send what 20 ms of pressing are."""
        step = self._keypad.tick()
        if step is not None:
            if step.began:
                self._start(step.press.event, now)
            if self._writer is not None:
                self._send_event(self._writer, step)
        outgoing = self._session.outgoing
        if outgoing.sounding and outgoing.reachable:
            self._session.speech.say(self, self._sound(step), now)
        if not self._keypad.busy:
            self._ticker.discard(self)
            self._set_sounding(sounding=False)

    def _start(self, event: int, now: float) -> None:
        outgoing = self._session.outgoing
        events = outgoing.stream.send_events
        if events is not None and not lists(events.parameters, event):
            events = None
        self._writer = EventWriter(event, self._timestamp(events.clock_rate, now)) if events is not None else None
        self._set_sounding(sounding=events is None and event < len(DIGITS) and outgoing.reachable)
        self.sent += 1

    def _timestamp(self, clock_rate: int, now: float) -> int:
        """Return when a press begins in the stream; presses are as far from each other as their own clock says."""
        timestamp = self._session.outgoing.sender.upcoming(now)
        if self._began is not None:
            before, at = self._began
            passed = round((now - at) * clock_rate)
            if (timestamp - before - passed) & 0xFFFFFFFF >= _HALF:
                timestamp = (before + passed) & 0xFFFFFFFF
        self._began = timestamp, now
        return timestamp

    def _set_sounding(self, *, sounding: bool) -> None:
        """While a tone is sent nobody else is heard."""
        outgoing = self._session.outgoing
        if outgoing.sounding != sounding:
            outgoing.sounding = sounding
            self._on_change()

    def _send_event(self, writer: EventWriter, step: Step) -> None:
        outgoing = self._session.outgoing
        events, packet_ms = outgoing.stream.send_events, outgoing.stream.packet_ms
        before_ms = step.lasted_ms - TICK_MS
        if events is None or not outgoing.reachable:
            return
        if not (step.began or step.copy or step.lasted_ms // packet_ms > before_ms // packet_ms):
            return
        duration = round(step.lasted_ms * events.clock_rate / 1000)
        for payload, timestamp, marker in writer.write(duration, ended=step.copy > 0):
            outgoing.insert_event(events, payload, timestamp, marker=marker)

    def _sound(self, step: Step | None) -> Samples:
        rate = self._session.speech.sample_rate
        pcm = np.zeros(rate * TICK_MS // 1000, np.int16)
        if step is not None and step.copy <= 1:
            before_ms = (step.lasted_ms - 1) // TICK_MS * TICK_MS
            begin, end = round(before_ms * rate / 1000), round(step.lasted_ms * rate / 1000)
            pcm[: end - begin] = tone(DIGITS[step.press.event], begin, end - begin, rate)
        return pcm
