"""What a call leg may ask of the media side, and what it is told.

SDP crosses this interface as text and times as milliseconds. A backend is any object satisfying `Media`:
`media.builtin.supervisor.MediaSupervisor` runs the built-in RTP workers, `media.testing.FakeMedia` does no I/O at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, Protocol

import msgspec

from media.recording.report import Recorded

if TYPE_CHECKING:
    from media.conference import Gains
    from media.sdp.preconditions import Preconditions


class MediaError(Exception):
    """A request that the media side cannot serve; the message is one sentence."""


class NotAcceptable(MediaError):
    """The SDP is unusable or shares no codec with us (RFC 3261 21.4.26: 488 Not Acceptable Here)."""


class CannotReserve(NotAcceptable):
    """The offer makes a precondition of what cannot be had (RFC 3312 8: 580 Precondition Failure).

    `lines` are the attributes that say which, and `description` is the SDP around them that the peer is to be told.
    """

    def __init__(self, message: str, lines: str) -> None:
        super().__init__(message)
        self.lines = lines
        self.description = ""


class ReservationFailed(CannotReserve):
    """The peer says that it could not reserve what it made a precondition itself."""


class MediaUnavailable(MediaError):
    """No healthy worker or no free port (RFC 3261 21.5.4: 503 Service Unavailable)."""


class Unsupported(MediaError):
    """The backend cannot do that at all; its `capabilities` say so before anything is asked of it."""


class Capability(StrEnum):
    """What a backend may lack.

    All else of `MediaLeg` every backend does: offer and answer, prompts, digits received, bridging, reports.
    """

    ECHO = "echo"  # MediaLeg.echo
    RECORDING = "recording"  # bridge(record=…): two channels in a file of ours
    PAUSED_RECORDING = "paused-recording"  # pause_recording, resume_recording
    FORKING = "forking"  # a second receiver of what is said, for a recording server (RFC 7866)
    TRANSCODING = "transcoding"  # a bridge of legs without a common codec
    MIXING = "mixing"  # more than two who hear each other: listen, whisper, barge, three-way
    VOLUME = "volume"  # louder, softer and mute, for each direction
    SENT_DIGITS = "sent-digits"  # send_digits
    HIDDEN_DIGITS = "hidden-digits"  # hide_digits
    INBAND_DIGITS = "inband-digits"  # tones found in the audio
    SDES = "sdes"  # SRTP, keys in the SDP (RFC 4568)
    DTLS = "dtls"  # SRTP, keys by a handshake (RFC 5764)
    ICE = "ice"  # RFC 8445, as far as a server needs it
    RTCP = "rtcp"  # reports sent and heard: round trip, what the far end receives
    ANALYSIS = "analysis"  # dead air, talk-over, talk ratio


def allowed(able: frozenset[Capability], *, srtp: str, dtls: bool, ice: bool) -> frozenset[Capability]:
    """Return what is left of a backend's capabilities where settings turn some of its security off."""
    off = set() if ice else {Capability.ICE}
    if srtp == "off":
        off |= {Capability.SDES, Capability.DTLS}
    elif not dtls:
        off.add(Capability.DTLS)
    return able - off


LOUDEST: Final = 8.0


KEYS: Final = "0123456789*#ABCD"
LONGEST_KEY_MS: Final = 60_000


def check_digits(digits: str, ms: int) -> str:
    """Return keys that can be pressed for so long. Raises MediaError."""
    strange = next((digit for digit in digits if digit not in KEYS), None)
    if strange is not None:
        raise MediaError(f"{strange!r} is no key of a telephone.")
    if not 0 < ms <= LONGEST_KEY_MS:
        raise MediaError(f"A key is pressed for up to {LONGEST_KEY_MS} milliseconds, not for {ms}.")
    return digits


def check_gain(gain: float) -> float:
    """Return a gain that can be had. Raises MediaError."""
    if not 0 <= gain <= LOUDEST:
        raise MediaError(f"A gain lies between 0 and {LOUDEST:g}, not at {gain:g}.")
    return gain


DigitSource = Literal["rfc4733", "inband", "info"]


class Digit(msgspec.Struct, frozen=True):
    """A key was pressed: one of `0123456789*#ABCD`, told once per press, in however many ways it was heard of.

    `source` is the first of them: a telephone-event (RFC 4733), a tone in the audio, or `MediaLeg.receive_digit`.
    """

    digit: str
    source: DigitSource = "rfc4733"


class PlayFinished(msgspec.Struct, frozen=True):
    """What `play` started has ended; told exactly once for each `play` unless the leg is closed or lost first."""

    token: int
    heard_ms: int
    interrupted: bool


class RtpTimeout(msgspec.Struct, frozen=True):
    """Nothing was received for the configured time although the peer does not hold the call."""


class Lost(msgspec.Struct, frozen=True):
    """The leg is gone, for example because its worker died; only `close` is left to call."""

    reason: str


