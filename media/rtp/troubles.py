"""When the voice of a leg is in trouble: thresholds, what passes them, and what to check then."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from media.api import Recovered, Trouble, Troubled

WINDOW_SECONDS: Final = 10.0
FEWEST_PACKETS: Final = 50
"""Of fewer packets in a window no share of loss is told."""
_RELIEF: Final = 0.5  # a trouble is over below this part of its threshold, so that it does not come and go


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """From where on a leg is in trouble; 0 turns one off. Shares and counts are those of ten seconds."""

    no_rtp_seconds: float = 5.0
    silence_seconds: float = 60.0
    loss_percent: float = 3.0
    jitter_ms: float = 50.0
    wrong_payloads: int = 25


class Hint(NamedTuple):
    """What a trouble means, and what to check."""

    meaning: str
    check: str


HINTS: Final = {
    Trouble.NO_RTP: Hint(
        "nothing comes from the peer",
        "whether its SDP names an address that it really sends from, whether a firewall or NAT lets UDP to media.ports "
        "pass, and whether media.advertise is the address that the peer reaches",
    ),
    Trouble.ONE_WAY_AUDIO: Hint(
        "audio passes in one direction only, as the peer's RTCP or the other side of the call shows",
        "NAT and firewall rules of the silent direction, the address in the SDP of who is not heard, routes that "
        "differ there and back, and whether the phone suppresses silence without comfort noise",
    ),
    Trouble.SILENCE: Hint(
        "packets come, but for a long time nothing in them was louder than silence",
        "whether the microphone is muted or unplugged, whether the right one is chosen, and the gain of a gateway",
    ),
    Trouble.HIGH_LOSS: Hint(
        "packets are lost on their way to us",
        "load and errors of the peer's access (Wi-Fi, DSL), the DSCP marking EF and its queue on each router, and the "
        "drops of this host's UDP sockets (nstat UdpRcvbufErrors)",
    ),
    Trouble.HIGH_JITTER: Hint(
        "packets come unevenly",
        "queues that voice shares with downloads, Wi-Fi power saving, CPU of a soft phone or virtual machine",
    ),
    Trouble.WRONG_PAYLOAD: Hint(
        "the peer sends payload types that were not agreed, so what it says is not heard",
        "the codecs in its latest offer or answer, gateways that change codecs on their own, and fax or modem calls",
    ),
}
"""What each trouble means, and what to check."""


class Sight(NamedTuple):
    """What is seen of a leg at one moment; counts are from its beginning.

    `expects`: the peer should be sending. `rests`: it said that it is silent and sends nothing (comfort noise, DTX).
    `loud_at` is when it was last heard to speak while others listened, None when that is not known. `reports` counts
    the peer's RTCP reports, `far_expected` what they say to have seen of ours, `far_at` when that grew last. `opposed`:
    who is connected to the peer does send.
    """

    expects: bool
    heard_at: float
    rests: bool
    expected: int
    received: int
    lost: int
    jitter_ms: float
    wrong: int
    wrong_payload: int
    loud_at: float | None
    sent: int
    reports: int
    far_expected: int
    far_at: float
    opposed: bool = False


_NOTHING: Final = Sight(False, 0.0, False, 0, 0, 0, 0.0, 0, -1, None, 0, 0, 0, 0.0)
_REPORTS: Final = 3


class Watch:
    """Tells the troubles of one leg, each once when it begins and once when it is over.

    `told` are those of the present call in the order in which they came.
    """

    __slots__ = ("_at", "_before", "_reported", "_since", "_thresholds", "told")

    def __init__(self, thresholds: Thresholds) -> None:
        self.told: list[Trouble] = []
        self._thresholds = thresholds
        self._since: dict[Trouble, float] = {}
        self._before = _NOTHING
        self._at: float | None = None
        self._reported = _NOTHING

    def look(self, sight: Sight, now: float) -> list[Troubled | Recovered]:
        """Take what is seen, about once a second."""
        events: list[Troubled | Recovered] = []
        self._look_for_rtp(events, sight, now)
        self._look_for_speech(events, sight, now)
        if self._at is None:
            self._at, self._before = now, sight
        elif now - self._at >= WINDOW_SECONDS:
            self._look_at_window(events, self._before, sight, now)
            self._at, self._before = now, sight
        return events

    def settle(self) -> None:
        """Another call begins on the leg: what still troubles it is its trouble too."""
        self.told = list(self._since)

    def _look_for_rtp(self, events: list[Troubled | Recovered], sight: Sight, now: float) -> None:
        limit = self._thresholds.no_rtp_seconds
        quiet = now - sight.heard_at
        missing = bool(limit) and sight.expects and not sight.rests and quiet > limit
        if missing and Trouble.NO_RTP not in self._since and Trouble.ONE_WAY_AUDIO not in self._since:
            kind, more = Trouble.NO_RTP, ""
            if sight.far_at > sight.heard_at:
                kind, more = Trouble.ONE_WAY_AUDIO, ", but it reports that it receives us"
            elif sight.opposed:
                kind, more = Trouble.ONE_WAY_AUDIO, ", but the other side is received"
            self._begin(events, kind, f"nothing received for {quiet:.0f} s{more}", now)
        elif not missing:
            self._end(events, Trouble.NO_RTP, now)
            if limit and not self._is_unheard(sight):
                self._end(events, Trouble.ONE_WAY_AUDIO, now)
            elif limit and Trouble.ONE_WAY_AUDIO not in self._since:
                self._begin(events, Trouble.ONE_WAY_AUDIO, "the peer reports that it receives nothing from us", now)

    def _is_unheard(self, sight: Sight) -> bool:
        """Tell whether the peer has sent several reports meanwhile none of which saw anything new of ours."""
        before = self._reported
        if sight.far_expected != before.far_expected or sight.reports < before.reports:
            self._reported = sight
            return False
        if sight.sent - before.sent < FEWEST_PACKETS or not sight.expects:
            self._reported = before._replace(reports=sight.reports)
            return False
        return sight.reports - before.reports >= _REPORTS

    def _look_for_speech(self, events: list[Troubled | Recovered], sight: Sight, now: float) -> None:
        limit = self._thresholds.silence_seconds
        silent = limit and sight.expects and sight.loud_at is not None and now - sight.loud_at > limit
        if silent and sight.loud_at is not None and now - sight.heard_at < limit:
            self._begin(events, Trouble.SILENCE, f"nothing but silence for {now - sight.loud_at:.0f} s", now)
        elif not silent:
            self._end(events, Trouble.SILENCE, now)

    def _look_at_window(self, events: list[Troubled | Recovered], before: Sight, sight: Sight, now: float) -> None:
        limits = self._thresholds
        expected, lost = sight.expected - before.expected, sight.lost - before.lost
        if expected >= FEWEST_PACKETS and limits.loss_percent:
            share = 100 * lost / expected
            text = f"{share:.1f} % of {expected} packets lost"
            self._judge(events, Trouble.HIGH_LOSS, share, limits.loss_percent, text, now)
        if sight.received > before.received and limits.jitter_ms:
            text = f"jitter of {sight.jitter_ms:.0f} ms"
            self._judge(events, Trouble.HIGH_JITTER, sight.jitter_ms, limits.jitter_ms, text, now)
        if limits.wrong_payloads:
            wrong = sight.wrong - before.wrong
            text = f"{wrong} packets of payload type {sight.wrong_payload}, which was not agreed"
            self._judge(events, Trouble.WRONG_PAYLOAD, wrong, limits.wrong_payloads, text, now)

    def _judge(  # noqa: PLR0917
        self, events: list[Troubled | Recovered], kind: Trouble, value: float, limit: float, text: str, now: float
    ) -> None:
        if value >= limit:
            self._begin(events, kind, text, now)
        elif value < limit * _RELIEF:
            self._end(events, kind, now)

    def _begin(self, events: list[Troubled | Recovered], kind: Trouble, detail: str, now: float) -> None:
        if kind not in self._since:
            self._since[kind] = now
            if kind not in self.told:
                self.told.append(kind)
            events.append(Troubled(kind, detail))

    def _end(self, events: list[Troubled | Recovered], kind: Trouble, now: float) -> None:
        since = self._since.pop(kind, None)
        if since is not None:
            events.append(Recovered(kind, round(now - since, 1)))
