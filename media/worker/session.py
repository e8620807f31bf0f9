"""One leg's RTP session inside a worker: its socket, what is received, what is sent, and what plays."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from operator import sub
from typing import Final

from media.api import Lost, MediaEvent, RtpTimeout
from media.playing.prompts import Playlist
from media.rtp.latching import Latching
from media.rtp.packet import Reception
from media.rtp.stream import Format, Stream
from media.rtp.tap import Tap
from media.rtp.troubles import Thresholds
from media.secure.surroundings import Shared
from media.worker.decoding import Decoding
from media.worker.health import Health
from media.worker.inband import Inband
from media.worker.incoming import Incoming
from media.worker.keys import Keys
from media.worker.outgoing import Outgoing
from media.worker.player import Player
from media.worker.poller import Poller
from media.worker.room import Room
from media.worker.rtcp import Rtcp
from media.worker.rtpsocket import GUARDED_TOTALS, Owner, RtpSocket
from media.worker.speech import Speech
from media.worker.ticker import Ticker

TOTALS: Final = (
    "packets_received",
    "packets_sent",
    "octets_received",
    "octets_sent",
    "packets_lost",
    "packets_invalid",
    "packets_foreign",
    "packets_unsent",
    "digits",
    "digits_inband",
    "digits_info",
    "digits_sent",
    "digits_refused",
    "rtcp_received",
    "rtcp_sent",
    "rtcp_refused",
    *GUARDED_TOTALS,
)
"""The names of what `Session.count` returns, as in `MediaCounters`."""

_monotonic = time.monotonic


class Session:
    """One peer: what it says is `incoming`, what it hears `outgoing`, `speech` and `player` make some of that.

    `gain` is how loud it is for others. Whatever changes who hears whom must call `_plan`.
    """

    __slots__ = (
        "_counted",
        "_latching",
        "_listener",
        "_rtcp",
        "_socket",
        "_told_at",
        "closed",
        "gain",
        "health",
        "incoming",
        "keys",
        "outgoing",
        "player",
        "room",
        "speech",
        "stream",
    )

    def __init__(
        self,
        sock: socket.socket,
        stream: Stream,
        rtcp: Rtcp,
        *,
        poller: Poller,
        ticker: Ticker,
        listener: Callable[[MediaEvent], None],
        complained: Callable[[str], None],
        is_own: Callable[[str, int], bool],
        shared: Shared,
        latching: Latching,
        thresholds: Thresholds,
        inband: Inband | None = None,
    ) -> None:
        self.room: Room | None = None
        self.gain = 1.0
        self.closed = False
        self.stream = stream
        self.health = Health(self, rtcp.reporter, thresholds)
        self.keys = Keys(self, ticker, listener, self._plan)
        self._rtcp = rtcp
        self._latching = latching
        self._listener = listener
        self._told_at = -1.0
        self._counted = (0,) * len(TOTALS)
        self.incoming = incoming = Incoming(stream, rtcp, self.keys, self.health, plan=self._plan, inband=inband)
        owner = Owner(incoming.readable, incoming.is_valid, incoming.take_first, self._find_out, self._fail, complained)
        self._socket = RtpSocket(sock, poller, owner, is_own=is_own, shared=shared, latching=latching)
        incoming.attach(self._socket)
        self.outgoing = Outgoing(stream, rtcp.reporter.sender, self._socket)
        self.speech = Speech(self.outgoing)
        self.player = Player(self.outgoing, self.speech, ticker, listener, self._plan)
        self.route((), ())
        rtcp.begin(self._socket, stream, self.health.metrics)
        self.configure(stream)
        self._socket.drop_stale()

    def configure(self, stream: Stream) -> None:
        """Take what the latest SDP agreed. A peer that moved is latched anew."""
        if self.closed:
            return
        self.stream = stream
        self.incoming.configure(stream)
        try:
            self._socket.configure(stream)
        except OSError as error:
            self._fail(f"RTP port {self.port} could not be bound again: {error.strerror}")
            return
        self.outgoing.configure(stream)
        self._rtcp.configure(stream)
        self.speech.configure()
        self._find_out()

    def play(self, playlist: Playlist) -> None:
        """Send the playlist in place of everything else."""
        if not self.closed:
            self.player.play(playlist)

    def stop(self) -> None:
        """End what plays, as an interruption."""
        self.player.stop()

    def adjust(self, heard: float, spoken: float) -> None:
        """Set the gains at which the peer hears, and is heard."""
        self.speech.volume, self.gain = heard, spoken
        self._plan()

    def add_tap(self, tap: Tap) -> None:
        """Hand what is received to the tap as well."""
        self.incoming.add_tap(tap)

    def remove_tap(self, tap: Tap) -> None:
        """Hand nothing more to the tap, if it is one."""
        self.incoming.remove_tap(tap)

    def leave(self) -> None:
        """Hear and be heard no more, whoever goes on to hear each other."""
        if self.room is not None:
            self.room.leave(self)

    def close(self) -> None:
        """Free the port."""
        self.leave()
        self.keys.close()
        if self.closed:
            return  # but what was asked of it meanwhile is over now
        self.closed = True
        self.player.close()
        self.incoming.close()
        self._rtcp.close()
        self._socket.close()

    def let_go(self) -> None:
        """Forget, once closed and asked for the last time, what knows this session in its turn.

        It is all freed at once then, and the cyclic collector, which would have to look at all other legs as well and
        keep their packets waiting, has nothing to find.
        """
        self._socket.let_go()
        self._rtcp.let_go()
        del self._rtcp, self._socket, self.health, self.incoming, self.keys, self.outgoing, self.player, self.speech

    @property
    def port(self) -> int:
        """The port that the peer sends to."""
        return self._socket.port

    @property
    def reception(self) -> Reception:
        """The numbers of what is received."""
        return self.incoming.reception

    @property
    def spoken(self) -> Format:
        """What the peer speaks."""
        return self.incoming.spoken

    @property
    def decoding(self) -> Decoding | None:
        """What the peer says as samples, where somebody wants it so."""
        return self.incoming.decoding

    @property
    def protection(self) -> str | None:
        """How what we send is protected: by which keys and suite; None: not at all."""
        return self._socket.protection

    @property
    def listens(self) -> bool:
        """Tell whether what the room says can be heard: the peer is known, listens, hears no prompt."""
        return self.outgoing.open and not self.player.playing

    def check_timeout(self, limit: float) -> bool:
        """Tell once when nothing was received for `limit` seconds, unless the peer holds the call."""
        if self.stream.held or not self.stream.port or self._told_at >= self.incoming.heard_at:
            return False
        now = _monotonic()
        if now - self.incoming.heard_at <= limit:
            return False
        self._told_at = now
        self._listener(RtpTimeout())
        return True

    def seek_peer(self) -> None:
        """Where it is wanted, listen to others as well when nothing comes any more, unless the peer holds the call."""
        latching = self._latching
        if latching.relatch != "silence" or self.stream.held:
            return
        if _monotonic() - self.incoming.heard_at > latching.silence_seconds:
            try:
                self._socket.seek_anew()
            except OSError as error:
                self._fail(f"RTP port {self.port} could not be bound again: {error.strerror}")

    def look(self, now: float) -> None:
        """About once a second: see how the leg fares, and report to the peer when it is time."""
        if not self.closed:
            self.health.look(now)
            self._rtcp.look(now)

    def count(self) -> tuple[int, ...]:
        """Return by how much the counts have risen since the last time, in the order of TOTALS.

        None ever falls, though a packet counted as lost may come late.
        """
        counts = (
            self.reception.received,
            self.outgoing.sender.packets,
            self.incoming.octets,
            self.outgoing.sender.octets,
            self.reception.lost,
            self.incoming.refused + self._socket.invalid,
            self._socket.foreign,
            self.outgoing.unsent,
            self.keys.told["rfc4733"],
            self.keys.told["inband"],
            self.keys.told["info"],
            self.keys.sent,
            self.keys.refused,
            self._rtcp.received,
            self._rtcp.sent,
            self._rtcp.refused,
            *self._socket.guarded_totals(),
        )
        before, self._counted = self._counted, tuple(map(max, self._counted, counts))
        return tuple(map(sub, self._counted, before))

    def tell(self, event: MediaEvent) -> None:
        """Tell whoever owns the leg."""
        self._listener(event)

    def route(self, relays: tuple[Outgoing, ...], hearers: tuple[Outgoing, ...], *, decoded: bool = False) -> None:
        """Take from the room who hears this leg, to which of them it is relayed, whether for others it is decoded."""
        sample_at = self.health.follow(self.room, _monotonic())
        self.incoming.route(relays, hearers, decoded=decoded, sample_at=sample_at)

    def _fail(self, reason: str) -> None:
        """There is no more to come."""
        self.close()
        self._listener(Lost(reason))

    def _find_out(self) -> None:
        """What can reach the peer may have changed."""
        self.player.waits = self._socket.awaited
        self._plan()

    def _plan(self) -> None:
        if self.room is not None:
            self.room.plan()
