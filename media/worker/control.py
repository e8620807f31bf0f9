"""What engine and worker say to each other: msgspec structs, in the frames of `media.frames`.

Legs are small integers chosen by the engine. Ports are bound by the worker before they are needed: the engine asks
with `Provide` for some to have in stock, so that a leg is opened without waiting. Only `Provide`, `Measure` and
`Close` are answered; everything else is sent and forgotten, in order.
"""

from __future__ import annotations

from typing import Final

import msgspec

from media.api import DigitSource, LegReport, MediaCounters, Trouble
from media.rtp.stream import Stream
from media.secure.identity import Identity
from media.settings import MediaSettings


class Start(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The first message: settings, the worker's own part of the port range, and who we are to DTLS peers."""

    settings: MediaSettings
    first_port: int
    last_port: int
    identity: Identity | None = None


class Open(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A new leg, on a port that was provided. With a negative number it stands for a leg of another worker."""

    leg: int
    port: int
    stream: Stream


class Configure(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The peer's SDP has arrived or changed."""

    leg: int
    stream: Stream


class Play(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Play prompts in place of what plays now."""

    leg: int
    prompts: tuple[str, ...]
    loop: bool
    interruptible: bool
    token: int


class Stop(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """End what plays."""

    leg: int


class Bridge(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Relay between two legs, recording to a path."""

    leg: int
    other: int
    record: str | None


class Unbridge(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """End the leg's bridge or echo."""

    leg: int


class Echo(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """Send the peer's audio back."""

    leg: int


class Mix(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """Have legs hear each other exactly so: each gain with its speaker and its hearer."""

    gains: tuple[tuple[int, int, float], ...]


class Adjust(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """Set how loud the leg hears, and is heard."""

    leg: int
    heard: float
    spoken: float


class SendDigits(msgspec.Struct, frozen=True, array_like=True, tag=70):
    """Press keys for the peer."""

    leg: int
    digits: str
    ms: int


class ReceiveDigit(msgspec.Struct, frozen=True, array_like=True, tag=71):
    """The peer pressed a key, as signalling tells."""

    leg: int
    digit: str
    ms: int


class HideDigits(msgspec.Struct, frozen=True, array_like=True, tag=72):
    """Keep the peer's keys from whom it is connected to, or do so no more."""

    leg: int
    hidden: bool


class Close(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """Free the port; answered by Closed."""

    leg: int


class Provide(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """Bind that many ports for legs to come; answered by Provided."""

    count: int


class Assign(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """Provide ports of another part of the range from now on."""

    first_port: int
    last_port: int


class Measure(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """Report on the leg and begin a new account; answered by Measured."""

    leg: int


class PauseRecording(msgspec.Struct, frozen=True, array_like=True, tag=50):
    """Begin or end a gap in the leg's recording."""

    leg: int
    paused: bool


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """The worker serves; `mistakes` are prompts that cannot be played."""

    prompts: int
    mistakes: tuple[str, ...]


class Provided(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """These ports are bound, to be used in this order; `reason` tells why there are fewer than were asked for."""

    ports: tuple[int, ...]
    reason: str


class Closed(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """The leg is gone."""

    leg: int
    report: LegReport


class Measured(msgspec.Struct, frozen=True, array_like=True, tag=30):
    """How the leg fared since it was measured last, or opened."""

    leg: int
    report: LegReport


class Pressed(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """A digit."""

    leg: int
    digit: str
    source: DigitSource


class Finished(msgspec.Struct, frozen=True, array_like=True, tag=25):
    """A play has ended."""

    leg: int
    token: int
    heard_ms: int
    interrupted: bool


class TimedOut(msgspec.Struct, frozen=True, array_like=True, tag=26):
    """No RTP for the configured time."""

    leg: int


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=27):
    """The leg cannot go on, although the worker does."""

    leg: int
    reason: str


class Worsened(msgspec.Struct, frozen=True, array_like=True, tag=40):
    """The voice of a leg is in trouble."""

    leg: int
    trouble: Trouble
    detail: str


class Bettered(msgspec.Struct, frozen=True, array_like=True, tag=41):
    """A trouble is over, after so many seconds."""

    leg: int
    trouble: Trouble
    seconds: float


class Complained(msgspec.Struct, frozen=True, array_like=True, tag=29):
    """Something about a leg for the engine's log, which its owner need not know."""

    leg: int
    text: str
    event: str = "prompt.missed"


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, tag=28):
    """Every second: the worker's totals and gauges."""

    counters: MediaCounters


Command = (
    Start
    | Open
    | Configure
    | Play
    | Stop
    | Bridge
    | Unbridge
    | Echo
    | Mix
    | Adjust
    | Close
    | Provide
    | Measure
    | Assign
    | PauseRecording
    | SendDigits
    | ReceiveDigit
    | HideDigits
)
Report = (
    Ready
    | Provided
    | Measured
    | Closed
    | Pressed
    | Finished
    | TimedOut
    | Failed
    | Heartbeat
    | Complained
    | Worsened
    | Bettered
)

command_decoder: Final[msgspec.msgpack.Decoder[Command]] = msgspec.msgpack.Decoder(Command)
report_decoder: Final[msgspec.msgpack.Decoder[Report]] = msgspec.msgpack.Decoder(Report)