class Trouble(StrEnum):
    """What can be wrong with the voice of a leg; `media.rtp.troubles` says what it means and what to check."""

    NO_RTP = "no-rtp"
    ONE_WAY_AUDIO = "one-way-audio"
    SILENCE = "silence"
    HIGH_LOSS = "high-loss"
    HIGH_JITTER = "high-jitter"
    WRONG_PAYLOAD = "wrong-payload"


class Troubled(msgspec.Struct, frozen=True):
    """A threshold is passed: told once, until `Recovered` is told. `detail` gives the figures in a few words."""

    trouble: Trouble
    detail: str


class Recovered(msgspec.Struct, frozen=True):
    """A trouble is over, `seconds` after it was told."""

    trouble: Trouble
    seconds: float


MediaEvent = Digit | PlayFinished | RtpTimeout | Lost | Troubled | Recovered


class FarEnd(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the peer told by RTCP of the stream that it hears: the other direction of the leg.

    R and MOS are ours from its figures, as those of `LegReport` are from what we received; `told_mos` is its own, from
    VoIP metrics (RFC 3611 4.7).
    """

    lost: int = 0
    loss_percent: float = 0.0
    jitter_ms: float = 0.0
    r_factor: float | None = None
    mos: float | None = None
    scale: str | None = None
    basis: str = "nothing received"
    told_mos: float | None = None


class Talk(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Who spoke while the leg was connected to others, in seconds.

    `spoken` is the leg's own speech, `heard` that of at least one other leg, `both` the two at a time (talk-over).
    `dead` is when nobody spoke for longer than a pause of talking lasts (dead air), `longest_dead` the longest such
    time.
    """

    connected: float = 0.0
    spoken: float = 0.0
    heard: float = 0.0
    both: float = 0.0
    dead: float = 0.0
    longest_dead: float = 0.0


class LegReport(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How a leg fared, seen from our receiving side; `far_end` is what the peer told of the other direction.

    `lost` counts packets that never came, `discarded` those that came too late for our jitter buffer, where we decode;
    the quality counts both as loss. `jitter_ms` follows RFC 3550 A.8. `burst_ratio` is the mean length of a run
    of losses over that of random loss (ITU-T G.107 BurstR), None without losses. `round_trip_ms` is the mean of what
    RTCP measured, None without RTCP. `r_factor` and `mos` are None when nothing was received or no planning value is
    published for the codec; `scale` is "narrowband" or "wideband", and `basis` says what they rest on. `talk` is None
    where it cannot be told who spoke. `troubles` are those that were told. `security` says how what we sent was
    protected, "SDES AES_CM_128_HMAC_SHA1_80" for example, None: not at all. `recording` is the path of the recording
    that this leg owned, if one was written.
    """

    codec: str | None = None
    packets_sent: int = 0
    packets_received: int = 0
    lost: int = 0
    duplicates: int = 0
    jitter_ms: float = 0.0
    loss_percent: float = 0.0
    burst_ratio: float | None = None
    round_trip_ms: float | None = None
    r_factor: float | None = None
    mos: float | None = None
    scale: str | None = None
    basis: str = "nothing received"
    recording: str | None = None
    recorded: Recorded | None = None
    far_end: FarEnd | None = None
    talk: Talk | None = None
    troubles: tuple[Trouble, ...] = ()
    security: str | None = None
    discarded: int = 0


class MediaCounters(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the start (monotonic across worker restarts), then the gauges of this moment."""

    packets_received: int = 0
    packets_sent: int = 0
    octets_received: int = 0
    octets_sent: int = 0
    packets_lost: int = 0
    packets_invalid: int = 0
    packets_foreign: int = 0
    packets_unsent: int = 0
    packets_unauthentic: int = 0
    packets_replayed: int = 0
    handshakes_failed: int = 0
    checks_refused: int = 0
    digits: int = 0
    digits_inband: int = 0
    digits_info: int = 0
    digits_sent: int = 0
    digits_refused: int = 0
    rtcp_received: int = 0
    rtcp_sent: int = 0
    rtcp_refused: int = 0
    prompts_missing: int = 0
    recording_errors: int = 0
    recording_octets: int = 0
    recording_left_out: int = 0
    rtp_timeouts: int = 0
    worker_restarts: int = 0
    requests_repeated: int = 0

    legs: int = 0
    playing: int = 0
    mixed: int = 0
    recordings: int = 0
    recordings_paused: int = 0
    ports_in_use: int = 0
    ports_total: int = 0
    workers: int = 0
    workers_healthy: int = 0


MemberState = Literal["starting", "serving", "failed", "draining"]
BackendName = Literal["builtin", "rtpengine"]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One of those that a backend spreads its legs over: a worker process, or an rtpengine.

    `reason` says why one that has `failed` does not serve. One that is `draining` takes no new legs, and goes when its
    last one has ended.
    """

    backend: BackendName
    name: str
    state: MemberState
    legs: int
    weight: int = 1
    restarts: int = 0
    reason: str = ""


class MediaLeg(Protocol):
    """One RTP session towards one peer. The owner must call `close`, also after `Lost`."""

    @property
    def local_sdp(self) -> str:
        """Our latest offer or answer."""

    @property
    def preconditions(self) -> Preconditions | None:
        """What the peer's latest offer wants reserved first, if that is heeded; None: nothing."""

    def accept(self, answer: str) -> None:
        """Take the peer's answer to our offer; raises NotAcceptable and then leaves the session as it was."""

    async def reoffer(self, offer: str | None) -> str:
        """Answer the peer's new offer, or, with None, return our own current offer (its answer goes to `accept`).

        Raises NotAcceptable, CannotReserve, and then leaves the session as it was (RFC 3264 8).
        """

    def play(self, prompts: Sequence[str], *, loop: bool = False, interruptible: bool = False, token: int = 0) -> None:
        """Play prompts such as "en/welcome" one after the other in place of what plays now.

        A digit stops it if `interruptible`. `PlayFinished(token, …)` follows.
        """

    def stop(self) -> None:
        """End what plays; `PlayFinished(…, interrupted=True)` follows if something did."""

    def bridge(self, other: MediaLeg, *, record: str | None = None) -> None:
        """Connect audio and digits both ways, and end what plays on either leg.

        `record` is the path of a stereo WAV: this leg left, `other` right.

        Raises MediaError for what is no other leg of this backend, MediaUnavailable, Unsupported.
        """

    def unbridge(self) -> None:
        """End the bridge of this leg and the one at its other end; its recording is complete unless it goes on."""

    def pause_recording(self) -> None:
        """Keep nothing that is said from here on; the recording has a marked gap. Raises Unsupported."""

    def resume_recording(self) -> None:
        """End the gap of the leg's recording, if there is one. Raises Unsupported."""

    def echo(self) -> None:
        """Send the peer's own audio back."""

    def adjust(self, *, heard: float = 1.0, spoken: float = 1.0) -> None:
        """Set how loud the peer hears what is sent to it, prompts included, and how loud others hear it.

        Factors of amplitude, 0 (mute) to `LOUDEST`, else MediaError. A mute peer's digits are heard all the same.
        """

    def send_digits(self, digits: str, *, ms: int = 100) -> None:
        """Press keys for the peer, each for so long, when those before are done with, with pauses between.

        It gets telephone-events (RFC 4733) if it takes them, else tones, in place of what it would hear. Raises
        MediaError for what is no key, Unsupported.
        """

    def receive_digit(self, digit: str, *, ms: int = 100) -> None:
        """Take a key that the peer is known to have pressed by other means than RTP, say a SIP INFO.

        It counts as if it had come by RTP: `Digit` follows, and whoever hears the leg gets it, unless it did come by
        RTP as well. Raises MediaError for what is no key.
        """

    def hide_digits(self, hidden: bool) -> None:
        """Keep what the peer presses from now on from whom it is connected to, for secrets; `Digit` follows as ever.

        Of a tone in the audio 20 ms are over before it is known, too short to be recognised; where `INBAND_DIGITS` are
        not looked for in the leg's audio, tones in it are heard. Raises Unsupported.
        """

    def measure(self) -> Awaitable[LegReport]:
        """Report on the time since this was called last, or since the leg was opened; what `close` reports begins here.

        For a leg that outlives calls. What it returns need not be awaited.
        """

    def close(self) -> Awaitable[LegReport]:
        """Free the port and report; calling it again returns the same report."""


class Protection(StrEnum):
    """How an offer of ours is protected; an answer is as the offer was."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"  # with keys in the description that the peer may ignore (RFC 8643)
    SDES = "sdes"  # with keys in the description (RFC 4568)
    DTLS = "dtls"  # with keys from a handshake, and ICE: as browsers want it (RFC 5763, RFC 8827)


class Media(Protocol):
    """A media backend."""

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
    ) -> MediaLeg:
        """Open an RTP session. With `offer`, `local_sdp` is the answer, otherwise it is an offer.

        `like` places the leg where bridging it to that one costs least and offers its codec and payload numbers first,
        so that relaying needs no transcoding. Without `offer`, `protection` says how ours is protected, as far as the
        backend's settings let it, and `family` ("IP4" or "IP6") which of our addresses it names, if there are two.
        Unless it `heeds_preconditions` the leg takes no notice of those in the
        peer's offers (RFC 3312). Raises NotAcceptable, CannotReserve, MediaUnavailable.
        """

    def connect(self, gains: Gains) -> None:
        """Have these legs hear each other exactly so, and nobody else; `media.conference` has the usual matrices.

        A gain belongs to a speaker and a hearer, in this order; who is not named is not heard. Each leg leaves whomever
        it was connected to before; those it leaves go on among themselves. What plays, and recordings, go on.
        Raises MediaError for what is no leg of this backend, MediaUnavailable, Unsupported.
        """

    def capabilities(self) -> frozenset[Capability]:
        """Tell what of the optional things can be done; what is not in it raises Unsupported, or is not reported."""

    def healthy(self) -> bool:
        """Tell whether new legs can be opened."""

    def members(self) -> list[Member]:
        """Return those that the legs are spread over."""

    def counters(self) -> MediaCounters:
        """Return totals and gauges as of the latest heartbeats."""
